//! Live view for browsers: fMP4 over WebSocket.

mod viewer;

use crate::access::Who;
use crate::extract::{Path, Query, id};
use crate::rendition;
use crate::serve::Peer;
use crate::source::stream_id;
use crate::websocket::Asked;
use crate::{App, Problem};
use async_trait::async_trait;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use domain::camera::StreamKind;
use domain::viewing::{Purpose, ViewingTransport};
use domain::{CameraId, Words as _};
use relay::Admission;
use relay::hub::Hub;
use relay::live_fmp4::Session;
use serde::Deserialize;

/// Decides who may watch; implemented by the root package's `admit.rs`.
#[async_trait]
pub trait Admit: Send + Sync {
    /// Admits a signed-in person to a stream over `transport`. A camera that is
    /// not there and one they may not see are refused alike. Without a purpose it is
    /// their role's usual one.
    async fn admit(
        &self,
        who: &Who,
        camera: &CameraId,
        stream: StreamKind,
        transport: ViewingTransport,
        purpose: Option<Purpose>,
    ) -> Result<(Admission, Hub), Problem>;
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Why: `resident_view`, `patrol`, `grid_work`, `incident` or `maintenance`, as far as
    /// it fits the role; the role's usual one if it is not said.
    pub(crate) purpose: Option<String>,
}

/// Watch a stream: text messages say how it is, binary ones are fMP4.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/{stream}/live", tag = "watching", operation_id = "watch_live",
    params(("id" = String, Path), ("stream" = String, Path, description = "`main` or `sub`"), Wanted,
        rendition::Wanted),
    responses((status = 101, description = "a WebSocket"), (status = 404), (status = 422), (status = 426),
        (status = 429, description = "too many pictures")))]
pub(crate) async fn watch(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    Path((camera, stream)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
    Query(rendition): Query<rendition::Wanted>,
    request: Request,
) -> Result<Response, Problem> {
    let camera = id(CameraId::parse, &camera)?;
    let stream = id(StreamKind::from_word, &stream)?;
    let asked = Asked::new(request)?;
    // Before anything is asked about the camera: the answer is the same for every id.
    let purpose =
        wanted.purpose.map(|word| Purpose::from_word(&word).ok_or_else(wrong_purpose)).transpose()?;
    let rendition = rendition.parse()?;
    let (pass, hub) =
        app.parts.admit.admit(&who, &camera, stream, ViewingTransport::WebSocket, purpose).await?;
    let hub = rendition::choose(&app, &stream_id(&camera, stream), hub, rendition)?;
    let session = Session::new(hub.watch(pass));
    let closing = app.parts.closing.clone();
    let Peer { seat, cut, .. } = peer;
    Ok(asked.accept(&app.parts.viewers, async move |socket| {
        let _seat = seat;
        viewer::serve(socket, session, hub, closing, &cut).await;
    }))
}

/// The purpose is none, or not one for this person.
#[must_use]
pub fn wrong_purpose() -> Problem {
    Problem::field("purpose", format!("use one that fits your role, of {}", Purpose::WORDS.join(", ")))
}
