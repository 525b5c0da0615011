//! Events of devices as rows: the multi-row insert and the list.

use crate::failed;
use crate::row::{get, marks, time, time_opt, word};
use domain::event::device::{DeviceEvent, DeviceEventKind};
use domain::event::door::Quality;
use domain::repository::{Page, Result};
use domain::{DeviceEventId, DeviceId, PlaceId, SiteId};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row as _};
use std::collections::HashSet;

pub(crate) fn device_event(row: &AnyRow) -> Result<DeviceEvent> {
    Ok(DeviceEvent {
        id: word(row, "id", DeviceEventId::parse)?,
        source: get(row, "source")?,
        event_id: get(row, "event_id")?,
        device_id: word(row, "device_id", DeviceId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        place_id: word(row, "place_id", PlaceId::parse)?,
        kind: word(row, "kind", DeviceEventKind::from_word)?,
        quality: word(row, "quality", Quality::from_word)?,
        device_time: time_opt(row, "device_time")?,
        received_at: time(row, "received_at")?,
    })
}

/// Columns of one row in the insert.
const COLUMNS: usize = 10;

/// Inserts all events in one statement. Answers the ids of those that were new.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    events: &[&DeviceEvent],
) -> Result<HashSet<String>> {
    // Only numbers of parameters are put into the text.
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "insert into device_events (id, source, event_id, device_id, site_id, place_id, kind, quality,
            device_time, received_at)
         values {} on conflict (device_id, source, event_id) do nothing returning id",
        marks(events.len(), COLUMNS)
    )));
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
            .bind(event.device_time.map(|t| t.0))
            .bind(event.received_at.0);
    }
    let rows = query.fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(|row| row.try_get::<String, _>(0).map_err(failed)).collect()
}

/// At these places, the newest first, each with its place in the order.
pub(crate) async fn list(pool: &AnyPool, places: &[PlaceId], page: &Page) -> Result<Vec<(i64, DeviceEvent)>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let marks: Vec<String> = (0..places.len()).map(|n| format!("${}", n + 2)).collect();
    let sql = format!(
        "select * from device_events where seq < $1 and place_id in ({}) order by seq desc limit {}",
        marks.join(", "),
        page.limit
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(page.after.unwrap_or(i64::MAX));
    for place in places {
        query = query.bind(place.as_str());
    }
    let rows = query.fetch_all(pool).await.map_err(failed)?;
    rows.iter().map(|row| Ok((get(row, "seq")?, device_event(row)?))).collect()
}
