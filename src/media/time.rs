//! Media time: ticks of a track's clock, and the line that keeps them steady.

use std::time::Duration;

/// A moment or a span on a track's own clock (90 kHz for video, the sample
/// rate for audio). It only means something together with that clock's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub i64);

impl Ticks {
    /// The whole ticks in `span` on a clock of `rate` Hz.
    #[must_use]
    pub fn from_duration(span: Duration, rate: u32) -> Self {
        let ticks = span.as_micros().saturating_mul(u128::from(rate)) / 1_000_000;
        Self(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    /// This span as a duration on a clock of `rate` Hz; negative spans are zero.
    #[must_use]
    pub fn to_duration(self, rate: u32) -> Duration {
        let micros = u128::try_from(self.0).unwrap_or(0) * 1_000_000 / u128::from(rate.max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Presentation and decode time of a frame as the gateway serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the frame is shown.
    pub pts: Ticks,
    /// When the frame is decoded: strictly increasing within a track.
    pub dts: Ticks,
    /// How long the frame is expected to last: the previous distance.
    pub duration: Ticks,
    /// How long it may last: the longest distance lately.
    pub longest: Ticks,
}

/// Maps a camera's timestamps onto one steady line that outlives reconnects.
///
/// A camera restarts its clock with every session and some jump in the middle
/// of one. Viewers stay connected through both, so their timestamps must go on
/// where they were, moved by the time that really passed.
#[derive(Debug)]
pub struct Timeline {
    rate: u32,
    /// Added to the camera's ticks; unknown until the first frame of a session.
    offset: Option<i64>,
    last: Option<Last>,
    duration: i64,
    /// The longest distance between two frames, lately.
    longest: i64,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    source: i64,
    dts: i64,
    arrival: Duration,
}

/// Beyond this difference between camera time and arrival time, the camera's
/// clock has jumped and the line is anchored anew.
const JUMP: Duration = Duration::from_secs(10);

impl Timeline {
    /// A line for a track whose clock runs at `rate` Hz.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let rate = rate.max(1);
        let duration = i64::from(rate) / 25;
        Self { rate, offset: None, last: None, duration, longest: duration }
    }

    /// The next frame comes from a new camera session with a clock of its own.
    pub fn restart(&mut self) {
        self.offset = None;
    }

    /// Places a frame: `source` is the camera's time since its session began,
    /// `arrival` the gateway's time since the stream was created.
    pub fn place(&mut self, source: Ticks, arrival: Duration) -> Stamp {
        let arrived = Ticks::from_duration(arrival, self.rate).0;
        let jump = Ticks::from_duration(JUMP, self.rate).0;
        if let (Some(_), Some(last)) = (self.offset, self.last) {
            let moved = source.0.saturating_sub(last.source);
            let passed = Ticks::from_duration(arrival.saturating_sub(last.arrival), self.rate).0;
            if moved.saturating_sub(passed).saturating_abs() > jump {
                self.offset = None;
            }
        }
        let offset = *self.offset.get_or_insert_with(|| {
            let after_last = self.last.map_or(0, |last| last.dts + self.duration);
            arrived.max(after_last).saturating_sub(source.0)
        });
        let pts = source.0.saturating_add(offset).max(0);
        let dts = self.last.map_or(pts, |last| pts.max(last.dts + 1));
        if let Some(last) = self.last {
            let distance = dts - last.dts;
            if distance > 1 && distance < jump {
                self.duration = distance;
                // A break is no rhythm. Else a sixteenth less with every frame: it
                // follows down within a second or two.
                if distance <= i64::from(self.rate) {
                    self.longest = distance.max(self.longest - self.longest / 16);
                }
            }
        }
        self.last = Some(Last { source: source.0, dts, arrival });
        Stamp {
            pts: Ticks(pts),
            dts: Ticks(dts),
            duration: Ticks(self.duration),
            longest: Ticks(self.longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn keeps_the_cameras_distances() {
        let mut line = Timeline::new(90_000);
        let first = line.place(Ticks(500), ms(40));
        let second = line.place(Ticks(500 + 3_600), ms(95));
        assert_eq!(second.pts.0 - first.pts.0, 3_600);
        assert_eq!(second.duration, Ticks(3_600));
    }

    #[test]
    fn the_longest_distance_is_remembered_for_a_while_and_a_break_is_not() {
        let mut line = Timeline::new(90_000);
        let mut at = |ms: u64| line.place(Ticks(ms as i64 * 90), Duration::from_millis(ms)).longest;
        at(0);
        assert_eq!(at(125), Ticks(125 * 90));
        assert!(at(165) > Ticks(100 * 90), "a camera that is unsteady");
        assert!((0..60).map(|n| at(205 + n * 40)).last() < Some(Ticks(50 * 90)), "and steady again");
        assert!(at(9_000) < Ticks(50 * 90), "an outage is no rhythm");
    }

    #[test]
    fn goes_on_after_a_reconnect_by_the_time_that_passed() {
        let mut line = Timeline::new(90_000);
        let before = line.place(Ticks(900_000), ms(1_000));
        line.restart();
        let after = line.place(Ticks(0), ms(4_000));
        assert_eq!(after.pts.0 - before.pts.0, 3 * 90_000);
    }

    #[test]
    fn a_clock_jump_does_not_reach_the_viewer() {
        let mut line = Timeline::new(90_000);
        let before = line.place(Ticks(0), ms(0));
        let after = line.place(Ticks(90_000 * 3_600), ms(40));
        assert_eq!(after.pts.0 - before.pts.0, 3_600);
    }

    #[test]
    fn frames_out_of_display_order_keep_their_display_time() {
        let mut line = Timeline::new(90_000);
        let stamps: Vec<_> = [0, 10_800, 3_600, 7_200, 14_400]
            .iter()
            .enumerate()
            .map(|(i, t)| line.place(Ticks(*t), ms(40 * i as u64)))
            .collect();
        assert_eq!(stamps[2].pts, Ticks(3_600));
        assert!(stamps.windows(2).all(|w| w[0].dts < w[1].dts));
    }

    proptest! {
        #[test]
        fn decode_times_always_increase(steps in prop::collection::vec((any::<i64>(), 0u64..100_000, any::<bool>()), 1..200)) {
            let mut line = Timeline::new(90_000);
            let (mut arrival, mut last) = (0, -1);
            for (source, later, restart) in steps {
                arrival += later;
                if restart {
                    line.restart();
                }
                let stamp = line.place(Ticks(source), ms(arrival));
                prop_assert!(stamp.dts.0 > last);
                last = stamp.dts.0;
            }
        }
    }
}
