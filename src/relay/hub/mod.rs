//! One stream: one writer, a ring with the last GOP, any number of cursors.

mod bus;
#[cfg(test)]
mod bus_tests;
mod publisher;
mod status;
mod subscription;
mod tap;
#[cfg(test)]
mod tests;

pub use bus::{Ride, Rider};
pub use publisher::{Publisher, Sample};
pub use status::{State, Stats, Status};
pub use subscription::{Interrupted, Item, Subscription};
pub(crate) use tap::Tap;

use crate::WallClock;
use crate::admission::Admission;
use media::gop::{Budget, Ring};
use media::{Frame, Params};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the writer and all readers share. The lock is held for a push or for
/// taking one frame out, never across an await.
struct Shared {
    inner: Mutex<Inner>,
    /// Counts changes; readers sleep on it.
    changed: watch::Sender<u64>,
    /// How many want the stream; ingest sleeps on it.
    interest: watch::Sender<usize>,
    stats: Stats,
    /// The stream's time zero, for frames' arrival.
    epoch: Instant,
    /// Wall time of the stream's time zero.
    born: Duration,
    /// For viewers who wait for the next frame.
    buses: Mutex<bus::Buses>,
}

struct Inner {
    ring: Ring,
    params: Option<Arc<Params>>,
    status: Status,
    /// Counts status changes, so that a reader sees each only once.
    status_number: u64,
    /// Since when the stream comes from where it does.
    source_since: Instant,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while pushing leaves a ring that is short of a frame, not a broken one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// Makes a stream: the end that writes and the handle that others read through.
#[must_use]
pub fn hub(budget: Budget, clock: &WallClock) -> (Publisher, Hub) {
    make(budget, clock, Instant::now(), clock.now())
}

fn make(budget: Budget, clock: &WallClock, epoch: Instant, born: Duration) -> (Publisher, Hub) {
    let shared = Arc::new(Shared {
        inner: Mutex::new(Inner {
            ring: Ring::new(budget),
            params: None,
            status: Status { state: State::Idle, since: clock.now(), detail: "".into() },
            status_number: 0,
            source_since: epoch,
            ended: false,
        }),
        changed: watch::Sender::new(0),
        interest: watch::Sender::new(0),
        stats: Stats::default(),
        epoch,
        born,
        buses: Mutex::default(),
    });
    (Publisher::new(Arc::clone(&shared), clock.clone()), Hub { shared })
}

/// A cheap handle to a stream.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Keeps an on-demand stream wanted for as long as it lives.
pub struct Interest(Arc<Shared>);

impl std::fmt::Debug for Interest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interest")
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.0.interest.send_modify(|n| *n -= 1);
    }
}

impl Hub {
    /// Reads the stream, beginning with the last key frame.
    #[must_use]
    pub fn watch(&self, pass: Admission) -> Subscription {
        Subscription::new(Arc::clone(&self.shared), pass, self.want())
    }

    /// Makes a stream that is made of this one: its times are the same.
    pub(crate) fn derive(&self, budget: Budget, clock: &WallClock) -> (Publisher, Self) {
        make(budget, clock, self.shared.epoch, self.shared.born)
    }

    /// Reads the stream without an admission: for what becomes another form of it, whose
    /// viewers need one. Does not want the stream.
    pub(crate) fn tap(&self) -> Tap {
        Tap::new(Arc::clone(&self.shared))
    }

    /// The same for all handles to one stream, while there is one.
    pub(crate) fn key(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Whether the stream has ended for good.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// Completes when the stream has ended for good.
    pub(crate) async fn ended(&self) {
        let mut changed = self.shared.changed.subscribe();
        while !self.has_ended() && changed.changed().await.is_ok() {}
    }

    /// Wants the stream without reading it yet.
    #[must_use]
    pub fn want(&self) -> Interest {
        self.shared.interest.send_modify(|n| *n += 1);
        Interest(Arc::clone(&self.shared))
    }

    /// How many want the stream, now and later.
    #[must_use]
    pub fn interest(&self) -> watch::Receiver<usize> {
        self.shared.interest.subscribe()
    }

    /// How the stream is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.lock().status.clone()
    }

    /// What the stream carries, if it is known.
    #[must_use]
    pub fn params(&self) -> Option<Arc<Params>> {
        self.shared.lock().params.clone()
    }

    /// Waits until it is known what the stream carries; nothing if the stream ends.
    pub async fn params_known(&self) -> Option<Arc<Params>> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            {
                let inner = self.shared.lock();
                if inner.params.is_some() || inner.ended {
                    return inner.params.clone();
                }
            }
            changed.changed().await.ok()?;
        }
    }

    /// The newest key frame, for who may see it. Waits for one until the stream ends,
    /// or says why there is none: it cannot be had at the moment.
    pub async fn key_frame(&self, _pass: &Admission) -> Result<Arc<Frame>, Status> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            {
                let inner = self.shared.lock();
                if let Some(frame) = inner.ring.newest_key() {
                    return Ok(Arc::clone(frame));
                }
                let hopeless = matches!(inner.status.state, State::Offline | State::Refused);
                if hopeless || inner.ended {
                    return Err(inner.status.clone());
                }
            }
            if changed.changed().await.is_err() {
                return Err(self.status());
            }
        }
    }

    /// Since when the stream comes from where it does: what is older shows another place.
    #[must_use]
    pub fn source_since(&self) -> Instant {
        self.shared.lock().source_since
    }

    /// When a frame of this stream arrived.
    #[must_use]
    pub fn arrived_at(&self, frame: &Frame) -> Instant {
        self.shared.epoch + frame.arrival
    }

    /// The stream's counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Wall time of the stream's time zero: a frame's presentation time plus
    /// this is when it was, on one line for all tracks.
    #[must_use]
    pub fn born(&self) -> Duration {
        self.shared.born
    }
}
