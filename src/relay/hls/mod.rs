//! Low-latency HLS: one packager for each stream that somebody watches so, shared by
//! all who do.
//!
//! The packager reads the stream through a tap, without an admission; what it makes is
//! handed out by `web::hls`, which holds one for each viewer. Parts and playlists are
//! made once for all viewers, who wait for them on one `watch`.

mod packager;
#[cfg(test)]
mod tests;

pub use media::hls::Name;

use crate::hub::{Hub, Interest};
use bytes::Bytes;
use media::hls::playlist;
use media::hls::{Found, Position, Window};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How long somebody waits for a stream's first part.
const FIRST: Duration = Duration::from_secs(10);
/// The longest that somebody waits for a part or a playlist; a request must be answered
/// before its time is over.
const LONGEST: Duration = Duration::from_secs(25);

/// What viewers of a stream see at one moment.
#[derive(Debug)]
struct View {
    window: Window,
    /// The whole media playlist.
    playlist: Bytes,
    /// What is new in it.
    delta: Bytes,
}

/// What is known of a stream.
#[derive(Clone, Debug, Default)]
enum Known {
    /// There is no part yet.
    #[default]
    Nothing,
    /// It can be played.
    View(Arc<View>),
    /// It cannot, whatever comes.
    Unplayable,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is asked for what will not be there for a long time.
    TooFar,
    /// There is no such file, or no longer.
    Nothing,
    /// It did not come in time. The reason, if it is the camera's.
    Late(Arc<str>),
    /// The stream has no picture that HLS can carry.
    Unplayable,
    /// The stream has ended.
    Ended,
}

/// What a player asks a playlist for (RFC 8216bis, section 6.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Wait for the segment of this media sequence number.
    pub segment: Option<u64>,
    /// Wait for this part of it.
    pub part: Option<u64>,
    /// Leave out what the player has.
    pub skip: bool,
}

/// The packagers of all streams.
#[derive(Debug)]
pub struct Streams {
    /// By stream and query. A dead entry is replaced when its stream is asked for, or
    /// removed when another is.
    streams: Mutex<HashMap<(usize, String), Weak<Stream>>>,
    tasks: TaskTracker,
}

/// One stream as HLS, for as long as somebody holds it.
#[derive(Debug)]
pub struct Stream {
    known: watch::Receiver<Known>,
    hub: Hub,
    query: String,
    /// A rendition is only made while somebody wants it.
    _wanted: Interest,
    _stop: DropGuard,
}

impl Streams {
    /// No streams; packagers run on `tasks`.
    #[must_use]
    pub fn new(tasks: TaskTracker) -> Self {
        Self { streams: Mutex::default(), tasks }
    }

    /// The stream of this hub, packaged from now on if it was not before. `query` goes
    /// behind every name in its playlists, with its question mark.
    #[must_use]
    pub fn of(&self, hub: &Hub, query: &str) -> Arc<Stream> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (hub.key(), query.to_owned());
        let running = streams.get(&key).and_then(Weak::upgrade).filter(|stream| !stream.is_over());
        if let Some(stream) = running {
            return stream;
        }
        streams.retain(|_, stream| stream.strong_count() > 0);
        let (sender, known) = watch::channel(Known::default());
        let stop = CancellationToken::new();
        self.tasks.spawn(packager::run(hub.clone(), query.to_owned(), sender, stop.clone()));
        let stream = Arc::new(Stream {
            known,
            hub: hub.clone(),
            query: query.to_owned(),
            _wanted: hub.want(),
            _stop: stop.drop_guard(),
        });
        streams.insert(key, Arc::downgrade(&stream));
        stream
    }
}

impl Stream {
    /// Its packager has ended: the stream has, or something broke.
    fn is_over(&self) -> bool {
        self.known.has_changed().is_err()
    }

    /// The query that leads to this stream.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The multivariant playlist, once it is known what the stream carries. The media
    /// playlist is at `uri`.
    pub async fn index(&self, uri: &str) -> Result<Bytes, Refusal> {
        let view = self.wait(|_| Position::Here).await?;
        let text = playlist::multivariant(&view.window, uri).ok_or(Refusal::Unplayable)?;
        Ok(text.into())
    }

    /// The media playlist, when it has what is asked for.
    pub async fn playlist(&self, directives: Directives) -> Result<Bytes, Refusal> {
        let Directives { segment, part, skip } = directives;
        // Without a segment, a part means nothing.
        let position = |window: &Window| match segment {
            Some(segment) => window.position(segment, part),
            None if part.is_some() => Position::TooFar,
            None => Position::Here,
        };
        let view = self.wait(position).await?;
        Ok(if skip { view.delta.clone() } else { view.playlist.clone() })
    }

    /// A file, when it is there; the part that is made next is waited for.
    pub async fn file(&self, name: Name) -> Result<Vec<Bytes>, Refusal> {
        let position = |window: &Window| match window.find(name) {
            Found::Soon => Position::Ahead,
            Found::Here(_) | Found::Nothing => Position::Here,
        };
        let view = self.wait(position).await?;
        match view.window.find(name) {
            Found::Here(bytes) => Ok(bytes),
            Found::Soon | Found::Nothing => Err(Refusal::Nothing),
        }
    }

    /// Waits until there is something to play and `position` finds it there.
    async fn wait(&self, position: impl Fn(&Window) -> Position) -> Result<Arc<View>, Refusal> {
        let mut known = self.known.clone();
        let patience = match &*known.borrow() {
            // Section 6.2.5.2: three target durations.
            Known::View(view) => (view.window.targets().segment() * 3).min(LONGEST),
            Known::Nothing | Known::Unplayable => FIRST,
        };
        let waiting = async {
            loop {
                match &*known.borrow_and_update() {
                    Known::Nothing => {}
                    Known::Unplayable => return Err(Refusal::Unplayable),
                    Known::View(view) => match position(&view.window) {
                        Position::Here => return Ok(Arc::clone(view)),
                        Position::TooFar => return Err(Refusal::TooFar),
                        Position::Ahead => {}
                    },
                }
                known.changed().await.map_err(|_| Refusal::Ended)?;
            }
        };
        let waited = tokio::time::timeout(patience, waiting).await;
        waited.unwrap_or_else(|_| Err(Refusal::Late(self.hub.status().detail)))
    }
}
