//! Something that sends events.

use crate::{DeviceId, PlaceId, Secret, SiteId, Timestamp, words};

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

/// Where a device's alerts are fetched (ISAPI `alertStream`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// `http://host[:port]/` or with `https`, without credentials.
    pub url: String,
    /// Its login.
    pub username: String,
    /// The login's password.
    pub password: Secret,
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
    /// The MQTT topic that names it, if it tells by a broker: no other device has it.
    pub mqtt_topic: Option<String>,
    /// Where its alerts are fetched, if it does not send them by itself.
    pub pull: Option<Pull>,
    /// When it was registered.
    pub created_at: Timestamp,
}
