//! Who may see an incident, and as what.

use super::{Hand, Incident};
use crate::access::{Decision, Question, Standing, decide};
use crate::role::Role;
use crate::{HouseholdId, PlaceId, Timestamp};

/// As what somebody sees an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Whose work it is, or to oversee it: all of it.
    Staff {
        /// In which role.
        role: Role,
        /// What they may do, if anything.
        hand: Option<Hand>,
    },
    /// They raised it, or live where it was raised: its steps, by role.
    Own,
    /// They are called as neighbours: that there is one, and where.
    Neighbour,
}

/// As what somebody sees an incident at `path` (its place, then upwards) that
/// `reached` were called for; nothing if it is not there for them.
#[must_use]
pub fn sight(
    who: &Standing,
    incident: &Incident,
    path: &[PlaceId],
    reached: &[HouseholdId],
    now: Timestamp,
) -> Option<Sight> {
    let site = &incident.site_id;
    let by = |question| match decide(who, question, now) {
        Decision::Allow { role, .. } => Some(role),
        Decision::Deny(_) => None,
    };
    // Whoever forces somebody on duty may be looking at their phone as well.
    if incident.kind.is_silent() && is_own(who, incident, now) {
        return None;
    }
    let staff = |role, hand| Some(Sight::Staff { role, hand });
    if let Some(role) = by(Question::Operate(site, path)) {
        return staff(role, Some(Hand::Operator));
    }
    if let Some(role) = by(Question::Respond(site, path)) {
        return staff(role, Some(Hand::Responder));
    }
    if let Some(role) = by(Question::ReadIncidents(site, path)) {
        return staff(role, None);
    }
    if who.disabled || incident.kind.is_silent() {
        return None;
    }
    if is_own(who, incident, now) {
        return Some(Sight::Own);
    }
    let homes = who.memberships.iter().filter(|membership| membership.in_force(now));
    let called = homes.map(|membership| &membership.household_id).any(|home| reached.contains(home));
    called.then_some(Sight::Neighbour)
}

/// Whether it was raised by them or at their home: a silent one at a door also by who lives
/// behind it, as [`home`](super::home) says.
#[must_use]
pub fn is_own(who: &Standing, incident: &Incident, now: Timestamp) -> bool {
    let mut homes = who.memberships.iter().filter(|membership| membership.in_force(now));
    incident.reporter.as_ref() == Some(&who.person_id)
        || homes.any(|home| match incident.point.household() {
            Some(household) => *household == home.household_id,
            None => incident.kind.is_silent() && home.entrance_id == incident.place_id,
        })
}
