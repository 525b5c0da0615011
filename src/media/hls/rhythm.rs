//! How long parts and segments of a stream may be, from the rhythm of its pictures.

use super::Targets;
use std::time::Duration;

/// The part that is aimed at.
const PART: Duration = Duration::from_millis(500);
/// The shortest segment: a key frame before this does not begin a new one. A little
/// less than 2 s, because cameras are not exact.
pub(super) const SHORTEST_SEGMENT: Duration = Duration::from_millis(1_800);
/// The segment that is aimed at, in seconds. It leaves room for groups of pictures
/// that get longer, because a playlist may not change its target.
const SEGMENT: u32 = 4;
/// Longer groups of pictures are cut: players must wait for three segments of this.
const LONGEST_SEGMENT: u32 = 10;

/// The rhythm of some pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// The usual distance of two pictures.
    pub(super) usual: Duration,
    /// The longest distance of two pictures.
    pub(super) longest: Duration,
    /// The longest group of pictures, if one was seen whole.
    pub(super) gop: Option<Duration>,
}

/// The targets for a stream with this rhythm.
pub(super) fn targets(rhythm: &Rhythm) -> Targets {
    // Whole seconds that the group is at most a fifth longer than: see the segmenter's limit.
    let gop = rhythm.gop.unwrap_or_default() + Duration::from_millis(800);
    let gop = u32::try_from(gop.as_secs()).unwrap_or(u32::MAX);
    let part = part(rhythm);
    let least = u32::try_from(part.as_secs() + 1).unwrap_or(u32::MAX);
    Targets { part, segment: gop.clamp(SEGMENT, LONGEST_SEGMENT).max(least) }
}

/// Every part but a segment's last has between 85 % and all of the target. Pictures
/// shorter than the difference always fill it so far; of longer ones a whole number
/// must fit, with some room if they do not come like clockwork.
fn part(rhythm: &Rhythm) -> Duration {
    let Rhythm { usual, longest, .. } = *rhythm;
    if longest <= PART * 15 / 100 {
        return PART;
    }
    let usual = usual.max(Duration::from_millis(1));
    // A third of a second is not a whole number of microseconds.
    let most = PART + Duration::from_micros(100);
    let count = u32::try_from(most.as_micros() / usual.as_micros()).unwrap_or(u32::MAX).max(1);
    let filled = usual.saturating_mul(count);
    let clockwork = longest <= usual + Duration::from_millis(1);
    if clockwork && filled <= most && filled >= PART * 85 / 100 {
        return PART;
    }
    rounded((filled * 106 / 100).max(longest))
}

/// Up to whole hundredths of a second, for people who read playlists.
pub(super) fn rounded(time: Duration) -> Duration {
    let hundredths = time.as_micros().div_ceil(10_000);
    Duration::from_millis(u64::try_from(hundredths * 10).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn parts_are_half_a_second_where_a_whole_number_of_pictures_fits() {
        let part = |usual: f64, longest: f64| {
            let (usual, longest) = (Duration::from_secs_f64(usual), Duration::from_secs_f64(longest));
            super::part(&Rhythm { usual, longest, gop: None }).as_millis()
        };
        for fps in [4.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 60.0] {
            assert_eq!(part(1.0 / fps, 1.0 / fps), 500, "{fps}");
        }
        assert_eq!(part(0.04, 0.07), 500, "unsteady, but short");
        assert_eq!(part(0.1, 0.11), 530, "five pictures that are not exact");
        assert_eq!(part(0.2, 0.2), 430, "two pictures");
        assert_eq!(part(1.0, 1.0), 1_060, "one picture a second");
    }

    #[test]
    fn a_target_is_four_seconds_or_a_longer_group_of_pictures() {
        let target =
            |gop: Option<u64>| targets(&Rhythm { usual: ms(40), longest: ms(40), gop: gop.map(ms) }).segment;
        assert_eq!(target(None), 4);
        assert_eq!(target(Some(500)), 4);
        assert_eq!(target(Some(4_040)), 4);
        assert_eq!(target(Some(4_500)), 5);
        assert_eq!(target(Some(10_000)), 10);
        assert_eq!(target(Some(60_000)), 10);
    }
}
