//! Something that sends events.

use crate::{DeviceId, PlaceId, SiteId, Timestamp, words};

words! {
    /// What a device is.
    DeviceKind {
        /// A door controller.
        Door = "door",
        /// An alarm button.
        Button = "button",
        /// An alarm panel.
        Panel = "panel",
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// The site it belongs to.
    pub site_id: SiteId,
    /// Where it is.
    pub place_id: PlaceId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// SHA-256 of its token, once it has one.
    pub token_hash: Option<Vec<u8>>,
    /// When it was registered.
    pub created_at: Timestamp,
}
