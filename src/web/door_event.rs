//! Door events, as the people concerned may read them.

use crate::access::Who;
use crate::extract::Query;
use crate::schema::{List, word};
use crate::{App, Problem};
use axum::extract::State;
use domain::access::{Question, Standing, decide};
use domain::event::door::{DoorEvent, Quality};
use domain::repository::{DoorEventFilter, Page};
use domain::{DeviceId, DoorEventId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};

/// The most rows of a page, and how many if it is not said.
const MOST: u32 = 500;
const USUAL: u32 = 100;

/// What happened at a door.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DoorEventView {
    #[schema(value_type = String)]
    id: DoorEventId,
    /// Like `door.access.granted`.
    #[serde(rename = "type")]
    kind: &'static str,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    place_id: PlaceId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    #[schema(schema_with = word::<Quality>)]
    quality: Quality,
    direction: Option<String>,
    method: Option<String>,
    reason: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    device_time: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

impl From<DoorEvent> for DoorEventView {
    fn from(event: DoorEvent) -> Self {
        Self {
            id: event.id,
            kind: event.kind.word(),
            site_id: event.site_id,
            place_id: event.place_id,
            device_id: event.device_id,
            quality: event.quality,
            direction: event.direction,
            method: event.method,
            reason: event.reason,
            device_time: event.device_time,
            received_at: event.received_at,
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    site_id: Option<String>,
    place_id: Option<String>,
    /// Received at or after (RFC 3339).
    since: Option<String>,
    /// Received before (RFC 3339).
    until: Option<String>,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// Rows, at most 500.
    limit: Option<u32>,
}

/// Door events, the newest first: residents read their own entrance's, patrol the site's.
#[utoipa::path(get, path = "/api/v1/door-events", tag = "events", operation_id = "list_door_events",
    params(Filter), responses((status = 200, body = List<DoorEventView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List<DoorEventView>>, Problem> {
    let time = |name: &str, text: &Option<String>| {
        let wrong = || Problem::field(name, "it is not a time; write it like 2026-11-23T08:15:02+08:00");
        text.as_ref().map(|text| Timestamp::parse(text).ok_or_else(wrong)).transpose()
    };
    let (since, until) = (time("since", &filter.since)?, time("until", &filter.until)?);
    let cursor = filter.cursor.as_ref().map(|text| text.parse::<i64>());
    let after = cursor.transpose().map_err(|_| Problem::field("cursor", "it is not from a list's next"))?;
    let limit = filter.limit.unwrap_or(USUAL).clamp(1, MOST);

    let now = app.now();
    let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
    // What they may read by a role, and not as somebody who lives there.
    let staff = Standing { memberships: Vec::new(), approvals: Vec::new(), ..who.standing.clone() };
    let (mut readable, mut no_duress_at) = (Vec::new(), Vec::new());
    let scene = app.repository().scene().await?;
    for place in scene.places() {
        let path = scene.path(&place.id);
        let question = Question::ReadDoorEvents(&place.site_id, &path);
        let named = is(&filter.site_id, place.site_id.as_str()) && is(&filter.place_id, place.id.as_str());
        if named && decide(&who.standing, question, now).is_allowed() {
            readable.push(place.id.clone());
            // Whoever forces a resident may be looking at their phone.
            if !decide(&staff, question, now).is_allowed() {
                no_duress_at.push(place.id.clone());
            }
        }
    }
    let wanted = DoorEventFilter { places: Some(readable), site: None, no_duress_at, since, until };
    let rows = app.repository().door_events(&wanted, &Page { after, limit }).await?;
    let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
    let next = rows.last().filter(|_| full).map(|(seq, _)| seq.to_string());
    let items = rows.into_iter().map(|(_, event)| event.into()).collect();
    Ok(axum::Json(List { items, next }))
}
