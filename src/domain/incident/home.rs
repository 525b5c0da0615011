//! Who lives where an incident is.

use super::Incident;
use crate::repository::{Repository, Result};
use crate::{PersonId, Timestamp};
use std::collections::BTreeSet;

/// Who lives at an incident's point at `now`. Of a silent alarm at a door these are all who live
/// behind it: one of them may be who was forced to open it, and beside whom somebody stands now.
pub async fn home(
    repository: &dyn Repository,
    incident: &Incident,
    now: Timestamp,
) -> Result<BTreeSet<PersonId>> {
    match incident.point.household() {
        Some(household) => repository.at_home(household, now).await,
        None if incident.kind.is_silent() => repository.living_behind(&incident.place_id, now).await,
        None => Ok(BTreeSet::new()),
    }
}
