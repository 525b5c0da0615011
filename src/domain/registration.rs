//! Joining with a site's code: somebody claims to live in a unit. The claim is a
//! question to the site's administrators and gives nothing by itself.

use crate::{PersonId, RegistrationId, SiteId, Timestamp, words};
use std::time::Duration;

/// How long a registration is kept: after it was made while nobody decides, and
/// after the decision. What it led to is kept where it belongs.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The most registrations that may wait in a site.
pub const WAITING: u32 = 200;

words! {
    /// Where a registration stands.
    State {
        /// Nobody has decided.
        Waiting = "waiting",
        /// The person is a member of a household now.
        Accepted = "accepted",
        /// They are not.
        Refused = "refused",
    }
}

/// The code of a site, as it is kept. While a site has none, nobody registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinCode {
    /// Which site.
    pub site_id: SiteId,
    /// SHA-256 of the code.
    pub token_hash: Vec<u8>,
    /// Who switched it on.
    pub created_by: PersonId,
    /// When.
    pub created_at: Timestamp,
}

/// Somebody's claim to live in a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its id.
    pub id: RegistrationId,
    /// Which site.
    pub site_id: SiteId,
    /// Whose claim.
    pub person_id: PersonId,
    /// The unit, in their own words: they are not shown which there are.
    pub unit: String,
    /// What they want to say.
    pub message: String,
    /// Where it stands.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who decided.
    pub decided_by: Option<PersonId>,
    /// When.
    pub decided_at: Option<Timestamp>,
    /// Why not.
    pub reason: Option<String>,
}

/// What became of an attempt to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filed {
    /// It waits.
    Waiting,
    /// The code is not one, or not any more.
    WrongCode,
    /// Too many wait already.
    Full,
    /// This person's own registration waits already.
    Already,
}
