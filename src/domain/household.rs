//! Units and the households that live in them: rights belong to a household.

use crate::{HouseholdId, PersonId, PlaceId, SiteId, Timestamp, UnitId};

/// A flat or a house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its id.
    pub id: UnitId,
    /// The site it is in.
    pub site_id: SiteId,
    /// Its entrance: whose door events its people may read.
    pub entrance_id: PlaceId,
    /// What is on the door: `3-1-502`.
    pub label: String,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// The people of one unit. When they move out it ends, and with it every right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Household {
    /// Its id.
    pub id: HouseholdId,
    /// Where they live.
    pub unit_id: UnitId,
    /// When they moved in.
    pub from: Timestamp,
    /// When they moved out.
    pub until: Option<Timestamp>,
}

/// Somebody belongs to a household, from until.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Who.
    pub person_id: PersonId,
    /// Which household.
    pub household_id: HouseholdId,
    /// The household's unit.
    pub unit_id: UnitId,
    /// The unit's site.
    pub site_id: SiteId,
    /// The unit's entrance.
    pub entrance_id: PlaceId,
    /// From when.
    pub from: Timestamp,
    /// Until when: the membership's or the household's end, whichever is first.
    pub until: Option<Timestamp>,
}

impl Membership {
    /// Whether they live there at `now`.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}
