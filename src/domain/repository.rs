//! What the house keeps, as traits. `store` implements them; tests may too.

use crate::access::Standing;
use crate::approval::{self, Approval};
use crate::audit::{Entry, Head, Link};
use crate::camera::{Camera, Removed};
use crate::device::{Device, Names};
use crate::event::device::DeviceEvent;
use crate::event::door::{Bookmark, DoorEvent, Recorded};
use crate::event::{Event, Listing, Taken};
use crate::household::{Household, Membership, Unit};
use crate::incident::repository::{Groups, Incidents, Outbox};
use crate::invitation::Invitation;
use crate::message::repository::{Contacts, Messages};
use crate::person::{Passkey, Person, Session, ViewerKey};
use crate::place::Place;
use crate::registration::{Filed, JoinCode, Registration};
use crate::retention::Rows;
use crate::role::{Grant, Zone};
use crate::scene::Scene;
use crate::site::Site;
use crate::viewing::Viewing;
use crate::{
    ApprovalId, CameraId, DeviceId, DoorEventId, GrantId, HouseholdId, IncidentId, InvitationId, PasskeyId,
    PersonId, PlaceId, RegistrationId, Secret, SessionId, SiteId, Timestamp, UnitId, ViewerKeyId, ViewingId,
    ZoneId,
};
use async_trait::async_trait;
use std::collections::HashMap;
use std::hash::Hash;
use std::slice;

/// Why something could not be kept or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something with this name or login is there already.
    #[error("it exists already")]
    Exists,
    /// It names something that is not there, or is still named by something.
    #[error("it refers to something that does not exist, or is still referred to")]
    Reference,
    /// The database cannot be used at the moment: locked, full, down.
    #[error("the database cannot be used at the moment: {0}")]
    Unavailable(String),
    /// What is kept cannot be understood: a bug or another hand in the database.
    #[error("what the database holds cannot be understood: {0}")]
    Corrupt(String),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, Error>;

/// What there is under each of some keys that were asked for together. Every one of them has
/// an answer of its own: what cannot be read fails only the keys that rest on it.
pub type Each<K, T> = HashMap<K, Result<Option<T>>>;

/// So many keys are asked for together at a time: a statement or a few for all of them.
pub const TOGETHER: usize = 256;

/// The answer for one key.
fn only<K: Eq + Hash, T>(mut each: Each<K, T>, key: &K) -> Result<Option<T>> {
    each.remove(key).unwrap_or(Ok(None))
}

/// A page of a list: at most `limit` items after `cursor`.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the last page ended.
    pub after: Option<i64>,
    /// The most items.
    pub limit: u32,
}

/// A page of people, in the order of their logins.
#[derive(Clone, Debug)]
pub struct People {
    /// Those after this login.
    pub after: Option<String>,
    /// The most people.
    pub limit: u32,
}

/// Which door events.
#[derive(Clone, Debug, Default)]
pub struct DoorEventFilter {
    /// Of these places; all if none are given.
    pub places: Option<Vec<PlaceId>>,
    /// Of this site.
    pub site: Option<SiteId>,
    /// Without openings under duress at these places.
    pub no_duress_at: Vec<PlaceId>,
    /// At these without what only staff may know of.
    pub without_staff_only_at: Vec<PlaceId>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// Which approvals.
#[derive(Clone, Debug)]
pub struct ApprovalFilter {
    /// Of this site.
    pub site: SiteId,
    /// That stand so.
    pub state: Option<approval::State>,
    /// Begun by then.
    pub begun_by: Timestamp,
    /// That end after this moment …
    pub ends_after: Timestamp,
    /// … and by then.
    pub ends_by: Timestamp,
}

/// Which viewings.
#[derive(Clone, Debug)]
pub struct ViewingFilter {
    /// Of this camera.
    pub camera: CameraId,
    /// Not ended before.
    pub since: Timestamp,
    /// Begun before.
    pub until: Timestamp,
    /// After this one, which is the last of a page: when it began, and its place in the order.
    pub after: Option<(Timestamp, i64)>,
    /// Without what was watched for an incident and begun then or later.
    pub no_incident_since: Option<Timestamp>,
    /// The most rows.
    pub limit: u32,
}

/// Which entries of the audit log.
#[derive(Clone, Debug)]
pub struct EntryFilter {
    /// Of this site; of all and of the gateway itself without one.
    pub site: Option<SiteId>,
    /// Before this number.
    pub before: i64,
    /// Without what tells of these.
    pub hidden: Vec<Hidden>,
    /// The most entries.
    pub limit: u32,
}

impl EntryFilter {
    /// The newest of all.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        Self { site: None, before: i64::MAX, hidden: Vec::new(), limit }
    }
}

