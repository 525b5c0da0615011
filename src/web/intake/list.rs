//! Events of devices, as people on duty read them: alarms that came too late to be an
//! incident, of a door or of anything else, and what a device says of its own condition.

use crate::access::Who;
use crate::door_event::may_read;
use crate::extract::Query;
use crate::schema::{List, next_after, word};
use crate::{App, Problem};
use axum::extract::State;
use domain::access::{Question, decide};
use domain::device::part;
use domain::event::device::DeviceEventKind;
use domain::event::door::{Audience, DoorEventKind, Quality};
use domain::event::{Event, Listing};
use domain::repository::Page;
use domain::{DeviceId, PlaceId, SiteId, Timestamp, Words as _};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// The most rows of a page, and how many if it is not said.
const MOST: u32 = 500;
const USUAL: u32 = 100;

/// What a device has told; of a door only what is an alarm.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DeviceEventView {
    id: String,
    #[serde(rename = "type")]
    #[schema(schema_with = kind)]
    kind: &'static str,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    place_id: PlaceId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// Which part of the device, like `input/3`.
    part: Option<String>,
    #[schema(schema_with = word::<Quality>)]
    quality: Quality,
    #[schema(value_type = Option<String>, format = DateTime)]
    device_time: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

/// The words of devices, and those of doors that are alarms.
fn kind() -> Schema {
    let is_alarm = |word: &&str| DoorEventKind::from_word(word).is_some_and(|kind| kind.alarm().is_some());
    let doors = DoorEventKind::WORDS.iter().copied().filter(is_alarm);
    let words: Vec<&str> = DeviceEventKind::WORDS.iter().copied().chain(doors).collect();
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
}

impl From<Event> for DeviceEventView {
    fn from(event: Event) -> Self {
        let (quality, device_time, received_at) = (event.quality(), event.device_time(), event.received_at());
        let id = event.id().to_owned();
        let part = part(event.source()).map(str::to_owned);
        let (kind, site_id, place_id, device_id) = match event {
            Event::Door(event) => (event.kind.word(), event.site_id, event.place_id, event.device_id),
            Event::Device(event) => (event.kind.word(), event.site_id, event.place_id, event.device_id),
        };
        Self { id, kind, site_id, place_id, device_id, part, quality, device_time, received_at }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    site_id: Option<String>,
    /// Only alarms, those of doors as well.
    #[serde(default)]
    alarms: bool,
    /// Only what nobody else sees to: alarms that came too late to be an incident, those of doors as
    /// well, and what devices say of their battery, their line and their clock. With `alarms` only
    /// the former.
    #[serde(default)]
    desk: bool,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// Rows, at most 500.
    limit: Option<u32>,
}

/// Events of the devices where one is on duty, the newest first.
#[utoipa::path(get, path = "/api/v1/device-events", tag = "events", operation_id = "list_device_events",
    params(Filter), responses((status = 200, body = List<DeviceEventView>)))]
pub(crate) async fn events(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List<DeviceEventView>>, Problem> {
    let limit = filter.limit.unwrap_or(USUAL).clamp(1, MOST);
    let scene = app.repository().scene().await?;
    let here = |site: &SiteId| filter.site_id.as_ref().is_none_or(|wanted| wanted == site.as_str());
    let readable: Vec<PlaceId> = scene
        .places()
        .filter(|place| here(&place.site_id))
        .filter(|place| {
            let path = scene.path(&place.id);
            decide(&who.standing, Question::Respond(&place.site_id, &path), app.now()).is_allowed()
        })
        .map(|place| place.id.clone())
        .collect();
    let wrong = || Problem::field("cursor", "it is not from a list's next");
    let cursor = filter.cursor.as_deref();
    let listing = match (filter.desk, filter.alarms) {
        (true, true) => Some(Listing::Late),
        (true, false) => Some(Listing::Desk),
        (false, true) => Some(Listing::Alarms),
        (false, false) => None,
    };
    if let Some(listing) = listing {
        let before = cursor.map(|text| {
            let (at, id) = text.split_once('-')?;
            Some((Timestamp(at.parse().ok()?), id.to_owned()))
        });
        let before = before.map(|before| before.ok_or_else(wrong)).transpose()?;
        let rows = app.repository().listed_events(listing, &readable, before.as_ref(), limit).await?;
        let next = next_after(&rows, limit, |event| format!("{}-{}", event.received_at().0, event.id()));
        let mut items = Vec::with_capacity(rows.len());
        for event in rows {
            let is_shown = match &event {
                Event::Door(event) if event.audience() == Audience::Silent => {
                    may_read(&app, &who.standing, event, &scene).await?
                }
                _ => true,
            };
            if is_shown {
                items.push(DeviceEventView::from(event));
            }
        }
        return Ok(axum::Json(List { items, next }));
    }
    let after = cursor.map(|text| text.parse::<i64>()).transpose().map_err(|_| wrong())?;
    let rows = app.repository().device_events(&readable, &Page { after, limit }).await?;
    let next = next_after(&rows, limit, |(seq, _)| seq.to_string());
    let items = rows.into_iter().map(|(_, event)| Event::Device(event).into()).collect();
    Ok(axum::Json(List { items, next }))
}
