//! What devices have sent, counted.

use super::Outcome;
use domain::event::door::Recorded;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start. Tests rest on these, and so will the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that are kept.
    pub accepted: AtomicU64,
    /// Events that were kept already.
    pub duplicate: AtomicU64,
    /// Events that were refused because the device sends too many.
    pub too_many: AtomicU64,
    /// Events that were refused because the disk is nearly full.
    pub no_room: AtomicU64,
    /// Events whose kind means nothing here; nothing of them is kept.
    pub unknown: AtomicU64,
    /// Events and bodies that cannot be read.
    pub malformed: AtomicU64,
    /// Bodies that are too large.
    pub too_large: AtomicU64,
    /// Messages of the broker under a topic that is no device's.
    pub unknown_topic: AtomicU64,
    /// Times that the broker has taken us in.
    pub broker_sessions: AtomicU64,
    /// Times that a device has begun to tell its alerts.
    pub alert_streams: AtomicU64,
}

impl Counters {
    /// Adds to one of them.
    pub fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn count(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let counter = match outcome {
                Outcome::Kept(Recorded::Accepted) => &self.accepted,
                Outcome::Kept(Recorded::Duplicate) => &self.duplicate,
                Outcome::TooMany(_) => &self.too_many,
                Outcome::NoRoom(_) => &self.no_room,
            };
            Self::add(counter, 1);
        }
    }
}
