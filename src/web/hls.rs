//! Low-latency HLS: the playlists of a stream and the files they name.
//!
//! `index.m3u8` is what a player opens. It names `live.m3u8`, which names everything
//! else. Playlists begin a sitting; the files are given to whoever holds one, so that
//! nobody watches for another purpose than the one they have said.

use crate::access::Who;
use crate::extract::{Path, Query, id};
use crate::serve::Peer;
use crate::sitting::{self, Key, Sitting, Wanted};
use crate::source::stream_id;
use crate::{App, Problem, delivery, live, rendition};
use axum::extract::{Extension, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use domain::camera::StreamKind;
use domain::viewing::{Purpose, ViewingTransport};
use domain::{CameraId, SessionId};
use relay::hls::{Directives, Name, Refusal, Stream};
use relay::rendition::Rendition;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Without a request for this long nobody watches any more. A player that plays asks
/// several times a second; one that is paused asks for playlists all the same.
const QUIET: Duration = Duration::from_secs(20);
/// RFC 8216, section 4.
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MP4: &str = "video/mp4";

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Why: `resident_view`, `patrol`, `grid_work`, `incident` or `maintenance`, as far as
    /// it fits the role; the role's usual one if it is not said.
    purpose: Option<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Directed {
    /// See `index.m3u8`.
    purpose: Option<String>,
    /// Answer when the playlist has the segment of this media sequence number.
    #[serde(rename = "_HLS_msn")]
    segment: Option<u64>,
    /// Answer when it has this part of it.
    #[serde(rename = "_HLS_part")]
    part: Option<u64>,
    /// `YES` or `v2`: leave out what a player already has.
    #[serde(rename = "_HLS_skip")]
    skip: Option<String>,
}

/// Whoever asks, and for what.
struct Viewer<'a> {
    app: &'a App,
    who: &'a Who,
    camera: CameraId,
    stream: StreamKind,
    rendition: Rendition,
}

impl<'a> Viewer<'a> {
    fn new(
        app: &'a App,
        who: &'a Who,
        (camera, stream): (&str, &str),
        wanted: &rendition::Wanted,
    ) -> Result<Self, Problem> {
        let (camera, stream) = (id(CameraId::parse, camera)?, id(StreamKind::from_word, stream)?);
        Ok(Self { app, who, camera, stream, rendition: wanted.parse()? })
    }

    fn session(&self) -> &SessionId {
        &self.who.session.id
    }

    /// The sitting, begun if it was not.
    async fn sit(&self, purpose: Option<Purpose>) -> Result<Arc<Sitting>, Problem> {
        let wanted = Wanted {
            camera: self.camera.clone(),
            stream: self.stream,
            transport: ViewingTransport::Hls,
            purpose,
            quiet: QUIET,
        };
        sitting::sit(self.app, self.who, wanted).await
    }

    /// The sitting that a playlist has begun.
    fn sitting(&self) -> Result<Arc<Sitting>, Problem> {
        self.app.sittings.find(&Key {
            session: self.session().clone(),
            camera: self.camera.clone(),
            stream: self.stream,
            transport: ViewingTransport::Hls,
        })
    }

    /// The stream that playlists and files are made of: chosen here and nowhere else.
    fn packaged(&self, sitting: &Sitting) -> Result<Arc<Stream>, Problem> {
        let id = stream_id(&self.camera, self.stream);
        let hub = rendition::choose(self.app, &id, sitting.hub().clone(), self.rendition)?;
        let stream = self.app.hls.of(&hub, rendition::query(self.rendition));
        sitting.hold(&stream);
        Ok(stream)
    }

    /// What `making` makes, unless the right ends before, or the gateway does.
    async fn wait<T>(
        &self,
        sitting: &Arc<Sitting>,
        making: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Problem> {
        let _waiting = self.app.sittings.wait(self.session())?;
        let _stay = sitting.stay(None);
        let made = tokio::select! {
            biased;
            _ = sitting.end() => return Err(Problem::NotFound),
            () = self.app.parts.closing.cancelled() => {
                return Err(Problem::Unavailable("the gateway is stopping; try again in a minute".into()));
            }
            made = making => made,
        };
        made.map_err(|refusal| match refusal {
            Refusal::TooFar => Problem::NotInPlaylist,
            Refusal::Nothing | Refusal::Ended => Problem::NotFound,
            Refusal::Unplayable => Problem::NotPlayable(
                "the stream has no picture that HLS can carry; watch by another way".into(),
            ),
            Refusal::Late(why) if why.is_empty() => {
                Problem::Unavailable("the camera has sent no picture for a while; try again".into())
            }
            Refusal::Late(why) => Problem::Unavailable(why.to_string()),
        })
    }
}

fn purpose(word: Option<&str>) -> Result<Option<Purpose>, Problem> {
    word.map(|word| Purpose::from_word(word).ok_or_else(live::wrong_purpose)).transpose()
}

fn answer(kind: &'static str, sitting: &Arc<Sitting>, bytes: Vec<Bytes>, peer: &Peer) -> Response {
    // Playlists say nothing of byte ranges, so no player needs them.
    let headers = [(CONTENT_TYPE, kind), (ACCEPT_RANGES, "none")];
    (headers, delivery::body(sitting, bytes, &peer.cut)).into_response()
}

/// What an HLS player opens: what the stream carries, and where it goes on.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/{stream}/hls/index.m3u8", tag = "watching", operation_id = "hls_index",
    params(("id" = String, Path), ("stream" = String, Path, description = "`main` or `sub`"), Asked, rendition::Wanted),
    responses(
        (status = 200, description = "a multivariant playlist", content_type = "application/vnd.apple.mpegurl", body = String),
        (status = 404), (status = 406, description = "not playable as asked"), (status = 422), (status = 429),
    ))]