/// An incident that must not be learned of from the audit log.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// Which: what is done with it is not told …
    pub incident: IncidentId,
    /// … and neither is what is watched for an incident at its site …
    pub site: SiteId,
    /// … from then on.
    pub since: Timestamp,
}

/// Sites and places.
#[async_trait]
pub trait Sites: Send + Sync {
    /// All sites, by name.
    async fn sites(&self) -> Result<Vec<Site>>;
    /// One site.
    async fn site(&self, id: &SiteId) -> Result<Option<Site>>;
    /// Adds a site.
    async fn add_site(&self, site: &Site) -> Result<()>;
    /// Replaces a site. False if there is none.
    async fn update_site(&self, site: &Site) -> Result<bool>;
    /// Removes an empty site. False if there is none.
    async fn remove_site(&self, id: &SiteId) -> Result<bool>;
    /// All sites and places with the sites' open incidents, for decisions.
    async fn scene(&self) -> Result<Scene>;
    /// All places, by name.
    async fn places(&self) -> Result<Vec<Place>>;
    /// One place.
    async fn place(&self, id: &PlaceId) -> Result<Option<Place>>;
    /// Adds a place.
    async fn add_place(&self, place: &Place) -> Result<()>;
    /// Replaces a place. False if there is none.
    async fn update_place(&self, place: &Place) -> Result<bool>;
    /// Removes an empty place. False if there is none.
    async fn remove_place(&self, id: &PlaceId) -> Result<bool>;
}

/// Cameras.
#[async_trait]
pub trait Cameras: Send + Sync {
    /// All cameras, by name.
    async fn cameras(&self) -> Result<Vec<Camera>>;
    /// One camera.
    async fn camera(&self, id: &CameraId) -> Result<Option<Camera>> {
        only(self.each_camera(slice::from_ref(id)).await, id)
    }
    /// Each of these cameras.
    async fn each_camera(&self, ids: &[CameraId]) -> Each<CameraId, Camera>;
    /// Adds a camera.
    async fn add_camera(&self, camera: &Camera) -> Result<()>;
    /// Adds cameras: all of them or none.
    async fn add_cameras(&self, cameras: &[Camera]) -> Result<()>;
    /// Replaces a camera. False if there is none.
    async fn update_camera(&self, camera: &Camera) -> Result<bool>;
    /// Removes a camera; who watched it stays. False if there is none.
    async fn remove_camera(&self, id: &CameraId, at: Timestamp) -> Result<bool>;
    /// A camera that was removed.
    async fn removed_camera(&self, id: &CameraId) -> Result<Option<Removed>>;
    /// Cameras that were removed from a site, the last one first.
    async fn removed_cameras(&self, site: &SiteId) -> Result<Vec<Removed>>;
}

