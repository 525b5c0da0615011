//! C34: the machine as a table, and under random commands of several people with
//! stale copies, restarts and clocks that jump.

use super::command::arrow;
use super::*;
use crate::access::Standing;
use crate::household::Membership;
use crate::role::Grant;
use crate::site::SiteKind;
use crate::{DeviceId, GrantId, UnitId, Words as _};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

fn person(n: u8) -> PersonId {
    PersonId::from_random([n; 16])
}

fn alarm(kind: AlarmKind, drill: bool) -> Alarm {
    Alarm {
        kind,
        site_id: SiteId::from_random([1; 16]),
        place_id: PlaceId::from_random([1; 16]),
        point: Point::Household(HouseholdId::from_random([1; 16])),
        drill,
        late: false,
        reporter: Some(person(9)),
        received_at: NOW,
    }
}

fn timings() -> Timings {
    Timings::of(SiteKind::Compound)
}

fn opened(kind: AlarmKind, drill: bool) -> Incident {
    let id = IncidentId::from_random([1; 16]);
    Incident::open(id, &alarm(kind, drill), Some(Role::Resident), &timings()).incident
}

fn operator(n: u8) -> Actor {
    Actor { person: Some(person(n)), role: Some(Role::DutyOperator), hand: Hand::Operator, own: false }
}

fn responder(n: u8) -> Actor {
    Actor { role: Some(Role::GridWorker3), hand: Hand::Responder, ..operator(n) }
}

fn reporter() -> Actor {
    Actor { person: Some(person(9)), role: Some(Role::Resident), hand: Hand::Reporter, own: true }
}

fn assign(to: Option<PersonId>) -> Command {
    Command::Assign { to, step: None }
}

/// Nobody else is left who was asked.
const DECLINE: Command = Command::Decline { left: false };

fn transfer() -> Command {
    Command::Transfer { reference: "110-2026-77".into() }
}

/// The time limit of this kind that runs in an incident, running out.
fn expire(incident: &Incident) -> (Command, Actor) {
    (Command::Expire(incident.timer.unwrap()), Actor::house())
}

/// Does one thing after the other, all of which are possible.
fn after(start: Incident, commands: &[(Command, Actor)]) -> Incident {
    commands.iter().fold(start, |incident, (command, by)| {
        let change = incident.apply(command, Some("because"), by, &timings(), NOW);
        change.unwrap_or_else(|why| panic!("{command:?}: {why}")).incident
    })
}

fn refused(incident: &Incident, command: &Command, by: &Actor) -> Refused {
    incident.apply(command, Some("because"), by, &timings(), NOW).unwrap_err()
}

/// The arrows of the drawing, written down a second time.
const ARROWS: &[(State, Act, State)] = &[
    (State::Open, Act::Ack, State::Acked),
    (State::Open, Act::Escalate, State::Open),
    (State::Open, Act::AskCancel, State::Open),
    (State::Open, Act::Cancel, State::Cancelled),
    (State::Open, Act::Remind, State::Open),
    (State::Acked, Act::Assign, State::Dispatched),
    (State::Acked, Act::Accept, State::Accepted),
    (State::Acked, Act::Escalate, State::Acked),
    (State::Acked, Act::Remind, State::Acked),
    (State::Acked, Act::Transfer, State::Transferred),
    (State::Acked, Act::FalseAlarm, State::FalseAlarm),
    (State::Acked, Act::AskCancel, State::Acked),
    (State::Acked, Act::Cancel, State::Cancelled),
    (State::Dispatched, Act::Accept, State::Accepted),
    (State::Dispatched, Act::Assign, State::Dispatched),
    (State::Dispatched, Act::Decline, State::Dispatched),
    (State::Dispatched, Act::Escalate, State::Dispatched),
    (State::Dispatched, Act::Remind, State::Dispatched),
    (State::Dispatched, Act::Transfer, State::Transferred),
    (State::Dispatched, Act::FalseAlarm, State::FalseAlarm),
    (State::Dispatched, Act::AskCancel, State::Dispatched),
    (State::Dispatched, Act::Cancel, State::Cancelled),
    (State::Accepted, Act::Arrive, State::OnScene),
    (State::Accepted, Act::Assign, State::Dispatched),
    (State::Accepted, Act::Decline, State::Dispatched),
    (State::Accepted, Act::Escalate, State::Accepted),
    (State::Accepted, Act::Remind, State::Accepted),
    (State::Accepted, Act::Transfer, State::Transferred),
    (State::Accepted, Act::FalseAlarm, State::FalseAlarm),
    (State::Accepted, Act::AskCancel, State::Accepted),
    (State::Accepted, Act::Cancel, State::Cancelled),
    (State::OnScene, Act::Feedback, State::Feedback),
    (State::OnScene, Act::Transfer, State::Transferred),
    (State::OnScene, Act::FalseAlarm, State::FalseAlarm),
    (State::OnScene, Act::Remind, State::OnScene),
    (State::Transferred, Act::Feedback, State::Feedback),
    (State::Transferred, Act::Remind, State::Transferred),
    (State::Feedback, Act::Close, State::Closed),
    (State::FalseAlarm, Act::Close, State::Closed),
    (State::Closed, Act::FollowUp, State::FollowedUp),
    (State::Closed, Act::Reopen, State::Reopened),
    (State::Closed, Act::Remind, State::Closed),
    (State::FollowedUp, Act::Reopen, State::Reopened),
    (State::Reopened, Act::Ack, State::Acked),
    (State::Reopened, Act::Escalate, State::Reopened),
    (State::Reopened, Act::Remind, State::Reopened),
];

