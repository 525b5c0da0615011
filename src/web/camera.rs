//! Cameras: what is registered, and how their streams are.

use crate::access::Who;
use crate::camera_input::{CameraInput, PositionInput, RetentionInput};
use crate::extract::{Json, Path, Query, fields, id, merged};
use crate::schema::{List, word};
use crate::source::stream_id;
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::{Question, decide_watch};
use domain::camera::{Camera, Pull, StreamKind, Transport, Visibility};
use domain::{CameraId, PlaceId, SiteId, Timestamp};
use relay::hub::State as StreamState;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A camera. What only administrators need to know is left out for others.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct CameraView {
    #[schema(value_type = String)]
    id: CameraId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    place_id: PlaceId,
    name: String,
    /// Whether it has a small picture.
    has_sub: bool,
    audio_enabled: bool,
    #[schema(schema_with = word::<Visibility>)]
    visibility: Visibility,
    purpose: String,
    responsible_unit: String,
    retention: RetentionInput,
    position: Option<PositionInput>,
    status: StatusView,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<SourceView>,
}

/// Where the camera's pictures come from; for administrators.
#[derive(Serialize, utoipa::ToSchema)]
struct SourceView {
    main_url: String,
    sub_url: Option<String>,
    username: Option<String>,
    /// The password itself is never shown.
    has_password: bool,
    allow_basic: bool,
    #[schema(schema_with = word::<Transport>)]
    transport: Transport,
    #[schema(schema_with = word::<Pull>)]
    pull: Pull,
    audio_reason: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct StatusView {
    #[schema(value_type = StateWord)]
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Why, in plain English, for administrators; empty where there is nothing to say.
    detail: String,
    streams: StreamsView,
}

/// Stale, as its pictures show nothing new.
const REPEATING: &str = "repeating";

/// The states in the order in which they speak for the whole camera.
const STATES: [(StreamState, &str); 6] = [
    (StreamState::Live, "live"),
    (StreamState::Stale, "stale"),
    (StreamState::Refused, "refused"),
    (StreamState::Offline, "offline"),
    (StreamState::Connecting, "connecting"),
    (StreamState::Idle, "idle"),
];

/// How a stream is.
#[derive(utoipa::ToSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it names the words of STATES, and REPEATING, in the OpenAPI document")]
enum StateWord {
    Live,
    Stale,
    /// Connected, and the same picture comes again and again.
    Repeating,
    Refused,
    Offline,
    Connecting,
    Idle,
}

/// What the camera's streams carry, as far as it is known.
#[derive(Serialize, utoipa::ToSchema)]
struct StreamsView {
    main: Option<PictureView>,
    sub: Option<PictureView>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct PictureView {
    codec: &'static str,
    width: u16,
    height: u16,
}

fn picture(app: &App, camera: &Camera, stream: StreamKind) -> Option<PictureView> {
    let params = app.parts.fleet.hub(&stream_id(&camera.id, stream))?.params()?;
    let video = params.video.as_ref()?;
    Some(PictureView { codec: video.name(), width: video.width, height: video.height })
}

fn status(app: &App, camera: &Camera, manages: bool) -> StatusView {
    let of = |stream| app.parts.fleet.status(&stream_id(&camera.id, stream));
    let rank = |state| STATES.iter().position(|(s, _)| *s == state).unwrap_or(STATES.len());
    let both = [StreamKind::Main, StreamKind::Sub].into_iter().filter_map(of);
    let speaks = both.min_by_key(|status| rank(status.state));
    let (state, since, detail) = match speaks {
        Some(status) => {
            (status.state, Timestamp::from_epoch(status.since), status.detail.as_ref().to_owned())
        }
        // Registered a moment ago; the reconciler is about to take it up.
        None => (StreamState::Idle, camera.created_at, String::new()),
    };
    let repeats = state == StreamState::Stale && detail == relay::ingest::REPEATS;
    // It may name addresses, and words of the camera's own.
    let detail = if manages { detail } else { String::new() };
    let state = STATES.iter().find(|(s, _)| *s == state).map_or("idle", |(_, word)| word);
    let state = if repeats { REPEATING } else { state };
    let streams = StreamsView {
        main: picture(app, camera, StreamKind::Main),
        sub: picture(app, camera, StreamKind::Sub),
    };
    StatusView { state, since, detail, streams }
}

fn view(app: &App, camera: &Camera, manages: bool) -> CameraView {
    CameraView {
        id: camera.id.clone(),
        site_id: camera.site_id.clone(),
        place_id: camera.place_id.clone(),
        name: camera.name.clone(),
        has_sub: camera.sub_url.is_some(),
        audio_enabled: camera.audio_reason.is_some(),
        visibility: camera.visibility,
        purpose: camera.purpose.clone(),
        responsible_unit: camera.responsible_unit.clone(),
        retention: camera.retention.into(),
        position: camera.position.map(Into::into),
        status: status(app, camera, manages),
        source: manages.then(|| SourceView {
            main_url: camera.main_url.clone(),
            sub_url: camera.sub_url.clone(),
            username: camera.username.clone(),
            has_password: camera.password.is_some(),
            allow_basic: camera.allow_basic,
            transport: camera.transport,
            pull: camera.pull,
            audio_reason: camera.audio_reason.clone(),
        }),
    }
}

fn manages(app: &App, who: &Who, camera: &Camera) -> bool {
    who.may(app, Question::Manage(&camera.site_id))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    site_id: Option<String>,
    place_id: Option<String>,
    /// A state, like `live`.
    status: Option<String>,
    /// A part of the name.
    q: Option<String>,
}

/// The cameras I may watch.
#[utoipa::path(get, path = "/api/v1/cameras", tag = "registry", operation_id = "list_cameras",
    params(Filter), responses((status = 200, body = List<CameraView>)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List<CameraView>>, Problem> {
    let (cameras, scene) = (app.repository().cameras().await?, app.repository().scene().await?);
    let now = app.now();
    let may_watch = |camera: &Camera| decide_watch(&who.standing, camera, &scene, now).is_allowed();
    let is = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
    let named = |camera: &Camera| {
        filter.q.as_ref().is_none_or(|q| camera.name.to_lowercase().contains(&q.to_lowercase()))
    };
    let views = cameras
        .iter()
        .filter(|camera| named(camera) && may_watch(camera))
        .filter(|c| is(&filter.site_id, c.site_id.as_str()) && is(&filter.place_id, c.place_id.as_str()))
        .map(|camera| view(&app, camera, manages(&app, &who, camera)))
        .filter(|view| is(&filter.status, view.status.state));
    Ok(axum::Json(List::whole(views.collect())))
}

/// The camera of that id, if this person may watch it.
pub(crate) async fn find_for(app: &App, who: &Who, text: &str) -> Result<Camera, Problem> {
    let camera = find(app, text).await?;
    let scene = app.repository().scene().await?;
    let decision = decide_watch(&who.standing, &camera, &scene, app.now());
    if decision.is_allowed() { Ok(camera) } else { Err(Problem::NotFound) }
}

async fn find(app: &App, text: &str) -> Result<Camera, Problem> {
    app.repository().camera(&id(CameraId::parse, text)?).await?.ok_or(Problem::NotFound)
}

/// One camera.
#[utoipa::path(get, path = "/api/v1/cameras/{id}", tag = "registry", operation_id = "get_camera",
    params(("id" = String, Path)), responses((status = 200, body = CameraView), (status = 404)))]
pub(crate) async fn get(
    State(app): State<App>,
    who: Who,
    Path(camera): Path<String>,
) -> Result<axum::Json<CameraView>, Problem> {
    let camera = find_for(&app, &who, &camera).await?;
    Ok(axum::Json(view(&app, &camera, manages(&app, &who, &camera))))
}

/// Register a camera.
#[utoipa::path(post, path = "/api/v1/cameras", tag = "registry", operation_id = "create_camera",
    request_body = CameraInput, responses((status = 201, body = CameraView)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<CameraInput>,
) -> Result<(StatusCode, axum::Json<CameraView>), Problem> {
    let id = CameraId::from_random(token::random());
    let camera = input.into_camera(&app, &who, id, None, app.now()).await?;
    app.noting(
        Some(&who.person.id),
        Some(&camera.site_id),
        "camera.create",
        camera.id.as_str(),
        &json!({ "name": camera.name }),
    )
    .add_camera(&camera)
    .await?;
    app.changed();
    Ok((StatusCode::CREATED, axum::Json(view(&app, &camera, true))))
}

/// Change a camera. The password stays if it is not sent, and goes if it is null.
#[utoipa::path(patch, path = "/api/v1/cameras/{id}", tag = "registry", operation_id = "update_camera",
    params(("id" = String, Path)), request_body(content = ref("#/components/schemas/CameraPatch")),
    responses((status = 200, body = CameraView), (status = 404)))]
