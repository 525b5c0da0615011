//! Whom an incident calls now: what goes to telephones and bots, beyond the pages.
//!
//! A call is a row of the log that asks somebody for something, and it lasts until that
//! is done: to take the incident until somebody has, whoever it was; to go there until
//! whoever was asked has said that they go. So nobody is called after somebody else
//! has answered, and a message that has arrived somewhere ends nothing.

use super::{Act, Incident, LogRow, State, Step};
use crate::PersonId;

/// What somebody is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To take the incident.
    Take,
    /// To go there.
    Go,
}

/// Somebody is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The row of the log that calls: one call has one.
    pub version: i64,
    /// What for.
    pub ask: Ask,
    /// Whoever is at this step of the chain …
    pub step: Step,
    /// … unless it is one person.
    pub assignee: Option<PersonId>,
    /// Whether it is the first call of the incident, with which neighbours are called.
    pub first: bool,
}

impl Incident {
    /// The calls that still wait for an answer, the oldest first. `log` is the whole log.
    #[must_use]
    pub fn calls(&self, log: &[LogRow]) -> Vec<Call> {
        let call = |row: &LogRow, ask| Call {
            version: row.version,
            ask,
            step: row.step,
            assignee: row.assignee.clone().filter(|_| ask == Ask::Go && self.state == State::Dispatched),
            first: row.act == Act::Open,
        };
        let since = |acts: &[Act]| log.iter().rposition(|row| acts.contains(&row.act)).unwrap_or(0);
        match self.state {
            State::Open | State::Reopened => log[since(&[Act::Open, Act::Reopen]).min(log.len())..]
                .iter()
                .filter(|row| matches!(row.act, Act::Open | Act::Reopen | Act::Escalate))
                .map(|row| call(row, Ask::Take))
                .collect(),
            // Whoever has declined, or has not answered, is not called any more.
            State::Dispatched => {
                let asks = |row: &&LogRow| matches!(row.act, Act::Assign | Act::Decline | Act::Escalate);
                log.iter().rev().find(asks).map(|row| call(row, Ask::Go)).into_iter().collect()
            }
            // Somebody goes and is late: others are called in addition.
            State::Accepted => log[since(&[Act::Accept]).min(log.len())..]
                .iter()
                .filter(|row| row.act == Act::Escalate)
                .map(|row| call(row, Ask::Go))
                .collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::alarm::{Alarm, AlarmKind, Point};
    use crate::incident::{Actor, Command, Hand, Timings};
    use crate::role::Role;
    use crate::site::SiteKind;
    use crate::{IncidentId, PlaceId, SiteId, Timestamp};

    struct Story(Incident, Vec<LogRow>);

    impl Story {
        fn new() -> Self {
            let place = PlaceId::from_random([3; 16]);
            let alarm = Alarm {
                kind: AlarmKind::Panic,
                site_id: SiteId::from_random([2; 16]),
                place_id: place.clone(),
                point: Point::Place(place),
                drill: false,
                late: false,
                reporter: None,
                received_at: Timestamp(0),
            };
            let timings = Timings::of(SiteKind::Compound);
            let opened = Incident::open(IncidentId::from_random([1; 16]), &alarm, None, &timings);
            Self(opened.incident, vec![opened.row])
        }

        fn then(&mut self, command: &Command) -> Vec<(i64, Ask, Step, bool)> {
            let house = matches!(command, Command::Expire(_));
            let person = Actor {
                person: Some(PersonId::from_random([9; 16])),
                role: Some(Role::DutyOperator),
                hand: Hand::Operator,
                own: false,
            };
            let actor = if house { Actor::house() } else { person };
            let timings = Timings::of(SiteKind::Compound);
            let change = self.0.apply(command, Some("x"), &actor, &timings, Timestamp(1)).unwrap();
            self.0 = change.incident;
            self.1.push(change.row);
            self.calls()
        }

        fn late(&mut self) -> Vec<(i64, Ask, Step, bool)> {
            self.then(&Command::Expire(self.0.timer.unwrap()))
        }

        fn calls(&self) -> Vec<(i64, Ask, Step, bool)> {
            let one = |call: Call| (call.version, call.ask, call.step, call.assignee.is_some());
            self.0.calls(&self.1).into_iter().map(one).collect()
        }
    }

    #[test]
    fn whoever_is_called_is_called_until_somebody_answers() {
        use Ask::{Go, Take};
        let mut story = Story::new();
        assert_eq!(story.calls(), [(1, Take, Step::GridWorker, false)]);
        let both = [(1, Take, Step::GridWorker, false), (2, Take, Step::BuildingLeader, false)];
        assert_eq!(story.late(), both, "the next are called, and the first still are");
        assert_eq!(story.then(&Command::Note), both, "a remark calls nobody and ends nothing");
        assert_eq!(story.then(&Command::Ack), [], "the first who takes it ends it for all");
        let person = Some(PersonId::from_random([9; 16]));
        let sent = story.then(&Command::Assign { to: person.clone(), step: None });
        assert_eq!(sent, [(5, Go, Step::BuildingLeader, true)]);
        assert_eq!(story.late(), [(6, Go, Step::Patrol, false)], "whoever did not answer is not waited for");
        story.then(&Command::Assign { to: person, step: None });
        assert_eq!(story.then(&Command::Decline), [(8, Go, Step::Station, false)]);
        assert_eq!(story.then(&Command::Accept), []);
        assert_eq!(story.late(), [(10, Go, Step::Decide, false)], "late on the way: others in addition");
        assert_eq!(story.then(&Command::Arrive), []);
        assert_eq!(story.then(&Command::Feedback), []);
        story.then(&Command::Close);
        let again = story.then(&Command::FollowUp { satisfied: false });
        assert_eq!(again, [(14, Take, Step::GridWorker, false)], "reopened: only from there");
        assert_eq!(story.late().len(), 2);
    }
}
