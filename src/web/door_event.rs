//! Door events, as the people concerned may read them.

use crate::access::Who;
use crate::extract::{Path, Query, id};
use crate::schema::{List, word};
use crate::serve::Peer;
use crate::sitting::{self, sit};
use crate::snapshot::Jpeg;
use crate::{App, Problem, delivery};
use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use domain::access::{Standing, decide_watch, reads_of_door};
use domain::camera::StreamKind;
use domain::device::part;
use domain::event::door::{Audience, Bookmark, DoorEvent, Quality};
use domain::repository::{DoorEventFilter, Error, Page};
use domain::scene::Scene;
use domain::viewing::ViewingTransport;
use domain::{CameraId, DeviceId, DoorEventId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Without a request for this long somebody has looked enough.
const QUIET: Duration = Duration::from_secs(60);

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
    /// Which part of the device, like `door/3`: to staff.
    part: Option<String>,
    /// What that part is called, if it has a name: to staff.
    part_name: Option<String>,
    /// Whether residents are not shown it: nobody has said where that part is.
    staff_only: bool,
    #[schema(schema_with = word::<Quality>)]
    quality: Quality,
    direction: Option<String>,
    method: Option<String>,
    reason: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    device_time: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// Where to look, if one may watch the camera there.
    bookmark: Option<BookmarkView>,
}

/// The camera at the door, from shortly before until after it happened.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct BookmarkView {
    #[schema(value_type = String)]
    camera_id: CameraId,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// When the picture was taken, if there is one.
    #[schema(value_type = Option<String>, format = DateTime)]
    taken_at: Option<Timestamp>,
}

