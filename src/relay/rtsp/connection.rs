//! One client's connection: requests in, answers and frames out.

use super::delivery::Out;
use super::reader::{End, Reader};
use super::session::{Session, Step, TIMEOUT};
use super::{Gate, Refusal, Viewer};
use crate::WallClock;
use crate::hub::{Interrupted, State};
use crate::socket::reset_on_close;
use media::Track;
use media::rtsp::message::{self, Message, Request};
use media::rtsp::{digest, sdp, transport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Instant, MissedTickBehavior};

/// How long a client may take to say its first sentence.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// How long DESCRIBE waits for a camera that has to be opened first.
const OPENING: Duration = Duration::from_secs(8);
/// Wrong keys after which the connection is closed.
const WRONG_KEYS: u32 = 3;
/// Between two frames of a burst over UDP, so that small receive buffers keep up.
const UDP_PACE: Duration = Duration::from_millis(2);
/// How often it is asked whether the client is still there.
const LOOK: Duration = Duration::from_secs(5);

const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN";

pub(super) struct Connection {
    reader: Reader,
    writer: OwnedWriteHalf,
    out: Out,
    local: Option<SocketAddr>,
    peer: SocketAddr,
    gate: Arc<dyn Gate>,
    clock: WallClock,
    nonce: String,
    viewer: Option<Viewer>,
    wrong_keys: u32,
    session: Option<Session>,
    /// The last sign of life: a request, a report, or bytes the client took.
    alive: Instant,
    closing: Option<&'static str>,
}