pub(crate) async fn index(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    Path((camera, stream)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    Query(wanted): Query<rendition::Wanted>,
) -> Result<Response, Problem> {
    let viewer = Viewer::new(&app, &who, (&camera, &stream), &wanted)?;
    let purpose = purpose(asked.purpose.as_deref())?;
    let sitting = viewer.sit(purpose).await?;
    let packaged = viewer.packaged(&sitting)?;
    // What was asked for here is asked for there, too.
    let mut uri = format!("live.m3u8{}", rendition::query(viewer.rendition));
    if let Some(purpose) = purpose {
        uri.push(if uri.contains('?') { '&' } else { '?' });
        uri.push_str("purpose=");
        uri.push_str(purpose.word());
    }
    let text = viewer.wait(&sitting, packaged.index(&uri)).await?;
    Ok(answer(PLAYLIST, &sitting, vec![text], &peer))
}

/// The media playlist, at once or when it has what is waited for.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/{stream}/hls/live.m3u8", tag = "watching", operation_id = "hls_playlist",
    params(("id" = String, Path), ("stream" = String, Path, description = "`main` or `sub`"), Directed, rendition::Wanted),
    responses(
        (status = 200, description = "a media playlist, or what is new in it", content_type = "application/vnd.apple.mpegurl", body = String),
        (status = 400, description = "what is waited for is too far ahead"),
        (status = 404), (status = 406, description = "not playable as asked"), (status = 422), (status = 429),
        (status = 503, description = "it did not come in time"),
    ))]
pub(crate) async fn playlist(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    Path((camera, stream)): Path<(String, String)>,
    Query(directed): Query<Directed>,
    Query(wanted): Query<rendition::Wanted>,
) -> Result<Response, Problem> {
    let viewer = Viewer::new(&app, &who, (&camera, &stream), &wanted)?;
    let sitting = viewer.sit(purpose(directed.purpose.as_deref())?).await?;
    let packaged = viewer.packaged(&sitting)?;
    let skip = directed.skip.as_deref().is_some_and(|skip| matches!(skip, "YES" | "v2"));
    let directives = Directives { segment: directed.segment, part: directed.part, skip };
    let text = viewer.wait(&sitting, packaged.playlist(directives)).await?;
    Ok(answer(PLAYLIST, &sitting, vec![text], &peer))
}

/// An init segment, a segment or a part, as the playlist names it. The next part is
/// waited for.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/{stream}/hls/{file}", tag = "watching", operation_id = "hls_file",
    params(("id" = String, Path), ("stream" = String, Path, description = "`main` or `sub`"),
        ("file" = String, Path, description = "as a playlist that was loaded names it"), rendition::Wanted),
    responses(
        (status = 200, description = "fragmented MP4", content_type = "video/mp4", body = [u8]),
        (status = 404), (status = 406, description = "not playable as asked"), (status = 422), (status = 429),
        (status = 503, description = "it did not come in time"),
    ))]
pub(crate) async fn file(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    Path((camera, stream, name)): Path<(String, String, String)>,
    Query(wanted): Query<rendition::Wanted>,
) -> Result<Response, Problem> {
    let name = id(Name::parse, &name)?;
    let viewer = Viewer::new(&app, &who, (&camera, &stream), &wanted)?;
    let sitting = viewer.sitting()?;
    let packaged = viewer.packaged(&sitting)?;
    let bytes = viewer.wait(&sitting, packaged.file(name)).await?;
    Ok(answer(MP4, &sitting, bytes, &peer))
}

/// For the fuzz target: a query and the name of a file.
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(uri) = format!("/live.m3u8?{text}").parse::<axum::http::Uri>() {
        let _ = axum::extract::Query::<Directed>::try_from_uri(&uri);
        if let Ok(wanted) = axum::extract::Query::<rendition::Wanted>::try_from_uri(&uri) {
            let _ = wanted.0.parse();
        }
    }
    if let Some(name) = Name::parse(&text) {
        assert_eq!(name.to_string(), text, "one name, one file");
    }
    let _ = purpose(Some(&text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;
    use proptest::prelude::*;

    fn read(query: &str) -> Option<Directed> {
        let uri: Uri = format!("/live.m3u8?{query}").parse().ok()?;
        axum::extract::Query::try_from_uri(&uri).ok().map(|axum::extract::Query(directed)| directed)
    }

    proptest! {
        #[test]
        fn directives_are_read_as_players_write_them(segment: u64, part: Option<u64>, skip in "(|YES|v2|no)") {
            let mut query = format!("_HLS_msn={segment}");
            if let Some(part) = part {
                query += &format!("&_HLS_part={part}");
            }
            query += &format!("&_HLS_skip={skip}&video=h264");
            let directed = read(&query).ok_or(TestCaseError::fail("not read"))?;
            prop_assert_eq!((directed.segment, directed.part), (Some(segment), part));
            prop_assert_eq!(directed.skip.as_deref(), Some(skip.as_str()));
        }

        #[test]
        fn any_query_is_read_or_refused(query in "[ -~]{0,60}", name in "_HLS_(msn|part|skip)", value in "\\PC{0,30}") {
            read(&query);
            let directed = read(&format!("{name}={value}"));
            // What is no number is not taken for one.
            if name != "_HLS_skip" && value.parse::<u64>().is_err() && !value.contains(['&', '#', '%', '+']) {
                prop_assert!(directed.is_none(), "{} {}", name, value);
            }
        }
    }
}
