//! A reader inside the relay: it makes other forms of a stream for those who hold an
//! admission, and hands nothing to anybody itself.

use super::{Shared, Stats};
use media::Frame;
use media::gop::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a tap reads.
#[derive(Clone, Debug)]
pub(crate) enum Tapped {
    /// The next frame.
    Frame(Arc<Frame>),
    /// What comes next does not follow from what came: the source's session is a new one,
    /// or the tap was too slow.
    Cut,
}

/// A place in a stream that needs no admission. It does not keep the stream wanted.
pub(crate) struct Tap {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    cursor: Cursor,
    /// Whether the cut at this place was told.
    told: bool,
}

impl Tap {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (changed, cursor) = (shared.changed.subscribe(), shared.lock().ring.join());
        // Nothing came before what comes first.
        Self { shared, changed, cursor, told: true }
    }

    /// What comes next, beginning with the last key frame; nothing when the stream has
    /// ended. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Option<Tapped> {
        loop {
            // Seen before the ring is read, so that a push in between wakes us again.
            self.changed.mark_unchanged();
            let ended = self.shared.lock().ended;
            if let Some(tapped) = self.try_next() {
                return Some(tapped);
            }
            if ended {
                return None;
            }
            self.changed.changed().await.ok()?;
        }
    }

    /// What comes next, if it is there already.
    pub(crate) fn try_next(&mut self) -> Option<Tapped> {
        let inner = self.shared.lock();
        if inner.ring.is_cut_at(&self.cursor) && !self.told {
            self.told = true;
            return Some(Tapped::Cut);
        }
        match inner.ring.read(&mut self.cursor)? {
            Read::Frame(frame) => {
                self.told = false;
                Some(Tapped::Frame(frame))
            }
            Read::Lagged { .. } => {
                Stats::add(&self.shared.stats.lagged, 1);
                self.told = true;
                Some(Tapped::Cut)
            }
        }
    }

    /// The longest time between two key frames of the source's session, once there were two.
    pub(crate) fn longest_gop(&self) -> Option<Duration> {
        self.shared.lock().ring.longest_gop()
    }
}
