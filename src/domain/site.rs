//! A compound or a village: it owns everything below it.

use crate::{SiteId, Timestamp, words};

words! {
    /// What a site is.
    SiteKind {
        /// A residential compound (小区).
        Compound = "compound",
        /// A village (村).
        Village = "village",
    }
}

words! {
    /// Whether residents may watch live at all.
    ResidentPolicy {
        /// Never.
        Off = "off",
        /// Only while an incident is open.
        Incident = "incident",
        /// Those who were approved.
        Approved = "approved",
    }
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: SiteId,
    /// Its name.
    pub name: String,
    /// Compound or village.
    pub kind: SiteKind,
    /// IANA name of its time zone: days and schedules are counted in it.
    pub time_zone: String,
    /// Whether residents may watch live.
    pub resident_policy: ResidentPolicy,
    /// When it was registered.
    pub created_at: Timestamp,
}
