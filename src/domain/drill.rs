//! Practice, with ledgers of its own: drills go through the machinery of incidents,
//! and tests of alarm buttons are noted. What is counted is the machinery, never who
//! of the people came.

use crate::event::alarm::{Alarm, AlarmKind};
use crate::incident::{Act, Answer, LogRow, Reached};
use crate::role::Role;
use crate::{ButtonTestId, DeviceId, PersonId, SiteId, Timestamp};
use std::time::Duration;

/// How a drill went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Seconds until somebody took it.
    pub ack_seconds: Option<i64>,
    /// Seconds until somebody was there.
    pub arrive_seconds: Option<i64>,
    /// How often the next in the chain had to be called.
    pub escalations: usize,
    /// Households it was sent to.
    pub asked: usize,
    /// Those where somebody saw it, answered or not.
    pub seen: usize,
    /// Those from which somebody would have come.
    pub coming: usize,
}

/// How a drill went, from its log and what became of its call.
#[must_use]
pub fn outcome(log: &[LogRow], reached: &[Reached]) -> Outcome {
    let opened = log.first().map_or(Timestamp(0), |row| row.at);
    let first = |act| {
        let row = log.iter().find(|row| row.act == act)?;
        Some((row.at.0 - opened.0).max(0) / 1_000_000)
    };
    let with = |wanted: &[Answer]| reached.iter().filter(|one| wanted.contains(&one.answer)).count();
    Outcome {
        ack_seconds: first(Act::Ack),
        arrive_seconds: first(Act::Arrive),
        escalations: log.iter().filter(|row| row.act == Act::Escalate).count(),
        asked: reached.len(),
        seen: with(&[Answer::Shown, Answer::Coming, Answer::Declined]),
        coming: with(&[Answer::Coming]),
    }
}

/// Somebody has tried an alarm button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ButtonTest {
    /// Its id.
    pub id: ButtonTestId,
    /// The button's site.
    pub site_id: SiteId,
    /// The button.
    pub device_id: DeviceId,
    /// Who tried it.
    pub person_id: PersonId,
    /// In which role.
    pub role: Role,
    /// Whether it worked.
    pub worked: bool,
    /// What there is to say.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// How far the clocks of two gateways at one database may be apart.
const APART: Duration = Duration::from_secs(60);

/// A button that is being tried: its next press is a test and raises no alarm. It ends with that
/// press or with its time, so that at most one press is taken for one by mistake. No panel is: of
/// what it tells nobody knows whether a hand has pressed it or a room burns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The id of the test that becomes of it.
    pub id: ButtonTestId,
    /// The button's site.
    pub site_id: SiteId,
    /// The button.
    pub device_id: DeviceId,
    /// Who tries it.
    pub person_id: PersonId,
    /// In which role.
    pub role: Role,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Trial {
    /// The most minutes that one may take.
    pub const MINUTES: u8 = 15;

    /// Whether it goes on at `now`, by the clock of whichever gateway. A clock that was set back
    /// ends it: what is pressed then is real.
    #[must_use]
    pub fn goes_on(&self, now: Timestamp) -> bool {
        self.from <= now.after(APART) && now < self.until
    }

    /// Whether an alarm of the button at that time is the press that is waited for. One that was
    /// kept while a line was down was pressed before; a fire, a burglar, whoever is forced and who
    /// tampers test nothing.
    #[must_use]
    pub fn takes(&self, alarm: &Alarm) -> bool {
        let tried = matches!(alarm.kind, AlarmKind::Panic | AlarmKind::Medical);
        tried && !alarm.late && !alarm.drill && self.goes_on(alarm.received_at)
    }

    /// What is noted of it.
    #[must_use]
    pub fn test(self, worked: bool, at: Timestamp) -> ButtonTest {
        let Self { id, site_id, device_id, person_id, role, .. } = self;
        ButtonTest { id, site_id, device_id, person_id, role, worked, note: None, at }
    }
}

/// How old the last test of a button that has worked may be: whoever tries all of them once a
/// month has none that is older.
pub const FRESH: Duration = Duration::from_secs(31 * 24 * 3_600);

/// Whether a button is to be tried: it never was, or it is long ago. `since` is when it came.
#[must_use]
pub fn is_overdue(last_worked: Option<Timestamp>, since: Timestamp, now: Timestamp) -> bool {
    last_worked.unwrap_or(since).after(FRESH) <= now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlaceId;
    use crate::event::alarm::Point;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    #[test]
    fn a_trial_takes_one_kind_of_press_within_its_time_and_nothing_else() {
        let trial = Trial {
            id: ButtonTestId::from_random([1; 16]),
            site_id: SiteId::from_random([2; 16]),
            device_id: DeviceId::from_random([3; 16]),
            person_id: PersonId::from_random([4; 16]),
            role: Role::Patrol,
            from: NOW,
            until: NOW.after(Duration::from_secs(300)),
        };
        let press = Alarm {
            kind: AlarmKind::Panic,
            site_id: trial.site_id.clone(),
            place_id: PlaceId::from_random([5; 16]),
            point: Point::Device { id: trial.device_id.clone(), part: None },
            drill: false,
            late: false,
            reporter: None,
            received_at: NOW.after(Duration::from_secs(299)),
        };
        assert!(trial.takes(&press));
        assert!(trial.takes(&Alarm { kind: AlarmKind::Medical, ..press.clone() }));
        // A gateway whose clock is behind that of the one where it was begun.
        let behind = NOW.before(Duration::from_secs(59));
        assert!(trial.goes_on(behind) && trial.takes(&Alarm { received_at: behind, ..press.clone() }));
        let real = |kind| Alarm { kind, ..press.clone() };
        for real in [
            real(AlarmKind::Fire),
            real(AlarmKind::Intrusion),
            real(AlarmKind::Duress),
            real(AlarmKind::Tamper),
            Alarm { late: true, ..press.clone() },
            Alarm { drill: true, ..press.clone() },
            Alarm { received_at: NOW.after(Duration::from_secs(300)), ..press.clone() },
            // The clock was set back.
            Alarm { received_at: NOW.before(Duration::from_secs(61)), ..press.clone() },
        ] {
            assert!(!trial.takes(&real), "{real:?}");
        }
    }

    #[test]
    fn a_button_is_tried_once_a_month() {
        let (day, since) = (Duration::from_secs(24 * 3_600), NOW.before(FRESH * 9));
        assert!(is_overdue(None, since, NOW));
        assert!(!is_overdue(None, NOW.before(day), NOW), "it is new");
        assert!(!is_overdue(Some(NOW.before(day * 30)), since, NOW));
        assert!(is_overdue(Some(NOW.before(day * 31)), since, NOW));
    }
}