fn states() -> impl Iterator<Item = State> {
    State::WORDS.iter().filter_map(|word| State::from_word(word))
}

fn acts() -> impl Iterator<Item = Act> {
    Act::WORDS.iter().filter_map(|word| Act::from_word(word))
}

#[test]
fn c34_the_arrows_are_those_of_the_drawing_and_no_others() {
    for from in states() {
        for act in acts() {
            let drawn = ARROWS.iter().find(|(f, a, _)| (*f, *a) == (from, act)).map(|(_, _, to)| *to);
            let drawn = if act == Act::Note { Some(from) } else { drawn };
            assert_eq!(arrow(from, act), drawn, "{from:?} {act:?}");
        }
    }
}

#[test]
fn from_alarm_to_follow_up() {
    let (desk, guard) = (operator(1), responder(2));
    let walk = [
        (Command::Ack, desk.clone(), State::Acked, Some(TimerKind::Assign)),
        (assign(Some(person(2))), desk.clone(), State::Dispatched, Some(TimerKind::Accept)),
        (Command::Accept, guard.clone(), State::Accepted, Some(TimerKind::Arrive)),
        (Command::Arrive, guard.clone(), State::OnScene, Some(TimerKind::Feedback)),
        (Command::Feedback, guard, State::Feedback, None),
        (Command::Close, desk.clone(), State::Closed, Some(TimerKind::FollowUp)),
        (Command::FollowUp { satisfied: false }, desk.clone(), State::Reopened, Some(TimerKind::Ack)),
        (Command::Ack, desk.clone(), State::Acked, Some(TimerKind::Assign)),
        (transfer(), desk.clone(), State::Transferred, Some(TimerKind::Feedback)),
        (Command::Feedback, desk.clone(), State::Feedback, None),
        (Command::Close, desk.clone(), State::Closed, Some(TimerKind::FollowUp)),
        (Command::FollowUp { satisfied: true }, desk, State::FollowedUp, None),
    ];
    let mut incident = opened(AlarmKind::Panic, false);
    assert_eq!(incident.timer.map(|timer| timer.due), Some(NOW.after(Duration::from_secs(60))));
    for (command, by, state, timer) in walk {
        incident = after(incident, &[(command, by)]);
        assert_eq!((incident.state, incident.timer.map(|timer| timer.kind)), (state, timer));
        let over = matches!(state, State::Closed | State::FollowedUp);
        assert_eq!(incident.closed_at.is_some(), over, "{state:?}");
    }
    assert_eq!((incident.version, incident.reference.as_deref()), (13, Some("110-2026-77")));
}

