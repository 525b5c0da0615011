//! Time limits. A timer is data: what it is for, when it is due, and the version of
//! the incident that set it. At most one runs in an incident, so a timer that was
//! overtaken by an act, or by another gateway, is not the incident's any more.
//!
//! Due times are wall time, because they must mean something after a restart. But
//! wall time jumps, so a running gateway measures each timer from when it has first
//! seen it by a clock that does not: see [`Watch`].

use crate::site::SiteKind;
use crate::{IncidentId, Timestamp, words};
use std::collections::HashMap;
use std::time::Duration;

words! {
    /// What must have happened when a timer is due.
    TimerKind {
        /// Somebody has taken the incident.
        Ack = "ack",
        /// Whoever has taken it has asked somebody to go, or goes.
        Assign = "assign",
        /// Whoever is asked has said that they go.
        Accept = "accept",
        /// They are there.
        Arrive = "arrive",
        /// What they found is written down.
        Feedback = "feedback",
        /// Who raised it was asked afterwards.
        FollowUp = "follow_up",
        /// Somebody has acted although everybody was called already.
        Remind = "remind",
    }
}

/// A time limit that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// What for.
    pub kind: TimerKind,
    /// Until when.
    pub due: Timestamp,
    /// The version of the incident that set it: no other timer of it has the same.
    pub version: i64,
}

/// How long each may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Until somebody takes it.
    pub ack: Duration,
    /// Until whoever took it asks somebody to go, or goes.
    pub assign: Duration,
    /// Until whoever is asked says that they go.
    pub accept: Duration,
    /// Until they are there.
    pub arrive: Duration,
    /// Until what they found is written down.
    pub feedback: Duration,
    /// Until who raised it is asked afterwards.
    pub follow_up: Duration,
    /// Between two reminders at the end of the chain.
    pub remind: Duration,
}

impl Timings {
    /// What a site of this kind keeps to. Ways in a village are longer.
    #[must_use]
    pub fn of(kind: SiteKind) -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            ack: minutes(1),
            assign: minutes(3),
            accept: minutes(3),
            arrive: minutes(match kind {
                SiteKind::Compound => 10,
                SiteKind::Village => 30,
            }),
            feedback: minutes(24 * 60),
            follow_up: minutes(72 * 60),
            remind: minutes(10),
        }
    }

    /// How long this one may take.
    #[must_use]
    pub fn span(&self, kind: TimerKind) -> Duration {
        match kind {
            TimerKind::Ack => self.ack,
            TimerKind::Assign => self.assign,
            TimerKind::Accept => self.accept,
            TimerKind::Arrive => self.arrive,
            TimerKind::Feedback => self.feedback,
            TimerKind::FollowUp => self.follow_up,
            TimerKind::Remind => self.remind,
        }
    }
}

/// A timer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub incident_id: IncidentId,
    /// The time limit.
    pub timer: Timer,
    /// How long it was when it was set: it never takes longer than this.
    pub span: Duration,
}

/// Says which of the kept timers have run out.
///
/// When a timer is seen first, what is left of it is read from the wall clock, and from
/// then on only the monotonic clock counts. A timer that was not there at the last look
/// was set since then, so nearly all of it is left, whatever the wall clock says; at the
/// first look after a start it may be anything from nothing to its whole span. So a wall
/// clock that jumps while the gateway runs moves no timer by more than the time between
/// two looks, and one that was wrong over a restart moves it by one span at most.
#[derive(Debug, Default)]
pub struct Watch {
    /// When it was looked last, monotonic.
    looked: Option<Duration>,
    /// By incident, version and due time: when it fires, monotonic.
    seen: HashMap<(IncidentId, i64, Timestamp), Duration>,
}

impl Watch {
    /// Takes all timers that are kept. `wall` is now; `elapsed` is monotonic, since
    /// whenever. Answers those that have run out, until they are gone from `kept`.
    pub fn handle(&mut self, kept: Vec<Due>, wall: Timestamp, elapsed: Duration) -> Vec<Due> {
        let before = std::mem::take(&mut self.seen);
        let since = self.looked.replace(elapsed).map(|looked| elapsed.saturating_sub(looked));
        let mut fired = Vec::new();
        for due in kept {
            let key = (due.incident_id.clone(), due.timer.version, due.timer.due);
            let left = u64::try_from(due.timer.due.0.saturating_sub(wall.0)).unwrap_or(0);
            let least = since.map_or(Duration::ZERO, |since| due.span.saturating_sub(since));
            let first_seen = || elapsed + Duration::from_micros(left).clamp(least, due.span);
            let fires = before.get(&key).copied().unwrap_or_else(first_seen);
            self.seen.insert(key, fires);
            if fires <= elapsed {
                fired.push(due);
            }
        }
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn kept() -> Vec<Due> {
        let timer = Timer { kind: TimerKind::Ack, due: NOW.after(MINUTE), version: 1 };
        vec![Due { incident_id: IncidentId::from_random([1; 16]), timer, span: MINUTE }]
    }

    fn fires(watch: &mut Watch, wall: Timestamp, elapsed: Duration) -> bool {
        !watch.handle(kept(), wall, elapsed).is_empty()
    }

    #[test]
    fn c39_a_clock_that_jumps_moves_no_timer_that_is_watched() {
        let year = Duration::from_secs(365 * 24 * 3_600);
        for jumped in [NOW.after(MINUTE * 60), NOW.after(year * 10), NOW.before(MINUTE * 60 * 24), NOW] {
            let mut watch = Watch::default();
            assert!(!fires(&mut watch, NOW, Duration::ZERO));
            assert!(!fires(&mut watch, jumped, MINUTE - Duration::from_millis(1)), "{jumped}");
            assert!(fires(&mut watch, jumped, MINUTE), "{jumped}");
        }
    }

    #[test]
    fn c39_a_clock_that_jumps_before_a_new_timer_is_seen_moves_it_by_one_look() {
        let look = Duration::from_millis(500);
        for jumped in [NOW.after(MINUTE * 600), NOW.before(MINUTE * 600), NOW] {
            let mut watch = Watch::default();
            watch.handle(Vec::new(), NOW, Duration::ZERO);
            assert!(!fires(&mut watch, jumped, look), "{jumped}");
            assert!(!fires(&mut watch, jumped, MINUTE - Duration::from_millis(1)), "{jumped}");
            assert!(fires(&mut watch, jumped, MINUTE + look), "{jumped}");
        }
    }

    #[test]
    fn c39_over_a_restart_a_timer_takes_one_span_at_most() {
        let later = MINUTE / 2;
        let restarted = |wall| {
            let mut watch = Watch::default();
            let at = |elapsed| fires(&mut watch, wall, elapsed);
            [later, later + MINUTE / 2, later + MINUTE].map(at)
        };
        assert_eq!(restarted(NOW.after(later)), [false, true, true], "what was left of it");
        assert_eq!(restarted(NOW.before(MINUTE * 600)), [false, false, true], "a clock that was set back");
        assert_eq!(restarted(NOW.after(MINUTE * 600)), [true, true, true], "a long outage");
    }

    #[test]
    fn what_is_not_kept_any_more_is_forgotten() {
        let mut watch = Watch::default();
        watch.handle(kept(), NOW, Duration::ZERO);
        assert!(watch.handle(Vec::new(), NOW, MINUTE).is_empty());
        assert!(watch.seen.is_empty());
    }
}
