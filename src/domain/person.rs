//! Accounts, their sessions and their keys.

use crate::{PasskeyId, PersonId, Secret, SessionId, Timestamp, ViewerKeyId, words};
use std::time::Duration;

/// An account: a display name, a login, a language. Nothing else is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub id: PersonId,
    /// What they sign in with.
    pub login: String,
    /// What others see.
    pub name: String,
    /// `zh-CN` or `en`.
    pub locale: String,
    /// The argon2id hash of their password, as a PHC string.
    pub password_hash: Secret,
    /// Whether the account is switched off.
    pub disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

words! {
    /// What somebody signed in with.
    SignedInBy {
        /// Login and password.
        Password = "password",
        /// A passkey.
        Passkey = "passkey",
    }
}

words! {
    /// Whether who holds a role may do without a passkey.
    StaffPasskeys {
        /// They may.
        Offered = "offered",
        /// They may not: a password is only good for registering the first one.
        Required = "required",
    }
}

/// A signed-in browser. The token itself is never kept, only its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id in the list of devices.
    pub id: SessionId,
    /// Whose it is.
    pub person_id: PersonId,
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    /// What it was begun with.
    pub by: SignedInBy,
    /// What the browser calls itself.
    pub user_agent: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used (to the minute).
    pub seen_at: Timestamp,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
}

/// A session is over after this time without use.
pub const IDLE: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Session {
    /// Whether it has not ended at `now`.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        now < self.expires_at && now < self.seen_at.after(IDLE)
    }
}

/// A passkey (WebAuthn credential): a key that never leaves the person's device,
/// of which we keep the public half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Its id in the list.
    pub id: PasskeyId,
    /// Whose it is.
    pub person_id: PersonId,
    /// What the device calls it.
    pub credential_id: Vec<u8>,
    /// The public key, the counter and the flags, as whoever checks it writes them.
    pub credential: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When somebody last signed in with it.
    pub used_at: Option<Timestamp>,
}

/// A credential for one RTSP player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewerKey {
    /// Its id.
    pub id: ViewerKeyId,
    /// Whose it is.
    pub person_id: PersonId,
    /// The login for the player.
    pub login: String,
    /// What its owner calls it.
    pub name: String,
    /// MD5 digest hash of login, realm and key: enough to sign in, so a secret.
    pub ha1_md5: Secret,
    /// The same with SHA-256.
    pub ha1_sha256: Secret,
    /// When it was made.
    pub created_at: Timestamp,
}
