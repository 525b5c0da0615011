//! Who lives where an incident is.

use super::Incident;
use crate::repository::{Repository, Result};
use crate::{PersonId, Timestamp};
use std::collections::BTreeSet;

/// Who lives at an incident's point at `now`. Of a silent alarm these are also all who live behind
/// its door: one of them may be who was forced to open it, and beside whom somebody stands now.
pub async fn home(
    repository: &dyn Repository,
    incident: &Incident,
    now: Timestamp,
) -> Result<BTreeSet<PersonId>> {
    let mut home = BTreeSet::new();
    if let Some(household) = incident.point.household() {
        home.extend(repository.at_home(household, now).await?);
    }
    if incident.kind.is_silent() {
        home.extend(repository.living_behind(&incident.place_id, now).await?);
    }
    Ok(home)
}