#[test]
fn nobody_answers_and_each_in_the_chain_is_called_once_and_reminded_at_its_end() {
    for (drill, last) in [(false, Step::Decide), (true, Step::Station)] {
        let mut incident = opened(AlarmKind::Fire, drill);
        let mut called = vec![incident.step];
        while incident.timer.is_some() && called.len() < 9 {
            let overtaken = incident.clone();
            incident = after(incident, &[expire(&overtaken)]);
            called.push(incident.step);
            // Another gateway that saw the same one run out calls nobody else.
            assert_eq!(refused(&incident, &expire(&overtaken).0, &Actor::house()), Refused::NoTimer);
        }
        assert_eq!(called.last(), Some(&last), "a drill asks nobody about 110");
        // Practice ends with its chain; what is real waits for somebody as long as it takes.
        assert_eq!((called.len(), incident.timer.is_none()), if drill { (4, true) } else { (9, false) });
        if let Some(timer) = incident.timer {
            assert_eq!((timer.kind, timer.due), (TimerKind::Remind, NOW.after(Duration::from_secs(600))));
        }
        // Whoever takes it then is not too late.
        assert_eq!(after(incident, &[(Command::Ack, operator(1))]).state, State::Acked);
    }
}

#[test]
fn whoever_takes_it_and_does_nothing_keeps_nobody_else_from_being_called() {
    // A volunteer takes it, who can send nobody, and goes nowhere.
    let mut incident = after(opened(AlarmKind::Panic, false), &[(Command::Ack, responder(2))]);
    let mut called = Vec::new();
    for _ in 0..6 {
        let limit = incident.timer.expect("somebody is called until somebody goes");
        let minutes = (limit.due.0 - NOW.0) / 60_000_000;
        incident = after(incident.clone(), &[expire(&incident)]);
        called.push((minutes, incident.step));
        assert_eq!((incident.state, incident.is_left_lying()), (State::Acked, true));
    }
    use Step::{BuildingLeader, Decide, Patrol, Station};
    let steps = [(3, BuildingLeader), (1, Patrol), (1, Station), (1, Decide), (1, Decide), (10, Decide)];
    assert_eq!(called, steps);
    let before = Incident { timer: None, ..incident.clone() };
    assert!(!before.is_left_lying(), "one from before there was a limit calls nobody");
    // Whoever is called may go without asking anybody, and so may who has taken it.
    assert_eq!(after(incident, &[(Command::Accept, responder(3))]).assignee, Some(person(3)));
}

#[test]
fn one_of_several_who_cannot_come_takes_out_nobody_else_and_gives_nobody_more_time() {
    let asked =
        after(opened(AlarmKind::Panic, false), &[(Command::Ack, operator(1)), (assign(None), operator(1))]);
    let fewer = after(asked.clone(), &[(Command::Decline { left: true }, responder(2))]);
    assert_eq!((fewer.state, fewer.step, fewer.timer), (asked.state, asked.step, asked.timer));
    assert_eq!(fewer.version, asked.version + 1, "of two who say so at once the second counts anew");
    let none = after(fewer, &[(DECLINE, responder(3))]);
    assert_eq!((none.state, none.step), (State::Dispatched, Step::BuildingLeader));
    assert_ne!(none.timer, asked.timer);
}

#[test]
fn who_is_asked_and_does_not_answer_or_cannot_is_not_waited_for() {
    let dispatched = after(
        opened(AlarmKind::Panic, false),
        &[(Command::Ack, operator(1)), (assign(Some(person(2))), operator(1))],
    );
    assert_eq!(refused(&dispatched, &Command::Accept, &responder(3)), Refused::Theirs);
    for command in [(DECLINE, responder(2)), expire(&dispatched)] {
        let next = after(dispatched.clone(), &[command]);
        assert_eq!((next.state, next.step), (State::Dispatched, Step::BuildingLeader));
        assert_eq!((next.assignee.clone(), next.timer.is_some()), (None, true));
        assert_eq!(after(next, &[(Command::Accept, responder(3))]).assignee, Some(person(3)));
    }
    // Whoever is late on their way stays on their way, and the next is called in addition.
    let accepted = after(dispatched.clone(), &[(Command::Accept, responder(2))]);
    let late = after(accepted.clone(), &[expire(&accepted)]);
    assert_eq!(
        (late.state, late.step, late.assignee.clone()),
        (State::Accepted, Step::BuildingLeader, Some(person(2)))
    );
    assert_eq!(after(late, &[(Command::Arrive, responder(2))]).state, State::OnScene);
    // When nobody is left to ask it is back with whoever took it.
    let mut last = dispatched;
    for n in 0..5 {
        let by = if n == 0 { 2 } else { 3 };
        last = after(last, &[(DECLINE, responder(by))]);
    }
    assert_eq!((last.state, last.step), (State::Acked, Step::Decide));
    // And if they do nothing either, those who decide are reminded.
    assert_eq!(last.timer.map(|timer| timer.kind), Some(TimerKind::Assign));
    let reminded = after(last.clone(), &[expire(&last)]);
    assert_eq!((reminded.state, reminded.step), (State::Acked, Step::Decide));
}

