//! Trying a camera before it is saved: what it sends, or the plain reason why not.

use crate::access::Who;
use crate::camera_input::CameraInput;
use crate::extract::Json;
use crate::source::source;
use crate::{App, Problem, token};
use axum::extract::State;
use domain::CameraId;
use domain::camera::StreamKind;
use relay::ingest::{Source, gauge};
use serde::Serialize;
use serde_json::json;
use url::Url;

/// What a camera's streams send. Nothing is saved.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ProbeView {
    main: ProbedView,
    sub: Option<ProbedView>,
}

/// One stream: what it sends, or why it cannot be read.
#[derive(Default, Serialize, utoipa::ToSchema)]
struct ProbedView {
    /// `H.264` or `H.265`.
    codec: Option<&'static str>,
    width: Option<u16>,
    height: Option<u16>,
    /// Pictures a second.
    fps: Option<f64>,
    /// Seconds from one key picture to the next; null if it takes longer than 5.
    gop_seconds: Option<f64>,
    /// The sound it offers; it is taken only if the camera's record says why.
    audio: Option<String>,
    /// The plain reason why it cannot be read.
    problem: Option<String>,
}

/// Try a camera as it is described; nothing is saved.
#[utoipa::path(post, path = "/api/v1/cameras/probe", tag = "registry", operation_id = "probe_camera",
    request_body = CameraInput, responses((status = 200, body = ProbeView), (status = 422)))]
pub(crate) async fn probe(
    State(app): State<App>,
    who: Who,
    Json(input): Json<CameraInput>,
) -> Result<axum::Json<ProbeView>, Problem> {
    let camera =
        input.into_camera(&app, &who, CameraId::from_random(token::random()), None, app.now()).await?;
    let host = Url::parse(&camera.main_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let detail = json!({ "host": host });
    app.note(Some(&who.person.id), Some(&camera.site_id), "camera.probe", "camera", &detail).await?;
    // One after the other: a wrong password counts once if the first says so.
    let main = match source(&camera, StreamKind::Main) {
        Some(source) => look(&app, &source).await,
        None => ProbedView::default(),
    };
    let sub = match source(&camera, StreamKind::Sub).filter(|_| main.problem.is_none()) {
        Some(source) => Some(look(&app, &source).await),
        None => None,
    };
    Ok(axum::Json(ProbeView { main, sub }))
}

async fn look(app: &App, source: &Source) -> ProbedView {
    match gauge(source, app.parts.fleet.policy()).await {
        Err(why) => ProbedView { problem: Some(why.to_string()), ..ProbedView::default() },
        Ok(seen) => {
            let video = seen.params.video.as_deref();
            let tenths = |value: f64| (value * 10.0).round() / 10.0;
            ProbedView {
                codec: video.map(media::TrackParams::name),
                width: video.map(|video| video.width),
                height: video.map(|video| video.height),
                fps: seen.fps.map(tenths),
                gop_seconds: seen.gop.map(|gop| tenths(gop.as_secs_f64())),
                audio: seen.audio,
                problem: None,
            }
        }
    }
}
