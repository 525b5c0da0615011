//! Whom an incident calls now: what goes to telephones and bots, beyond the pages.
//!
//! A call is a row of the log that asks somebody for something, and it lasts until that
//! is done: to take the incident until somebody has, whoever it was; to go there until
//! whoever was asked has said that they go. So nobody is called after somebody else
//! has answered, and a message that has arrived somewhere ends nothing. Who cannot come
//! speaks for themselves: the others who were asked with them still are.

use super::{Act, Incident, LogRow, State, Step};
use crate::PersonId;
use std::collections::BTreeSet;

/// What somebody is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To take the incident.
    Take,
    /// To go there.
    Go,
    /// To write down what was found and done.
    Report,
    /// To ask whoever raised it whether it is settled.
    FollowUp,
}

impl Ask {
    /// Whether somebody waits for help, rather than for what is to be written afterwards.
    #[must_use]
    pub fn is_pressing(self) -> bool {
        matches!(self, Self::Take | Self::Go)
    }
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
    /// … unless it is one person …
    pub assignee: Option<PersonId>,
    /// … without those who have said that they cannot go.
    pub declined: BTreeSet<PersonId>,
    /// Whether it is the first call of the incident, with which neighbours are called.
    pub first: bool,
}

impl Incident {
    /// The calls that still wait for an answer, the oldest first. `log` is the whole log.
    #[must_use]
    pub fn calls(&self, log: &[LogRow]) -> Vec<Call> {
        let since = |begins: fn(&LogRow) -> bool| {
            let begun = log.iter().rposition(begins).unwrap_or(0);
            log.get(begun..).unwrap_or_default()
        };
        // Of reminders, the last: it is for the same people as those before it.
        let reminder = log.iter().rev().find(|row| row.act == Act::Remind).map(|row| row.version);
        let calls = |rows: &[LogRow], ask| -> Vec<Call> {
            let asks = |row: &&LogRow| match row.act {
                Act::Escalate => true,
                Act::Remind => Some(row.version) == reminder,
                _ => begins(row),
            };
            rows.iter().filter(asks).map(|row| call(row, ask, None, log)).collect()
        };
        match self.state {
            State::Open | State::Reopened => calls(since(begins), Ask::Take),
            // Whoever has taken it does nothing: others are called in addition. After the last
            // refusal it is back with them, and they are called to decide what is next.
            State::Acked => {
                let rows = since(|row| matches!(row.act, Act::Ack | Act::Decline));
                let taken_by = log.iter().rfind(|row| row.act == Act::Ack).and_then(|row| row.actor.clone());
                let back = rows.first().filter(|row| row.act == Act::Decline);
                let back = back.map(|row| call(row, Ask::Go, taken_by, log));
                back.into_iter().chain(calls(rows, Ask::Go)).collect()
            }
            // Whoever has not answered is not called any more.
            State::Dispatched => self.asked(log).into_iter().collect(),
            // Somebody goes and is late: others are called in addition.
            State::Accepted => calls(since(|row| row.act == Act::Accept), Ask::Go),
            // What is left is to be written down, and the station is reminded of it: the last time counts.
            State::OnScene | State::Transferred => reminded(since(enters), Ask::Report),
            State::Closed => reminded(since(enters), Ask::FollowUp),
            _ => Vec::new(),
        }
    }

    /// Who was asked last to go, whether or not somebody has answered since.
    #[must_use]
    pub fn asked(&self, log: &[LogRow]) -> Option<Call> {
        let moves = |n: usize| match log[n].act {
            Act::Assign | Act::Escalate | Act::Remind => true,
            // Of several who were asked one cannot come: the others are asked already, unless
            // they were told meanwhile that this one goes.
            Act::Decline => log[n].from == Some(State::Accepted) || n == 0 || log[n].step != log[n - 1].step,
            _ => false,
        };
        let row = &log[(0..log.len()).rev().find(|n| moves(*n))?];
        Some(call(row, Ask::Go, row.assignee.clone(), log))
    }
}

/// Whether the chain begins with it. Whoever presses again after taking it back changes nothing
/// about who is called.
fn begins(row: &LogRow) -> bool {
    row.act == Act::Open || (row.act == Act::Reopen && row.to == State::Reopened)
}

