//! When a camera is tried again: pure, so every rule is a table test.

use std::collections::VecDeque;
use std::time::Duration;

/// For this long after the loss, or while somebody watches, every second.
const EAGER: Duration = Duration::from_secs(600);
/// Cameras lock their account after a handful of refused logins.
const LOGINS_PER_HOUR: usize = 5;
const HOUR: Duration = Duration::from_secs(3_600);

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It delivered frames and then ended.
    Lost,
    /// It did not get as far as frames.
    Failed,
    /// The camera refused the login.
    Refused,
}

/// The retry rule of one stream. Times are since any fixed moment.
#[derive(Debug, Default)]
pub struct Backoff {
    /// When the camera was last seen alive.
    lost_at: Option<Duration>,
    refused: VecDeque<Duration>,
}

impl Backoff {
    /// How long to wait after an attempt that ended `now`. `jitter` is random in
    /// 0..1; it spreads cameras that come back together.
    pub fn delay(&mut self, outcome: Outcome, now: Duration, watched: bool, jitter: f64) -> Duration {
        match outcome {
            Outcome::Lost => {
                self.refused.clear();
                self.lost_at = Some(now);
                Duration::from_millis(250)
            }
            Outcome::Refused => self.after_refusal(now),
            Outcome::Failed => {
                let lost_at = *self.lost_at.get_or_insert(now);
                let eager = watched || now.saturating_sub(lost_at) < EAGER;
                let base = Duration::from_secs(if eager { 1 } else { 5 });
                // Never later than the base: a viewer waits for at most that long.
                base.mul_f64(0.8 + 0.2 * jitter.clamp(0.0, 1.0))
            }
        }
    }

    /// A minute between tries, and no more than five in any hour.
    fn after_refusal(&mut self, now: Duration) -> Duration {
        self.refused.push_back(now);
        while self.refused.front().is_some_and(|at| now.saturating_sub(*at) >= HOUR) {
            self.refused.pop_front();
        }
        let pause = Duration::from_secs(60);
        if self.refused.len() < LOGINS_PER_HOUR {
            return pause;
        }
        let oldest = self.refused.front().copied().unwrap_or(now);
        (oldest + HOUR).saturating_sub(now).max(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn tries_soon_then_every_second_then_every_five() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.delay(Outcome::Lost, S, false, 0.5), S / 4);
        assert_eq!(backoff.delay(Outcome::Failed, 2 * S, false, 1.0), S);
        assert_eq!(backoff.delay(Outcome::Failed, 599 * S, false, 1.0), S);
        assert_eq!(backoff.delay(Outcome::Failed, 602 * S, false, 1.0), 5 * S);
        assert_eq!(backoff.delay(Outcome::Failed, 602 * S, true, 1.0), S, "somebody watches");
        assert_eq!(backoff.delay(Outcome::Failed, 603 * S, false, 0.0), 4 * S, "jitter");
    }

    #[test]
    fn at_most_five_refused_logins_in_any_hour() {
        let mut backoff = Backoff::default();
        let (mut now, mut tries) = (Duration::ZERO, Vec::new());
        while now < 10 * HOUR {
            tries.push(now);
            now += backoff.delay(Outcome::Refused, now, true, 0.0);
        }
        for (n, start) in tries.iter().enumerate() {
            let in_hour = tries[n..].iter().take_while(|t| **t < *start + HOUR).count();
            assert!(in_hour <= 5, "{in_hour} tries in the hour after {start:?}");
        }
        assert!(tries.len() > 20, "it goes on trying");
    }

    #[test]
    fn a_camera_that_was_alive_has_a_clean_record() {
        let mut backoff = Backoff::default();
        for n in 0..5 {
            backoff.delay(Outcome::Refused, n * S, true, 0.0);
        }
        backoff.delay(Outcome::Lost, 100 * S, true, 0.0);
        assert_eq!(backoff.delay(Outcome::Refused, 101 * S, true, 0.0), 60 * S);
    }
}
