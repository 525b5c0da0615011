//! The ring that keeps a stream's last GOP, and the cursors that read it.
//!
//! One writer pushes, any number of cursors read; a cursor is two words, never
//! a queue. Pushing is amortised O(1) and never waits for a reader. A reader
//! that falls out of the ring is moved to the newest key frame and told how
//! much it missed; single frames are never dropped from the middle.

use crate::frame::Frame;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Bytes a ring may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteBudget(pub usize);

/// How much a ring may hold before it forgets the oldest frames, key frame or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most bytes of frame data.
    pub bytes: ByteBudget,
    /// The longest stretch of time.
    pub age: Duration,
}

impl Default for Budget {
    /// 16 MiB and 30 s: a 10 s GOP at 12 Mbit/s fits.
    fn default() -> Self {
        Self { bytes: ByteBudget(16 << 20), age: Duration::from_secs(30) }
    }
}

/// Frames older than the newest key frame are kept up to this many bytes, and
/// for [`TRAIL_AGE`] in any case, so that a reader who is a little behind is not
/// cut off by a key frame.
pub const TRAIL: ByteBudget = ByteBudget(256 << 10);
/// See [`TRAIL`].
pub const TRAIL_AGE: Duration = Duration::from_secs(1);

/// The last GOP of a stream.
#[derive(Debug)]
pub struct Ring {
    frames: VecDeque<Arc<Frame>>,
    /// Number of the frame at the front.
    first: u64,
    newest_key: Option<u64>,
    bytes: usize,
    /// Bytes in front of the newest key frame.
    trail: usize,
    /// Number of the first frame after the last cut.
    cut_at: u64,
    /// Arrival of the newest key frame since the cut.
    key_at: Option<Duration>,
    longest_gop: Option<Duration>,
    budget: Budget,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    next: u64,
    needs_key: bool,
}

/// What a reader gets.
#[derive(Clone, Debug)]
pub enum Read {
    /// The next frame.
    Frame(Arc<Frame>),
    /// The reader was too slow: `missed` frames are gone, a key frame comes next.
    Lagged {
        /// Frames that the reader will not see.
        missed: u64,
    },
}

