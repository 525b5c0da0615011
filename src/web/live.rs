//! Live view for browsers: fMP4 over WebSocket.

use crate::access::Who;
use crate::extract::{Path, Query, id};
use crate::rendition;
use crate::seldom::Seldom;
use crate::serve::Peer;
use crate::source::stream_id;
use crate::websocket::{Asked, Socket};
use crate::wire::Cut;
use crate::{App, Problem};
use async_trait::async_trait;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use bytes::Bytes;
use domain::camera::StreamKind;
use domain::viewing::{Purpose, ViewingTransport};
use domain::{CameraId, Words as _};
use relay::Admission;
use relay::hub::Hub;
use relay::live_fmp4::{Message, Session};
use serde::Deserialize;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Said};
use tokio_util::sync::CancellationToken;

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

/// How often a browser is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How long it may be silent, or take nothing.
const SILENCE: Duration = Duration::from_secs(50);
/// How long a browser may take to take its goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// RFC 6455: the server is going down.
const GOING_AWAY: u16 = 1_001;
const STOPPING: &str = "the gateway is stopping";
/// So many messages are sent before anything else is asked, however many there are.
const IN_A_ROW: usize = 16;

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
        serve(socket, session, closing, &cut).await;
    }))
}

/// The purpose is none, or not one for this person.
#[must_use]
pub fn wrong_purpose() -> Problem {
    Problem::field("purpose", format!("use one that fits your role, of {}", Purpose::WORDS.join(", ")))
}

/// What happens beside frames and what the browser says.
enum Happens {
    /// The gateway is stopping.
    Stopping,
    /// It is time to ask whether the browser is there.
    Ping,
}

impl Happens {
    async fn next(closing: CancellationToken) -> Self {
        tokio::select! {
            () = closing.cancelled() => Self::Stopping,
            () = tokio::time::sleep(PING) => Self::Ping,
        }
    }
}

async fn serve(mut socket: Socket, mut session: Session, closing: CancellationToken, cut: &Cut) {
    let mut heard_at = Instant::now();
    let mut seldom = Seldom::new(Happens::next(closing.clone()));
    let mut in_a_row = 0;
    let goodbye = loop {
        let message = tokio::select! {
            biased;
            message = session.next(), if in_a_row < IN_A_ROW => {
                in_a_row += 1;
                message
            }
            happens = &mut seldom => match happens {
                Happens::Stopping => break Some((GOING_AWAY, STOPPING)),
                // A phone that is gone without a word is not written down as watching.
                Happens::Ping if heard_at.elapsed() > SILENCE => break None,
                Happens::Ping => {
                    seldom = Seldom::new(Happens::next(closing.clone()));
                    Message::Text(String::new())
                }
            },
            heard = socket.recv() => match heard {
                // Pings are answered inside; anything else is of no interest.
                Some(Ok(Said::Ping(_) | Said::Pong(_) | Said::Text(_))) => {
                    heard_at = Instant::now();
                    continue;
                }
                _ => break None,
            },
            // Everything else was asked: frames have their turn again.
            () = std::future::ready(()), if in_a_row >= IN_A_ROW => {
                in_a_row = 0;
                continue;
            }
        };
        let size = match &message {
            Message::Close(code, reason) => break Some((*code, *reason)),
            Message::Binary(bytes) => bytes.len(),
            Message::Text(_) => 0,
        };
        let mut sending = std::pin::pin!(async {
            match message {
                Message::Binary(bytes) => socket.send_binary(bytes).await,
                Message::Text(text) if text.is_empty() => socket.send(Said::Ping(Bytes::new())).await,
                Message::Text(text) => socket.send(Said::Text(text.into())).await,
                Message::Close(..) => Ok(()),
            }
        });
        // Mostly the kernel takes it at once, and nothing else has to be waited for.
        let at_once = std::future::poll_fn(|context| Poll::Ready(sending.as_mut().poll(context)));
        // A slow browser stands still at its place in the stream; it must not
        // outlive its right to watch while it does.
        let sent = if let Poll::Ready(sent) = at_once.await {
            sent
        } else {
            tokio::select! {
                sent = sending => sent,
                () = tokio::time::sleep(SILENCE) => break None,
                () = closing.cancelled() => break Some((GOING_AWAY, STOPPING)),
                end = session.end() => match end {
                    Message::Close(code, reason) => break Some((code, reason)),
                    _ => break None,
                },
            }
        };
        match sent {
            Ok(()) if size > 0 => session.count_write(size),
            Ok(()) => {}
            Err(_) => break None,
        }
    };
    drop(session);
    if let Some((code, reason)) = goodbye {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let goodbye = tokio::time::timeout(GOODBYE, async {
            socket.send(Said::Close(Some(frame))).await?;
            // Until the browser has answered, so that it sees the reason and not a reset.
            while let Some(Ok(_)) = socket.recv().await {}
            Ok::<_, Error>(())
        });
        // Who does not get as far as the goodbye gets nothing else either.
        if !matches!(goodbye.await, Ok(Ok(()))) {
            cut.cut();
        }
    }
}