/// People, their roles, sessions and keys.
#[async_trait]
pub trait Persons: Send + Sync {
    /// Adds the first owner; fails with `Exists` if there is any person.
    async fn add_first_owner(&self, person: &Person, grant: &Grant) -> Result<()>;
    /// Adds another owner.
    async fn add_owner(&self, person: &Person, grant: &Grant) -> Result<()>;
    /// Whether anybody is registered.
    async fn anybody(&self) -> Result<bool>;
    /// Adds a person.
    async fn add_person(&self, person: &Person) -> Result<()>;
    /// One person.
    async fn person(&self, id: &PersonId) -> Result<Option<Person>>;
    /// The person with this login.
    async fn person_by_login(&self, login: &str) -> Result<Option<Person>>;
    /// All persons, by login.
    async fn persons(&self) -> Result<Vec<Person>>;
    /// Changes a password if it is still `before`, and ends every session and player
    /// key that rested on it; and if they are `lost`, all passkeys.
    async fn set_password(
        &self,
        person: &PersonId,
        before: &Secret,
        after: &Secret,
        lost: bool,
    ) -> Result<bool>;
    /// Switches an account off or on; off ends every session and player key.
    async fn set_disabled(&self, person: &PersonId, disabled: bool) -> Result<bool>;
    /// Adds a session if the account is in force and its password still has this hash.
    async fn add_session(&self, session: &Session, password_hash: &Secret) -> Result<bool>;
    /// The session whose token has this hash.
    async fn session_by_token(&self, token_hash: &[u8]) -> Result<Option<Session>>;
    /// One session.
    async fn session(&self, id: &SessionId) -> Result<Option<Session>> {
        only(self.each_session(slice::from_ref(id)).await, id)
    }
    /// Each of these sessions.
    async fn each_session(&self, ids: &[SessionId]) -> Each<SessionId, Session>;
    /// Removes sessions that are over at `now`. Answers how many.
    async fn remove_ended_sessions(&self, now: Timestamp) -> Result<u64>;
    /// All sessions of a person, the newest first.
    async fn sessions(&self, person: &PersonId) -> Result<Vec<Session>>;
    /// Notes that a session was used.
    async fn touch_session(&self, id: &SessionId, at: Timestamp) -> Result<()>;
    /// Ends a session of this person. False if there is none.
    async fn remove_session(&self, person: &PersonId, id: &SessionId) -> Result<bool>;
    /// Ends all sessions and deletes all keys of a person.
    async fn remove_credentials(&self, person: &PersonId) -> Result<()>;
    /// Adds a key for an RTSP player.
    async fn add_viewer_key(&self, key: &ViewerKey) -> Result<()>;
    /// The key with this login.
    async fn viewer_key_by_login(&self, login: &str) -> Result<Option<ViewerKey>>;
    /// All keys of a person, the newest first.
    async fn viewer_keys(&self, person: &PersonId) -> Result<Vec<ViewerKey>>;
    /// Whose each of these keys is.
    async fn each_key_holder(&self, ids: &[ViewerKeyId]) -> Each<ViewerKeyId, PersonId>;
    /// Removes a key of this person. False if there is none.
    async fn remove_viewer_key(&self, person: &PersonId, id: &ViewerKeyId) -> Result<bool>;
}

/// Passkeys.
#[async_trait]
pub trait Passkeys: Send + Sync {
    /// Adds a passkey.
    async fn add_passkey(&self, passkey: &Passkey) -> Result<()>;
    /// The passkey that a device calls by this id.
    async fn passkey_by_credential(&self, credential_id: &[u8]) -> Result<Option<Passkey>>;
    /// All passkeys of a person, the newest first.
    async fn passkeys(&self, person: &PersonId) -> Result<Vec<Passkey>>;
    /// Notes a use, and the credential after it, if it still is as `before`. False if
    /// it is not: it was used or removed meanwhile.
    async fn use_passkey(&self, before: &Passkey, credential: &str, at: Timestamp) -> Result<bool>;
    /// Removes a passkey of this person. False if there is none.
    async fn remove_passkey(&self, person: &PersonId, id: &PasskeyId) -> Result<bool>;
}

