//! The table of rights: role × question × circumstance.

use super::*;
use crate::approval::{CameraSet, State};
use crate::camera::{Pull, Retention, Transport};
use crate::role::Zone;
use crate::schedule::{Schedule, Window};
use crate::site::SiteKind;
use crate::{ApprovalId, CameraId, GrantId, HouseholdId, UnitId, ZoneId};

/// Wednesday 25 November 2026, noon in Shanghai.
fn now() -> Timestamp {
    Timestamp::parse("2026-11-25T12:00:00+08:00").unwrap()
}

const HOUR: Duration = Duration::from_secs(3_600);

fn site(n: u8, policy: ResidentPolicy) -> Site {
    Site {
        id: SiteId::from_random([n; 16]),
        name: "幸福里".into(),
        kind: SiteKind::Compound,
        time_zone: "Asia/Shanghai".into(),
        resident_policy: policy,
        created_at: Timestamp(0),
    }
}

fn place(n: u8) -> PlaceId {
    PlaceId::from_random([n; 16])
}

fn camera(site: &Site, visibility: Visibility) -> Camera {
    Camera {
        id: CameraId::from_random([9; 16]),
        site_id: site.id.clone(),
        place_id: place(1),
        name: "east gate".into(),
        main_url: "rtsp://10.0.0.8/main".into(),
        sub_url: None,
        username: None,
        password: None,
        allow_basic: false,
        transport: Transport::Tcp,
        pull: Pull::OnDemand,
        purpose: "entrance".into(),
        responsible_unit: "property office".into(),
        visibility,
        audio_reason: None,
        retention: Retention::default(),
        position: None,
        created_at: Timestamp(0),
    }
}

fn me() -> PersonId {
    PersonId::from_random([2; 16])
}

fn nobody() -> Standing {
    Standing {
        person_id: me(),
        disabled: false,
        grants: Vec::new(),
        memberships: Vec::new(),
        approvals: Vec::new(),
    }
}

fn held(role: Role, site: &Site) -> Grant {
    Grant {
        id: GrantId::from_random([1; 16]),
        person_id: me(),
        role,
        site_id: (role != Role::Owner).then(|| site.id.clone()),
        zone: None,
        from: Timestamp(0),
        until: None,
    }
}

fn with_role(role: Role, site: &Site) -> Standing {
    Standing { grants: vec![held(role, site)], ..nobody() }
}

fn home(site: &Site) -> Membership {
    Membership {
        person_id: me(),
        household_id: HouseholdId::from_random([3; 16]),
        unit_id: UnitId::from_random([4; 16]),
        site_id: site.id.clone(),
        entrance_id: place(1),
        from: Timestamp(0),
        until: None,
    }
}

fn approval(site: &Site) -> Approval {
    Approval {
        id: ApprovalId::from_random([5; 16]),
        site_id: site.id.clone(),
        subject: Subject::Household(HouseholdId::from_random([3; 16])),
        cameras: CameraSet::Site,
        state: State::Granted,
        from: Timestamp(0),
        until: now().after(24 * HOUR),
        schedule: None,
        message: String::new(),
        requested_by: me(),
        requested_at: Timestamp(0),
        decided_by: None,
        decided_at: None,
        reason: None,
        renews: None,
    }
}

/// A member of a household that was approved for the site.
fn resident(site: &Site) -> Standing {
    Standing { memberships: vec![home(site)], approvals: vec![approval(site)], ..nobody() }
}

fn watch(who: &Standing, camera: &Camera, site: &Site) -> Decision {
    let path = [place(1), place(7)];
    decide(who, Question::Watch(Sight { camera, site, path: &path, incident_open: false }), now())
}

fn denied(decision: Decision) -> Denial {
    match decision {
        Decision::Deny(why) => why,
        Decision::Allow { .. } => panic!("allowed: {decision:?}"),
    }
}

#[test]
fn who_may_watch_by_role() {
    use Visibility::{Patrol, Residents};
    let own = site(1, ResidentPolicy::Off);
    let other = site(6, ResidentPolicy::Off);
    for (role, visibility, allowed) in [
        (Role::Owner, Patrol, true),
        (Role::Administrator, Patrol, true),
        (Role::DutyOperator, Patrol, true),
        (Role::Patrol, Patrol, true),
        (Role::GridWorker1, Patrol, true),
        (Role::GridWorker2, Patrol, false),
        (Role::GridWorker2, Residents, true),
        (Role::GridWorker3, Patrol, false),
        (Role::GridWorker3, Residents, true),
        (Role::Auditor, Residents, false),
        // Nobody becomes a resident by a grant.
        (Role::Resident, Residents, false),
    ] {
        let camera = camera(&own, visibility);
        let decision = watch(&with_role(role, &own), &camera, &own);
        assert_eq!(decision.is_allowed(), allowed, "{role:?} {visibility:?}");
        if role != Role::Owner {
            assert!(!watch(&with_role(role, &other), &camera, &own).is_allowed(), "{role:?} elsewhere");
        }
    }
}

