//! Events of devices, as people on duty read them: alarms that came too late to be an
//! incident, what a device says of its own condition.

use crate::access::Who;
use crate::extract::Query;
use crate::schema::{List, word};
use crate::{App, Problem};
use axum::extract::State;
use domain::access::{Question, decide};
use domain::event::device::{DeviceEvent, DeviceEventKind};
use domain::event::door::Quality;
use domain::repository::Page;
use domain::{DeviceEventId, DeviceId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};

/// The most rows of a page, and how many if it is not said.
const MOST: u32 = 500;
const USUAL: u32 = 100;

/// What a device has told.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DeviceEventView {
    #[schema(value_type = String)]
    id: DeviceEventId,
    #[serde(rename = "type")]
    #[schema(schema_with = word::<DeviceEventKind>)]
    kind: DeviceEventKind,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    place_id: PlaceId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    #[schema(schema_with = word::<Quality>)]
    quality: Quality,
    #[schema(value_type = Option<String>, format = DateTime)]
    device_time: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl From<DeviceEvent> for DeviceEventView {
    fn from(event: DeviceEvent) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            site_id: event.site_id,
            place_id: event.place_id,
            device_id: event.device_id,
            quality: event.quality,
            device_time: event.device_time,
            received_at: event.received_at,
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    site_id: Option<String>,
    /// Only alarms.
    #[serde(default)]
    alarms: bool,
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
    let cursor = filter.cursor.as_ref().map(|text| text.parse::<i64>());
    let after = cursor.transpose().map_err(|_| Problem::field("cursor", "it is not from a list's next"))?;
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
    let rows = app.repository().device_events(&readable, filter.alarms, &Page { after, limit }).await?;
    let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
    let next = rows.last().filter(|_| full).map(|(seq, _)| seq.to_string());
    Ok(axum::Json(List { items: rows.into_iter().map(|(_, event)| event.into()).collect(), next }))
}
