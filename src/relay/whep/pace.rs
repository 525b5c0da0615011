//! How fast a viewer is led through what is there already, and how much is sent again: a
//! few times as fast as the stream, because a line that carries it may carry little more.

use media::Frame;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes a second below which nobody need go: 2 Mbit/s.
const LEAST: f64 = 250_000.0;
/// So many times as fast as the stream, …
const AHEAD: f64 = 4.0;
/// … and at the least, for a viewer that could not take that.
const LEAST_AHEAD: f64 = 1.5;
/// Who asks for another key frame within this has not got the last one's pictures.
const SOON: Duration = Duration::from_secs(10);
/// What the stream's bitrate is measured over. One second with a key frame in it says more
/// than there is, one without it less.
const MEASURED: Duration = Duration::from_secs(4);
/// The least that a backlog is taken to have lasted: a key frame alone lasts no time.
const SHORTEST: Duration = Duration::from_secs(1);

/// One viewer's pace.
pub(super) struct Pace {
    /// Bytes a second that the stream has.
    rate: f64,
    ahead: f64,
    /// Since when, by arrival, so many bytes were counted.
    counted: Option<(Duration, usize)>,
    began: Option<Instant>,
    free_at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { rate: 0.0, ahead: AHEAD, counted: None, began: None, free_at: now }
    }

    /// The viewer begins, or begins anew, with `backlog`: frames that are there already.
    pub(super) fn begin(&mut self, backlog: &[Arc<Frame>], now: Instant) {
        let soon = self.began.replace(now).is_some_and(|at| now.saturating_duration_since(at) < SOON);
        self.ahead = if soon { (self.ahead / 2.0).max(LEAST_AHEAD) } else { AHEAD };
        self.counted = None;
        if let (Some(first), Some(last)) = (backlog.first(), backlog.last()) {
            let bytes: usize = backlog.iter().map(|frame| frame.data.len()).sum();
            let lasted = last.arrival.saturating_sub(first.arrival);
            self.rate = bytes as f64 / lasted.max(SHORTEST).as_secs_f64();
        }
    }

    /// A frame of the stream.
    pub(super) fn count(&mut self, frame: &Frame) {
        let (since, bytes) = self.counted.get_or_insert((frame.arrival, 0));
        let lasted = frame.arrival.saturating_sub(*since);
        if lasted >= MEASURED {
            self.rate = *bytes as f64 / lasted.as_secs_f64();
            (*since, *bytes) = (frame.arrival, 0);
        }
        *bytes += frame.data.len();
        // Who begins right after a key frame has seen next to nothing of the stream.
        let lasted = frame.arrival.saturating_sub(*since);
        self.rate = self.rate.max(*bytes as f64 / lasted.max(SHORTEST).as_secs_f64());
    }

    /// Bytes have left.
    pub(super) fn spend(&mut self, bytes: usize, now: Instant) {
        let lasts = Duration::from_secs_f64(bytes as f64 / (self.rate * self.ahead).max(LEAST));
        self.free_at = self.free_at.max(now) + lasts;
    }

    /// When more may leave that is not the newest frame.
    pub(super) fn free_at(&self) -> Instant {
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::rtp::Numbering;
    use media::time::Stamp;
    use media::{Params, Ticks, Track};

    /// `count` frames of so many bytes, 25 a second.
    fn frames(count: u64, bytes: usize) -> Vec<Arc<Frame>> {
        let ticks = |n: u64| Ticks(n as i64 * 3_600);
        let frame = |n| {
            Arc::new(Frame::new(media::frame::Parts {
                track: Track::Video,
                key: n == 0,
                stamp: Stamp { pts: ticks(n), dts: ticks(n), duration: ticks(1), longest: ticks(1) },
                arrival: Duration::from_millis(n * 40),
                data: vec![0; bytes].into(),
                params: Arc::new(Params::default()),
                rtp: Numbering::default(),
                fragment_number: 0,
            }))
        };
        (0..count).map(frame).collect()
    }

    /// How long a backlog of four seconds at 2 Mbit/s takes to leave.
    fn leaves_in(pace: &mut Pace, now: Instant) -> Duration {
        for frame in frames(100, 10_000) {
            pace.spend(frame.data.len(), now);
        }
        pace.free_at() - now
    }

    #[test]
    fn a_viewer_is_led_to_now_four_times_as_fast_as_the_stream() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.begin(&frames(100, 10_000), now);
        let took = leaves_in(&mut pace, now);
        assert!((900..1_100).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn who_asks_again_soon_is_led_slower_until_it_does_not() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let mut took = Vec::new();
        for wait in [0, 5, 5, 5, 60] {
            now += Duration::from_secs(wait);
            pace.begin(&frames(100, 10_000), now);
            took.push(leaves_in(&mut pace, now).as_millis() / 100);
        }
        assert!(
            took[1] > took[0] && took[2] > took[1] && took[3] == took[2] && took[4] == took[0],
            "{took:?}"
        );
    }

    #[test]
    fn what_was_lost_does_not_wait_behind_a_stream_that_has_just_begun() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        pace.begin(&frames(1, 20_000), now);
        // 4 Mbit/s, as it comes.
        for frame in frames(50, 20_000) {
            pace.count(&frame);
            pace.spend(frame.data.len(), now);
            now += Duration::from_millis(40);
        }
        assert!(pace.free_at() <= now, "{:?} behind", pace.free_at() - now);
    }

    #[test]
    fn a_small_stream_has_its_floor_and_a_larger_one_is_measured_on_the_way() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.spend(250_000, now);
        assert_eq!((pace.free_at() - now).as_millis(), 1_000);
        // 8 Mbit/s.
        for frame in frames(300, 40_000) {
            pace.count(&frame);
        }
        let before = pace.free_at();
        pace.spend(1_000_000, now);
        let took = pace.free_at() - before;
        assert!((240..270).contains(&took.as_millis()), "{took:?}");
    }
}
