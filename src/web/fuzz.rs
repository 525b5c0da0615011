//! What the fuzz targets call (`sharp_eyes::fuzz` lists them): the readers of bytes that
//! devices, players and administrators send, without a gateway around them.

/// CloudEvents.
pub fn cloudevents(bytes: &[u8]) {
    crate::intake::cloudevents::fuzz(bytes);
}

/// Hikvision's alerts.
pub fn hikvision(bytes: &[u8]) {
    crate::intake::hikvision::fuzz(bytes);
}

/// ZKTeco's lines.
pub fn zkteco(bytes: &[u8]) {
    crate::intake::zkteco::fuzz(bytes);
}

/// ONVIF's events over MQTT.
pub fn onvif(bytes: &[u8]) {
    crate::intake::onvif::fuzz(bytes);
}

/// zigbee2mqtt's messages.
pub fn zigbee(bytes: &[u8]) {
    crate::intake::zigbee::fuzz(bytes);
}

/// Queries and names of HLS.
pub fn hls(bytes: &[u8]) {
    crate::hls::fuzz(bytes);
}

/// A list of cameras.
pub fn import(bytes: &[u8]) {
    crate::import::fuzz(bytes);
}
