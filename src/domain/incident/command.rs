//! What can be done with an incident, by whom, and what it leads to.

use super::{Act, Incident, LogRow, State, Step, Timer, TimerKind, Timings};
use crate::role::Role;
use crate::{PersonId, Timestamp};

/// The most characters of a remark, a reason or a reference number.
pub const TEXT: usize = 500;

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take it.
    Ack,
    /// Ask somebody to go: a person, or whoever is at a step of the chain; without
    /// either whoever is called now.
    Assign {
        /// This person.
        to: Option<PersonId>,
        /// Whoever is at this step.
        step: Option<Step>,
    },
    /// Go.
    Accept,
    /// Say that one cannot go.
    Decline {
        /// Whether others are left who were asked with them and have not said so.
        left: bool,
    },
    /// Be there.
    Arrive,
    /// Write down what was found and done.
    Feedback,
    /// Leave it to others, who have given it a number.
    Transfer {
        /// That number.
        reference: String,
    },
    /// Find that there was nothing.
    FalseAlarm,
    /// Take it back, as whoever raised it; or confirm that, as somebody on duty.
    Cancel,
    /// Review it.
    Close,
    /// Write down what whoever raised it says afterwards.
    FollowUp {
        /// Whether it is settled for them.
        satisfied: bool,
    },
    /// Take it up again.
    Reopen,
    /// Add a remark.
    Note,
    /// A time limit has passed: this one.
    Expire(Timer),
}

/// What somebody is to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hand {
    /// They raised it, or live where it was raised.
    Reporter,
    /// They go there: building leaders and volunteers.
    Responder,
    /// They handle alarms: the desk, the patrol, full-time grid workers.
    Operator,
    /// The gateway itself: time limits.
    House,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The person; nobody if it is the gateway.
    pub person: Option<PersonId>,
    /// In which role.
    pub role: Option<Role>,
    /// What they are to the incident.
    pub hand: Hand,
    /// Whether it was raised by them or at their home.
    pub own: bool,
}

impl Actor {
    /// The gateway, whose clock has run out.
    #[must_use]
    pub fn house() -> Self {
        Self { person: None, role: None, hand: Hand::House, own: false }
    }
}

/// An incident after something was done, and the row that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// As it is then.
    pub incident: Incident,
    /// The new row of its log.
    pub row: LogRow,
}

/// Why something is not done; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not theirs to do.
    #[error("this is for those who handle alarms at the site; ask the duty desk")]
    Role,
    /// Not while it stands as it does.
    #[error("an incident that is {state} cannot take {act}; possible now: {possible}", state = .0.word(), act = .1.word(), possible = possible(*.0))]
    State(State, Act),
    /// Somebody else goes.
    #[error("somebody else was asked to go; have it assigned to you first")]
    Theirs,
    /// A text is missing.
    #[error("it is missing; write what happened")]
    NoText,
    /// A text is too long.
    #[error("it is longer than 500 characters; shorten it")]
    LongText,
    /// A silent alarm is not cancelled.
    #[error("an alarm under duress cannot be cancelled; have somebody go there, or mark it as a false alarm")]
    Silent,
    /// Nobody has taken it back.
    #[error("whoever raised it has not taken it back; mark it as a false alarm instead")]
    NotAsked,
    /// It was taken back already.
    #[error("it was taken back already; somebody else on duty confirms it")]
    AskedAlready,
    /// A drill does not leave the site.
    #[error("a drill stays within the site; write feedback instead")]
    Drill,
    /// That time limit does not run.
    #[error("this time limit does not run any more")]
    NoTimer,
}

/// Where an act leads; nothing if it is not possible there.
#[must_use]
pub(super) fn arrow(from: State, act: Act) -> Option<State> {
    use State as S;
    match (act, from) {
        (Act::Note, state) => Some(state),
        (Act::Ack, S::Open | S::Reopened) => Some(S::Acked),
        (Act::Assign, S::Acked | S::Dispatched | S::Accepted) => Some(S::Dispatched),
        (Act::Decline, S::Dispatched | S::Accepted) => Some(S::Dispatched),
        // Whoever has taken it may go there themselves.
        (Act::Accept, S::Acked | S::Dispatched) => Some(S::Accepted),
        (Act::Arrive, S::Accepted) => Some(S::OnScene),
        (Act::Feedback, S::OnScene | S::Transferred) => Some(S::Feedback),
        (Act::Transfer, S::Acked | S::Dispatched | S::Accepted | S::OnScene) => Some(S::Transferred),
        (Act::FalseAlarm, S::Acked | S::Dispatched | S::Accepted | S::OnScene) => Some(S::FalseAlarm),
        (Act::AskCancel, S::Open | S::Acked | S::Dispatched | S::Accepted) => Some(from),
        (Act::Cancel, S::Open | S::Acked | S::Dispatched | S::Accepted) => Some(S::Cancelled),
        (Act::Close, S::Feedback | S::FalseAlarm) => Some(S::Closed),
        (Act::FollowUp, S::Closed) => Some(S::FollowedUp),
        (Act::Reopen, S::Closed | S::FollowedUp) => Some(S::Reopened),
        (Act::Escalate, S::Open | S::Reopened | S::Acked | S::Dispatched | S::Accepted) => Some(from),
        (Act::Remind, S::Open | S::Reopened | S::Acked | S::Dispatched | S::Accepted) => Some(from),
        (Act::Remind, S::OnScene | S::Transferred | S::Closed) => Some(from),
        _ => None,
    }
}