#[test]
fn an_alarm_is_taken_back_by_two_and_one_under_duress_by_nobody() {
    let panic = opened(AlarmKind::Panic, false);
    assert_eq!(refused(&panic, &Command::Cancel, &operator(1)), Refused::NotAsked);
    let asked = after(panic, &[(Command::Cancel, reporter())]);
    assert_eq!((asked.state, asked.timer.is_some()), (State::Open, true), "help is still on its way");
    assert_eq!(refused(&asked, &Command::Cancel, &reporter()), Refused::AskedAlready);
    // Also somebody on duty does not confirm for themselves.
    let both = Actor { own: true, ..operator(9) };
    assert_eq!(refused(&asked, &Command::Cancel, &both), Refused::AskedAlready);
    assert_eq!(refused(&asked, &Command::Cancel, &responder(2)), Refused::Role);
    let cancelled = after(asked, &[(Command::Cancel, operator(1))]);
    assert_eq!((cancelled.state, cancelled.closed_at), (State::Cancelled, Some(NOW)));

    let duress = opened(AlarmKind::Duress, false);
    for by in [reporter(), operator(1)] {
        assert_eq!(refused(&duress, &Command::Cancel, &by), Refused::Silent);
    }
}

#[test]
fn what_means_nothing_without_words_is_refused_without_them() {
    let acked = after(opened(AlarmKind::Panic, false), &[(Command::Ack, operator(1))]);
    let without = |incident: &Incident, command: &Command, note| {
        incident.apply(command, note, &operator(1), &timings(), NOW).map(|change| change.row.note)
    };
    assert_eq!(without(&acked, &Command::FalseAlarm, None), Err(Refused::NoText));
    assert_eq!(without(&acked, &Command::Note, Some("  ")), Err(Refused::NoText));
    assert_eq!(
        without(&acked, &Command::Transfer { reference: " ".into() }, Some("x")),
        Err(Refused::NoText)
    );
    let long = "x".repeat(501);
    assert_eq!(without(&acked, &Command::Note, Some(&long)), Err(Refused::LongText));
    assert_eq!(without(&acked, &Command::Note, Some(" a cat ")), Ok(Some("a cat".into())));
    let drill = after(opened(AlarmKind::Panic, true), &[(Command::Ack, operator(1))]);
    assert_eq!(refused(&drill, &transfer(), &operator(1)), Refused::Drill);
    let decide = Command::Assign { to: None, step: Some(Step::Decide) };
    assert_eq!(refused(&drill, &decide, &operator(1)), Refused::Drill);
    let why = refused(&acked, &Command::Close, &operator(1)).to_string();
    assert!(
        why.contains("acked cannot take close; possible now: assign, accept, transfer, false_alarm"),
        "{why}"
    );
}

#[test]
fn who_may_do_what() {
    use Hand as H;
    const LIMIT: Timer = Timer { kind: TimerKind::Ack, due: NOW, version: 1 };
    let hands = [H::Reporter, H::Responder, H::Operator, H::House];
    let may = |command: &Command| {
        let by = |hand| Actor { hand, own: hand == H::Reporter, ..operator(1) };
        let allowed = |state: State, hand: H| {
            let timer = Some(LIMIT);
            let incident = Incident {
                state,
                timer,
                cancel_asked: hand != H::Reporter,
                ..opened(AlarmKind::Panic, false)
            };
            incident.apply(command, Some("x"), &by(hand), &timings(), NOW) != Err(Refused::Role)
        };
        let of = |hand: &H| states().any(|state| allowed(state, *hand));
        hands.into_iter().filter(of).collect::<Vec<_>>()
    };
    let staff = [H::Responder, H::Operator];
    for command in [Command::Ack, Command::Accept, DECLINE, Command::Arrive, Command::Feedback] {
        assert_eq!(may(&command), staff, "{command:?}");
    }
    let follow_up = Command::FollowUp { satisfied: true };
    for command in [assign(None), transfer(), Command::FalseAlarm, Command::Close, follow_up, Command::Reopen]
    {
        assert_eq!(may(&command), [H::Operator], "{command:?}");
    }
    assert_eq!(may(&Command::Cancel), [H::Reporter, H::Operator]);
    assert_eq!(may(&Command::Note), [H::Reporter, H::Responder, H::Operator]);
    assert_eq!(may(&Command::Expire(LIMIT)), [H::House]);
}

