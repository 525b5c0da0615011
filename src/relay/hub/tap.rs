//! Reading a stream for what is made of it. Not a viewer: nobody sees what a tap reads
//! without an admission of their own to what comes of it.

use super::{Interrupted, Item, Shared, Stats};
use media::gop::{Cursor, Read};
use media::{Frame, Params};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A place in a stream, from the last key frame on. It needs no admission and does not
/// keep the stream wanted.
pub(crate) struct Tap {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    /// Since when the stream came from where it did when this began.
    source_since: Instant,
    cursor: Cursor,
    /// Whether the cut at this place was told.
    told: bool,
    /// A frame that was read and waits for its parameters to be told first.
    held: Option<Arc<Frame>>,
    params: Option<Arc<Params>>,
    status_number: Option<u64>,
}

impl Tap {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let changed = shared.changed.subscribe();
        let (source_since, cursor) = {
            let inner = shared.lock();
            (inner.source_since, inner.ring.join())
        };
        // Nothing came before what comes first.
        let (told, held, params, status_number) = (true, None, None, None);
        Self { shared, changed, source_since, cursor, told, held, params, status_number }
    }

    /// What comes next; waits for it. [`Interrupted::Ended`] is said, too, when the stream
    /// comes from elsewhere: what was made of it shows another place, and must go.
    /// [`Interrupted::Lagged`] is a cut: what comes after
    /// it does not follow from what came, because the tap was too slow, or because the
    /// source's session is a new one (then nothing was missed). Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Result<Item, Interrupted> {
        loop {
            // Seen before the ring is read, so that a push in between wakes us again.
            self.changed.mark_unchanged();
            if let Some(now) = self.try_next() {
                return now;
            }
            if self.changed.changed().await.is_err() {
                return Err(Interrupted::Ended);
            }
        }
    }

    /// What comes next, if it is there already.
    pub(crate) fn try_next(&mut self) -> Option<Result<Item, Interrupted>> {
        let inner = self.shared.lock();
        if inner.source_since != self.source_since {
            return Some(Err(Interrupted::Ended));
        }
        if let Some(frame) = self.held.take() {
            return Some(Ok(Item::Frame(frame)));
        }
        if self.status_number != Some(inner.status_number) {
            self.status_number = Some(inner.status_number);
            return Some(Ok(Item::State(inner.status.clone())));
        }
        if inner.ring.is_cut_at(&self.cursor) && !self.told {
            self.told = true;
            return Some(Err(Interrupted::Lagged { missed: 0 }));
        }
        match inner.ring.read(&mut self.cursor) {
            Some(Read::Frame(frame)) => {
                self.told = false;
                if self.params.as_ref().is_some_and(|params| Arc::ptr_eq(params, &frame.params)) {
                    return Some(Ok(Item::Frame(frame)));
                }
                let params = Arc::clone(&frame.params);
                self.params = Some(Arc::clone(&params));
                self.held = Some(frame);
                Some(Ok(Item::Params(params)))
            }
            Some(Read::Lagged { missed }) => {
                Stats::add(&self.shared.stats.lagged, 1);
                self.told = true;
                Some(Err(Interrupted::Lagged { missed }))
            }
            None => inner.ended.then_some(Err(Interrupted::Ended)),
        }
    }

    /// The longest time between two key frames of the source's session, once there were two.
    pub(crate) fn longest_gop(&self) -> Option<Duration> {
        self.shared.lock().ring.longest_gop()
    }
}