/// What people can do with an incident that stands so.
fn possible(state: State) -> String {
    let people = [
        Act::Ack,
        Act::Assign,
        Act::Accept,
        Act::Decline,
        Act::Arrive,
        Act::Feedback,
        Act::Transfer,
        Act::FalseAlarm,
        Act::Cancel,
        Act::Close,
        Act::FollowUp,
        Act::Reopen,
        Act::Note,
    ];
    let can: Vec<&str> =
        people.into_iter().filter(|act| arrow(state, *act).is_some()).map(Act::word).collect();
    can.join(", ")
}

/// The time limit that an incident has once it stands so.
fn timer_in(state: State) -> Option<TimerKind> {
    match state {
        State::Open | State::Reopened => Some(TimerKind::Ack),
        State::Acked => Some(TimerKind::Assign),
        State::Dispatched => Some(TimerKind::Accept),
        State::Accepted => Some(TimerKind::Arrive),
        State::OnScene | State::Transferred => Some(TimerKind::Feedback),
        State::Closed => Some(TimerKind::FollowUp),
        _ => None,
    }
}

/// Whether somebody is called when a limit runs out there, rather than the station reminded of what
/// is left to write.
fn calls(state: State) -> bool {
    !matches!(state, State::OnScene | State::Transferred | State::Closed)
}

impl Command {
    /// What the log calls it. To take back one's own alarm is to ask for it, and when nobody
    /// is left in the chain those at its end are reminded.
    fn act(&self, of: &Incident, by: &Actor) -> Act {
        match self {
            Self::Ack => Act::Ack,
            Self::Assign { .. } => Act::Assign,
            Self::Accept => Act::Accept,
            Self::Decline { .. } => Act::Decline,
            Self::Arrive => Act::Arrive,
            Self::Feedback => Act::Feedback,
            Self::Transfer { .. } => Act::Transfer,
            Self::FalseAlarm => Act::FalseAlarm,
            Self::Cancel if by.own => Act::AskCancel,
            Self::Cancel => Act::Cancel,
            Self::Close => Act::Close,
            Self::FollowUp { satisfied: true } => Act::FollowUp,
            Self::FollowUp { satisfied: false } | Self::Reopen => Act::Reopen,
            Self::Note => Act::Note,
            Self::Expire(_) if calls(of.state) && of.step.next(of.drill).is_some() => Act::Escalate,
            Self::Expire(_) => Act::Remind,
        }
    }

    /// Whether it means nothing without a text.
    fn needs_text(&self) -> bool {
        matches!(self, Self::Feedback | Self::FalseAlarm | Self::Reopen | Self::Note)
            || matches!(self, Self::FollowUp { satisfied: false })
    }
}

impl Act {
    /// Whether it is theirs to do.
    fn is_for(self, by: &Actor) -> bool {
        match self {
            Self::Open => false,
            Self::Escalate | Self::Remind => by.hand == Hand::House,
            Self::AskCancel => by.own,
            Self::Note => by.hand != Hand::House,
            Self::Ack | Self::Accept | Self::Decline | Self::Arrive | Self::Feedback => {
                matches!(by.hand, Hand::Responder | Hand::Operator)
            }
            Self::Assign
            | Self::Transfer
            | Self::FalseAlarm
            | Self::Cancel
            | Self::Close
            | Self::FollowUp
            | Self::Reopen => by.hand == Hand::Operator,
        }
    }
}

