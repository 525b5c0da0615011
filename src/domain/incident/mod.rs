//! Incidents: the handling of one or more alarms, as a state machine with a log.
//!
//! Pure: [`Incident::apply`] takes a command, somebody's hand and the time, and
//! answers the incident as it is then with the one row that says so. Who may do
//! what is in [`command`], the timers in [`timer`], who may see it in [`sight`], whom
//! it calls in [`call`].
//! What is kept, and that of two commands for one version one wins, is the
//! repository's part.

mod call;
mod command;
mod home;
pub mod repository;
mod sight;
mod timer;

pub use call::{Ask, Call, refusals};
pub use command::{Actor, Change, Command, Hand, Refused, TEXT};
pub use home::home;
pub use sight::{Sight, is_own, sight};
pub use timer::{Due, Timer, TimerKind, Timings, Watch};

use crate::event::alarm::{Alarm, AlarmKind, Point};
use crate::role::Role;
use crate::{GroupId, HouseholdId, IncidentId, PersonId, PlaceId, SiteId, Timestamp, words};

words! {
    /// Where an incident stands.
    State {
        /// Nobody has taken it yet (待接警).
        Open = "open",
        /// Somebody has (已接警).
        Acked = "acked",
        /// Somebody is asked to go there (已派单).
        Dispatched = "dispatched",
        /// Somebody goes.
        Accepted = "accepted",
        /// Somebody is there (到场).
        OnScene = "on_scene",
        /// Somebody else handles it: the police, the fire brigade (移交).
        Transferred = "transferred",
        /// What was found and done is written down (已反馈).
        Feedback = "feedback",
        /// There was nothing (误报).
        FalseAlarm = "false_alarm",
        /// Who raised it took it back, and somebody on duty believed it.
        Cancelled = "cancelled",
        /// It is reviewed (办结).
        Closed = "closed",
        /// Who had raised it was asked afterwards (已回访).
        FollowedUp = "followed_up",
        /// It was not over after all.
        Reopened = "reopened",
    }
}

impl State {
    /// Whether somebody still needs help. A press for help during it belongs to it;
    /// one that comes later is a new incident, so that it is not lost in a finished one.
    #[must_use]
    pub fn is_handled(self) -> bool {
        matches!(
            self,
            Self::Open
                | Self::Acked
                | Self::Dispatched
                | Self::Accepted
                | Self::OnScene
                | Self::Transferred
                | Self::Reopened
        )
    }
}

words! {
    /// What a row of the log says.
    Act {
        /// An alarm opened it.
        Open = "open",
        /// Somebody took it.
        Ack = "ack",
        /// Somebody was asked to go.
        Assign = "assign",
        /// They go.
        Accept = "accept",
        /// They cannot.
        Decline = "decline",
        /// They are there.
        Arrive = "arrive",
        /// What they found and did.
        Feedback = "feedback",
        /// Others handle it, under their reference number.
        Transfer = "transfer",
        /// There was nothing.
        FalseAlarm = "false_alarm",
        /// Who raised it takes it back; somebody on duty decides.
        AskCancel = "ask_cancel",
        /// Somebody on duty confirmed that.
        Cancel = "cancel",
        /// It was reviewed.
        Close = "close",
        /// Who had raised it was asked afterwards.
        FollowUp = "follow_up",
        /// It was not over.
        Reopen = "reopen",
        /// A remark.
        Note = "note",
        /// A time limit passed: the next in the chain is called.
        Escalate = "escalate",
        /// A time limit passed: the station is reminded; before somebody is there, those at the
        /// end of the chain are, again and again.
        Remind = "remind",
    }
}

words! {
    /// Who is called, one after the other.
    Step {
        /// Full-time grid workers.
        GridWorker = "grid_worker",
        /// Building leaders.
        BuildingLeader = "building_leader",
        /// Patrol and volunteers.
        Patrol = "patrol",
        /// The duty desk of the station.
        Station = "station",
        /// A person decides about calling 110. The gateway never does.
        Decide = "decide",
    }
}

impl Step {
    /// Who comes next. A drill stays within the site, so nobody decides about 110 for one.
    #[must_use]
    pub fn next(self, drill: bool) -> Option<Self> {
        match self {
            Self::GridWorker => Some(Self::BuildingLeader),
            Self::BuildingLeader => Some(Self::Patrol),
            Self::Patrol => Some(Self::Station),
            Self::Station => (!drill).then_some(Self::Decide),
            Self::Decide => None,
        }
    }

