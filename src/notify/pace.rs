//! How fast a lane may send: so many within each stretch of time, and nothing while it
//! was told to wait. Pure; time is monotonic and comes in as a span since whenever.

use std::collections::VecDeque;
use std::time::Duration;

/// The pace of one lane.
#[derive(Clone, Debug)]
pub struct Pace {
    limits: Vec<(usize, Duration)>,
    /// When the last ones were sent, the oldest first; as many as the largest limit.
    sent: VecDeque<Duration>,
    held_until: Duration,
    /// Turns that are given out and not used yet.
    given: usize,
}

impl Pace {
    /// At most so many within each of these stretches.
    #[must_use]
    pub fn new(limits: &[(usize, Duration)]) -> Self {
        Self { limits: limits.to_vec(), sent: VecDeque::new(), held_until: Duration::ZERO, given: 0 }
    }

    /// The longest stretch that it looks at.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.limits.iter().map(|(_, stretch)| *stretch).max().unwrap_or_default()
    }

    /// How many turns may be given out at `now`.
    #[must_use]
    pub fn free(&self, now: Duration) -> usize {
        if now < self.held_until {
            return 0;
        }
        let left = |(most, stretch): &(usize, Duration)| {
            let within = self.sent.iter().rev().take_while(|at| now < **at + *stretch).count();
            most.saturating_sub(within)
        };
        self.limits.iter().map(left).min().unwrap_or(0).saturating_sub(self.given)
    }

    /// How long until one may be sent, if no turn is given out.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        let until = |(most, stretch): &(usize, Duration)| match self.sent.len().checked_sub(*most) {
            Some(index) => self.sent[index] + *stretch,
            None => Duration::ZERO,
        };
        let until = self.limits.iter().map(until).max().unwrap_or_default().max(self.held_until);
        until.saturating_sub(now)
    }

    /// Notes that one is sent.
    pub fn note(&mut self, now: Duration) {
        let most = self.limits.iter().map(|(most, _)| *most).max().unwrap_or(0);
        while self.sent.len() >= most.max(1) {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }

    /// Begins with so many that were sent shortly before `now`; what it has noted itself is among them.
    pub fn begin(&mut self, sent: u64, now: Duration) {
        self.sent.clear();
        (0..sent.min(5_000)).for_each(|_| self.note(now));
    }

    /// Gives out a turn: it is noted when it is used, or given back.
    pub fn give(&mut self) {
        self.given += 1;
    }

    /// Takes back a turn that [`Self::give`] has given out.
    pub fn take_back(&mut self) {
        self.given = self.given.saturating_sub(1);
    }

    /// Sends nothing before `until`.
    pub fn hold(&mut self, until: Duration) {
        self.held_until = self.held_until.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_stretch_of_a_minute_has_more_than_its_limit() {
        let minute = 60 * SECOND;
        for limits in [&[(20, minute)][..], &[(100, minute), (5, SECOND)]] {
            let (mut pace, mut now, mut sent) = (Pace::new(limits), 7 * SECOND, Vec::new());
            while sent.len() < 350 {
                let wait = pace.wait(now);
                assert_eq!(wait.is_zero(), pace.free(now) > 0, "{now:?}");
                if wait.is_zero() {
                    pace.note(now);
                    sent.push(now);
                    now += Duration::from_millis(3);
                } else {
                    now += wait;
                }
            }
            for (most, stretch) in limits {
                for window in sent.windows(most + 1) {
                    assert!(window[*most] - window[0] >= *stretch, "{window:?}");
                }
            }
            // And it is no slower than it must be.
            let (most, stretch) = limits[0];
            assert!(
                now <= 8 * SECOND + stretch * u32::try_from(350 / most).unwrap() + 20 * SECOND,
                "{now:?}"
            );
        }
    }

    #[test]
    fn turns_that_are_given_out_are_no_others() {
        let mut pace = Pace::new(&[(3, 60 * SECOND)]);
        pace.note(SECOND);
        pace.give();
        assert_eq!(pace.free(SECOND), 1);
        pace.give();
        assert_eq!(pace.free(SECOND), 0);
        pace.take_back();
        pace.note(2 * SECOND);
        assert_eq!(pace.free(2 * SECOND), 0, "one was used");
        pace.take_back();
        assert_eq!(pace.free(2 * SECOND), 1, "and one was not");
    }

    #[test]
    fn whoever_begins_anew_counts_what_was_sent_once_and_goes_on_waiting() {
        let (mut pace, day) = (Pace::new(&[(20, 60 * SECOND)]), 86_400 * SECOND);
        (0..20).for_each(|_| pace.note(day));
        pace.hold(day + 30 * SECOND);
        pace.begin(5, day + 10 * SECOND);
        assert_eq!(pace.free(day + 29 * SECOND), 0);
        assert_eq!(pace.free(day + 30 * SECOND), 15);
        assert_eq!((pace.free(day + 70 * SECOND), pace.wait(day + 70 * SECOND)), (20, Duration::ZERO));
        pace.begin(0, day + 71 * SECOND);
        assert_eq!(pace.free(day + 71 * SECOND), 20);
    }

    #[test]
    fn whoever_is_told_to_wait_waits() {
        let mut pace = Pace::new(&[(20, 60 * SECOND)]);
        pace.hold(600 * SECOND);
        pace.hold(10 * SECOND);
        assert_eq!((pace.free(599 * SECOND), pace.wait(599 * SECOND)), (0, SECOND));
        assert_eq!((pace.free(600 * SECOND), pace.wait(600 * SECOND)), (20, Duration::ZERO));
        assert_eq!(pace.longest(), 60 * SECOND);
    }
}
