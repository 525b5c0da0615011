//! The words of the house and the decisions that need no I/O.
//!
//! What belongs here: sites, places, cameras, people, roles, devices, events,
//! and the pure function that says who may do what. What does not: SQL, HTTP,
//! sockets, clocks (time comes in as a value). Who may depend on it: `store`,
//! `web`, the root package.
//!
//! What must never be here: a field for a face, a plate, a gait, a score of a
//! household, an identity-card number.

pub mod access;
pub mod approval;
pub mod audit;
pub mod camera;
pub mod clock;
pub mod device;
pub mod drill;
pub mod event;
pub mod group;
pub mod health;
pub mod household;
pub mod id;
pub mod incident;
pub mod invitation;
pub mod message;
pub mod notice;
pub mod person;
pub mod place;
pub mod registration;
pub mod repository;
pub mod retention;
pub mod role;
pub mod scene;
pub mod schedule;
pub mod secret;
pub mod site;
pub mod viewing;

pub use clock::{Clock, Timestamp};
pub use id::{
    ApprovalId, ButtonTestId, CameraId, DeviceEventId, DeviceId, DoorEventId, GrantId, GroupId, HouseholdId,
    IncidentId, InvitationId, MessageId, PasskeyId, PersonId, PlaceId, RegistrationId, SessionId, SiteId,
    SubscriptionId, UnitId, ViewerKeyId, ViewingId, ZoneId,
};
pub use secret::Secret;

/// A closed set of words.
pub trait Words {
    /// Every word there is.
    const WORDS: &'static [&'static str];
}

/// Declares a closed set of words as they are written in JSON and in the database.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_meta])* #[serde(rename = $word)] $variant),+ }

        impl $crate::Words for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl $name {
            /// The word as it is written.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use words;