impl Incident {
    /// The incident after `command`, with the one row that says so; or why not. `note`
    /// is what was said with it. Whoever keeps it makes sure that it is still at this
    /// version, and that of two changes of one version one is kept.
    pub fn apply(
        &self,
        command: &Command,
        note: Option<&str>,
        by: &Actor,
        timings: &Timings,
        now: Timestamp,
    ) -> Result<Change, Refused> {
        let act = command.act(self, by);
        if !act.is_for(by) {
            return Err(Refused::Role);
        }
        let to = arrow(self.state, act).ok_or(Refused::State(self.state, act))?;
        self.check(command, act, by)?;
        let note = note.map(str::trim).filter(|text| !text.is_empty());
        let text = match command {
            Command::Transfer { reference } => Some(reference.trim()),
            _ => note,
        };
        if (command.needs_text() || act == Act::Transfer) && text.is_none_or(str::is_empty) {
            return Err(Refused::NoText);
        }
        if [text, note].into_iter().flatten().any(|text| text.chars().count() > TEXT) {
            return Err(Refused::LongText);
        }

        let mut next = self.clone();
        next.version += 1;
        next.state = to;
        next.follow(command, act, by);
        match act {
            // A remark stops no clock.
            Act::Note | Act::AskCancel => {}
            // Nor does one of several who cannot come.
            Act::Decline if self.state == next.state && self.step == next.step => {}
            _ => next.timer = next.timer_after(self.state, act, timings, now),
        }
        next.closed_at = match next.state {
            State::Cancelled | State::FalseAlarm | State::Closed => self.closed_at.or(Some(now)),
            State::Reopened => None,
            _ => self.closed_at,
        };
        let row = LogRow {
            version: next.version,
            at: now,
            actor: by.person.clone(),
            role: by.role,
            act,
            from: Some(self.state),
            to: next.state,
            step: next.step,
            assignee: next.assignee.clone(),
            note: note.map(str::to_owned),
        };
        Ok(Change { incident: next, row })
    }

    /// Whether `by` may do this now, whatever is said with it.
    #[must_use]
    pub fn allows(&self, command: &Command, by: &Actor) -> bool {
        let act = command.act(self, by);
        act.is_for(by) && arrow(self.state, act).is_some() && self.check(command, act, by).is_ok()
    }

    /// What else stands against it.
    fn check(&self, command: &Command, act: Act, by: &Actor) -> Result<(), Refused> {
        match act {
            Act::AskCancel | Act::Cancel if self.kind.is_silent() => Err(Refused::Silent),
            Act::AskCancel if self.cancel_asked => Err(Refused::AskedAlready),
            Act::Cancel if !self.cancel_asked => Err(Refused::NotAsked),
            Act::Transfer if self.drill => Err(Refused::Drill),
            Act::Accept | Act::Decline | Act::Arrive
                if self.assignee.is_some() && self.assignee != by.person =>
            {
                Err(Refused::Theirs)
            }
            Act::Assign => match command {
                Command::Assign { step: Some(Step::Decide), .. } if self.drill => Err(Refused::Drill),
                _ => Ok(()),
            },
            Act::Escalate | Act::Remind => match (command, self.timer) {
                (Command::Expire(due), Some(timer)) if timer == *due => Ok(()),
                _ => Err(Refused::NoTimer),
            },
            _ => Ok(()),
        }
    }

    /// Who is called, and who goes, after it.
    fn follow(&mut self, command: &Command, act: Act, by: &Actor) {
        match (act, command) {
            (Act::Assign, Command::Assign { to, step }) => {
                self.step = step.unwrap_or(self.step);
                self.assignee = to.clone();
            }
            (Act::Accept, _) => self.assignee = by.person.clone(),
            (Act::Decline, _) => {
                self.assignee = None;
                match self.step.next(self.drill) {
                    _ if matches!(command, Command::Decline { left: true }) => {}
                    Some(step) => self.step = step,
                    // Nobody is left to ask: whoever took it decides what is next, within its limit.
                    None => self.state = State::Acked,
                }
            }
            (Act::Escalate | Act::Remind, _) if calls(self.state) => {
                self.step = self.step.next(self.drill).unwrap_or(self.step);
                // Whoever is on the way stays on the way; whoever has not answered is not waited for.
                if self.state == State::Dispatched {
                    self.assignee = None;
                }
            }
            (Act::Transfer, Command::Transfer { reference }) => {
                self.reference = Some(reference.trim().to_owned());
            }
            (Act::AskCancel, _) => self.cancel_asked = true,
            (Act::Remind, _) => self.step = Step::Station,
            (Act::Reopen, _) => {
                self.step = Step::GridWorker;
                self.assignee = None;
                self.cancel_asked = false;
            }
            _ => {}
        }
    }

    /// The time limit that begins with `act`, which was done while it stood `from`.
    fn timer_after(&self, from: State, act: Act, timings: &Timings, now: Timestamp) -> Option<Timer> {
        let kind = match act {
            // At the end of the chain until somebody acts. Of what is left to write the station is
            // reminded after each span anew; of practice once.
            Act::Remind if calls(self.state) => TimerKind::Remind,
            Act::Remind if self.drill => return None,
            // Whoever took it does nothing: from now on it is as urgent as if nobody had.
            Act::Escalate if from == State::Acked => TimerKind::Ack,
            _ => timer_in(self.state)?,
        };
        // Practice ends with its chain.
        if self.drill && calls(self.state) && self.step.next(true).is_none() {
            return None;
        }
        Some(Timer { kind, due: now.after(timings.span(kind)), version: self.version })
    }

    /// Whether somebody has taken it, and others are called all the same because nothing followed.
    /// Only practice has no limit then; what else has none is from before there was one.
    #[must_use]
    pub fn is_left_lying(&self) -> bool {
        self.state == State::Acked && self.timer.map_or(self.drill, |timer| timer.kind != TimerKind::Assign)
    }
}