/// Roles, households and approvals: everything a decision rests on.
#[async_trait]
pub trait Rights: Send + Sync {
    /// Gives a role.
    async fn add_grant(&self, grant: &Grant) -> Result<()>;
    /// Roles that are held for a site, or for all.
    async fn grants(&self, site: Option<&SiteId>) -> Result<Vec<Grant>>;
    /// Roles that are held for a site or for all by people whose accounts are not switched off:
    /// whom an alarm there can call. What cannot be read is left out, and calls nobody.
    async fn serving(&self, site: &SiteId) -> Result<Vec<Grant>>;
    /// Ends a role. False if there is none that is still held.
    async fn end_grant(&self, id: &GrantId, at: Timestamp) -> Result<bool>;
    /// Zones of a site, by name.
    async fn zones(&self, site: &SiteId) -> Result<Vec<Zone>>;
    /// One zone.
    async fn zone(&self, id: &ZoneId) -> Result<Option<Zone>>;
    /// Adds a zone with its places.
    async fn add_zone(&self, zone: &Zone) -> Result<()>;
    /// Replaces a zone's name and places. False if there is none.
    async fn update_zone(&self, zone: &Zone) -> Result<bool>;
    /// Removes a zone and ends the roles that are held in it. False if there is none.
    async fn remove_zone(&self, id: &ZoneId, at: Timestamp) -> Result<bool>;

    /// Units of a site, by label.
    async fn units(&self, site: &SiteId) -> Result<Vec<Unit>>;
    /// One unit.
    async fn unit(&self, id: &UnitId) -> Result<Option<Unit>>;
    /// Adds a unit.
    async fn add_unit(&self, unit: &Unit) -> Result<()>;
    /// Households that have lived in a site, the newest first.
    async fn households(&self, site: &SiteId) -> Result<Vec<Household>>;
    /// One household.
    async fn household(&self, id: &HouseholdId) -> Result<Option<Household>>;
    /// Adds a household.
    async fn add_household(&self, household: &Household) -> Result<()>;
    /// Ends a household. False if there is none that has not ended.
    async fn end_household(&self, id: &HouseholdId, at: Timestamp) -> Result<bool>;
    /// Everybody who belongs, or has belonged, to a household of the site.
    async fn memberships(&self, site: &SiteId) -> Result<Vec<Membership>>;
    /// Makes a person a member from `from` on, again if they were one.
    async fn add_member(&self, household: &HouseholdId, person: &PersonId, from: Timestamp) -> Result<()>;
    /// Ends a membership. False if there is none that has not ended.
    async fn end_member(&self, household: &HouseholdId, person: &PersonId, at: Timestamp) -> Result<bool>;
    /// Adds an invitation.
    async fn add_invitation(&self, invitation: &Invitation) -> Result<()>;
    /// The invitation whose token has this hash.
    async fn invitation_by_token(&self, token_hash: &[u8]) -> Result<Option<Invitation>>;
    /// One invitation.
    async fn invitation(&self, id: &InvitationId) -> Result<Option<Invitation>>;
    /// Invitations of a site that can still be used at `now`, the newest first.
    async fn open_invitations(&self, site: &SiteId, now: Timestamp) -> Result<Vec<Invitation>>;
    /// Takes back an invitation that was not used. False if there is none.
    async fn withdraw_invitation(&self, id: &InvitationId) -> Result<bool>;
    /// Uses an invitation: the new person and their membership in one step. False
    /// if somebody was faster.
    async fn use_invitation(&self, invitation: &Invitation, person: &Person, at: Timestamp) -> Result<bool>;

    /// Approvals, the newest first, each with its place in the order.
    async fn approvals(&self, filter: &ApprovalFilter, page: &Page) -> Result<Vec<(i64, Approval)>>;
    /// All approvals of a household, the oldest first.
    async fn approvals_of(&self, household: &HouseholdId) -> Result<Vec<Approval>>;
    /// One approval.
    async fn approval(&self, id: &ApprovalId) -> Result<Option<Approval>>;
    /// Adds an approval.
    async fn add_approval(&self, approval: &Approval) -> Result<()>;
    /// Replaces approvals, each given as it was and as it is to be. All of them, or
    /// none if one is not as it was any more: then false.
    async fn update_approvals(&self, changes: &[(Approval, Approval)]) -> Result<bool>;