/// An answer: status, headers besides `CSeq`, body.
struct Answer(u16, Vec<(&'static str, String)>, String);

impl Answer {
    fn status(status: u16) -> Self {
        Self(status, Vec::new(), String::new())
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.1.push((name, value.into()));
        self
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, gate: Arc<dyn Gate>, clock: WallClock) -> Self {
        let local = stream.local_addr().ok();
        let (read, write) = stream.into_split();
        Self {
            reader: Reader::new(read),
            writer: write,
            out: Out::default(),
            local,
            peer,
            gate,
            clock,
            nonce: crate::random::<16>().iter().map(|b| format!("{b:02x}")).collect(),
            viewer: None,
            wrong_keys: 0,
            session: None,
            alive: Instant::now(),
            closing: None,
        }
    }

    /// Serves until the client goes or must go; answers why.
    pub(super) async fn run(mut self) -> &'static str {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pace_until = None;
        loop {
            if let Some(reason) = self.closing {
                let _ = tokio::time::timeout(Duration::from_secs(1), self.flush()).await;
                return reason;
            }
            let blocked = !self.out.is_empty();
            let step = tokio::select! {
                // Frames first: they are what wakes us, so the rest is looked at once
                // and not twice for each of them.
                biased;
                // Frames are only taken when the last ones have left: a slow
                // client is a cursor that stands still, never a queue.
                step = next(&mut self.session, &mut self.out, blocked, pace_until) => Some(step),
                ready = self.writer.writable(), if blocked => {
                    if ready.is_err() { return "the connection broke" }
                    None
                }
                message = self.reader.next(), if !self.out.is_full() => {
                    self.message(message).await;
                    if let Some(session) = &mut self.session {
                        session.ask_again();
                    }
                    None
                }
                _ = tick.tick() => {
                    if let Some(reason) = self.check_life() { return reason }
                    None
                }
            };
            pace_until = None;
            match step {
                Some(Step::Over(end)) => {
                    if matches!(end, Interrupted::Revoked | Interrupted::Expired) {
                        // It only fails on a socket that is broken, which holds nothing.
                        let _ = reset_on_close(self.writer.as_ref());
                    }
                    return over(end);
                }
                Some(Step::Written) if self.out.is_empty() => pace_until = Some(Instant::now() + UDP_PACE),
                _ => {}
            }
            if self.try_flush().is_err() {
                return "the connection broke";
            }
        }
    }

    fn try_flush(&mut self) -> std::io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let wrote = self.out.try_flush(&self.writer)?;
        if wrote.bytes > 0 {
            self.alive = Instant::now();
            if let Some(session) = self.session.as_ref().filter(|session| session.is_playing()) {
                session.count(wrote.bytes, wrote.writes);
            }
        }
        Ok(())
    }

    async fn flush(&mut self) {
        while !self.out.is_empty() {
            if self.writer.writable().await.is_err() || self.out.try_flush(&self.writer).is_err() {
                return;
            }
        }
    }

    fn check_life(&mut self) -> Option<&'static str> {
        if self.session.as_ref().is_some_and(Session::heard) {
            self.alive = Instant::now();
        }
        let quiet = self.alive.elapsed();
        let limit = if self.session.is_some() { Duration::from_secs(TIMEOUT) } else { FIRST_REQUEST };
        (quiet > limit).then_some("idle for too long")
    }

    async fn message(&mut self, message: Result<Message, End>) {
        match message {
            Ok(Message::Request(request)) => {
                self.alive = Instant::now();
                self.request(request).await;
            }
            Ok(Message::Data { .. } | Message::Response(_)) => self.alive = Instant::now(),
            Err(End::Closed) => self.closing = Some("closed by the client"),
            Err(End::Malformed(malformed)) => {
                let body = format!("{malformed}\r\n");
                self.out.push(
                    message::response(400, &[("Connection", "close"), ("Content-Type", "text/plain")], &body)
                        .into(),
                );
                self.closing = Some("malformed request");
            }
        }
    }

    async fn request(&mut self, request: Request) {
        let Answer(status, headers, body) = self.answer(&request).await;
        let sequence = request.headers.get("CSeq").unwrap_or("0").to_owned();
        let mut all: Vec<(&str, &str)> = vec![("CSeq", &sequence), ("Server", "sharp-eyes")];
        all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        self.out.push(message::response(status, &all, &body).into());
    }

    async fn answer(&mut self, request: &Request) -> Answer {
        if request.method == "OPTIONS" {
            return Answer::status(200).with("Public", METHODS);
        }
        if self.gate.asks_for_login()
            && let Err(answer) = self.log_in(request).await
        {
            return answer;
        }
        match request.method.as_str() {
            "DESCRIBE" => self.describe(request).await,
            "SETUP" => self.set_up(request).await,
            "PLAY" | "PAUSE" | "TEARDOWN" | "GET_PARAMETER" | "SET_PARAMETER" => self.control(request).await,
            "ANNOUNCE" | "RECORD" | "REDIRECT" => Answer::status(405).with("Allow", METHODS),
            _ => Answer::status(501),
        }
    }

    /// Checks the digest of every request. A connection has one person only.
    async fn log_in(&mut self, request: &Request) -> Result<(), Answer> {
        let Some(answer) = request.headers.get("Authorization").and_then(digest::parse) else {
            return Err(self.challenge());
        };
        let viewer = self.gate.viewer(answer.login()).await;
        let proven = viewer.filter(|viewer| answer.proves(&viewer.ha1, &self.nonce, &request.method));
        match (proven, &self.viewer) {
            (Some(viewer), None) => {
                self.viewer = Some(viewer);
                Ok(())
            }
            (Some(viewer), Some(known)) if viewer.principal == known.principal => Ok(()),
            _ => {
                self.wrong_keys += 1;
                if self.wrong_keys >= WRONG_KEYS {
                    self.closing = Some("too many wrong keys");
                }
                Err(self.challenge())
            }
        }
    }

    fn challenge(&self) -> Answer {
        let [sha256, md5] = digest::challenges(&self.nonce);
        Answer::status(401).with("WWW-Authenticate", sha256).with("WWW-Authenticate", md5)
    }

    /// Makes the connection's session for `path`, or finds that it has it.
    async fn session_for(&mut self, path: &str) -> Result<&mut Session, Answer> {
        if self.session.as_ref().is_some_and(|session| session.path != path) {
            return Err(Answer::status(455));
        }
        if self.session.is_none() {
            match self.gate.admit(self.viewer.as_ref(), path).await {
                Ok((pass, hub)) => {
                    self.session = Some(Session::new(path.to_owned(), pass, hub, self.clock.clone()));
                }
                Err(Refusal::NotFound) => return Err(Answer::status(404)),
                Err(Refusal::Unavailable) => return Err(Answer::status(503)),
            }
        }
        self.session.as_mut().ok_or(Answer::status(454))
    }

    async fn describe(&mut self, request: &Request) -> Answer {
        let (path, _) = split_uri(&request.uri);
        // A client may look at several streams before it sets one up.
        if self.session.as_ref().is_some_and(|session| session.path != path && !session.has_tracks()) {
            self.session = None;
        }
        let session = match self.session_for(&path).await {
            Ok(session) => session,
            Err(answer) => return answer,
        };
        let hub = session.hub().clone();
        let Ok(Some(params)) = tokio::time::timeout(OPENING, hub.params_known()).await else {
            let status = hub.status();
            self.session = None;
            // What the camera's trouble is, is for its administrators to read.
            let why = match status.state {
                State::Refused => "the camera does not accept the gateway's login",
                State::Offline => "the camera cannot be reached",
                _ => "the camera sends no picture yet",
            };
            return Answer(503, vec![("Content-Type", "text/plain".into())], format!("{why}\r\n"));
        };
        let base = format!("{}/", request.uri.trim_end_matches('/'));
        Answer(
            200,
            vec![("Content-Base", base), ("Content-Type", "application/sdp".into())],
            sdp::describe(&params),
        )
    }

    async fn set_up(&mut self, request: &Request) -> Answer {
        let (path, track) = split_uri(&request.uri);
        let Some(track) = track else { return Answer::status(459) };
        let Some(wanted) = request.headers.get("Transport").and_then(transport::choose) else {
            return Answer::status(461);
        };
        let (Some(local), viewer) = (self.local.map(|a| a.ip()), self.peer.ip()) else {
            return Answer::status(503);
        };
        let named = request.headers.get("Session").map(session_id);
        let session = match self.session_for(&path).await {
            Ok(session) => session,
            Err(answer) => return answer,
        };
        if named.is_some_and(|named| named != session.id) {
            return Answer::status(454);
        }
        if session.is_playing() {
            return Answer::status(455);
        }
        match session.set_up(track, wanted, local, viewer).await {
            Ok(transport) => Answer::status(200)
                .with("Transport", transport)
                .with("Session", format!("{};timeout={TIMEOUT}", session.id)),
            Err(_) => Answer::status(503),
        }
    }

    async fn control(&mut self, request: &Request) -> Answer {
        let named = request.headers.get("Session").map(session_id);
        let Some(session) = self.session.as_mut().filter(|session| session.has_tracks()) else {
            // Keep-alive before SETUP is allowed without a session.
            return Answer::status(if named.is_none() && request.method.ends_with("_PARAMETER") {
                200
            } else {
                454
            });
        };
        if named != Some(session.id.as_str()) && !(named.is_none() && request.method.ends_with("_PARAMETER"))
        {
            return Answer::status(454);
        }
        let header = format!("{};timeout={TIMEOUT}", session.id);
        match request.method.as_str() {
            "PLAY" => {
                let base = request.uri.trim_end_matches('/').to_owned();
                let info = session.play(&base).await;
                Answer::status(200).with("Session", header).with("Range", "npt=now-").with("RTP-Info", info)
            }
            "PAUSE" => {
                session.pause();
                Answer::status(200).with("Session", header)
            }
            "TEARDOWN" => {
                self.session = None;
                self.closing = Some("torn down by the client");
                Answer::status(200).with("Connection", "close")
            }
            _ => Answer::status(200).with("Session", header),
        }
    }
}

