//! Who may do what: one pure function, asked by every path.

use crate::approval::{Approval, Subject};
use crate::camera::{Camera, Visibility};
use crate::event::door::Audience;
use crate::household::Membership;
use crate::role::{Grant, Role};
use crate::scene::Scene;
use crate::schedule::Hold;
use crate::site::{ResidentPolicy, Site};
use crate::{PersonId, PlaceId, SiteId, Timestamp};
use std::time::Duration;

/// What is known of the one who asks.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Who.
    pub person_id: PersonId,
    /// Whether the account is switched off.
    pub disabled: bool,
    /// All roles, in force or not.
    pub grants: Vec<Grant>,
    /// All households, in force or not.
    pub memberships: Vec<Membership>,
    /// All approvals of the person and of their households, whatever their state.
    pub approvals: Vec<Approval>,
}

/// A camera with what a decision about it needs.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The camera.
    pub camera: &'a Camera,
    /// Its site.
    pub site: &'a Site,
    /// Its place, then what that is part of, up to the top.
    pub path: &'a [PlaceId],
    /// Whether an incident is open in the site.
    pub incident_open: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// May they watch this camera live?
    Watch(Sight<'a>),
    /// May they register sites?
    ManageSites,
    /// May they change a site's registry, people and rights?
    Manage(&'a SiteId),
    /// May they see that this site and its places exist?
    SeeSite(&'a SiteId),
    /// May they read door events of a place, given as its path?
    ReadDoorEvents(&'a SiteId, &'a [PlaceId]),
    /// May they handle alarms at a place, given as its path?
    Operate(&'a SiteId, &'a [PlaceId]),
    /// May they be sent to alarms at a place, given as its path?
    Respond(&'a SiteId, &'a [PlaceId]),
    /// May they read incidents at a place, given as its path, though not their own?
    ReadIncidents(&'a SiteId, &'a [PlaceId]),
    /// May they read who watched the site's cameras, by role?
    ReadViewings(&'a SiteId),
    /// May they read the names in that register?
    ReadNames(&'a SiteId),
    /// May they read the audit log: a site's, or the gateway's own?
    ReadAudit(Option<&'a SiteId>),
}

/// May they watch this camera? The scene says where it stands.
#[must_use]
pub fn decide_watch(who: &Standing, camera: &Camera, scene: &Scene, now: Timestamp) -> Decision {
    let path = scene.path(&camera.place_id);
    let question = scene.sight(camera, &path).map(Question::Watch);
    question.map_or(Decision::Deny(Denial::NoRole), |question| decide(who, question, now))
}

/// May they read of what happened at a door there? `path` is its place, then upwards.
#[must_use]
pub fn reads_of_door(
    who: &Standing,
    site: &SiteId,
    path: &[PlaceId],
    audience: Audience,
    now: Timestamp,
) -> bool {
    let question = Question::ReadDoorEvents(site, path);
    if audience == Audience::All {
        return decide(who, question, now).is_allowed();
    }
    let mut homes = who.memberships.iter().filter(|membership| membership.in_force(now));
    if audience == Audience::Silent && homes.any(|home| path.first() == Some(&home.entrance_id)) {
        return false;
    }
    let staff = Standing { memberships: Vec::new(), approvals: Vec::new(), ..who.clone() };
    decide(&staff, question, now).is_allowed()
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes, by this role, until then.
    Allow {
        /// The role that allows it.
        role: Role,
        /// When the permission ends by itself.
        until: Option<Timestamp>,
    },
    /// No.
    Deny(Denial),
}

/// Why not. Shown to administrators, never to the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Denial {
    /// No role in force covers it.
    NoRole,
    /// No approval in force covers it.
    NotApproved,
    /// An approval covers it, but not at this time of the week.
    OutsideSchedule,
    /// The camera is not for residents.
    NotForResidents,
    /// The site's policy lets no resident watch now.
    Policy,
    /// The account is switched off.
    Disabled,
}

impl Decision {
    /// Whether it is a yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

/// How long an admission lasts without being renewed: the time for which a lost
/// signal could leave a picture on.
#[must_use]
pub fn lease(role: Role) -> Duration {
    Duration::from_secs(if role.is_on_duty() { 120 } else { 30 })
}

/// Decides. Deny by default: a question nothing answers with yes is a no.
#[must_use]
pub fn decide(who: &Standing, question: Question<'_>, now: Timestamp) -> Decision {
    if who.disabled {
        return Decision::Deny(Denial::Disabled);
    }
    let grants = who.grants.iter().filter(|grant| grant.in_force(now));
    let by_roles = grants
        .filter(|grant| by_role(grant, question))
        .map(|grant| Decision::Allow { role: grant.role, until: grant.until });
    let mut best = as_resident(who, question, now);
    for allow in by_roles {
        best = better(best, allow);
    }
    best
}

/// Whether they may change the registry of any site at all.
#[must_use]
pub fn manages_somewhere(who: &Standing, now: Timestamp) -> bool {
    holds_one_of(who, &[Role::Owner, Role::Administrator], now)
}

/// Whether they hold any role, rather than only live somewhere.
#[must_use]
pub fn is_staff(who: &Standing, now: Timestamp) -> bool {
    who.grants.iter().any(|grant| grant.in_force(now) && grant.role != Role::Resident)
}

/// Whether they hold any role for this site, rather than only live there.
#[must_use]
pub fn is_staff_of(who: &Standing, site: &SiteId, now: Timestamp) -> bool {
    let mut held = who.grants.iter().filter(|grant| grant.in_force(now) && grant.role != Role::Resident);
    held.any(|grant| grant.is_for(site))
}

/// Whether they may be sent to alarms, or handle them, anywhere at all.
#[must_use]
pub fn responds_somewhere(who: &Standing, now: Timestamp) -> bool {
    let mut all = OPERATORS.to_vec();
    all.extend([Role::Owner, Role::GridWorker2, Role::GridWorker3]);
    holds_one_of(who, &all, now)
}

/// The roles that handle alarms, besides the owner.
const OPERATORS: &[Role] = &[Role::DutyOperator, Role::Patrol, Role::GridWorker1];

/// Whether they may read any audit log at all.
#[must_use]
pub fn audits_somewhere(who: &Standing, now: Timestamp) -> bool {
    holds_one_of(who, &[Role::Owner, Role::Administrator, Role::Auditor], now)
}

fn holds_one_of(who: &Standing, roles: &[Role], now: Timestamp) -> bool {
    !who.disabled && who.grants.iter().any(|grant| grant.in_force(now) && roles.contains(&grant.role))
}

/// Whether one role in force says yes.
fn by_role(grant: &Grant, question: Question<'_>) -> bool {
    use Role as R;
    match (grant.role, question) {
        (R::Owner, _) => true,
        (R::Resident, _) | (_, Question::ManageSites) => false,
        (role, Question::Watch(sight)) => {
            let sees = match role {
                R::Administrator | R::DutyOperator | R::Patrol | R::GridWorker1 => true,
                R::GridWorker2 | R::GridWorker3 => sight.camera.visibility == Visibility::Residents,
                R::Owner | R::Resident | R::Auditor => false,
            };
            sees && grant.reaches(&sight.camera.site_id, sight.path)
        }
        (role, Question::Manage(site)) => role == R::Administrator && grant.is_for(site),
        (_, Question::SeeSite(site) | Question::ReadViewings(site)) => grant.is_for(site),
        (role, Question::ReadDoorEvents(site, path)) => {
            matches!(role, R::Administrator | R::DutyOperator | R::Patrol | R::GridWorker1)
                && grant.reaches(site, path)
        }
        (role, Question::Operate(site, path)) => OPERATORS.contains(&role) && grant.reaches(site, path),
        (role, Question::Respond(site, path)) => {
            (OPERATORS.contains(&role) || matches!(role, R::GridWorker2 | R::GridWorker3))
                && grant.reaches(site, path)
        }
        (_, Question::ReadIncidents(site, path)) => grant.reaches(site, path),
        (role, Question::ReadNames(site)) => role == R::Auditor && grant.is_for(site),
        (role, Question::ReadAudit(Some(site))) => {
            matches!(role, R::Administrator | R::Auditor) && grant.is_for(site)
        }
        (_, Question::ReadAudit(None)) => false,
    }
}

/// What a person may do as a member of a household, or by an approval of their own.
fn as_resident(who: &Standing, question: Question<'_>, now: Timestamp) -> Decision {
    let homes = || who.memberships.iter().filter(|membership| membership.in_force(now));
    let allow = |until| Decision::Allow { role: Role::Resident, until };
    let home = |site: &SiteId| {
        let own = homes().filter(|membership| membership.site_id == *site);
        own.map(|membership| allow(membership.until)).reduce(better)
    };
    let found = match question {
        Question::Watch(sight) => return watch_as_resident(who, sight, now),
        Question::SeeSite(site) | Question::ReadViewings(site) => home(site).or_else(|| {
            let own = who.approvals.iter().filter(|a| a.site_id == *site && approves(who, a, now));
            own.map(|approval| allow(Some(approval.until))).reduce(better)
        }),
        Question::ReadDoorEvents(site, path) => homes()
            .filter(|membership| membership.site_id == *site && path.contains(&membership.entrance_id))
            .map(|membership| allow(membership.until))
            .reduce(better),
        Question::ManageSites
        | Question::Manage(_)
        | Question::Operate(..)
        | Question::Respond(..)
        | Question::ReadIncidents(..)
        | Question::ReadNames(_)
        | Question::ReadAudit(_) => None,
    };
    found.unwrap_or(Decision::Deny(Denial::NoRole))
}

fn watch_as_resident(who: &Standing, sight: Sight<'_>, now: Timestamp) -> Decision {
    let site = &sight.site.id;
    let belongs = who.memberships.iter().any(|m| m.site_id == *site && m.in_force(now))
        || who.approvals.iter().any(|a| a.site_id == *site && approves(who, a, now));
    if !belongs || sight.camera.site_id != *site {
        return Decision::Deny(Denial::NoRole);
    }
    if sight.camera.visibility != Visibility::Residents {
        return Decision::Deny(Denial::NotForResidents);
    }
    let open = match sight.site.resident_policy {
        ResidentPolicy::Off => false,
        ResidentPolicy::Incident => sight.incident_open,
        ResidentPolicy::Approved => true,
    };
    if !open {
        return Decision::Deny(Denial::Policy);
    }
    let covering = who
        .approvals
        .iter()
        .filter(|a| approves(who, a, now) && a.covers(site, &sight.camera.id, sight.path));
    let mut best = Decision::Deny(Denial::NotApproved);
    for approval in covering {
        let ends = [Some(approval.until), membership_end(who, approval, now)];
        let scheduled = match &approval.schedule {
            None => Some(None),
            Some(schedule) => match schedule.holds(now, &sight.site.time_zone) {
                None => None,
                Some(Hold::ForGood) => Some(None),
                Some(Hold::Until(end)) => Some(Some(end)),
            },
        };
        best = better(
            best,
            match scheduled {
                None => Decision::Deny(Denial::OutsideSchedule),
                Some(end) => {
                    let until = ends.into_iter().chain([end]).flatten().min();
                    Decision::Allow { role: Role::Resident, until }
                }
            },
        );
    }
    best
}

/// Whether an approval in force is this person's: their own, or that of a
/// household they are a member of now.
fn approves(who: &Standing, approval: &Approval, now: Timestamp) -> bool {
    approval.in_force(now)
        && match &approval.subject {
            Subject::Person(person) => *person == who.person_id,
            Subject::Household(household) => {
                who.memberships.iter().any(|m| m.household_id == *household && m.in_force(now))
            }
        }
}

/// When the membership that an approval rests on ends, if that is known.
fn membership_end(who: &Standing, approval: &Approval, now: Timestamp) -> Option<Timestamp> {
    let Subject::Household(household) = &approval.subject else { return None };
    let own = who.memberships.iter().filter(|m| m.household_id == *household && m.in_force(now));
    // Several memberships of one household: the longest counts; none of them open means an end.
    own.map(|m| m.until.unwrap_or(Timestamp(i64::MAX))).max().filter(|end| end.0 < i64::MAX)
}

/// Of two answers: a yes before a no, the longer yes, the no that says more.
fn better(a: Decision, b: Decision) -> Decision {
    let end = |until: Option<Timestamp>| until.unwrap_or(Timestamp(i64::MAX));
    match (a, b) {
        (Decision::Allow { role, until: first }, Decision::Allow { role: other, until: second }) => {
            // The right lasts as long as the longer one. It is exercised on duty if one of
            // them is a duty: the register and the patrol's lease go by that.
            let by = if other.is_on_duty() && !role.is_on_duty() { other } else { role };
            let longer = if end(second) > end(first) { second } else { first };
            let by = if by.is_on_duty() || end(second) <= end(first) { by } else { other };
            Decision::Allow { role: by, until: longer }
        }
        (Decision::Allow { .. }, Decision::Deny(_)) => a,
        (Decision::Deny(_), Decision::Allow { .. }) => b,
        (Decision::Deny(first), Decision::Deny(second)) => Decision::Deny(first.max(second)),
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
