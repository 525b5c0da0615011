//! Units, households, members and invitations as rows.

use crate::row::{get, time, time_opt, word, word_opt};
use domain::household::{Household, Membership, Unit};
use domain::invitation::Invitation;
use domain::repository::Result;
use domain::{HouseholdId, InvitationId, PersonId, PlaceId, SiteId, UnitId};
use sqlx::any::AnyRow;

pub(crate) fn unit(row: &AnyRow) -> Result<Unit> {
    Ok(Unit {
        id: word(row, "id", UnitId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        entrance_id: word(row, "entrance_id", PlaceId::parse)?,
        label: get(row, "label")?,
        created_at: time(row, "created_at")?,
    })
}

pub(crate) fn household(row: &AnyRow) -> Result<Household> {
    Ok(Household {
        id: word(row, "id", HouseholdId::parse)?,
        unit_id: word(row, "unit_id", UnitId::parse)?,
        from: time(row, "from_at")?,
        until: time_opt(row, "until_at")?,
    })
}

/// Memberships with what they inherit from household and unit.
pub(crate) const MEMBERSHIPS: &str =
    "select m.person_id, m.household_id, h.unit_id, u.site_id, u.entrance_id,
        m.from_at, m.until_at, h.until_at as household_until
    from household_members m join households h on h.id = m.household_id join units u on u.id = h.unit_id";

pub(crate) fn membership(row: &AnyRow) -> Result<Membership> {
    let ends = [time_opt(row, "until_at")?, time_opt(row, "household_until")?];
    Ok(Membership {
        person_id: word(row, "person_id", PersonId::parse)?,
        household_id: word(row, "household_id", HouseholdId::parse)?,
        unit_id: word(row, "unit_id", UnitId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        entrance_id: word(row, "entrance_id", PlaceId::parse)?,
        from: time(row, "from_at")?,
        until: ends.into_iter().flatten().min(),
    })
}

pub(crate) fn invitation(row: &AnyRow) -> Result<Invitation> {
    Ok(Invitation {
        id: word(row, "id", InvitationId::parse)?,
        household_id: word(row, "household_id", HouseholdId::parse)?,
        token_hash: get(row, "token_hash")?,
        created_by: word(row, "created_by", PersonId::parse)?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        used_by: word_opt(row, "used_by", PersonId::parse)?,
    })
}