impl Ring {
    /// An empty ring.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self {
            frames: VecDeque::new(),
            first: 0,
            newest_key: None,
            bytes: 0,
            trail: 0,
            cut_at: 0,
            key_at: None,
            longest_gop: None,
            budget,
        }
    }

    /// Appends a frame and forgets what the budget does not cover.
    pub fn push(&mut self, frame: Arc<Frame>) {
        if frame.key {
            self.newest_key = Some(self.end());
            self.trail = self.bytes;
            if let Some(before) = self.key_at.replace(frame.arrival) {
                let gop = frame.arrival.saturating_sub(before);
                self.longest_gop = self.longest_gop.max(Some(gop));
            }
        }
        self.bytes += frame.data.len();
        let arrival = frame.arrival;
        self.frames.push_back(frame);
        while self.frames.len() > 1 && self.front_must_go(arrival) {
            self.forget_front();
        }
    }

    /// What comes next does not follow from what is here: nobody may start at
    /// the key frame that is held. Readers that are on their way go on.
    pub fn cut(&mut self) {
        self.cut_at = self.end();
        self.key_at = None;
        self.longest_gop = None;
        self.forget_key();
    }

    fn forget_key(&mut self) {
        self.newest_key = None;
        self.trail = 0;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.first = self.end();
        self.frames.clear();
        self.bytes = 0;
        self.cut();
    }

    fn front_must_go(&self, now: Duration) -> bool {
        let Some(front) = self.frames.front() else { return false };
        let age = now.saturating_sub(front.arrival);
        (self.trail > TRAIL.0 && age > TRAIL_AGE) || self.bytes > self.budget.bytes.0 || age > self.budget.age
    }

    fn forget_front(&mut self) {
        let Some(front) = self.frames.pop_front() else { return };
        let size = front.data.len();
        self.bytes -= size;
        if self.newest_key.is_some_and(|key| self.first < key) {
            self.trail -= size;
        } else {
            self.forget_key();
        }
        self.first += 1;
    }

    /// Number of the frame that will be pushed next.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// The longest time between two key frames of the source's session, once there
    /// were two.
    #[must_use]
    pub fn longest_gop(&self) -> Option<Duration> {
        self.longest_gop
    }

    /// Whether what comes next for `cursor` does not follow from what came before it.
    #[must_use]
    pub fn is_cut_at(&self, cursor: &Cursor) -> bool {
        cursor.next == self.cut_at
    }

    /// Bytes of frame data held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest key frame, if the ring still has it.
    #[must_use]
    pub fn newest_key(&self) -> Option<&Arc<Frame>> {
        self.get(self.newest_key?)
    }

    /// The newest frame.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<Frame>> {
        self.frames.back()
    }

    fn get(&self, number: u64) -> Option<&Arc<Frame>> {
        self.frames.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// A cursor at the newest key frame, or waiting for the next one.
    #[must_use]
    pub fn join(&self) -> Cursor {
        Cursor { next: self.newest_key.unwrap_or(self.end()), needs_key: true }
    }

    /// Whether `cursor` has read everything.
    #[must_use]
    pub fn is_read(&self, cursor: &Cursor) -> bool {
        cursor.next >= self.end()
    }

    /// What comes next for `cursor`; nothing if it has read everything.
    pub fn read(&self, cursor: &mut Cursor) -> Option<Read> {
        if cursor.next < self.first {
            let target = self.newest_key.unwrap_or(self.end());
            let missed = target - cursor.next;
            *cursor = Cursor { next: target, needs_key: true };
            return Some(Read::Lagged { missed });
        }
        loop {
            let frame = self.get(cursor.next)?;
            cursor.next += 1;
            if frame.key || !cursor.needs_key {
                cursor.needs_key = false;
                return Some(Read::Frame(Arc::clone(frame)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Params, Track};
    use crate::rtp::Numbering;
    use crate::time::{Stamp, Ticks};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn frame(number: u64, key: bool, size: usize) -> Arc<Frame> {
        let ticks = Ticks(number as i64 * 3_600);
        Arc::new(Frame::new(crate::frame::Parts {
            track: Track::Video,
            key,
            stamp: Stamp { pts: ticks, dts: ticks, duration: Ticks(3_600), longest: Ticks(3_600) },
            arrival: Duration::from_millis(number * 40),
            data: Bytes::from(vec![0; size]),
            params: Arc::new(Params::default()),
            rtp: Numbering::default(),
            fragment_number: number as u32,
        }))
    }

    fn number(read: &Read) -> u64 {
        match read {
            Read::Frame(frame) => u64::from(frame.fragment_number),
            Read::Lagged { .. } => panic!("lagged"),
        }
    }

    #[test]
    fn a_reader_joins_at_the_last_key_frame() {
        let mut ring = Ring::new(Budget::default());
        for n in 0..250 {
            ring.push(frame(n, n % 100 == 0, 1_000));
        }
        let mut cursor = ring.join();
        let read: Vec<_> = std::iter::from_fn(|| ring.read(&mut cursor)).collect();
        assert_eq!(number(&read[0]), 200);
        assert_eq!(read.len(), 50);
    }

    #[test]
    fn a_reader_just_behind_a_key_frame_misses_nothing() {
        let mut ring = Ring::new(Budget::default());
        ring.push(frame(0, true, 100));
        let mut cursor = ring.join();
        for n in 1..20 {
            ring.push(frame(n, n == 10, 100));
        }
        assert_eq!(std::iter::from_fn(|| ring.read(&mut cursor)).count(), 20);
    }

    #[test]
    fn a_slow_reader_jumps_to_the_newest_key_frame_and_is_told() {
        let mut ring = Ring::new(Budget::default());
        ring.push(frame(0, true, 200_000));
        let mut cursor = ring.join();
        for n in 1..30 {
            ring.push(frame(n, n % 10 == 0, 200_000));
        }
        let Some(Read::Lagged { missed }) = ring.read(&mut cursor) else { panic!("not told") };
        assert_eq!(missed, 20);
        assert_eq!(number(&ring.read(&mut cursor).unwrap()), 20);
    }

    #[test]
    fn the_longest_gop_is_that_of_one_session_and_a_cut_is_found_where_it_was() {
        let mut ring = Ring::new(Budget::default());
        for n in 0..60 {
            ring.push(frame(n, [0, 25, 40].contains(&n), 100));
        }
        assert_eq!(ring.longest_gop(), Some(Duration::from_secs(1)));
        let mut cursor = ring.join();
        ring.cut();
        assert_eq!(ring.longest_gop(), None);
        ring.push(frame(60, true, 100));
        let mut cuts = Vec::new();
        loop {
            let cut = ring.is_cut_at(&cursor);
            let Some(read) = ring.read(&mut cursor) else { break };
            if cut {
                cuts.push(number(&read));
            }
        }
        assert_eq!(cuts, [60]);
    }

    #[test]
    fn a_gop_beyond_the_budget_makes_joiners_wait_for_a_key_frame() {
        let mut ring = Ring::new(Budget { bytes: ByteBudget(10_000), age: Duration::from_secs(60) });
        ring.push(frame(0, true, 4_000));
        for n in 1..5 {
            ring.push(frame(n, false, 4_000));
        }
        assert!(ring.bytes() <= 10_000);
        let mut cursor = ring.join();
        assert!(ring.read(&mut cursor).is_none());
        ring.push(frame(5, false, 100));
        assert!(ring.read(&mut cursor).is_none());
        ring.push(frame(6, true, 100));
        assert_eq!(number(&ring.read(&mut cursor).unwrap()), 6);
    }

    proptest! {
        #[test]
        fn any_order_of_pushes_and_reads_keeps_the_invariants(
            steps in prop::collection::vec((prop::bool::weighted(0.1), 0usize..60_000, 0usize..4, 0usize..6), 1..400)
        ) {
            let budget = Budget { bytes: ByteBudget(1 << 20), age: Duration::from_secs(5) };
            let mut ring = Ring::new(budget);
            let mut readers = [ring.join(); 3];
            let mut expected: [Option<u64>; 3] = [None; 3];
            for (n, (key, size, who, reads)) in steps.into_iter().enumerate() {
                ring.push(frame(n as u64, key, size));
                prop_assert!(ring.bytes() <= budget.bytes.0 || ring.frames.len() == 1);
                prop_assert_eq!(ring.bytes(), ring.frames.iter().map(|f| f.data.len()).sum::<usize>());
                let young = ring.frames.front().is_some_and(|f| (n as u64 * 40).saturating_sub(f.arrival.as_millis() as u64) <= 1_000);
                prop_assert!(ring.trail <= TRAIL.0 || young);
                if let Some(key) = ring.newest_key {
                    prop_assert!(ring.get(key).is_some_and(|f| f.key));
                }
                if let (Some(cursor), Some(last)) = (readers.get_mut(who), expected.get_mut(who)) {
                    for _ in 0..reads {
                        match ring.read(cursor) {
                            Some(Read::Frame(f)) => {
                                let n = u64::from(f.fragment_number);
                                // Either the very next frame, or a key frame after a gap.
                                prop_assert!(f.key || *last == Some(n.wrapping_sub(1)));
                                *last = Some(n);
                            }
                            Some(Read::Lagged { missed }) => {
                                prop_assert!(missed > 0);
                                *last = None;
                            }
                            None => break,
                        }
                    }
                }
            }
        }
    }
}
