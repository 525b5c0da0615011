//! What the house keeps of alarms, incidents, groups and notices. What is done with an
//! incident is kept together with its entry in the audit chain and with its notice: all
//! of it, or none. What is done with a group is noted as any act, by `Repository::noting`.

use super::{Answer, Change, Due, Incident, LogRow, Reached, State};
use crate::drill::{ButtonTest, Trial};
use crate::event::alarm::Alarm;
use crate::group::Group;
use crate::notice::{Line, Notice, Read};
use crate::repository::{Page, Result};
use crate::{DeviceId, GroupId, HouseholdId, IncidentId, PersonId, PlaceId, SiteId, Timestamp};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};

/// What a person asked for under a key of their own: asked again, it is answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// Who.
    pub person_id: PersonId,
    /// The key.
    pub key: String,
    /// SHA-256 over what was asked for.
    pub hash: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

/// Tests of buttons, after those whose time is over were ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trials {
    /// How many were ended.
    pub ended: u64,
    /// How many go on.
    pub open: u64,
}

/// What became of something that was to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<T> {
    /// It is durable.
    Done(T),
    /// It was done before under this key, and answered so.
    Answered(String),
    /// Something else was done before under this key.
    OtherRequest,
    /// Somebody was faster.
    Stale,
}

/// The incident that an alarm belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// As it stands.
    pub incident: Incident,
    /// Whether it was there before.
    pub merged: bool,
    /// Households that it was sent to, by this alarm or the first.
    pub households: usize,
}

/// Which incidents: those that somebody may see, and of them some.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// At these places, whatever their kind.
    pub places: Vec<PlaceId>,
    /// At these homes, or called for there while it goes on; silent ones excepted.
    pub households: Vec<HouseholdId>,
    /// Raised by this person; silent ones excepted.
    pub reporter: Option<PersonId>,
    /// Of this site.
    pub site: Option<SiteId>,
    /// That stand so; all if none are given.
    pub states: Vec<State>,
    /// Only practice, or none.
    pub drill: Option<bool>,
}

/// Alarms and incidents.
#[async_trait]
pub trait Incidents: Send + Sync {
    /// What was answered under this key, if anything was.
    async fn answered(&self, keyed: &Keyed) -> Result<Option<Kept<()>>>;
    /// Takes an alarm: into the incident it belongs to, or by opening one, which then
    /// goes to the households of `reach`. `answer` makes what is kept under the key.
    async fn raise(
        &self,
        alarm: &Alarm,
        opened: &Change,
        reach: &BTreeSet<HouseholdId>,
        keyed: Option<&Keyed>,
        answer: &(dyn for<'r> Fn(&'r Raised) -> String + Send + Sync),
    ) -> Result<Kept<Raised>>;
    /// Keeps a change if the incident still is at the version before it.
    async fn change(&self, change: &Change, keyed: Option<&Keyed>, answer: &str) -> Result<Kept<()>>;
    /// One incident.
    async fn incident(&self, id: &IncidentId) -> Result<Option<Incident>>;
    /// Incidents, the newest first, without what cannot be read; and after which place in the order
    /// the next page begins, if this one is full.
    async fn incidents(&self, filter: &Filter, page: &Page) -> Result<(Vec<Incident>, Option<i64>)>;
    /// Silent incidents of a site, or of all, that are not over.
    async fn silent_incidents(&self, site: Option<&SiteId>) -> Result<Vec<Incident>>;
    /// An incident's log, the oldest first.
    async fn incident_log(&self, id: &IncidentId) -> Result<Vec<LogRow>>;
    /// The households it was sent to, by unit.
    async fn reached(&self, id: &IncidentId) -> Result<Vec<Reached>>;
    /// Keeps what a household answers, if it may follow what it answered before. False if not.
    async fn answer(
        &self,
        incident: &Incident,
        household: &HouseholdId,
        answer: Answer,
        by: &PersonId,
        at: Timestamp,
    ) -> Result<bool>;
    /// Every time limit that runs, without what cannot be read.
    async fn timers(&self) -> Result<Vec<Due>>;
    /// Forgets keys from before `before`. Answers how many.
    async fn forget_keys(&self, before: Timestamp) -> Result<u64>;
}

/// What became of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The household belongs to the group.
    Joined,
    /// It did already.
    Already,
    /// The group has as many as it may have, or is none any more.
    Full,
}

/// Joint-defence groups and tests of buttons.
#[async_trait]
pub trait Groups: Send + Sync {
    /// Groups of a site that are not dissolved, by name.
    async fn groups(&self, site: &SiteId, now: Timestamp) -> Result<Vec<Group>>;
    /// Groups that a household belongs to.
    async fn groups_of(&self, household: &HouseholdId, now: Timestamp) -> Result<Vec<Group>>;
    /// One group, dissolved or not.
    async fn group(&self, id: &GroupId, now: Timestamp) -> Result<Option<Group>>;
    /// Adds a group without members.
    async fn add_group(&self, group: &Group) -> Result<()>;
    /// Dissolves a group. False if there is none.
    async fn end_group(&self, id: &GroupId, at: Timestamp) -> Result<bool>;
    /// Notes a household's consent.
    async fn join_group(
        &self,
        id: &GroupId,
        household: &HouseholdId,
        by: &PersonId,
        at: Timestamp,
    ) -> Result<Joined>;
    /// Notes that a household leaves. False if it does not belong to it.
    async fn leave_group(&self, id: &GroupId, household: &HouseholdId, at: Timestamp) -> Result<bool>;
    /// Notes that a button was tried.
    async fn add_button_test(&self, test: &ButtonTest) -> Result<()>;
    /// Begins to try a button. False if somebody does already.
    async fn begin_trial(&self, trial: &Trial) -> Result<bool>;
    /// Ends it without a test. False if nobody tries that button.
    async fn end_trial(&self, device: &DeviceId) -> Result<bool>;
    /// Trials that go on in a site.
    async fn trials(&self, site: &SiteId) -> Result<Vec<Trial>>;
    /// Ends those whose time is over: no press has arrived, and that is noted.
    async fn end_trials(&self, now: Timestamp) -> Result<Trials>;
    /// When each button of a site has worked last, if it was ever tried and has.
    async fn buttons_worked(&self, site: &SiteId) -> Result<BTreeMap<DeviceId, Timestamp>>;
    /// Tests of a site's buttons, the newest first, each with its place in the order.
    async fn button_tests(&self, site: &SiteId, page: &Page) -> Result<Vec<(i64, ButtonTest)>>;
}

/// The outbox: notices in the order in which they became durable.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Adds notices that no other change goes with.
    async fn post(&self, notices: &[Notice]) -> Result<()>;
    /// The next notices of a line after number `after`, `limit` at most. A notice whose topic is
    /// not known counts as an alarm's that cannot be read.
    async fn notices(&self, line: Line, after: i64, limit: u32) -> Result<Read>;
    /// The newest notice's number; 0 while there is none.
    async fn last_notice(&self) -> Result<i64>;
    /// Removes all but the newest `keep`. Answers how many.
    async fn trim_outbox(&self, keep: u32) -> Result<u64>;
}