    /// The roles that are called at this step.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::GridWorker => &[Role::GridWorker1],
            Self::BuildingLeader => &[Role::GridWorker2],
            Self::Patrol => &[Role::Patrol, Role::GridWorker3],
            Self::Station => &[Role::DutyOperator],
            Self::Decide => &[Role::DutyOperator, Role::Administrator, Role::Owner],
        }
    }
}

/// An incident as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// Its site.
    pub site_id: SiteId,
    /// The place where its point is.
    pub place_id: PlaceId,
    /// Where exactly.
    pub point: Point,
    /// What help was asked for.
    pub kind: AlarmKind,
    /// Whether it is practice.
    pub drill: bool,
    /// Whether the alarm came late.
    pub late: bool,
    /// The group that practises, if it is a group's drill.
    pub group: Option<GroupId>,
    /// Who raised it, if it was a person.
    pub reporter: Option<PersonId>,
    /// Where it stands.
    pub state: State,
    /// How many rows its log has: whoever acts says which one they have seen last.
    pub version: i64,
    /// Who in the chain is called now.
    pub step: Step,
    /// Who is to go, or goes.
    pub assignee: Option<PersonId>,
    /// Whether who raised it takes it back, and nobody has decided yet.
    pub cancel_asked: bool,
    /// The number under which others handle it.
    pub reference: Option<String>,
    /// Alarms that are put together in it.
    pub alarms: i64,
    /// When the first of them arrived.
    pub opened_at: Timestamp,
    /// When the last did.
    pub last_alarm_at: Timestamp,
    /// When it was over, if it is.
    pub closed_at: Option<Timestamp>,
    /// The time limit that runs.
    pub timer: Option<Timer>,
}

/// One row of an incident's log. Rows are only ever added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// Its number, and the incident's version after it: 1, 2, 3, …
    pub version: i64,
    /// When.
    pub at: Timestamp,
    /// Who; nobody if a time limit or a device did it.
    pub actor: Option<PersonId>,
    /// In which role.
    pub role: Option<Role>,
    /// What.
    pub act: Act,
    /// Where it stood before; nowhere, of the first row.
    pub from: Option<State>,
    /// Where it stands after it.
    pub to: State,
    /// Who in the chain is called after it.
    pub step: Step,
    /// Who is to go, or goes, after it.
    pub assignee: Option<PersonId>,
    /// What was said with it.
    pub note: Option<String>,
}

impl Incident {
    /// The incident that an alarm opens, with the first row of its log.
    #[must_use]
    pub fn open(id: IncidentId, alarm: &Alarm, role: Option<Role>, timings: &Timings) -> Change {
        let (state, step, at) = (State::Open, Step::GridWorker, alarm.received_at);
        let incident = Self {
            id,
            site_id: alarm.site_id.clone(),
            place_id: alarm.place_id.clone(),
            point: alarm.point.clone(),
            kind: alarm.kind,
            drill: alarm.drill,
            late: alarm.late,
            group: None,
            reporter: alarm.reporter.clone(),
            state,
            version: 1,
            step,
            assignee: None,
            cancel_asked: false,
            reference: None,
            alarms: 1,
            opened_at: at,
            last_alarm_at: at,
            closed_at: None,
            timer: Some(Timer { kind: TimerKind::Ack, due: at.after(timings.ack), version: 1 }),
        };
        let row = LogRow {
            version: 1,
            at,
            actor: alarm.reporter.clone(),
            role,
            act: Act::Open,
            from: None,
            to: state,
            step,
            assignee: None,
            note: None,
        };
        Change { incident, row }
    }
}

words! {
    /// How far an alarm has got with a household of the group.
    Answer {
        /// It waits for somebody to open the page.
        Queued = "queued",
        /// Somebody there has seen it.
        Shown = "shown",
        /// Somebody comes.
        Coming = "coming",
        /// Nobody can.
        Declined = "declined",
    }
}

impl Answer {
    /// Whether it may follow `before`: nothing that was answered becomes unanswered.
    #[must_use]
    pub fn follows(self, before: Self) -> bool {
        match self {
            Self::Queued => false,
            Self::Shown => before == Self::Queued,
            Self::Coming | Self::Declined => self != before,
        }
    }
}

/// A household that an alarm was sent to, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Which.
    pub household_id: HouseholdId,
    /// What is on its door: all that others are told of it.
    pub unit: String,
    /// How far it has got.
    pub answer: Answer,
    /// When it was sent.
    pub asked_at: Timestamp,
    /// When it was answered or seen last.
    pub answered_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
