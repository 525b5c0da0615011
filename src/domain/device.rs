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
