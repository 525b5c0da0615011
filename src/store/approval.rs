//! Approvals as rows.

use crate::person::AnyQuery;
use crate::row::{get, time, time_opt, word, word_opt};
use domain::approval::{Approval, CameraSet, State, Subject};
use domain::repository::{Error, Result};
use domain::{ApprovalId, CameraId, HouseholdId, PersonId, PlaceId, SiteId};
use sqlx::any::AnyRow;

pub(crate) fn approval(row: &AnyRow) -> Result<Approval> {
    let subject = match (
        word_opt(row, "household_id", HouseholdId::parse)?,
        word_opt(row, "person_id", PersonId::parse)?,
    ) {
        (Some(household), None) => Subject::Household(household),
        (None, Some(person)) => Subject::Person(person),
        _ => return Err(Error::Corrupt("an approval is for a household or for a person".to_owned())),
    };
    let cameras =
        match (word_opt(row, "camera_id", CameraId::parse)?, word_opt(row, "place_id", PlaceId::parse)?) {
            (Some(camera), None) => CameraSet::Camera(camera),
            (None, Some(place)) => CameraSet::Place(place),
            (None, None) => CameraSet::Site,
            _ => return Err(Error::Corrupt("an approval is for a camera or for a place".to_owned())),
        };
    let schedule: Option<String> = get(row, "schedule")?;
    let schedule = schedule.map(|text| serde_json::from_str(&text)).transpose();
    Ok(Approval {
        id: word(row, "id", ApprovalId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        subject,
        cameras,
        state: word(row, "state", State::from_word)?,
        from: time(row, "from_at")?,
        until: time(row, "until_at")?,
        schedule: schedule.map_err(|error| Error::Corrupt(format!("an approval's schedule: {error}")))?,
        message: get(row, "message")?,
        requested_by: word(row, "requested_by", PersonId::parse)?,
        requested_at: time(row, "requested_at")?,
        decided_by: word_opt(row, "decided_by", PersonId::parse)?,
        decided_at: time_opt(row, "decided_at")?,
        reason: get(row, "reason")?,
        renews: word_opt(row, "renews", ApprovalId::parse)?,
    })
}

/// Binds all columns in the order both statements name them.
pub(crate) fn bind<'q>(sql: &'static str, approval: &'q Approval) -> Result<AnyQuery<'q>> {
    let (household, person) = match &approval.subject {
        Subject::Household(household) => (Some(household.as_str()), None),
        Subject::Person(person) => (None, Some(person.as_str())),
    };
    let (camera, place) = match &approval.cameras {
        CameraSet::Camera(camera) => (Some(camera.as_str()), None),
        CameraSet::Place(place) => (None, Some(place.as_str())),
        CameraSet::Site => (None, None),
    };
    let schedule = approval.schedule.as_ref().map(serde_json::to_string).transpose();
    let schedule = schedule.map_err(|error| Error::Corrupt(error.to_string()))?;
    Ok(sqlx::query(sql)
        .bind(approval.id.as_str())
        .bind(approval.site_id.as_str())
        .bind(household)
        .bind(person)
        .bind(camera)
        .bind(place)
        .bind(approval.state.word())
        .bind(approval.from.0)
        .bind(approval.until.0)
        .bind(schedule)
        .bind(approval.message.as_str())
        .bind(approval.requested_by.as_str())
        .bind(approval.requested_at.0)
        .bind(approval.decided_by.as_ref().map(PersonId::as_str))
        .bind(approval.decided_at.map(|t| t.0))
        .bind(approval.reason.as_deref())
        .bind(approval.renews.as_ref().map(ApprovalId::as_str)))
}
