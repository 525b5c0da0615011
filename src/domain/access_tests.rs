//! The table of rights: role × question × circumstance.

use super::*;
use crate::CameraId;
use crate::camera::{Pull, Retention, Transport};
use crate::site::SiteKind;

const NOW: Timestamp = Timestamp(1_000_000);

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

fn held(role: Role, site: Option<&Site>) -> Grant {
    Grant {
        id: GrantId::from_random([1; 16]),
        person_id: PersonId::from_random([2; 16]),
        role,
        site_id: site.map(|site| site.id.clone()),
        entrance_id: Some(place(1)),
        from: Timestamp(0),
        until: None,
    }
}

fn who(grants: Vec<Grant>) -> Standing {
    Standing { person_id: PersonId::from_random([2; 16]), disabled: false, grants }
}

#[test]
fn who_may_watch() {
    use {ResidentPolicy as P, Visibility as V};
    let other = site(7, P::Approved);
    for (role, policy, visibility, same_site, expected) in [
        (Role::Owner, P::Off, V::Patrol, true, Ok(())),
        (Role::Patrol, P::Off, V::Patrol, true, Ok(())),
        (Role::Patrol, P::Approved, V::Residents, false, Err(Denial::NoRole)),
        (Role::Resident, P::Approved, V::Residents, true, Ok(())),
        (Role::Resident, P::Approved, V::Residents, false, Err(Denial::NoRole)),
        (Role::Resident, P::Approved, V::Patrol, true, Err(Denial::NotForResidents)),
        (Role::Resident, P::Incident, V::Residents, true, Err(Denial::Policy)),
        (Role::Resident, P::Off, V::Residents, true, Err(Denial::Policy)),
    ] {
        let own = site(1, policy);
        let camera = camera(&own, visibility);
        let grant_site = if same_site { &own } else { &other };
        let grant = held(role, (role != Role::Owner).then_some(grant_site));
        let got = match decide(&who(vec![grant]), Question::Watch(&camera, &own), NOW) {
            Decision::Allow { role: by, .. } => {
                assert_eq!(by, role);
                Ok(())
            }
            Decision::Deny(why) => Err(why),
        };
        assert_eq!(got, expected, "{role:?} {policy:?} {visibility:?} same site: {same_site}");
    }
}

#[test]
fn nobody_without_a_role_in_force_may_do_anything() {
    let own = site(1, ResidentPolicy::Approved);
    let camera = camera(&own, Visibility::Residents);
    let mut over = held(Role::Patrol, Some(&own));
    over.until = Some(NOW);
    let mut later = held(Role::Owner, None);
    later.from = Timestamp(NOW.0 + 1);
    let mut disabled = who(vec![held(Role::Owner, None)]);
    disabled.disabled = true;
    for standing in [who(vec![]), who(vec![over]), who(vec![later]), disabled] {
        for question in [
            Question::Watch(&camera, &own),
            Question::ManageRegistry,
            Question::SeeSite(&own.id),
            Question::ReadDoorEvents(&own.id, &place(1)),
        ] {
            assert!(!decide(&standing, question, NOW).is_allowed(), "{standing:?} {question:?}");
        }
    }
}

#[test]
fn residents_read_the_doors_of_their_own_entrance_only() {
    let own = site(1, ResidentPolicy::Approved);
    let resident = who(vec![held(Role::Resident, Some(&own))]);
    let patrol = who(vec![held(Role::Patrol, Some(&own))]);
    let ask = |who: &Standing, n| decide(who, Question::ReadDoorEvents(&own.id, &place(n)), NOW).is_allowed();
    assert!(ask(&resident, 1) && !ask(&resident, 2));
    assert!(ask(&patrol, 1) && ask(&patrol, 2));
}

#[test]
fn only_the_owner_manages() {
    let own = site(1, ResidentPolicy::Approved);
    for (role, expected) in [(Role::Owner, true), (Role::Patrol, false), (Role::Resident, false)] {
        let standing = who(vec![held(role, Some(&own))]);
        assert_eq!(decide(&standing, Question::ManageRegistry, NOW).is_allowed(), expected);
    }
}

#[test]
fn the_longest_permission_counts() {
    let own = site(1, ResidentPolicy::Approved);
    let camera = camera(&own, Visibility::Residents);
    let mut short = held(Role::Patrol, Some(&own));
    short.until = Some(Timestamp(NOW.0 + 5));
    let standing = who(vec![short, held(Role::Resident, Some(&own))]);
    let decision = decide(&standing, Question::Watch(&camera, &own), NOW);
    assert_eq!(decision, Decision::Allow { role: Role::Resident, until: None });
}