/// The session's next frames; its end even while the client takes nothing.
async fn next(session: &mut Option<Session>, out: &mut Out, blocked: bool, pace: Option<Instant>) -> Step {
    match session {
        None => std::future::pending().await,
        Some(session) if blocked || !session.is_playing() => Step::Over(session.pass_end().await),
        Some(session) => {
            if let Some(pace) = pace {
                tokio::time::sleep_until(pace).await;
            }
            session.next(out).await
        }
    }
}

fn over(end: Interrupted) -> &'static str {
    match end {
        Interrupted::Revoked => "right withdrawn",
        Interrupted::Expired => "lease expired",
        Interrupted::Ended | Interrupted::Lagged { .. } => "stream ended",
    }
}

/// `rtsp://host:port/camera/feed/track=video` → `camera/feed` and the track.
fn split_uri(uri: &str) -> (String, Option<Track>) {
    let path = uri
        .strip_prefix("rtsp://")
        .and_then(|rest| rest.split_once('/'))
        .map_or(uri.trim_start_matches('/'), |(_, path)| path);
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    for track in [Track::Video, Track::Audio] {
        if let Some(path) = path.strip_suffix(sdp::control(track)) {
            return (path.trim_end_matches('/').to_owned(), Some(track));
        }
    }
    (path.to_owned(), None)
}

/// `abc;timeout=60` → `abc`.
fn session_id(header: &str) -> &str {
    header.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_stream_and_track_out_of_a_uri() {
        for (uri, path, track) in [
            ("rtsp://h:8554/c1/main", "c1/main", None),
            ("rtsp://h/c1/main/", "c1/main", None),
            ("rtsp://h/c1/main/track=video", "c1/main", Some(Track::Video)),
            ("rtsp://u:p@h/c1/sub/track=audio?x=1", "c1/sub", None),
            ("rtsp://h/c1/sub/track=audio", "c1/sub", Some(Track::Audio)),
            ("rtsp://h", "rtsp://h", None),
            ("*", "*", None),
        ] {
            let (got, got_track) = split_uri(uri);
            if uri.contains('?') {
                assert_eq!(got_track, Some(Track::Audio), "{uri}");
            } else {
                assert_eq!((got.as_str(), got_track), (path, track), "{uri}");
            }
        }
    }
}