    /// What is known of a person; nothing if there is no such person.
    async fn standing(&self, person: &PersonId) -> Result<Option<Standing>> {
        only(self.each_standing(slice::from_ref(person)).await, person)
    }
    /// What is known of each of these people. It takes the same statements whether there are
    /// such people or not.
    async fn each_standing(&self, people: &[PersonId]) -> Each<PersonId, Standing>;
    /// What is known of everybody who has anything to do with a site.
    async fn standings(&self, site: &SiteId, people: &People) -> Result<Vec<(Person, Standing)>>;
}

/// Joining with a site's code.
#[async_trait]
pub trait Joining: Send + Sync {
    /// Gives a site a code in place of the one it had.
    async fn set_join_code(&self, code: &JoinCode) -> Result<()>;
    /// A site's code, if it has one.
    async fn join_code(&self, site: &SiteId) -> Result<Option<JoinCode>>;
    /// The code with this hash.
    async fn join_code_by_token(&self, token_hash: &[u8]) -> Result<Option<JoinCode>>;
    /// Takes a site's code away. False if it has none.
    async fn remove_join_code(&self, site: &SiteId) -> Result<bool>;
    /// Files a registration by the code with this hash, in one step with the new
    /// person if it is not an account that is there already.
    async fn register(
        &self,
        token_hash: &[u8],
        registration: &Registration,
        person: Option<&Person>,
    ) -> Result<Filed>;
    /// One registration.
    async fn registration(&self, id: &RegistrationId) -> Result<Option<Registration>>;
    /// A site's registrations with who made them, the oldest first.
    async fn registrations(&self, site: &SiteId) -> Result<Vec<(Registration, Person)>>;
    /// A person's registrations, the newest first.
    async fn registrations_of(&self, person: &PersonId) -> Result<Vec<Registration>>;
    /// Writes down a no. False if it does not wait any more.
    async fn refuse_registration(&self, refused: &Registration) -> Result<bool>;
    /// Writes down a yes, with the membership in a household that is there, or
    /// that is made with it, or with it and its unit. False if it does not wait any more.
    async fn accept_registration(
        &self,
        accepted: &Registration,
        unit: Option<&Unit>,
        new: Option<&Household>,
        household: &HouseholdId,
    ) -> Result<bool>;
    /// Removes registrations that were made, or decided, before `before`, and the
    /// accounts that exist for nothing else; each is noted in the chain. Answers how many.
    async fn remove_old_registrations(&self, before: Timestamp, now: Timestamp) -> Result<u64>;
}

