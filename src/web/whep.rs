//! WebRTC for browsers: an offer comes in, an answer goes out, the rest is UDP
//! (RFC 9725, with media the other way round).
//!
//! A session's address belongs to the signed-in session that made it; to anybody else
//! there is nothing there.

use crate::access::Who;
use crate::extract::{Path, Query, has_type, id};
use crate::live::{Wanted, wrong_purpose};
use crate::source::stream_id;
use crate::{App, Problem, rendition};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::CameraId;
use domain::camera::StreamKind;
use domain::viewing::{Purpose, ViewingTransport};
use media::Params;
use relay::hub::{Hub, State as StreamState};
use relay::rendition::{Rendition, Video};
use relay::whep::{Chosen, Fit, MAX_OFFER, Malformed, Offer, Refused, Restart, Server, fit};
use relay::{Admission, StreamId};
use std::sync::Arc;
use std::time::Duration;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// How long a camera is waited for that has to be opened first.
const OPENING: Duration = Duration::from_secs(8);
/// … and one that is known to be away: it is tried again as soon as somebody asks. Who waited
/// longer would keep one of the six connections of their browser from the rest of the page.
const AGAIN: Duration = Duration::from_secs(1);
/// How long somebody waits who has as many sessions as they may.
const FULL: Duration = Duration::from_secs(15);

/// Watch a stream by WebRTC: an offer to receive is answered. The picture is sent as it is
/// (H.264), sound where the viewer can play it (G.711, Opus); else 406 says what to do.
#[utoipa::path(post, path = "/api/v1/cameras/{id}/{stream}/whep", tag = "watching", operation_id = "open_whep",
    params(("id" = String, Path), ("stream" = String, Path, description = "`main` or `sub`"), Wanted),
    request_body(content = String, content_type = "application/sdp", description = "the offer"),
    responses(
        (status = 201, body = String, content_type = "application/sdp", description = "the answer",
            headers(
                ("Location" = String, description = "the session, for PATCH and DELETE"),
                ("ETag" = String, description = "the session's ICE session"),
                ("Accept-Patch" = String, description = "what PATCH takes")
            )),
        (status = 406, description = "the offer takes nothing of what the stream carries"),
        (status = 429, description = "too many sessions of this person, or in all"),
    ))]
pub(crate) async fn open(
    State(app): State<App>,
    who: Who,
    Path((camera, stream)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let camera = id(CameraId::parse, &camera)?;
    let stream = id(StreamKind::from_word, &stream)?;
    // Before anything is asked about the camera: the answer is the same for every id.
    let offer = Offer::parse(text(&headers, &body, SDP)?).map_err(not_sdp)?;
    let purpose =
        wanted.purpose.map(|word| Purpose::from_word(&word).ok_or_else(wrong_purpose)).transpose()?;
    let server = server(&app)?;
    server.has_room(who.person.id.as_str()).map_err(refused)?;
    let (pass, hub) = app.parts.admit.admit(&who, &camera, stream, ViewingTransport::Whep, purpose).await?;
    let (hub, chosen) = playable(&app, &stream_id(&camera, stream), hub, &offer, &pass).await?;
    let path = path(&camera, stream);
    let wanted =
        relay::whep::Wanted { owner: who.session.id.as_str(), person: who.person.id.as_str(), path: &path };
    let opened = server.open(&wanted, &offer, &chosen, pass, hub).map_err(refused)?;
    let location = format!("/api/v1/cameras/{path}/whep/{}", opened.id);
    let headers = [
        (CONTENT_TYPE, SDP.to_owned()),
        (LOCATION, location),
        (ETAG, format!("\"{}\"", opened.mark)),
        (ACCEPT_PATCH, FRAGMENT.to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, opened.answer).into_response())
}

/// The stream that is sent to this viewer. The one place that decides whether it is
/// the camera's own or has to be another rendition of it.
async fn playable(
    app: &App,
    id: &StreamId,
    hub: Hub,
    offer: &Offer,
    pass: &Admission,
) -> Result<(Hub, Vec<Chosen>), Problem> {
    let wanted = relay::whep::rendition(&*params(&hub, pass).await?, offer);
    let wanted = if app.parts.decoder.is_there() { wanted } else { Rendition::default() };
    let hub = match rendition::choose(app, id, hub.clone(), wanted) {
        // A picture without its sound is better than none.
        Err(_) if wanted.video == Video::Keep => hub,
        chosen => chosen?,
    };
    let params = params(&hub, pass).await?;
    match fit(&params, offer) {
        Fit::AsItIs(chosen) => Ok((hub, chosen)),
        Fit::NeedsH264 { have } => Err(Problem::NotPlayable(format!(
            "the camera sends {have}, which this offer does not take; watch by another way, \
             or let the camera send H.264"
        ))),
        Fit::NeedsFragments => Err(Problem::NotPlayable(
            "the camera sends H.264, which this offer does not take; offer H264/90000 with packetization-mode=1, \
             or watch by another way"
                .into(),
        )),
        Fit::NothingAsked => Err(Problem::NotPlayable(
            "the offer has no section to receive what the stream carries; add a recvonly video section"
                .into(),
        )),
    }
}

/// What the stream carries; a camera that nobody watched is opened first. Waits no longer
/// than until the camera turns out to be away.
async fn params(hub: &Hub, pass: &Admission) -> Result<Arc<Params>, Problem> {
    let _wanted = hub.want();
    let opened = async {
        if hub.status().state == StreamState::Offline {
            return tokio::time::timeout(AGAIN, hub.params_known()).await.ok().flatten();
        }
        tokio::select! {
            params = hub.params_known() => params,
            Err(_away) = hub.key_frame(pass) => None,
        }
    };
    if let Ok(Some(params)) = tokio::time::timeout(OPENING, opened).await {
        return Ok(params);
    }
    // What the camera's trouble is, is for its administrators to read.
    let why = match hub.status().state {
        StreamState::Refused => "the camera does not accept the gateway's login",
        StreamState::Offline => "the camera cannot be reached",
        _ => "the camera sends no picture yet",
    };
    Err(Problem::Unavailable(format!("{why}; try again")))
}

/// Trickle a candidate, which changes nothing, or restart ICE.
#[utoipa::path(patch, path = "/api/v1/cameras/{id}/{stream}/whep/{session}", tag = "watching", operation_id = "patch_whep",
    params(("id" = String, Path), ("stream" = String, Path, description = "`main` or `sub`"), ("session" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the entity tag of the ICE session, or `*` to restart")),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag", description = "the fragment"),
    responses(
        (status = 200, body = String, content_type = "application/trickle-ice-sdpfrag", description = "ICE begins anew",
            headers(("ETag" = String, description = "the new ICE session"))),
        (status = 204, description = "nothing changes"),
        (status = 412, description = "the ICE session is another one by now"),
        (status = 428, description = "the request does not say which ICE session it means"),
    ))]