#[test]
fn a_zone_is_its_places_and_what_is_below() {
    let own = site(1, ResidentPolicy::Off);
    let camera = camera(&own, Visibility::Residents);
    for (places, allowed) in [(vec![1], true), (vec![7], true), (vec![8], false), (vec![], false)] {
        let mut who = with_role(Role::GridWorker3, &own);
        who.grants[0].zone = Some(Zone {
            id: ZoneId::from_random([8; 16]),
            site_id: own.id.clone(),
            name: "north".into(),
            places: places.iter().map(|n| place(*n)).collect(),
            created_at: Timestamp(0),
        });
        assert_eq!(watch(&who, &camera, &own).is_allowed(), allowed, "{places:?}");
    }
}

#[test]
fn residents_watch_what_their_household_was_approved_for() {
    let own = site(1, ResidentPolicy::Approved);
    let camera = camera(&own, Visibility::Residents);
    let until = now().after(24 * HOUR);
    let yes = Decision::Allow { role: Role::Resident, until: Some(until) };
    assert_eq!(watch(&resident(&own), &camera, &own), yes);
    let change = |change: &dyn Fn(&mut Standing)| {
        let mut who = resident(&own);
        change(&mut who);
        watch(&who, &camera, &own)
    };
    for set in [CameraSet::Camera(camera.id.clone()), CameraSet::Place(place(1)), CameraSet::Place(place(7))]
    {
        assert_eq!(change(&|who| who.approvals[0].cameras = set.clone()), yes, "{set:?}");
    }
    for set in [CameraSet::Camera(CameraId::from_random([0; 16])), CameraSet::Place(place(8))] {
        assert_eq!(denied(change(&|who| who.approvals[0].cameras = set.clone())), Denial::NotApproved);
    }
    for state in [State::Requested, State::Refused, State::Revoked] {
        assert_eq!(denied(change(&|who| who.approvals[0].state = state)), Denial::NotApproved, "{state:?}");
    }
    assert_eq!(denied(change(&|who| who.approvals.clear())), Denial::NotApproved);
    assert_eq!(denied(change(&|who| who.approvals[0].until = now())), Denial::NotApproved, "expired");
    assert_eq!(denied(change(&|who| who.approvals[0].from = now().after(HOUR))), Denial::NotApproved);
    assert_eq!(denied(change(&|who| who.memberships[0].until = Some(now()))), Denial::NoRole, "moved out");
    assert_eq!(denied(change(&|who| who.memberships.clear())), Denial::NoRole);
    assert_eq!(denied(change(&|who| who.disabled = true)), Denial::Disabled);
    let other = HouseholdId::from_random([0; 16]);
    let neighbour = |who: &mut Standing| who.approvals[0].subject = Subject::Household(other.clone());
    assert_eq!(denied(change(&neighbour)), Denial::NotApproved, "the neighbours' approval");
    let stranger =
        |who: &mut Standing| who.approvals[0].subject = Subject::Person(PersonId::from_random([0; 16]));
    assert_eq!(denied(change(&stranger)), Denial::NotApproved);
    let foreign = |who: &mut Standing| who.approvals[0].site_id = SiteId::from_random([0; 16]);
    assert_eq!(denied(change(&foreign)), Denial::NotApproved);
    // A person's own approval needs no household.
    let mine = |who: &mut Standing| {
        who.memberships.clear();
        who.approvals[0].subject = Subject::Person(me());
    };
    assert_eq!(change(&mine), yes);
}

#[test]
fn the_sites_policy_and_the_cameras_visibility_come_first() {
    for (policy, visibility, incident_open, expected) in [
        (ResidentPolicy::Approved, Visibility::Residents, false, None),
        (ResidentPolicy::Approved, Visibility::Patrol, true, Some(Denial::NotForResidents)),
        (ResidentPolicy::Off, Visibility::Residents, true, Some(Denial::Policy)),
        (ResidentPolicy::Incident, Visibility::Residents, false, Some(Denial::Policy)),
        (ResidentPolicy::Incident, Visibility::Residents, true, None),
    ] {
        let own = site(1, policy);
        let camera = camera(&own, visibility);
        let path = [place(1)];
        let sight = Sight { camera: &camera, site: &own, path: &path, incident_open };
        let decision = decide(&resident(&own), Question::Watch(sight), now());
        let got = (!decision.is_allowed()).then(|| denied(decision));
        assert_eq!(got, expected, "{policy:?} {visibility:?} {incident_open}");
    }
}

