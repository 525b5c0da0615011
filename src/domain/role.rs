//! Roles: what a person is to a site, for how long, and where.

use crate::{GrantId, PersonId, PlaceId, SiteId, Timestamp, ZoneId, words};
use std::collections::BTreeSet;

words! {
    /// What a person is to a site. Residents are not in this list: they are the
    /// members of its households.
    Role {
        /// Manages everything, everywhere.
        Owner = "owner",
        /// Manages cameras, people and rights of a site.
        Administrator = "administrator",
        /// Answers alarms at the desk.
        DutyOperator = "duty_operator",
        /// Watches over it.
        Patrol = "patrol",
        /// Full-time grid worker.
        GridWorker1 = "grid_worker_1",
        /// Building leader.
        GridWorker2 = "grid_worker_2",
        /// Volunteer.
        GridWorker3 = "grid_worker_3",
        /// Reads the registers and nothing else.
        Auditor = "auditor",
        /// Lives there.
        Resident = "resident",
    }
}

impl Role {
    /// Whether this role's work is to watch, so that a broken register must not blind it.
    #[must_use]
    pub fn is_on_duty(self) -> bool {
        matches!(self, Self::Patrol | Self::DutyOperator)
    }
}

/// An area of responsibility: a set of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// The site it is in.
    pub site_id: SiteId,
    /// Its name.
    pub name: String,
    /// Its places, with everything below them.
    pub places: BTreeSet<PlaceId>,
    /// When it was registered.
    pub created_at: Timestamp,
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
    /// Only there.
    pub zone: Option<Zone>,
    /// From when.
    pub from: Timestamp,
    /// Until when, if that is known.
    pub until: Option<Timestamp>,
}

impl Grant {
    /// Whether the role is held at `now`.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    /// Whether it is for this site, zone or no zone.
    #[must_use]
    pub fn is_for(&self, site: &SiteId) -> bool {
        match (&self.site_id, self.role) {
            (Some(own), _) => own == site,
            // Only an owner holds a role for all sites.
            (None, role) => role == Role::Owner,
        }
    }

    /// Whether it reaches a place, given as its path: the place itself, then
    /// what it is part of, up to the top.
    #[must_use]
    pub fn reaches(&self, site: &SiteId, path: &[PlaceId]) -> bool {
        self.is_for(site)
            && self.zone.as_ref().is_none_or(|zone| path.iter().any(|p| zone.places.contains(p)))
    }
}