/// Whether it came to stand as it does by it.
fn enters(row: &LogRow) -> bool {
    row.from != Some(row.to)
}

/// The call of the last reminder among `rows`. Whoever could not go can write all the same.
fn reminded(rows: &[LogRow], ask: Ask) -> Vec<Call> {
    let row = rows.iter().rfind(|row| row.act == Act::Remind);
    row.map(|row| call(row, ask, None, &[])).into_iter().collect()
}

/// Who has said that they cannot go since it was taken or somebody was sent.
#[must_use]
pub fn refusals(log: &[LogRow]) -> BTreeSet<PersonId> {
    let begun = |row: &LogRow| matches!(row.act, Act::Assign | Act::Ack) || begins(row);
    let begun = log.iter().rposition(begun).unwrap_or(0);
    let declined = log.iter().skip(begun).filter(|row| row.act == Act::Decline);
    declined.filter_map(|row| row.actor.clone()).collect()
}

/// The call that a row makes.
fn call(row: &LogRow, ask: Ask, assignee: Option<PersonId>, log: &[LogRow]) -> Call {
    let declined = match row.step {
        // To decide about 110 is not to go there.
        Step::Decide => BTreeSet::new(),
        _ => refusals(log),
    };
    Call { version: row.version, ask, step: row.step, assignee, declined, first: row.act == Act::Open }
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
        assert_eq!(story.then(&Command::Decline { left: false }), [(8, Go, Step::Station, false)]);
        assert_eq!(story.then(&Command::Accept), []);
        assert_eq!(story.late(), [(10, Go, Step::Decide, false)], "late on the way: others in addition");
        assert_eq!(story.then(&Command::Arrive), []);
        assert_eq!(story.then(&Command::Feedback), []);
        assert_eq!(story.then(&Command::Close), []);
        let again = story.then(&Command::FollowUp { satisfied: false });
        assert_eq!(again, [(14, Take, Step::GridWorker, false)], "reopened: only from there");
        assert_eq!(story.late().len(), 2);
    }

    #[test]
    fn the_station_is_reminded_of_what_is_left_to_write_until_it_is_written() {
        use Ask::{FollowUp, Report};
        let mut story = Story::new();
        story.then(&Command::Ack);
        story.then(&Command::Assign { to: None, step: None });
        story.then(&Command::Decline { left: true });
        story.then(&Command::Accept);
        assert_eq!(story.then(&Command::Arrive), [], "within the limit nobody is reminded");
        assert_eq!(story.late(), [(7, Report, Step::Station, false)]);
        assert_eq!(story.0.calls(&story.1)[0].declined, BTreeSet::new(), "to write it is not to go there");
        assert_eq!(story.0.timer.map(|timer| timer.kind), Some(crate::incident::TimerKind::Feedback));
        assert_eq!(story.then(&Command::Note), [(7, Report, Step::Station, false)]);
        assert_eq!(story.late(), [(9, Report, Step::Station, false)], "and again, of which the last counts");
        let transferred = story.then(&Command::Transfer { reference: "110-7".to_owned() });
        assert_eq!(transferred, [], "they are others' now, within a limit of their own");
        assert_eq!(story.late(), [(11, Report, Step::Station, false)]);
        assert_eq!(story.then(&Command::Feedback), []);
        assert_eq!(story.then(&Command::Close), []);
        assert_eq!(story.late(), [(14, FollowUp, Step::Station, false)]);
        assert_eq!(story.late(), [(15, FollowUp, Step::Station, false)]);
        assert_eq!(story.then(&Command::FollowUp { satisfied: true }), []);
        assert!(story.0.timer.is_none());
        assert!(!Report.is_pressing() && !FollowUp.is_pressing() && Ask::Go.is_pressing());
    }

    #[test]
    fn whoever_takes_it_and_does_nothing_is_not_the_last_who_was_called() {
        use Ask::{Go, Take};
        let mut story = Story::new();
        assert_eq!(story.then(&Command::Ack), []);
        assert!(!story.0.is_left_lying());
        assert_eq!(story.late(), [(3, Go, Step::BuildingLeader, false)], "others are called in addition");
        assert!(story.0.is_left_lying());
        let late = [(3, Go, Step::BuildingLeader, false), (4, Go, Step::Patrol, false)];
        assert_eq!(story.late(), late);
        assert_eq!(story.then(&Command::Note), late, "a remark is no answer");
        assert_eq!(story.then(&Command::Accept), [], "one of them goes");

        // At the end of the chain those who are there are reminded, and of reminders one waits.
        let mut story = Story::new();
        for _ in 0..4 {
            story.late();
        }
        let all: Vec<i64> = story.calls().iter().map(|call| call.0).collect();
        assert_eq!(all, [1, 2, 3, 4, 5]);
        for version in 6..9 {
            let calls = story.late();
            assert_eq!((calls.len(), calls[5]), (6, (version, Take, Step::Decide, false)));
        }
    }

    #[test]
    fn one_who_cannot_come_speaks_for_themselves_and_the_last_of_them_for_the_step() {
        use Ask::Go;
        let mut story = Story::new();
        story.then(&Command::Ack);
        assert_eq!(story.then(&Command::Assign { to: None, step: None }), [(3, Go, Step::GridWorker, false)]);
        let timer = story.0.timer;
        let cannot = Command::Decline { left: true };
        assert_eq!(story.then(&cannot), [(3, Go, Step::GridWorker, false)], "it is the call it was");
        assert_eq!(story.0.timer, timer, "and nobody gets more time by it");
        let who = |story: &Story| story.0.calls(&story.1)[0].declined.clone();
        assert_eq!(who(&story), [PersonId::from_random([9; 16])].into());
        assert_eq!(story.then(&Command::Decline { left: false }), [(5, Go, Step::BuildingLeader, false)]);
        assert_eq!(who(&story).len(), 1, "nor are they asked again as somebody else");
        // Whoever goes and cannot after all: the others with them were told that somebody goes.
        assert_eq!(story.then(&Command::Accept), []);
        assert_eq!(story.then(&cannot), [(7, Go, Step::BuildingLeader, false)]);
        assert_eq!(
            story.then(&Command::Assign { to: None, step: None }),
            [(8, Go, Step::BuildingLeader, false)]
        );
        assert_eq!(who(&story), BTreeSet::new(), "whoever handles it may ask them anew");
        // To decide about 110 is not to go there.
        let decide = Command::Assign { to: None, step: Some(Step::Decide) };
        story.then(&decide);
        story.then(&cannot);
        assert_eq!(who(&story), BTreeSet::new());
        assert_eq!(refusals(&story.1), [PersonId::from_random([9; 16])].into(), "and they cannot go");
        // With the last of the chain it is back with whoever took it, who is called at once and has a limit.
        let back = (11, Go, Step::Decide, true);
        assert_eq!(story.then(&Command::Decline { left: false }), [back]);
        assert_eq!((story.0.state, who(&story)), (State::Acked, BTreeSet::new()));
        assert_eq!(story.0.calls(&story.1)[0].assignee, Some(PersonId::from_random([9; 16])));
        assert_eq!(story.late(), [back, (12, Go, Step::Decide, false)]);
        assert_eq!(story.then(&Command::Accept), []);
    }

    #[test]
    fn whoever_presses_again_after_taking_it_back_changes_nothing_about_who_is_called() {
        // The row of the log that says so, as the store adds it.
        fn again(story: &mut Story) {
            let Story(incident, log) = story;
            incident.version += 1;
            log.push(LogRow {
                version: incident.version,
                at: Timestamp(1),
                actor: None,
                role: None,
                act: Act::Reopen,
                from: Some(incident.state),
                to: incident.state,
                step: incident.step,
                assignee: incident.assignee.clone(),
                note: None,
            });
        }
        let mut story = Story::new();
        let both = story.late();
        again(&mut story);
        assert_eq!(story.calls(), both, "the same are called, each once, and the neighbours still");
        story.then(&Command::Ack);
        story.then(&Command::Assign { to: None, step: Some(Step::Patrol) });
        story.then(&Command::Decline { left: true });
        let before = story.0.calls(&story.1);
        again(&mut story);
        assert_eq!(story.0.calls(&story.1), before);
        assert_eq!(before[0].declined.len(), 1, "who cannot come has said so");
    }
}
