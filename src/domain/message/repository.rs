//! What the house keeps of messages: the queue, how far the outbox was read for it, and
//! how people can be reached.

use super::contact::{Contact, Subscription};
use super::{Message, State};
use crate::incident::Incident;
use crate::repository::Result;
use crate::{HouseholdId, IncidentId, MessageId, PersonId, PlaceId, SessionId, SubscriptionId, Timestamp};
use async_trait::async_trait;
use std::collections::BTreeSet;

/// The queue of messages.
#[async_trait]
pub trait Messages: Send + Sync {
    /// The last notice of the outbox that was read for messages.
    async fn read_up_to(&self) -> Result<i64>;
    /// Notes that notices were read up to `to`. False if another gateway has meanwhile.
    async fn has_read(&self, from: i64, to: i64) -> Result<bool>;
    /// Keeps messages, except those that were kept before: for one call there is one to a
    /// receiver by one lane. Answers how many are new.
    async fn queue(&self, messages: &[Message]) -> Result<usize>;
    /// Stops what waits for calls of an incident other than these, up to version `up_to`: of newer
    /// calls whoever has seen the incident at that version knows nothing. Answers how many.
    async fn stop_all_but(&self, id: &IncidentId, calls: &BTreeSet<i64>, up_to: i64) -> Result<u64>;
    /// How many wait in a lane.
    async fn waiting(&self, lane: &str) -> Result<u64>;
    /// Those of a lane that are to be sent at `now`, urgent ones first. What cannot be read is given up.
    async fn due(&self, lane: &str, now: Timestamp, limit: u32) -> Result<Vec<Message>>;
    /// Begins a try, and sets when the next one would be. False if somebody else has.
    async fn claim(&self, message: &Message, now: Timestamp, next: Timestamp) -> Result<bool>;
    /// Ends a message that waits.
    async fn settle(&self, id: &MessageId, state: State, reason: Option<&str>) -> Result<()>;
    /// Has a message wait. `counts` is whether the try was one: to be told to wait is none.
    async fn postpone(&self, id: &MessageId, due: Timestamp, reason: &str, counts: bool) -> Result<()>;
    /// How many of a lane were tried after `since`.
    async fn tried_since(&self, lane: &str, since: Timestamp) -> Result<u64>;
    /// Incidents in which somebody may be called, without practice, without what cannot be read, and
    /// without those that are closed: of a follow-up the station is reminded again.
    async fn calling(&self) -> Result<Vec<Incident>>;
    /// All messages of an incident, the oldest first.
    async fn messages(&self, id: &IncidentId) -> Result<Vec<Message>>;
    /// Removes messages that do not wait and were made before `before`. Answers how many.
    async fn remove_old_messages(&self, before: Timestamp) -> Result<u64>;
}

/// How people can be reached beyond the page.
#[async_trait]
pub trait Contacts: Send + Sync {
    /// What somebody has given of it.
    async fn contact(&self, person: &PersonId) -> Result<Contact>;
    /// Replaces it.
    async fn set_contact(&self, person: &PersonId, contact: &Contact) -> Result<()>;
    /// Who belongs to a household at `now`, to be told. Whose membership cannot be read is not.
    async fn members(&self, household: &HouseholdId, now: Timestamp) -> Result<BTreeSet<PersonId>>;
    /// Who lives in a household at `now`, not to be told. Whose membership cannot be read does:
    /// who they are is known as long as the database holds what it promises, that a member is a person.
    async fn at_home(&self, household: &HouseholdId, now: Timestamp) -> Result<BTreeSet<PersonId>>;
    /// Who lives at `now` in a unit whose entrance this is, not to be told: as for `at_home`.
    async fn living_behind(&self, entrance: &PlaceId, now: Timestamp) -> Result<BTreeSet<PersonId>>;
    /// A person's browsers that want to be told, in sessions that go on at `now`.
    async fn subscriptions(&self, person: &PersonId, now: Timestamp) -> Result<Vec<Subscription>>;
    /// One of them.
    async fn subscription(&self, id: &SubscriptionId, now: Timestamp) -> Result<Option<Subscription>>;
    /// Adds one in place of what its session, or its browser, had before.
    async fn subscribe(&self, subscription: &Subscription) -> Result<()>;
    /// Removes a session's. False if it has none.
    async fn unsubscribe(&self, session: &SessionId) -> Result<bool>;
    /// Removes one that its push service knows no more.
    async fn forget_subscription(&self, id: &SubscriptionId) -> Result<()>;
}
