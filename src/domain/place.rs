//! Somewhere in a site, in a tree.

use crate::{PlaceId, SiteId, Timestamp, Words as _, words};

words! {
    /// What a place is. Private places are not in this list: no camera may be there.
    PlaceKind {
        /// A gate of the site.
        Gate = "gate",
        /// A crossroads.
        Crossroads = "crossroads",
        /// A road or path.
        Road = "road",
        /// A building.
        Building = "building",
        /// The entrance hall of a building.
        Lobby = "lobby",
        /// A yard, square or green.
        Yard = "yard",
        /// A car or bicycle park.
        Parking = "parking",
        /// A committee or property office.
        Office = "office",
        /// A part of a site that groups places.
        Area = "area",
    }
}

/// Kinds where law and decency allow no camera (Order 799, article 8).
const PRIVATE: &[&str] = &[
    "bathroom",
    "toilet",
    "changing_room",
    "dormitory_room",
    "guest_room",
    "home",
    "home_interior",
    "bedroom",
];

/// Why a place kind is not accepted; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// People are private there.
    #[error("{0} is a private place: no camera may be registered there, so it cannot be a place")]
    Private(String),
    /// No such kind.
    #[error("{0} is not a kind of place; use one of: {words}", words = PlaceKind::WORDS.join(", "))]
    Unknown(String),
}

impl PlaceKind {
    /// Reads a kind and refuses private places by name.
    pub fn accept(word: &str) -> Result<Self, KindError> {
        if PRIVATE.contains(&word) {
            return Err(KindError::Private(word.to_owned()));
        }
        Self::from_word(word).ok_or_else(|| KindError::Unknown(word.chars().take(40).collect()))
    }
}

/// A place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its id.
    pub id: PlaceId,
    /// The site it is in.
    pub site_id: SiteId,
    /// The place it is part of.
    pub parent_id: Option<PlaceId>,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: PlaceKind,
    /// When it was registered.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_places_are_refused_by_name() {
        assert_eq!(PlaceKind::accept("gate"), Ok(PlaceKind::Gate));
        assert!(matches!(PlaceKind::accept("bathroom"), Err(KindError::Private(_))));
        assert!(PlaceKind::accept("moon").unwrap_err().to_string().contains("crossroads"));
        assert!(PRIVATE.iter().all(|word| !PlaceKind::WORDS.contains(word)));
    }
}
