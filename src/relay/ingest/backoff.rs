//! When a camera is tried again: pure, so every rule is a table test.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// For this long after the loss, or while somebody watches, every second.
const EAGER: Duration = Duration::from_secs(600);
/// Cameras lock their account after a handful of refused logins.
const LOGINS_PER_HOUR: usize = 5;
const HOUR: Duration = Duration::from_secs(3_600);
/// Between two tries of a refused login.
const PAUSE: Duration = Duration::from_secs(60);

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
}

/// Refused logins of all cameras. Kept for as long as the gateway runs and shared
/// by a camera's streams: it is one account that the camera would lock.
#[derive(Debug)]
pub struct Refusals<K>(HashMap<K, Refused>);

impl<K> Default for Refusals<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[derive(Debug, Default)]
struct Refused {
    at: VecDeque<Duration>,
    why: Arc<str>,
}

impl<K: std::hash::Hash + Eq> Refusals<K> {
    /// Notes that `login` was refused, and why.
    pub fn note(&mut self, login: K, now: Duration, why: &str) {
        self.0.retain(|_, refused| refused.at.back().is_some_and(|last| now.saturating_sub(*last) < HOUR));
        let refused = self.0.entry(login).or_default();
        refused.at.push_back(now);
        refused.why = why.into();
    }

    /// Why a login was refused last.
    #[must_use]
    pub fn why(&self, login: &K) -> Arc<str> {
        self.0.get(login).map(|refused| Arc::clone(&refused.why)).unwrap_or_default()
    }

    /// Forgets refusals of a login that was accepted.
    pub fn clear(&mut self, login: &K) {
        self.0.remove(login);
    }

    /// How long to wait before `login` may be tried: a minute after a refusal, and
    /// no more than five in any hour.
    #[must_use]
    pub fn wait(&self, login: &K, now: Duration) -> Duration {
        let Some(Refused { at: refused, .. }) = self.0.get(login) else { return Duration::ZERO };
        let until = |at: Option<&Duration>, pause: Duration| {
            at.map_or(Duration::ZERO, |at| (*at + pause).saturating_sub(now))
        };
        let fifth = refused.len().checked_sub(LOGINS_PER_HOUR).and_then(|n| refused.get(n));
        until(refused.back(), PAUSE).max(until(fifth, HOUR))
    }
}

impl Backoff {
    /// How long to wait after an attempt that ended `now`. `jitter` is random in
    /// 0..1; it spreads cameras that come back together.
    pub fn delay(&mut self, outcome: Outcome, now: Duration, watched: bool, jitter: f64) -> Duration {
        match outcome {
            Outcome::Lost => {
                self.lost_at = Some(now);
                Duration::from_millis(250)
            }
            // How long, `Refusals` says.
            Outcome::Refused => Duration::ZERO,
            Outcome::Failed => {
                let lost_at = *self.lost_at.get_or_insert(now);
                let eager = watched || now.saturating_sub(lost_at) < EAGER;
                let base = Duration::from_secs(if eager { 1 } else { 5 });
                // Never later than the base: a viewer waits for at most that long.
                base.mul_f64(0.8 + 0.2 * jitter.clamp(0.0, 1.0))
            }
        }
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
        let mut refusals = Refusals::default();
        let (mut now, mut tries) = (Duration::ZERO, Vec::new());
        while now < 10 * HOUR {
            // Whoever asks, however often: a stream that is opened and left again.
            now += refusals.wait(&"camera", now).max(S);
            if refusals.wait(&"camera", now).is_zero() {
                tries.push(now);
                refusals.note("camera", now, "no");
            }
        }
        for (n, start) in tries.iter().enumerate() {
            let in_hour = tries[n..].iter().take_while(|t| **t < *start + HOUR).count();
            assert!(in_hour <= 5, "{in_hour} tries in the hour after {start:?}");
        }
        assert!(tries.len() > 40, "it goes on trying");
    }

    #[test]
    fn a_login_that_is_accepted_has_a_clean_record() {
        let mut refusals = Refusals::default();
        refusals.note("camera", S, "no");
        assert_eq!(refusals.wait(&"camera", 2 * S), 59 * S);
        assert_eq!(refusals.wait(&"another", 2 * S), Duration::ZERO);
        refusals.clear(&"camera");
        assert_eq!(refusals.wait(&"camera", 2 * S), Duration::ZERO);
    }
}