pub(crate) async fn update(
    State(app): State<App>,
    who: Who,
    Path(camera): Path<String>,
    Json(patch): Json<serde_json::Value>,
) -> Result<axum::Json<CameraView>, Problem> {
    let old = find(&app, &camera).await?;
    let changed = fields(&patch);
    who.must_manage(&app, &old.site_id)?;
    let kept = patch.get("password").is_none() && old.password.is_some();
    let input = merged(&CameraInput::of(&old), patch)?;
    let camera = input.into_camera(&app, &who, old.id.clone(), kept.then_some(&old), old.created_at).await?;
    if !app
        .noting(Some(&who.person.id), Some(&camera.site_id), "camera.update", camera.id.as_str(), &changed)
        .update_camera(&camera)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(axum::Json(view(&app, &camera, true)))
}

/// Remove a camera: its viewers end.
#[utoipa::path(delete, path = "/api/v1/cameras/{id}", tag = "registry", operation_id = "delete_camera",
    params(("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(camera): Path<String>,
) -> Result<StatusCode, Problem> {
    let camera = find(&app, &camera).await?;
    who.must_manage(&app, &camera.site_id)?;
    if !app
        .noting(Some(&who.person.id), Some(&camera.site_id), "camera.delete", camera.id.as_str(), &json!({}))
        .remove_camera(&camera.id, app.now())
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
