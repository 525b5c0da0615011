//! An invitation to join a household: a link or a QR code, used once.

use crate::{HouseholdId, InvitationId, PersonId, Timestamp};

/// An invitation. The token itself is shown once and never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The household that is joined.
    pub household_id: HouseholdId,
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    /// Who invites.
    pub created_by: PersonId,
    /// When.
    pub created_at: Timestamp,
    /// Until when it can be used.
    pub expires_at: Timestamp,
    /// Who has used it.
    pub used_by: Option<PersonId>,
}
