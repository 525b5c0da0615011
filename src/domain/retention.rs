//! How long events are kept, and when they are not removed although they seem old: what is
//! gone does not come back, and a clock that is wrong must not empty the book.

use crate::Timestamp;
use std::time::Duration;

/// Of all rows, so many parts in a hundred may go at once.
const AT_ONCE: u64 = 5;
/// A clock that has moved so far against one that does not jump is not believed.
const JUMP: Duration = Duration::from_secs(5 * 60);
/// Events come in every day: one that is newer than the newest by more is no today.
const QUIET: Duration = Duration::from_secs(24 * 3_600);

/// What is kept, as a sweep finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// All events.
    pub all: u64,
    /// Those that would go.
    pub old: u64,
}

/// Why nothing is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The clock was set.
    #[error("the clock has been moved by more than five minutes since the last look")]
    Jumped,
    /// It would be too much.
    #[error(
        "{old} of {all} events seem too old, more than is removed at once; is the clock right? If it is, \
         `sharp-eyes admin remove-old-events` removes them"
    )]
    TooMany {
        /// Those that would go.
        old: u64,
        /// All of them.
        all: u64,
    },
}

/// Events from before this go. `newest` is when the newest came.
#[must_use]
pub fn cutoff(now: Timestamp, newest: Timestamp, kept: Duration) -> Timestamp {
    now.min(newest.after(QUIET)).before(kept)
}

/// Whether so many may go at once.
pub fn allowed(rows: Rows) -> Result<(), Refused> {
    let Rows { all, old } = rows;
    // A few are few, unless they are most of what there is.
    if (old <= 100 && old.saturating_mul(2) <= all) || old.saturating_mul(100) <= all.saturating_mul(AT_ONCE)
    {
        Ok(())
    } else {
        Err(Refused::TooMany { old, all })
    }
}

/// Compares the clock on the wall with one that does not jump.
#[derive(Debug, Default)]
pub struct Watch(Option<(Timestamp, Duration)>);

impl Watch {
    /// Refuses if the clock has jumped since this was last asked.
    pub fn look(&mut self, now: Timestamp, since_start: Duration) -> Result<(), Refused> {
        let Some((wall, steady)) = self.0.replace((now, since_start)) else { return Ok(()) };
        let expected = wall.after(since_start.saturating_sub(steady));
        let jumped = now < expected.before(JUMP) || now > expected.after(JUMP);
        if jumped { Err(Refused::Jumped) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);
    const NOW: Timestamp = Timestamp(2_000_000_000_000_000);

    #[test]
    fn c39_a_clock_that_jumps_removes_nothing() {
        let years = Duration::from_secs(10 * 365 * 24 * 3_600);
        for (n, at) in
            [NOW.after(HOUR * 2), NOW, NOW.before(HOUR * 23), NOW.after(years)].into_iter().enumerate()
        {
            let mut watch = Watch::default();
            assert_eq!(watch.look(NOW, Duration::ZERO), Ok(()));
            assert_eq!(watch.look(at, HOUR), Err(Refused::Jumped), "{n}");
            // It has to go on as it should for an hour.
            assert_eq!(watch.look(at.after(HOUR), HOUR * 2), Ok(()));
        }
        let mut watch = Watch::default();
        assert_eq!(watch.look(NOW, Duration::ZERO), Ok(()));
        assert_eq!(
            watch.look(NOW.after(HOUR + Duration::from_secs(60)), HOUR),
            Ok(()),
            "a leap second and more"
        );
    }

    #[test]
    fn c39_not_more_than_a_twentieth_goes_at_once() {
        assert_eq!(allowed(Rows { all: 100_000, old: 5_000 }), Ok(()));
        assert_eq!(
            allowed(Rows { all: 100_000, old: 5_001 }),
            Err(Refused::TooMany { old: 5_001, all: 100_000 })
        );
        assert_eq!(allowed(Rows { all: 200, old: 100 }), Ok(()));
        assert!(allowed(Rows { all: 100, old: 100 }).is_err(), "all of a small house");
        assert_eq!(allowed(Rows { all: 0, old: 0 }), Ok(()));
    }

    #[test]
    fn c39_a_clock_that_was_wrong_from_the_start_removes_what_the_events_say() {
        let newest = NOW;
        let wrong = NOW.after(MONTH * 120);
        assert_eq!(cutoff(wrong, newest, MONTH), newest.after(QUIET).before(MONTH));
        assert_eq!(cutoff(NOW.after(HOUR), newest, MONTH), NOW.after(HOUR).before(MONTH));
    }
}
