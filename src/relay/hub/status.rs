//! How a stream is, and what it has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody watches; nothing is pulled.
    Idle,
    /// The camera is being asked.
    Connecting,
    /// Frames arrive.
    Live,
    /// Connected, but no frame for ten seconds.
    Stale,
    /// The camera cannot be reached; it is tried again.
    Offline,
    /// The camera does not accept us; it is tried again, rarely.
    Refused,
}

/// A state with its history and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Wall time at which it began, since the Unix epoch.
    pub since: Duration,
    /// Why, as a sentence for people; empty where there is nothing to say.
    pub detail: Arc<str>,
}

/// What a stream has counted since it was made. Tests rest on these, and so do
/// the metrics.
#[derive(Debug, Default)]
pub struct Stats {
    /// Frames pushed by the camera.
    pub frames: AtomicU64,
    /// Bytes that the camera's session holds, looked at once a second; 0 where nothing is metered.
    pub held_bytes: AtomicU64,
    /// RTSP images built: at most one per frame.
    pub images: AtomicU64,
    /// fMP4 fragments built: at most one per frame.
    pub fragments: AtomicU64,
    /// HLS parts built.
    pub parts: AtomicU64,
    /// HLS playlists written: at most one for each change.
    pub playlists: AtomicU64,
    /// WebRTC payloads built: at most one per frame.
    pub payloads: AtomicU64,
    /// Bytes of frames copied into wire forms.
    pub copied_bytes: AtomicU64,
    /// Writes to viewers' sockets.
    pub writes: AtomicU64,
    /// Bytes written to viewers' sockets.
    pub written_bytes: AtomicU64,
    /// Times a viewer got on a bus: seldom, where they keep up.
    pub boardings: AtomicU64,
    /// Datagrams that WebRTC viewers got; a write of theirs carries many.
    pub datagrams: AtomicU64,
    /// Packets that WebRTC viewers lost and got again.
    pub resent: AtomicU64,
    /// Times a viewer was too slow and jumped to a key frame.
    pub lagged: AtomicU64,
}

impl Stats {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Reads a counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