/// Devices and what they tell.
#[async_trait]
pub trait Devices: Send + Sync {
    /// All devices, by name.
    async fn devices(&self) -> Result<Vec<Device>>;
    /// One device.
    async fn device(&self, id: &DeviceId) -> Result<Option<Device>>;
    /// The device whose token has this hash.
    async fn device_by_token(&self, token_hash: &[u8]) -> Result<Option<Device>>;
    /// What people call a device and a part of it; nothing if there is no such device.
    async fn names_of_device(&self, id: &DeviceId, part: Option<&str>) -> Result<Option<Names>>;
    /// Adds a device.
    async fn add_device(&self, device: &Device) -> Result<()>;
    /// Writes a device anew, all but its token and its birth. False if there is none.
    async fn update_device(&self, device: &Device) -> Result<bool>;
    /// Sets a device's token. False if there is none.
    async fn set_device_token(&self, id: &DeviceId, token_hash: &[u8]) -> Result<bool>;
    /// Records what devices have told, each with the alarm that it raises. When this
    /// answers, all of it is durable.
    async fn record_events(&self, events: Vec<Taken>) -> Result<Vec<Recorded>>;
    /// Door events, the newest first, each with its place in the order.
    async fn door_events(&self, filter: &DoorEventFilter, page: &Page) -> Result<Vec<(i64, DoorEvent)>>;
    /// One door event.
    async fn door_event(&self, id: &DoorEventId) -> Result<Option<DoorEvent>>;
    /// Keeps where to look for a door event, with the picture if there is one (JPEG).
    async fn add_bookmark(&self, bookmark: &Bookmark, jpeg: Option<&[u8]>) -> Result<()>;
    /// The bookmarks of these events, as far as they have one.
    async fn bookmarks(&self, events: &[&DoorEventId]) -> Result<Vec<Bookmark>>;
    /// The picture of a door event (JPEG), if there is one.
    async fn door_picture(&self, id: &DoorEventId) -> Result<Option<Vec<u8>>>;
    /// When the newest event came, if there is one.
    async fn newest_event(&self) -> Result<Option<Timestamp>>;
    /// How many events there are, and how many came before `before`.
    async fn event_rows(&self, before: Timestamp) -> Result<Rows>;
    /// Removes events that came before `before`, with their pictures. Answers how many.
    async fn remove_old_events(&self, before: Timestamp) -> Result<u64>;
    /// Events of devices at these places, the newest first, each with its place in the order.
    async fn device_events(&self, places: &[PlaceId], page: &Page) -> Result<Vec<(i64, DeviceEvent)>>;
    /// Events of devices and doors at these places, the newest first: before the one that
    /// came at a moment and has this id.
    async fn listed_events(
        &self,
        listing: Listing,
        places: &[PlaceId],
        before: Option<&(Timestamp, String)>,
        limit: u32,
    ) -> Result<Vec<Event>>;
}

/// The registers: who watched, and who did what. All of it is sealed into one chain.
#[async_trait]
pub trait Registers: Send + Sync {
    /// Seals an entry into the chain.
    async fn record(&self, entry: &Entry) -> Result<Head>;
    /// The end of the chain.
    async fn head(&self) -> Result<Head>;
    /// Entries after number `after`, the oldest first.
    async fn chain(&self, after: i64, limit: u32) -> Result<Vec<Link>>;
    /// Entries, the newest first.
    async fn audit(&self, filter: &EntryFilter) -> Result<Vec<Link>>;
    /// Notes that a viewing of a site's camera began.
    async fn begin_viewing(&self, viewing: &Viewing, site: &SiteId) -> Result<()>;
    /// Notes that a viewing ended.
    async fn end_viewing(&self, id: &ViewingId, at: Timestamp, bytes: u64) -> Result<()>;
    /// Viewings that have not ended.
    async fn open_viewings(&self) -> Result<Vec<ViewingId>>;
    /// Ends those of them that a crash left open: how much was delivered is not known. Answers how many
    /// were open.
    async fn end_viewings(&self, ids: &[ViewingId], at: Timestamp) -> Result<u64>;
    /// Viewings of a camera that went on within a stretch of time, the newest first,
    /// each with its place in the order.
    async fn viewings(&self, filter: &ViewingFilter) -> Result<Vec<(i64, Viewing)>>;
    /// The end of the chain and every viewing there is, as of one moment: for the check of
    /// one against the other while others write.
    async fn viewings_and_head(&self) -> Result<(Vec<Viewing>, Head)>;
}

/// Everything the house keeps.
pub trait Repository:
    Sites
    + Cameras
    + Persons
    + Passkeys
    + Rights
    + Joining
    + Devices
    + Registers
    + Incidents
    + Groups
    + Outbox
    + Messages
    + Contacts
    + 'static
{
    /// The same; what is changed through it is sealed into the chain as `entry` in the
    /// change's own transaction: both happen, or neither. What changes nothing (it is not
    /// there, or somebody was faster) is not noted. Door events are not acts: theirs are
    /// kept by themselves.
    fn noting(&self, entry: Entry) -> Box<dyn Repository>;
}