#[test]
fn who_sees_it_and_as_what() {
    let nobody = Standing {
        person_id: person(3),
        disabled: false,
        grants: Vec::new(),
        memberships: Vec::new(),
        approvals: Vec::new(),
    };
    let home = |household: u8| Membership {
        person_id: person(3),
        household_id: HouseholdId::from_random([household; 16]),
        unit_id: UnitId::from_random([1; 16]),
        site_id: SiteId::from_random([1; 16]),
        entrance_id: PlaceId::from_random([1; 16]),
        from: Timestamp(0),
        until: None,
    };
    let held = |role| Grant {
        id: GrantId::from_random([1; 16]),
        person_id: person(3),
        role,
        site_id: Some(SiteId::from_random([1; 16])),
        zone: None,
        from: Timestamp(0),
        until: None,
    };
    let seen = |who: &Standing, kind| {
        let reached = [HouseholdId::from_random([2; 16])];
        sight(who, &opened(kind, false), &[PlaceId::from_random([1; 16])], &reached, NOW)
    };
    let lives = |household| Standing { memberships: vec![home(household)], ..nobody.clone() };
    for (who, loud, silent) in [
        (nobody.clone(), None, None),
        (lives(1), Some(Sight::Own), None),
        (lives(2), Some(Sight::Neighbour), None),
        (lives(3), None, None),
        (Standing { person_id: person(9), ..nobody.clone() }, Some(Sight::Own), None),
        (Standing { disabled: true, ..lives(1) }, None, None),
    ] {
        assert_eq!((seen(&who, AlarmKind::Panic), seen(&who, AlarmKind::Duress)), (loud, silent), "{who:?}");
    }
    for (role, hand) in [
        (Role::DutyOperator, Some(Hand::Operator)),
        (Role::Patrol, Some(Hand::Operator)),
        (Role::GridWorker1, Some(Hand::Operator)),
        (Role::GridWorker2, Some(Hand::Responder)),
        (Role::GridWorker3, Some(Hand::Responder)),
        (Role::Administrator, None),
        (Role::Auditor, None),
    ] {
        let staff = Some(Sight::Staff { role, hand });
        let with = |home: Standing| Standing { grants: vec![held(role)], ..home };
        for kind in [AlarmKind::Panic, AlarmKind::Duress] {
            assert_eq!(seen(&with(lives(3)), kind), staff, "{role:?}");
        }
        // Who is forced at home may be on duty; so may be who forces them.
        assert_eq!(seen(&with(lives(1)), AlarmKind::Panic), staff, "{role:?}");
        assert_eq!(seen(&with(lives(1)), AlarmKind::Duress), None, "{role:?}");
        // At a door it may be anybody who lives behind it.
        for (kind, seen) in [(AlarmKind::Tamper, staff), (AlarmKind::Duress, None)] {
            let point = Point::Device { id: DeviceId::from_random([1; 16]), part: None };
            let at_door = Incident { point, ..opened(kind, false) };
            let path = [PlaceId::from_random([1; 16])];
            assert_eq!(sight(&with(lives(3)), &at_door, &path, &[], NOW), seen, "{role:?}");
        }
    }
}

/// One thing that happens in the random world.
#[derive(Clone, Debug)]
enum Event {
    /// Somebody looks at the incident.
    Look(usize),
    /// Somebody does something by the copy they have, however old.
    Do(usize, Command),
    /// Two do something at the same time by the same copy.
    Race(Command, Command),
    /// Monotonic seconds pass, and the runner looks at the timers.
    Wait(u64),
    /// The machine's clock jumps by so many seconds.
    Jump(i64),
    /// The gateway restarts: all that is left is what is kept.
    Restart,
}

