//! What the house keeps, as traits. `store` implements them; tests may too.

use crate::access::Grant;
use crate::camera::Camera;
use crate::device::Device;
use crate::event::door::{DoorEvent, Recorded};
use crate::person::{Person, Session, ViewerKey};
use crate::place::Place;
use crate::site::Site;
use crate::viewing::Viewing;
use crate::{CameraId, DeviceId, PersonId, PlaceId, SessionId, SiteId, Timestamp, ViewerKeyId, ViewingId};
use async_trait::async_trait;

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

/// A page of a list: at most `limit` items after `cursor`.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the last page ended.
    pub after: Option<i64>,
    /// The most items.
    pub limit: u32,
}

/// Which door events.
#[derive(Clone, Debug, Default)]
pub struct DoorEventFilter {
    /// Of these places; all if none are given.
    pub places: Option<Vec<PlaceId>>,
    /// Of this site.
    pub site: Option<SiteId>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
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
    async fn camera(&self, id: &CameraId) -> Result<Option<Camera>>;
    /// Adds a camera.
    async fn add_camera(&self, camera: &Camera) -> Result<()>;
    /// Replaces a camera. False if there is none.
    async fn update_camera(&self, camera: &Camera) -> Result<bool>;
    /// Removes a camera. False if there is none.
    async fn remove_camera(&self, id: &CameraId) -> Result<bool>;
}

/// People, their roles, sessions and keys.
#[async_trait]
pub trait Persons: Send + Sync {
    /// Adds the first owner; fails with `Exists` if there is any person.
    async fn add_first_owner(&self, person: &Person, grant: &Grant) -> Result<()>;
    /// Whether anybody is registered.
    async fn anybody(&self) -> Result<bool>;
    /// Adds a person.
    async fn add_person(&self, person: &Person) -> Result<()>;
    /// One person.
    async fn person(&self, id: &PersonId) -> Result<Option<Person>>;
    /// The person with this login.
    async fn person_by_login(&self, login: &str) -> Result<Option<Person>>;
    /// Gives a role.
    async fn add_grant(&self, grant: &Grant) -> Result<()>;
    /// All roles of a person.
    async fn grants(&self, person: &PersonId) -> Result<Vec<Grant>>;
    /// Adds a session.
    async fn add_session(&self, session: &Session) -> Result<()>;
    /// The session whose token has this hash.
    async fn session_by_token(&self, token_hash: &[u8]) -> Result<Option<Session>>;
    /// All sessions of a person, the newest first.
    async fn sessions(&self, person: &PersonId) -> Result<Vec<Session>>;
    /// Notes that a session was used.
    async fn touch_session(&self, id: &SessionId, at: Timestamp) -> Result<()>;
    /// Ends a session of this person. False if there is none.
    async fn remove_session(&self, person: &PersonId, id: &SessionId) -> Result<bool>;
    /// Adds a key for an RTSP player.
    async fn add_viewer_key(&self, key: &ViewerKey) -> Result<()>;
    /// The key with this login.
    async fn viewer_key_by_login(&self, login: &str) -> Result<Option<ViewerKey>>;
    /// All keys of a person, the newest first.
    async fn viewer_keys(&self, person: &PersonId) -> Result<Vec<ViewerKey>>;
    /// Removes a key of this person. False if there is none.
    async fn remove_viewer_key(&self, person: &PersonId, id: &ViewerKeyId) -> Result<bool>;
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
    /// Adds a device.
    async fn add_device(&self, device: &Device) -> Result<()>;
    /// Sets a device's token. False if there is none.
    async fn set_device_token(&self, id: &DeviceId, token_hash: &[u8]) -> Result<bool>;
    /// Records door events. When this answers, they are durable.
    async fn record_door_events(&self, events: Vec<DoorEvent>) -> Result<Vec<Recorded>>;
    /// Door events, the newest first, each with its place in the order.
    async fn door_events(&self, filter: &DoorEventFilter, page: &Page) -> Result<Vec<(i64, DoorEvent)>>;
}

/// The viewing register.
#[async_trait]
pub trait Viewings: Send + Sync {
    /// Notes that a viewing began.
    async fn begin_viewing(&self, viewing: &Viewing) -> Result<()>;
    /// Notes that a viewing ended.
    async fn end_viewing(&self, id: &ViewingId, at: Timestamp) -> Result<()>;
    /// Ends all viewings that a crash left open. Answers how many.
    async fn end_open_viewings(&self, at: Timestamp) -> Result<u64>;
    /// Viewings of a camera, the newest first.
    async fn viewings(&self, camera: &CameraId, limit: u32) -> Result<Vec<Viewing>>;
}

/// Everything the house keeps.
pub trait Repository: Sites + Cameras + Persons + Devices + Viewings + 'static {}

impl<T: Sites + Cameras + Persons + Devices + Viewings + 'static> Repository for T {}
