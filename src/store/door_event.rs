//! Door events as rows: the multi-row insert and the list.

use crate::failed;
use crate::row::{get, marks, time, time_opt, truth, word};
use domain::event::door::{DoorEvent, DoorEventKind, Quality};
use domain::repository::{DoorEventFilter, Page, Result};
use domain::{DeviceId, DoorEventId, PlaceId, SiteId};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row as _};
use std::collections::HashSet;

pub(crate) fn door_event(row: &AnyRow) -> Result<DoorEvent> {
    Ok(DoorEvent {
        id: word(row, "id", DoorEventId::parse)?,
        source: get(row, "source")?,
        event_id: get(row, "event_id")?,
        device_id: word(row, "device_id", DeviceId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        place_id: word(row, "place_id", PlaceId::parse)?,
        staff_only: truth(row, "staff_only")?,
        kind: word(row, "kind", DoorEventKind::from_word)?,
        quality: word(row, "quality", Quality::from_word)?,
        direction: get(row, "direction")?,
        method: get(row, "method")?,
        reason: get(row, "reason")?,
        device_time: time_opt(row, "device_time")?,
        received_at: time(row, "received_at")?,
    })
}

/// Columns of one row in the insert.
const COLUMNS: usize = 14;

/// Inserts all events in one statement. Answers the ids of those that were new.
pub(crate) async fn insert(connection: &mut AnyConnection, events: &[&DoorEvent]) -> Result<HashSet<String>> {
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    // Only numbers of parameters are put into the text.
    let sql = AssertSqlSafe(format!(
        "insert into door_events (id, source, event_id, device_id, site_id, place_id, kind, quality,
            direction, method, reason, device_time, received_at, staff_only)
         values {} on conflict (device_id, source, event_id) do nothing returning id",
        marks(events.len(), COLUMNS)
    ));
    let mut query = sqlx::query(sql);
    for event in events {
        query = query
            .bind(event.id.as_str())
            .bind(event.source.as_str())
            .bind(event.event_id.as_str())
            .bind(event.device_id.as_str())
            .bind(event.site_id.as_str())
            .bind(event.place_id.as_str())
            .bind(event.kind.word())
            .bind(event.quality.word())
            .bind(event.direction.as_deref())
            .bind(event.method.as_deref())
            .bind(event.reason.as_deref())
            .bind(event.device_time.map(|t| t.0))
            .bind(event.received_at.0)
            .bind(i64::from(event.staff_only));
    }
    let rows = query.fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(|row| row.try_get::<String, _>(0).map_err(failed)).collect()
}

/// One of them.
pub(crate) async fn one(pool: &AnyPool, id: &DoorEventId) -> Result<Option<DoorEvent>> {
    let row =
        sqlx::query("select * from door_events where id = $1").bind(id.as_str()).fetch_optional(pool).await;
    row.map_err(failed)?.as_ref().map(door_event).transpose()
}

/// The newest first, each with its place in the order.
pub(crate) async fn list(
    pool: &AnyPool,
    filter: &DoorEventFilter,
    page: &Page,
) -> Result<Vec<(i64, DoorEvent)>> {
    let places: Vec<&str> = filter.places.iter().flatten().map(PlaceId::as_str).collect();
    if filter.places.is_some() && places.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql =
        "select * from door_events where seq < $1 and received_at >= $2 and received_at < $3".to_owned();
    if filter.site.is_some() {
        sql.push_str(" and site_id = $4");
    }
    if filter.places.is_some() {
        let first = 4 + usize::from(filter.site.is_some());
        let marks: Vec<String> = (0..places.len()).map(|n| format!("${}", first + n)).collect();
        sql.push_str(&format!(" and place_id in ({})", marks.join(", ")));
    }
    let hidden: Vec<&str> = filter.no_duress_at.iter().map(PlaceId::as_str).collect();
    if !hidden.is_empty() {
        let first = 4 + usize::from(filter.site.is_some()) + places.len();
        let marks: Vec<String> = (0..hidden.len()).map(|n| format!("${}", first + n)).collect();
        let duress = DoorEventKind::Duress.word();
        sql.push_str(&format!(" and (kind <> '{duress}' or place_id not in ({}))", marks.join(", ")));
    }
    let own: Vec<&str> = filter.without_staff_only_at.iter().map(PlaceId::as_str).collect();
    if !own.is_empty() {
        let first = 4 + usize::from(filter.site.is_some()) + places.len() + hidden.len();
        let marks: Vec<String> = (0..own.len()).map(|n| format!("${}", first + n)).collect();
        sql.push_str(&format!(" and (staff_only = 0 or place_id not in ({}))", marks.join(", ")));
    }
    sql.push_str(&format!(" order by seq desc limit {}", page.limit));
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(filter.since.map_or(i64::MIN, |t| t.0))
        .bind(filter.until.map_or(i64::MAX, |t| t.0));
    if let Some(site) = &filter.site {
        query = query.bind(site.as_str());
    }
    for place in places.into_iter().chain(hidden).chain(own) {
        query = query.bind(place);
    }
    let rows = query.fetch_all(pool).await.map_err(failed)?;
    rows.iter().map(|row| Ok((get(row, "seq")?, door_event(row)?))).collect()
}