pub(crate) async fn patch(
    State(app): State<App>,
    who: Who,
    Path((camera, stream, session)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let path = path(&id(CameraId::parse, &camera)?, id(StreamKind::from_word, &stream)?);
    let (server, owner) = (server(&app)?, who.session.id.as_str());
    server.mark(&session, owner, &path).ok_or(Problem::NotFound)?;
    let fragment = text(&headers, &body, FRAGMENT)?;
    // RFC 9725 section 4.3.1: who does not say which session they mean is not heard.
    let marked = headers.get(IF_MATCH).ok_or(Problem::PreconditionRequired("send If-Match with the ETag"))?;
    let marked = marked.to_str().unwrap_or_default().trim();
    let marked = (marked != "*").then(|| marked.trim_matches('"'));
    match server.trickle(&session, owner, &path, marked, fragment).await.ok_or(Problem::NotFound)? {
        Ok(Restart::Same) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(Restart::Anew { fragment, mark }) => {
            let headers = [(CONTENT_TYPE, FRAGMENT.to_owned()), (ETAG, format!("\"{mark}\""))];
            Ok((StatusCode::OK, headers, fragment).into_response())
        }
        Err(why) => Err(refused(why)),
    }
}

/// End a session.
#[utoipa::path(delete, path = "/api/v1/cameras/{id}/{stream}/whep/{session}", tag = "watching", operation_id = "close_whep",
    params(("id" = String, Path), ("stream" = String, Path, description = "`main` or `sub`"), ("session" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn close(
    State(app): State<App>,
    who: Who,
    Path((camera, stream, session)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let path = path(&id(CameraId::parse, &camera)?, id(StreamKind::from_word, &stream)?);
    if server(&app)?.end(&session, who.session.id.as_str(), &path) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::NotFound)
    }
}

fn path(camera: &CameraId, stream: StreamKind) -> String {
    format!("{camera}/{}", stream.word())
}

fn server(app: &App) -> Result<&Server, Problem> {
    app.parts.whep.as_ref().ok_or_else(|| {
        Problem::Unavailable("webrtc is switched off; set webrtc.listen, or watch by another way".into())
    })
}

/// The body, if it is text of this type.
fn text<'b>(headers: &HeaderMap, body: &'b Bytes, kind: &'static str) -> Result<&'b str, Problem> {
    if !has_type(headers, &[kind]) {
        return Err(Problem::MediaType(kind));
    }
    if body.len() > MAX_OFFER {
        return Err(Problem::TooLarge("64 KiB"));
    }
    std::str::from_utf8(body).map_err(|_| Problem::NotSdp("it is no UTF-8".to_owned()))
}

fn not_sdp(why: Malformed) -> Problem {
    Problem::NotSdp(why.to_string())
}

fn refused(why: Refused) -> Problem {
    match why {
        Refused::NotListening => Problem::Unavailable("webrtc is not listening yet; try again".into()),
        Refused::Full => Problem::TooMany(FULL),
        Refused::Changed => Problem::PreconditionFailed("the ICE session is another one by now"),
        Refused::Malformed(why) => not_sdp(why),
    }
}