impl DoorEventView {
    fn new(event: DoorEvent, bookmark: Option<Bookmark>, part: Option<PartName>) -> Self {
        let (part, part_name) = part.map_or((None, None), |part| (Some(part.part), part.name));
        Self {
            id: event.id,
            kind: event.kind.word(),
            site_id: event.site_id,
            place_id: event.place_id,
            device_id: event.device_id,
            part,
            part_name,
            staff_only: event.staff_only,
            quality: event.quality,
            direction: event.direction,
            method: event.method,
            reason: event.reason,
            device_time: event.device_time,
            received_at: event.received_at,
            bookmark: bookmark.map(|Bookmark { camera_id, from, until, taken_at, .. }| BookmarkView {
                camera_id,
                from,
                until,
                taken_at,
            }),
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
    let (mut readable, mut no_duress_at, mut as_resident) = (Vec::new(), Vec::new(), HashSet::new());
    let scene = app.repository().scene().await?;
    for place in scene.places() {
        let path = scene.path(&place.id);
        let reads = |audience| reads_of_door(&who.standing, &place.site_id, &path, audience, now);
        let named = is(&filter.site_id, place.site_id.as_str()) && is(&filter.place_id, place.id.as_str());
        if named && reads(Audience::All) {
            readable.push(place.id.clone());
            if !reads(Audience::Silent) {
                no_duress_at.push(place.id.clone());
            }
            if !reads(Audience::Staff) {
                as_resident.insert(place.id.clone());
            }
        }
    }
    let without_staff_only_at = as_resident.iter().cloned().collect();
    let places = Some(readable);
    let wanted = DoorEventFilter { places, site: None, no_duress_at, without_staff_only_at, since, until };
    let rows = app.repository().door_events(&wanted, &Page { after, limit }).await?;
    let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
    let next = rows.last().filter(|_| full).map(|(seq, _)| seq.to_string());
    let rows = readable_ones(&app, &who, &scene, rows).await?;
    let mut bookmarks = bookmarks(&app, &who, &scene, &rows).await?;
    let mut parts = parts(&app, &rows, &as_resident).await?;
    let mut view = |event: DoorEvent| {
        let (bookmark, part) = (bookmarks.remove(&event.id), parts.remove(&event.id));
        DoorEventView::new(event, bookmark, part)
    };
    Ok(axum::Json(List { items: rows.into_iter().map(|(_, event)| view(event)).collect(), next }))
}

/// Without duress in one's own home, which a place does not say.
async fn readable_ones(
    app: &App,
    who: &Who,
    scene: &Scene,
    rows: Vec<(i64, DoorEvent)>,
) -> domain::repository::Result<Vec<(i64, DoorEvent)>> {
    let mut readable = Vec::with_capacity(rows.len());
    for (seq, event) in rows {
        if event.audience() != Audience::Silent || may_read(app, &who.standing, &event, scene).await? {
            readable.push((seq, event));
        }
    }
    Ok(readable)
}

/// A part of a device, and what it is called.
#[derive(Clone)]
struct PartName {
    part: String,
    name: Option<String>,
}

/// At which parts of their devices these events were, except at places that one only lives at.
async fn parts(
    app: &App,
    rows: &[(i64, DoorEvent)],
    as_resident: &HashSet<PlaceId>,
) -> Result<HashMap<DoorEventId, PartName>, Problem> {
    let (mut known, mut parts) = (HashMap::new(), HashMap::new());
    for (_, event) in rows.iter().filter(|(_, event)| !as_resident.contains(&event.place_id)) {
        let Some(part) = part(&event.source) else { continue };
        let name = match known.entry((&event.device_id, part)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let names = app.repository().names_of_device(&event.device_id, Some(part)).await?;
                new.insert(PartName { part: part.to_owned(), name: names.and_then(|names| names.part) })
            }
        };
        parts.insert(event.id.clone(), name.clone());
    }
    Ok(parts)
}

/// The bookmarks of these events, of cameras that one may watch.
async fn bookmarks(
    app: &App,
    who: &Who,
    scene: &Scene,
    rows: &[(i64, DoorEvent)],
) -> Result<HashMap<DoorEventId, Bookmark>, Problem> {
    let ids: Vec<&DoorEventId> = rows.iter().map(|(_, event)| &event.id).collect();
    let mut bookmarks = app.repository().bookmarks(&ids).await?;
    if bookmarks.is_empty() {
        return Ok(HashMap::new());
    }
    let cameras = app.repository().cameras().await?;
    let seen: HashSet<&CameraId> = cameras
        .iter()
        .filter(|camera| decide_watch(&who.standing, camera, scene, app.now()).is_allowed())
        .map(|camera| &camera.id)
        .collect();
    bookmarks.retain(|bookmark| seen.contains(&bookmark.camera_id));
    Ok(bookmarks.into_iter().map(|bookmark| (bookmark.door_event_id.clone(), bookmark)).collect())
}

/// Whether they may read of this event. Of duress nobody may who lives behind the door, or in the
/// home that the device is in.
pub(crate) async fn may_read(
    app: &App,
    who: &Standing,
    event: &DoorEvent,
    scene: &Scene,
) -> domain::repository::Result<bool> {
    let (path, now) = (scene.path(&event.place_id), app.now());
    if !reads_of_door(who, &event.site_id, &path, event.audience(), now) {
        return Ok(false);
    }
    let homes = who.memberships.iter().filter(|membership| membership.in_force(now));
    let homes: Vec<_> = homes.map(|membership| &membership.household_id).collect();
    if event.audience() != Audience::Silent || homes.is_empty() {
        return Ok(true);
    }
    match app.repository().device(&event.device_id).await {
        // It may be theirs.
        Err(Error::Corrupt(_)) => Ok(false),
        device => Ok(device?
            .and_then(|device| device.home(&event.source).cloned())
            .is_none_or(|home| !homes.contains(&&home))),
    }
}

/// The picture of a door event, for who may read of it and watch the camera there. It is a
/// viewing: the register says who looked.
#[utoipa::path(get, path = "/api/v1/door-events/{id}/picture.jpg", tag = "events", operation_id = "door_picture",
    params(("id" = String, Path)),
    responses((status = 200, content_type = "image/jpeg", body = inline(Jpeg)), (status = 404), (status = 429),
        (status = 503)))]
pub(crate) async fn picture(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    Path(event): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let event = id(DoorEventId::parse, &event)?;
    let event = app.repository().door_event(&event).await?.ok_or(Problem::NotFound)?;
    let scene = app.repository().scene().await?;
    if !may_read(&app, &who.standing, &event, &scene).await? {
        return Err(Problem::NotFound);
    }
    let bookmark = app.repository().bookmarks(&[&event.id]).await?.pop().ok_or(Problem::NotFound)?;
    if bookmark.taken_at.is_none() {
        // Nobody looks at what is not there, and the register must not say so.
        return Err(Problem::NotFound);
    }
    let wanted = sitting::Wanted {
        camera: bookmark.camera_id,
        stream: StreamKind::Main,
        transport: ViewingTransport::DoorPicture,
        purpose: None,
        quiet: QUIET,
    };
    let sitting = sit(&app, &who, wanted).await?;
    let jpeg = app.repository().door_picture(&event.id).await?.ok_or(Problem::NotFound)?;
    // The right may have ended while it was read.
    if sitting.pass().ended().is_some() {
        return Err(Problem::NotFound);
    }
    Ok(([(CONTENT_TYPE, "image/jpeg")], delivery::body(&sitting, [jpeg.into()], &peer.cut)))
}