#[test]
fn a_permission_ends_with_the_first_of_its_ends() {
    let own = site(1, ResidentPolicy::Approved);
    let camera = camera(&own, Visibility::Residents);
    let until = |who: &Standing| match watch(who, &camera, &own) {
        Decision::Allow { until, .. } => until,
        Decision::Deny(why) => panic!("{why:?}"),
    };
    let mut who = resident(&own);
    assert_eq!(until(&who), Some(now().after(24 * HOUR)));
    who.memberships[0].until = Some(now().after(5 * HOUR));
    assert_eq!(until(&who), Some(now().after(5 * HOUR)));
    let office = Window { days: vec![1, 2, 3, 4, 5], from_minute: 8 * 60, until_minute: 14 * 60 };
    who.approvals[0].schedule = Some(Schedule(vec![office.clone()]));
    assert_eq!(until(&who), Some(now().after(2 * HOUR)));
    // A second approval that lasts longer.
    who.approvals.push(approval(&own));
    assert_eq!(until(&who), Some(now().after(5 * HOUR)));
    // A role that does not end.
    who.grants.push(held(Role::Patrol, &own));
    assert_eq!(until(&who), None);
    let mut who = resident(&own);
    who.approvals[0].schedule = Some(Schedule(vec![Window { days: vec![6, 7], ..office }]));
    assert_eq!(denied(watch(&who, &camera, &own)), Denial::OutsideSchedule);
}

#[test]
fn who_may_manage_and_who_may_read_what() {
    let own = site(1, ResidentPolicy::Approved);
    let other = site(6, ResidentPolicy::Approved);
    let path = [place(1)];
    let ask = |who: &Standing, question| decide(who, question, now()).is_allowed();
    // Manage, see, door events, viewings, names, audit of the site, audit of the gateway, new sites.
    for (who, expected) in [
        (with_role(Role::Owner, &own), [true; 8]),
        (with_role(Role::Administrator, &own), [true, true, true, true, false, true, false, false]),
        (with_role(Role::DutyOperator, &own), [false, true, true, true, false, false, false, false]),
        (with_role(Role::Patrol, &own), [false, true, true, true, false, false, false, false]),
        (with_role(Role::GridWorker1, &own), [false, true, true, true, false, false, false, false]),
        (with_role(Role::GridWorker2, &own), [false, true, false, true, false, false, false, false]),
        (with_role(Role::GridWorker3, &own), [false, true, false, true, false, false, false, false]),
        (with_role(Role::Auditor, &own), [false, true, false, true, true, true, false, false]),
        (resident(&own), [false, true, true, true, false, false, false, false]),
        (nobody(), [false; 8]),
    ] {
        let questions = |site| {
            [
                Question::Manage(site),
                Question::SeeSite(site),
                Question::ReadDoorEvents(site, &path),
                Question::ReadViewings(site),
                Question::ReadNames(site),
                Question::ReadAudit(Some(site)),
                Question::ReadAudit(None),
                Question::ManageSites,
            ]
        };
        let got = questions(&own.id).map(|question| ask(&who, question));
        assert_eq!(got, expected, "{who:?}");
        let is_owner = who.grants.iter().any(|grant| grant.role == Role::Owner);
        let elsewhere = questions(&other.id).map(|question| ask(&who, question));
        assert!(is_owner || elsewhere == [false; 8], "{who:?} elsewhere");
        let disabled = Standing { disabled: true, ..who };
        assert_eq!(questions(&own.id).map(|question| ask(&disabled, question)), [false; 8]);
    }
}

#[test]
fn residents_read_the_doors_of_their_own_entrance_only() {
    let own = site(1, ResidentPolicy::Approved);
    let who = resident(&own);
    let ask = |n: u8| decide(&who, Question::ReadDoorEvents(&own.id, &[place(n)]), now()).is_allowed();
    assert!(ask(1) && !ask(2));
}

#[test]
fn a_role_not_in_force_is_none() {
    let own = site(1, ResidentPolicy::Approved);
    let camera = camera(&own, Visibility::Residents);
    let mut over = with_role(Role::Patrol, &own);
    over.grants[0].until = Some(now());
    let mut later = with_role(Role::Owner, &own);
    later.grants[0].from = now().after(HOUR);
    for who in [over, later] {
        assert_eq!(denied(watch(&who, &camera, &own)), Denial::NoRole);
    }
    // A grant without a site is an owner's and nobody else's.
    let mut stray = with_role(Role::Patrol, &own);
    stray.grants[0].site_id = None;
    assert_eq!(denied(watch(&stray, &camera, &own)), Denial::NoRole);
}
