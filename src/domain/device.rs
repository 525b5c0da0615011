//! Something that sends events.

use crate::{DeviceId, HouseholdId, PlaceId, Secret, SiteId, Timestamp, words};

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

/// Which part of a device an event's source names: `door/3`, `input/5`; a source of the
/// device's own as it is. Nothing where the source says only what was measured, or how.
#[must_use]
pub fn part(source: &str) -> Option<&str> {
    match source.split_once('/') {
        Some(("hikvision" | "zkteco", "terminal")) | Some(("zigbee2mqtt", _)) => None,
        Some(("hikvision" | "zkteco", part)) => Some(part),
        // What stands for the source that the device names; one door has several topics.
        Some(("onvif", rest)) => rest.rsplit('/').next(),
        _ => (source != "gateway").then_some(source),
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

/// A part of a device that is somewhere of its own: a door of a controller, an input of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which, as [`part`] says: `door/3`.
    pub part: String,
    /// What people call it.
    pub name: Option<String>,
    /// Where it is.
    pub place_id: PlaceId,
    /// Whose home it is in, if it is in one: its alarms are theirs.
    pub household_id: Option<HouseholdId>,
}

/// The most parts of a device that can be given a place.
pub const PARTS: usize = 128;

/// Where something that a device tells has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot<'a> {
    /// The place.
    pub place: &'a PlaceId,
    /// Whether the part has no place although others of its device have one: then the place is
    /// only the device's, and nobody who lives there is concerned.
    pub unplaced: bool,
}

/// What people call a device, and a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The device's name.
    pub device: String,
    /// The part's, if it was given one.
    pub part: Option<String>,
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
    /// Whose home it is in, if it is in one: its alarms are theirs.
    pub household_id: Option<HouseholdId>,
    /// Parts of it that are somewhere else, by [`Part::part`].
    pub parts: Vec<Part>,
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

impl Device {
    /// Where something happens that it tells with this source.
    #[must_use]
    pub fn spot(&self, source: &str) -> Spot<'_> {
        // What names no part is told by the device as a whole.
        let Some(named) = part(source).filter(|_| !self.parts.is_empty()) else {
            return Spot { place: &self.place_id, unplaced: false };
        };
        match self.parts.iter().find(|part| part.part == named) {
            Some(part) => Spot { place: &part.place_id, unplaced: false },
            None => Spot { place: &self.place_id, unplaced: true },
        }
    }

    /// Whose home that is in, which it tells with this source: its part's, or else its own.
    #[must_use]
    pub fn home(&self, source: &str) -> Option<&HouseholdId> {
        let part = part(source).and_then(|named| self.parts.iter().find(|part| part.part == named));
        part.and_then(|part| part.household_id.as_ref()).or(self.household_id.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn a_source_names_the_part_of_a_device_that_people_tell_from_others() {
        for (source, named) in [
            ("hikvision/input/3", Some("input/3")),
            ("zkteco/door/2", Some("door/2")),
            ("zkteco/terminal", None),
            ("zigbee2mqtt/sos", None),
            ("onvif/Door/State/DoorAlarm/1a2b3c4d", Some("1a2b3c4d")),
            ("/site/xingfu/device/door-03", Some("/site/xingfu/device/door-03")),
            ("gateway", None),
        ] {
            assert_eq!(part(source), named, "{source}");
        }
    }
}
