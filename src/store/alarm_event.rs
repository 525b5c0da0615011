//! Events of doors and of other devices as one list: people do not look for an alarm by
//! the table that it is in.

use crate::device_event::device_event;
use crate::door_event::door_event;
use crate::failed;
use crate::row::get;
use domain::event::alarm::BACKLOG;
use domain::event::device::DeviceEventKind;
use domain::event::door::{DoorEventKind, Quality};
use domain::event::{Event, Listing};
use domain::repository::Result;
use domain::{PlaceId, Timestamp, Words as _};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, AssertSqlSafe};

/// The kinds that are alarms, as a list in SQL.
fn kinds<'w>(words: &[&'w str], is_alarm: impl Fn(&'w str) -> bool) -> String {
    let alarms = words.iter().filter(|word| is_alarm(word)).map(|word| format!("'{word}'"));
    alarms.collect::<Vec<_>>().join(", ")
}

fn event(row: &AnyRow) -> Result<Event> {
    let at_door = DoorEventKind::from_word(&get::<String>(row, "kind")?).is_some();
    Ok(if at_door { Event::Door(door_event(row)?) } else { Event::Device(device_event(row)?) })
}

/// At these places, the newest first. Two tables have no order in common but that of
/// arrival; where two have come at once their ids decide.
pub(crate) async fn list(
    pool: &AnyPool,
    listing: Listing,
    places: &[PlaceId],
    before: Option<&(Timestamp, String)>,
    limit: u32,
) -> Result<Vec<Event>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let marks: Vec<String> = (0..places.len()).map(|n| format!("${}", n + 3)).collect();
    let marks = marks.join(", ");
    let doors = kinds(DoorEventKind::WORDS, |word| {
        DoorEventKind::from_word(word).is_some_and(|k| k.alarm().is_some())
    });
    let others = kinds(DeviceEventKind::WORDS, |word| {
        DeviceEventKind::from_word(word).is_some_and(|kind| kind.alarm().is_some())
    });
    // As `domain::event::alarm::opening` lists them.
    let late = format!(
        "quality = '{}' and received_at - device_time >= {}",
        Quality::Backlog.word(),
        BACKLOG.as_micros()
    );
    let (doors, others) = match listing {
        Listing::Alarms => (format!("kind in ({doors})"), format!("kind in ({others})")),
        Listing::Late => (format!("kind in ({doors}) and {late}"), format!("kind in ({others}) and {late}")),
        Listing::Desk => {
            let conditions = kinds(DeviceEventKind::WORDS, |word| {
                DeviceEventKind::from_word(word).is_some_and(DeviceEventKind::is_condition)
            });
            (
                format!("kind in ({doors}) and {late}"),
                format!("(kind in ({others}) and {late} or kind in ({conditions}))"),
            )
        }
    };
    let columns =
        "id, source, event_id, device_id, site_id, place_id, kind, quality, device_time, received_at";
    let part = |table: &str, more: &str, which: &str| {
        format!(
            "select {columns}, {more} from {table} where {which} and place_id in ({marks})
             and (received_at < $1 or received_at = $1 and id < $2)"
        )
    };
    let none = "cast(null as text) as direction, cast(null as text) as method, cast(null as text) as reason,
                cast(0 as bigint) as staff_only";
    // Only constants and numbers of parameters are put together.
    let sql = AssertSqlSafe(format!(
        "{} union all {} order by received_at desc, id desc limit {limit}",
        part("door_events", "direction, method, reason, staff_only", &doors),
        part("device_events", none, &others)
    ));
    let (at, id) = before.map_or((i64::MAX, ""), |(at, id)| (at.0, id));
    let mut query = sqlx::query(sql).bind(at).bind(id);
    for place in places {
        query = query.bind(place.as_str());
    }
    query.fetch_all(pool).await.map_err(failed)?.iter().map(event).collect()
}