fn command() -> impl Strategy<Value = Command> {
    let to = prop::option::of((0..3u8).prop_map(person));
    prop_oneof![
        4 => Just(Command::Ack),
        4 => to.prop_map(assign),
        4 => Just(Command::Accept),
        2 => any::<bool>().prop_map(|left| Command::Decline { left }),
        4 => Just(Command::Arrive),
        4 => Just(Command::Feedback),
        1 => Just(transfer()),
        1 => Just(Command::FalseAlarm),
        3 => Just(Command::Cancel),
        4 => Just(Command::Close),
        3 => any::<bool>().prop_map(|satisfied| Command::FollowUp { satisfied }),
        2 => Just(Command::Reopen),
        1 => Just(Command::Note),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..4usize).prop_map(Event::Look),
        8 => (0..4usize, command()).prop_map(|(who, command)| Event::Do(who, command)),
        2 => (command(), command()).prop_map(|(a, b)| Event::Race(a, b)),
        3 => prop_oneof![1..200u64, 1_000..400_000u64].prop_map(Event::Wait),
        1 => prop_oneof![-86_400..86_400i64, Just(10 * 365 * 86_400)].prop_map(Event::Jump),
        1 => Just(Event::Restart),
    ]
}

/// What is kept, and whoever acts on it.
struct World {
    kept: Incident,
    log: Vec<LogRow>,
    /// The copy of each person: the desk, two guards, the reporter.
    copies: [Incident; 4],
    watch: Watch,
    wall: Timestamp,
    elapsed: Duration,
    /// Time limits that were set, by version: when they may run out at the earliest.
    set: BTreeMap<i64, Duration>,
    fired: HashSet<i64>,
}

impl World {
    fn new(drill: bool) -> Self {
        let opened = Incident::open(
            IncidentId::from_random([1; 16]),
            &alarm(AlarmKind::Panic, drill),
            Some(Role::Resident),
            &timings(),
        );
        let copy = opened.incident.clone();
        let mut world = Self {
            kept: opened.incident,
            log: vec![opened.row],
            copies: [copy.clone(), copy.clone(), copy.clone(), copy],
            watch: Watch::default(),
            wall: NOW,
            elapsed: Duration::ZERO,
            set: BTreeMap::new(),
            fired: HashSet::new(),
        };
        world.note_timer();
        world
    }

    fn actor(who: usize) -> Actor {
        match who {
            0 => operator(0),
            1 => responder(1),
            2 => responder(2),
            _ => reporter(),
        }
    }

    fn note_timer(&mut self) {
        if let Some(timer) = self.kept.timer {
            let earliest = self.elapsed + timings().span(timer.kind);
            self.set.entry(timer.version).or_insert(earliest);
        }
        // The runner looks twice a second.
        self.watch.handle(self.timers(), self.wall, self.elapsed);
    }

    /// What the repository does: of all changes of one version, one.
    fn keep(&mut self, change: &Change) -> bool {
        if change.incident.version != self.kept.version + 1 {
            return false;
        }
        let (before, row) = (self.log.last().unwrap(), &change.row);
        assert_eq!((row.version, row.from), (before.version + 1, Some(before.to)), "the log has no gap");
        let declined = row.act == Act::Decline && row.to == State::Acked;
        let drawn =
            ARROWS.contains(&(before.to, row.act, row.to)) || (row.act == Act::Note && before.to == row.to);
        assert!(drawn || declined, "an illegal transition: {row:?}");
        self.kept = change.incident.clone();
        self.log.push(change.row.clone());
        self.watched_over();
        self.note_timer();
        true
    }

    /// As long as nobody is there somebody is called, or will be: only practice ends with its chain.
    fn watched_over(&self) {
        use State::{Accepted, Acked, Dispatched, Open, Reopened};
        let Incident { state, timer, drill, step, .. } = &self.kept;
        if matches!(state, Open | Reopened | Acked | Dispatched | Accepted) {
            let ended = *drill && step.next(true).is_none();
            assert_eq!(timer.is_none(), ended, "nobody is called any more: {:?}", self.kept);
        }
        let calls = self.kept.calls(&self.log);
        let versions: Vec<i64> = calls.iter().map(|call| call.version).collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{calls:?}");
        let once = self.log.iter().filter(|row| row.act == Act::Escalate);
        let escalations: HashSet<i64> = once.map(|row| row.version).collect();
        assert!(escalations.len() <= self.fired.len() + 1, "somebody was called without a limit");
        for call in calls {
            let row = self.log.iter().find(|row| row.version == call.version).unwrap();
            let says = matches!(row.act, Act::Open | Act::Reopen | Act::Assign | Act::Escalate | Act::Remind);
            assert!(says || row.act == Act::Decline, "{row:?}");
        }
    }

