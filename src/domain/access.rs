//! Who may do what: one pure function, asked by every path.

use crate::camera::{Camera, Visibility};
use crate::site::{ResidentPolicy, Site};
use crate::{GrantId, PersonId, PlaceId, SiteId, Timestamp, words};
use std::time::Duration;

words! {
    /// What a person is to a site.
    Role {
        /// Manages cameras, people and rights, everywhere.
        Owner = "owner",
        /// Lives there.
        Resident = "resident",
        /// Watches over it.
        Patrol = "patrol",
    }
}

/// A role held by a person, from until.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Who holds it.
    pub person_id: PersonId,
    /// Which role.
    pub role: Role,
    /// For which site; an owner holds it for all.
    pub site_id: Option<SiteId>,
    /// A resident's own entrance: whose door events they may read.
    pub entrance_id: Option<PlaceId>,
    /// From when.
    pub from: Timestamp,
    /// Until when, if that is known.
    pub until: Option<Timestamp>,
}

/// What is known of the one who asks.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Who.
    pub person_id: PersonId,
    /// Whether the account is switched off.
    pub disabled: bool,
    /// All roles, in force or not.
    pub grants: Vec<Grant>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// May they watch this camera live?
    Watch(&'a Camera, &'a Site),
    /// May they change the registry: sites, places, cameras, devices?
    ManageRegistry,
    /// May they see that this site and its places exist?
    SeeSite(&'a SiteId),
    /// May they read door events of this place?
    ReadDoorEvents(&'a SiteId, &'a PlaceId),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The account is switched off.
    Disabled,
    /// No role in force covers it.
    NoRole,
    /// The camera is not for residents.
    NotForResidents,
    /// The site's policy lets no resident watch now.
    Policy,
}

impl Decision {
    /// Whether it is a yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

impl Grant {
    /// Whether the role is held at `now`.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    fn covers(&self, site: &SiteId) -> bool {
        self.site_id.as_ref().is_none_or(|own| own == site)
    }
}

/// How long an admission lasts without being renewed: the time for which a lost
/// signal could leave a picture on.
#[must_use]
pub fn lease(role: Role) -> Duration {
    Duration::from_secs(match role {
        Role::Patrol => 120,
        Role::Resident | Role::Owner => 30,
    })
}

/// Decides. Deny by default: a question no role answers with yes is a no.
#[must_use]
pub fn decide(who: &Standing, question: Question<'_>, now: Timestamp) -> Decision {
    if who.disabled {
        return Decision::Deny(Denial::Disabled);
    }
    let mut denial = Denial::NoRole;
    let mut best: Option<Decision> = None;
    for grant in who.grants.iter().filter(|grant| grant.in_force(now)) {
        match by_role(grant, question) {
            Ok(true) => {
                let allow = Decision::Allow { role: grant.role, until: grant.until };
                best = Some(best.map_or(allow, |best| later(best, allow)));
            }
            Ok(false) => {}
            Err(why) => denial = why,
        }
    }
    best.unwrap_or(Decision::Deny(denial))
}

/// Whether one role in force says yes; an error is a no worth telling.
fn by_role(grant: &Grant, question: Question<'_>) -> Result<bool, Denial> {
    match (grant.role, question) {
        (Role::Owner, _) => Ok(true),
        (Role::Resident | Role::Patrol, Question::ManageRegistry) => Ok(false),
        (_, Question::SeeSite(site)) => Ok(grant.covers(site)),
        (Role::Patrol, Question::Watch(camera, _)) => Ok(grant.covers(&camera.site_id)),
        (Role::Patrol, Question::ReadDoorEvents(site, _)) => Ok(grant.covers(site)),
        (Role::Resident, Question::ReadDoorEvents(site, place)) => {
            Ok(grant.covers(site) && grant.entrance_id.as_ref() == Some(place))
        }
        (Role::Resident, Question::Watch(camera, site)) => {
            if !grant.covers(&camera.site_id) {
                Ok(false)
            } else if camera.visibility != Visibility::Residents {
                Err(Denial::NotForResidents)
            } else if site.resident_policy != ResidentPolicy::Approved {
                Err(Denial::Policy)
            } else {
                Ok(true)
            }
        }
    }
}

/// Of two permissions, the one that lasts longer.
fn later(a: Decision, b: Decision) -> Decision {
    let end = |d: &Decision| match d {
        Decision::Allow { until, .. } => until.unwrap_or(Timestamp(i64::MAX)),
        Decision::Deny(_) => Timestamp(i64::MIN),
    };
    if end(&b) > end(&a) { b } else { a }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
