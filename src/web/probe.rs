//! Trying a camera before it is saved: what it sends, or the plain reason why not.

use crate::access::Who;
use crate::camera_input::CameraInput;
use crate::extract::Json;
use crate::source::source;
use crate::{App, Problem, token};
use axum::extract::State;
use domain::CameraId;
use domain::camera::StreamKind;
use relay::ingest::{self, Source};
use serde::Serialize;
use std::time::Duration;

/// How long one stream may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);

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
    /// The sound it offers, if its record says why sound is taken.
    audio: Option<&'static str>,
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
    let problem = |why: String| ProbedView { problem: Some(why), ..ProbedView::default() };
    let opened = tokio::time::timeout(PATIENCE, ingest::open(source, app.parts.fleet.policy())).await;
    let session = match opened {
        Err(_) => return problem("the camera did not answer within 8 s".to_owned()),
        Ok(Err(why)) => return problem(why.to_string()),
        Ok(Ok(session)) => session,
    };
    match session.params() {
        Err(why) => problem(why.to_string()),
        Ok(params) => {
            let params = params.unwrap_or_default();
            let video = params.video.as_deref();
            ProbedView {
                codec: video.map(media::TrackParams::name),
                width: video.map(|video| video.width),
                height: video.map(|video| video.height),
                audio: params.audio.as_deref().map(media::TrackParams::name),
                problem: None,
            }
        }
    }
}