    fn act(&mut self, copy: &Incident, command: &Command, by: &Actor) -> bool {
        match copy.apply(command, Some("because"), by, &timings(), self.wall) {
            Ok(change) => self.keep(&change),
            Err(_) => false,
        }
    }

    fn timers(&self) -> Vec<Due> {
        let due =
            |timer: Timer| Due { incident_id: self.kept.id.clone(), timer, span: timings().span(timer.kind) };
        self.kept.timer.map(due).into_iter().collect()
    }

    fn wait(&mut self, seconds: u64) {
        self.watch.handle(self.timers(), self.wall, self.elapsed);
        self.elapsed += Duration::from_secs(seconds);
        self.wall = self.wall.after(Duration::from_secs(seconds));
        // The runner, or two of them: each time limit still runs out once.
        for due in self.watch.handle(self.timers(), self.wall, self.elapsed).iter().flat_map(|due| [due; 2]) {
            let copy = self.kept.clone();
            if self.act(&copy, &Command::Expire(due.timer), &Actor::house()) {
                assert!(self.fired.insert(due.timer.version), "a time limit ran out twice");
                let earliest = self.set[&due.timer.version];
                assert!(earliest <= self.elapsed, "it ran out early");
            }
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Look(who) => self.copies[*who] = self.kept.clone(),
            Event::Do(who, command) => {
                let (copy, version) = (self.copies[*who].clone(), self.kept.version);
                let kept = self.act(&copy, command, &Self::actor(*who));
                assert!(!kept || copy.version == version, "a stale copy won");
            }
            Event::Race(first, second) => {
                let copy = self.kept.clone();
                let won = [(first, 0), (second, 1)]
                    .map(|(command, who)| self.act(&copy, command, &Self::actor(who)));
                assert_ne!(won, [true, true], "two have won");
            }
            Event::Wait(seconds) => self.wait(*seconds),
            Event::Jump(seconds) => self.wall.0 += seconds * 1_000_000,
            Event::Restart => {
                // All that is left is the rows.
                let last = self.log.last().unwrap();
                assert_eq!(
                    (last.to, last.version, last.step, &last.assignee),
                    (self.kept.state, self.kept.version, self.kept.step, &self.kept.assignee)
                );
                self.watch = Watch::default();
                // What is left of a time limit is read from the wall clock, right or wrong.
                if let Some(timer) = self.kept.timer {
                    self.set.insert(timer.version, self.elapsed);
                }
                self.watch.handle(self.timers(), self.wall, self.elapsed);
            }
        }
    }
}

/// Steps of one random life of an incident.
const LIFE: usize = 500;

/// C34: 10⁵ steps; `SHARP_EYES_STEPS=1000000` makes it 10⁶.
#[test]
fn c34_whatever_people_and_clocks_do_every_step_is_legal_one_wins_and_time_limits_run_out_once() {
    let steps = std::env::var_os("SHARP_EYES_STEPS").and_then(|steps| steps.to_str()?.parse().ok());
    let cases = u32::try_from(steps.unwrap_or(100_000_usize).div_ceil(LIFE)).unwrap();
    let seen = std::cell::RefCell::new(HashMap::<Act, usize>::new());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(drill in any::<bool>(), events in prop::collection::vec(event(), LIFE))| {
        let mut world = World::new(drill);
        for event in &events {
            world.happen(event);
        }
        let mut seen = seen.borrow_mut();
        for row in &world.log {
            *seen.entry(row.act).or_default() += 1;
        }
    });
    // All of the machine was tried, or this would prove little.
    let seen = seen.into_inner();
    for act in acts() {
        assert!(seen.get(&act).copied().unwrap_or(0) > 10, "{act:?} was tried {:?} times", seen.get(&act));
    }
}
