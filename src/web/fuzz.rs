//! What the fuzz targets call (`sharp_eyes::fuzz` lists them): the readers of bytes that
//! devices, players and administrators send, without a gateway around them.

use domain::device::{Device, DeviceKind};
use domain::{DeviceId, PlaceId, SiteId, Timestamp};

const NOW: Timestamp = Timestamp(1_900_000_000_000_000);

/// CloudEvents.
pub fn cloudevents(bytes: &[u8]) {
    crate::intake::cloudevents::fuzz(bytes);
}

/// Hikvision's alerts, sent to a device of each kind.
pub fn hikvision(bytes: &[u8]) {
    for kind in [DeviceKind::Door, DeviceKind::Button, DeviceKind::Panel] {
        let device = Device {
            id: DeviceId::from_random([1; 16]),
            site_id: SiteId::from_random([2; 16]),
            place_id: PlaceId::from_random([3; 16]),
            name: "door".into(),
            kind,
            token_hash: None,
            mqtt_topic: None,
            pull: None,
            created_at: Timestamp(0),
        };
        crate::intake::hikvision::fuzz(bytes, &device, NOW);
    }
}

/// ZKTeco's lines.
pub fn zkteco(bytes: &[u8]) {
    crate::intake::zkteco::fuzz(bytes, NOW);
}

/// Queries and names of HLS.
pub fn hls(bytes: &[u8]) {
    crate::hls::fuzz(bytes);
}

/// A list of cameras.
pub fn import(bytes: &[u8]) {
    crate::import::fuzz(bytes);
}
