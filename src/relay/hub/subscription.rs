//! The reading end of a stream: a cursor that must hold an admission.

use super::{Interest, Shared, Stats, Status};
use crate::admission::{Admission, End};
use media::gop::{Cursor, Read};
use media::{Frame, Params};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use tokio::sync::watch;

/// What a viewer gets, in the stream's order.
#[derive(Clone, Debug)]
pub enum Item {
    /// What the following frames carry: first of all, and when it changes.
    Params(Arc<Params>),
    /// A frame.
    Frame(Arc<Frame>),
    /// How the stream is: first of all, and when it changes.
    State(Status),
}

/// Why there is no next frame, or not the very next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// Too slow: `missed` frames are gone. Reading goes on at a key frame.
    Lagged {
        /// Frames this viewer will not see.
        missed: u64,
    },
    /// The stream has ended.
    Ended,
    /// The right to watch was withdrawn.
    Revoked,
    /// The lease ran out.
    Expired,
}

impl From<End> for Interrupted {
    fn from(end: End) -> Self {
        match end {
            End::Revoked => Self::Revoked,
            End::Expired => Self::Expired,
        }
    }
}

/// A viewer's place in a stream.
pub struct Subscription {
    shared: Arc<Shared>,
    changed: watch::Receiver<u64>,
    cursor: Cursor,
    /// Whether everything was read: until something changes, nobody need look again.
    caught_up: bool,
    /// A frame that was read and waits for its parameters to be told first.
    held: Option<Arc<Frame>>,
    params: Option<Arc<Params>>,
    status_number: Option<u64>,
    pass: Admission,
    end: Pin<Box<dyn Future<Output = End> + Send>>,
    ended: Option<End>,
    /// Who is woken when the right ends.
    asked_by: Option<Waker>,
    interest: Interest,
}

impl Subscription {
    pub(super) fn new(shared: Arc<Shared>, pass: Admission, interest: Interest) -> Self {
        let cursor = shared.lock().ring.join();
        Self {
            changed: shared.changed.subscribe(),
            shared,
            cursor,
            caught_up: false,
            held: None,
            params: None,
            status_number: None,
            end: Box::pin(pass.end()),
            pass,
            ended: None,
            asked_by: None,
            interest,
        }
    }

    /// What comes next; waits for it. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Item, Interrupted> {
        loop {
            if let Some(now) = self.try_next() {
                return now;
            }
            self.woken().await?;
        }
    }

    /// Completes when there may be something next.
    ///
    /// The end of the right is asked after on every wake-up without a frame, but not
    /// again when the task that waits is the one that asked last: its wake-up stands,
    /// and comes back here as a further poll. That saves a timer and a lock for each
    /// frame and viewer.
    async fn woken(&mut self) -> Result<(), Interrupted> {
        let Self { changed, caught_up, end, ended, asked_by, .. } = self;
        let mut changed = std::pin::pin!(changed.changed());
        let mut first = true;
        std::future::poll_fn(|context| {
            if let Poll::Ready(changed) = changed.as_mut().poll(context) {
                *caught_up = false;
                return Poll::Ready(changed.map_err(|_| Interrupted::Ended));
            }
            let stands = asked_by.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
            if ended.is_none() && !(std::mem::take(&mut first) && stands) {
                *asked_by = Some(context.waker().clone());
                if let Poll::Ready(over) = end.as_mut().poll(context) {
                    *ended = Some(over);
                    return Poll::Ready(Ok(()));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// What comes next, if it is there already.
    pub fn try_next(&mut self) -> Option<Result<Item, Interrupted>> {
        if self.pass.is_revoked() {
            return Some(Err(Interrupted::Revoked));
        }
        if let Some(end) = self.ended {
            return Some(Err(end.into()));
        }
        if let Some(frame) = self.held.take() {
            return Some(Ok(Item::Frame(frame)));
        }
        // Most wake-ups bring one frame; this saves the lock for the look after it.
        if self.caught_up && !self.changed.has_changed().unwrap_or(true) {
            return None;
        }
        // Seen before the ring is read, so that a push in between wakes us again.
        self.caught_up = false;
        self.changed.mark_unchanged();
        let inner = self.shared.lock();
        if self.status_number != Some(inner.status_number) {
            self.status_number = Some(inner.status_number);
            return Some(Ok(Item::State(inner.status.clone())));
        }
        let read = inner.ring.read(&mut self.cursor);
        self.caught_up = inner.ring.is_read(&self.cursor) && !inner.ended;
        match read {
            Some(Read::Frame(frame)) => {
                let known = self.params.as_ref().is_some_and(|params| Arc::ptr_eq(params, &frame.params));
                if known {
                    return Some(Ok(Item::Frame(frame)));
                }
                let params = Arc::clone(&frame.params);
                self.params = Some(Arc::clone(&params));
                self.held = Some(frame);
                Some(Ok(Item::Params(params)))
            }
            Some(Read::Lagged { missed }) => {
                Stats::add(&self.shared.stats.lagged, 1);
                Some(Err(Interrupted::Lagged { missed }))
            }
            None => inner.ended.then_some(Err(Interrupted::Ended)),
        }
    }

    /// The frames this viewer would read next, without moving: what an answer
    /// to PLAY announces.
    #[must_use]
    pub fn peek(&self) -> Vec<Arc<Frame>> {
        let inner = self.shared.lock();
        let mut cursor = self.cursor;
        let mut frames: Vec<_> = self.held.iter().cloned().collect();
        while let Some(read) = inner.ring.read(&mut cursor) {
            if let Read::Frame(frame) = read {
                frames.push(frame);
            }
        }
        frames
    }

    /// Goes to the newest key frame, for a viewer whose picture is broken. If there is
    /// none, it goes on with the next.
    pub fn rejoin(&mut self) {
        self.held = None;
        self.caught_up = false;
        self.cursor = self.shared.lock().ring.join();
    }

    /// Whether everything was read when last looked.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.caught_up && self.held.is_none()
    }

    /// Forgets who asked after the end of the right: a task that has waited for something
    /// else may have taken that wake-up for its own.
    pub fn ask_again(&mut self) {
        self.asked_by = None;
    }

    /// Completes when the stream has changed since the last read.
    pub async fn changed(&mut self) {
        let _ = self.changed.changed().await;
        self.caught_up = false;
    }

    /// Completes when the right to watch ends, also while the viewer is not reading.
    pub async fn pass_end(&mut self) -> Interrupted {
        if self.ended.is_none() {
            // This may leave before it is over, having asked for somebody else.
            self.asked_by = None;
            self.ended = Some((&mut self.end).await);
        }
        self.ended.unwrap_or(End::Revoked).into()
    }

    /// Completes when the right to watch ends, whoever has the subscription then.
    pub fn right_end(&self) -> impl Future<Output = Interrupted> + Send + 'static + use<> {
        let end = self.pass.end();
        async { end.await.into() }
    }

    /// Stops reading but keeps the right to, and the stream wanted.
    #[must_use]
    pub fn pause(self) -> (Admission, Interest) {
        (self.pass, self.interest)
    }

    /// Counts writes to this viewer.
    pub fn count(&self, writes: usize, bytes: usize) {
        Stats::add(&self.shared.stats.writes, writes);
        Stats::add(&self.shared.stats.written_bytes, bytes);
        self.pass.count(bytes);
    }

    /// The stream's counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }
}
