//! Still pictures: the newest key frame of a camera as JPEG.

use crate::access::Who;
use crate::extract::{Path, Query};
use crate::serve::Peer;
use crate::sitting::{self, sit};
use crate::source::stream_id;
use crate::{App, Problem, camera, delivery};
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{AGE, CONTENT_TYPE, LAST_MODIFIED};
use axum::response::IntoResponse;
use domain::camera::{Camera, StreamKind};
use domain::viewing::ViewingTransport;
use relay::decoder::Width;
use relay::hub;
use serde::Deserialize;
use std::time::Duration;

/// The width without a wish, in pixels.
const USUAL: u16 = 640;
/// Up to this width the sub-stream is good enough, in pixels.
const SMALL: u16 = 640;
/// Without a request for this long somebody has left. A page fetches them more often.
const QUIET: Duration = Duration::from_secs(90);

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// How wide, in pixels; what comes is at least this wide, up to the next of 160, 320, 640,
    /// 960, 1280 and 1920, unless the camera's picture is smaller. 640 if it is not said.
    #[param(minimum = 64, maximum = 1920)]
    width: Option<u16>,
}

/// A picture as a file.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Jpeg(#[expect(dead_code, reason = "it stands for the bytes in the document")] Vec<u8>);

/// A still picture of a camera: the newest there is, with its age in seconds.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/snapshot.jpg", tag = "watching", operation_id = "snapshot",
    params(("id" = String, Path), Wanted),
    responses(
        (status = 200, content_type = "image/jpeg", body = inline(Jpeg), headers(
            ("Age" = u64, description = "seconds since the picture came from the camera"),
            ("Last-Modified" = String, description = "when the picture came from the camera"))),
        (status = 404), (status = 422), (status = 429),
        (status = 503, description = "no picture at the moment; the text says why")))]
pub(crate) async fn picture(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    Path(camera): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse, Problem> {
    let width = wanted.width.unwrap_or(USUAL);
    if !(64..=1920).contains(&width) {
        return Err(Problem::field("width", "it is in pixels, from 64 to 1920"));
    }
    let camera = camera::find_for(&app, &who, &camera).await?;
    if !app.parts.decoder.is_there() {
        let why = "the gateway has no decode process, so it makes no still pictures; see decode.program";
        return Err(Problem::Unavailable(why.to_owned()));
    }
    let stream = choose(&app, &camera, width);
    let id = stream_id(&camera.id, stream);
    let wanted = sitting::Wanted {
        camera: camera.id,
        stream,
        transport: ViewingTransport::Snapshot,
        purpose: None,
        quiet: QUIET,
    };
    let sitting = sit(&app, &who, wanted).await?;
    let still = tokio::select! {
        biased;
        _ = sitting.end() => return Err(Problem::NotFound),
        still = app.parts.decoder.still(&id, sitting.hub(), sitting.pass(), Width::at_least(width)) => still,
    };
    let still = still.map_err(|why| Problem::Unavailable(why.to_string()))?;
    // The right may have ended while the picture was made.
    if sitting.pass().ended().is_some() {
        return Err(Problem::NotFound);
    }
    let age = still.arrived_at.elapsed();
    let headers: [(HeaderName, String); 3] = [
        (CONTENT_TYPE, "image/jpeg".to_owned()),
        (AGE, age.as_secs().to_string()),
        (LAST_MODIFIED, app.now().before(age).http_date()),
    ];
    Ok((headers, delivery::body(&sitting, [still.jpeg], &peer.cut)))
}

/// A small picture comes from the sub-stream, if there is one that can be had.
fn choose(app: &App, camera: &Camera, width: u16) -> StreamKind {
    if width > SMALL || camera.sub_url.is_none() {
        return StreamKind::Main;
    }
    let state = |stream| app.parts.fleet.status(&stream_id(&camera.id, stream)).map(|status| status.state);
    match (state(StreamKind::Main), state(StreamKind::Sub)) {
        // Somebody watches it already, or the other is not there.
        (Some(hub::State::Live), Some(sub)) if sub != hub::State::Live => StreamKind::Main,
        (_, None | Some(hub::State::Offline | hub::State::Refused)) => StreamKind::Main,
        _ => StreamKind::Sub,
    }
}
