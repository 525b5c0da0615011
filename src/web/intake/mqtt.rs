//! What comes by an MQTT broker: which device a topic is of, and what its messages tell. The
//! connection is the root package's.

pub use super::levels::Levels;

use super::{BODY, Counters, Told, fuzz, keep, onvif, zigbee};
use crate::{App, Problem};
use axum::body::Bytes;
use domain::Timestamp;
use domain::device::Device;
use domain::event::door::Quality;
use serde_json::{Map, Value};

/// What stands between an ONVIF device's own topic and what has happened.
const ONVIF: &str = "/onvif-ej/";
/// What zigbee2mqtt puts after a device's topic to say whether it can be reached.
const AVAILABILITY: &str = "/availability";

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its body.
    pub payload: Bytes,
    /// Whether the broker has kept it for whoever comes: it says how things were, not that
    /// something happens.
    pub retained: bool,
    /// When it came: what is tried again is still the same.
    pub at: Timestamp,
}

/// The topic that names the device of a message.
#[must_use]
pub fn device_topic(topic: &str) -> &str {
    match topic.split_once(ONVIF) {
        Some((device, _)) => device,
        None => topic.strip_suffix(AVAILABILITY).unwrap_or(topic),
    }
}

/// Keeps what messages of one device tell, in their order. Answers what its inputs are then,
/// and how many events were refused because it sends too many, or because there is room for
/// alarms alone: what is refused is gone, or a press would wait behind it. What cannot be read is
/// counted and dropped: it would be no better if it were sent again. Only when this answers may
/// the broker forget the messages.
pub async fn receive(
    app: &App,
    device: &Device,
    levels: &Levels,
    messages: &[Message],
) -> Result<(Levels, usize), Problem> {
    let (mut levels, mut all) = (levels.clone(), Vec::new());
    for message in messages {
        let counter = match read(message, device, &mut levels) {
            Ok(told) => {
                all.extend(told);
                continue;
            }
            Err(Dropped::TooLarge) => &app.intake.too_large,
            Err(Dropped::Malformed) => &app.intake.malformed,
            Err(Dropped::Unknown) => &app.intake.unknown,
        };
        Counters::add(counter, 1);
    }
    let outcomes = keep(app, device, all).await?;
    Ok((levels, outcomes.iter().filter(|outcome| outcome.wait().is_some()).count()))
}

/// Why a message tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    TooLarge,
    Malformed,
    Unknown,
}

fn read(message: &Message, device: &Device, levels: &mut Levels) -> Result<Vec<Told>, Dropped> {
    let Message { topic, payload, retained, at: now } = message;
    if payload.len() > BODY {
        return Err(Dropped::TooLarge);
    }
    let quality = if *retained { Quality::State } else { Quality::Live };
    let object = || serde_json::from_slice::<Map<String, Value>>(payload).map_err(|_| Dropped::Malformed);
    let told = if let Some((_, local)) = topic.split_once(ONVIF) {
        onvif::told(local, &object()?, device.kind, levels, quality, *now)
    } else if topic.ends_with(AVAILABILITY) {
        zigbee::availability(payload, levels, quality, *now)
    } else {
        zigbee::told(&object()?, device.kind, levels, quality, *now)
    };
    // The broker does not say how long it has had it.
    let told = told.ok_or(Dropped::Unknown)?;
    Ok(told.into_iter().map(|told| told.kept_on_the_way(*now)).collect())
}

/// For the fuzz targets: messages of one device, a line each. A line is what follows the device's
/// topic, a space, and the body; `~` in front says that it was retained. `members` and `inner` are
/// what may be looked at in a body, and in the object `Data` of it.
pub(crate) fn fuzz(bytes: &[u8], device_topic: &str, members: &[&str], inner: &[&str]) {
    let text = String::from_utf8_lossy(bytes);
    for device in fuzz::devices() {
        let mut levels = Levels::default();
        for line in text.lines() {
            let (retained, line) = line.strip_prefix('~').map_or((false, line), |line| (true, line));
            let (topic, payload) = line.split_once(' ').unwrap_or_default();
            let message = |payload: &[u8]| Message {
                topic: format!("{device_topic}{topic}"),
                payload: Bytes::copy_from_slice(payload),
                retained,
                at: fuzz::NOW,
            };
            let mut before = levels.clone();
            let told = read(&message(payload.as_bytes()), &device, &mut levels).unwrap_or_default();
            assert!(told.len() <= 8 && levels.count() <= 64, "{told:?}");
            for told in &told {
                fuzz::is_in_our_words(told, &device);
                assert!(!retained || told.quality == Quality::State, "{told:?}");
            }
            if let Ok(body) = serde_json::from_str::<Value>(payload)
                && body.is_object()
            {
                let plain = fuzz::only(&body, members, "Data", inner).to_string();
                let of_plain = read(&message(plain.as_bytes()), &device, &mut before).unwrap_or_default();
                assert_eq!(told, of_plain, "what else is in it changes nothing");
                assert_eq!(levels, before);
            }
            // The same once more is the same, or nothing.
            for again in read(&message(payload.as_bytes()), &device, &mut levels).unwrap_or_default() {
                let same = |told: &Told| (&told.source, &told.event_id) == (&again.source, &again.event_id);
                assert!(told.iter().any(same), "{again:?} is not among {told:?}");
            }
        }
    }
}

#[cfg(test)]
#[path = "mqtt_tests.rs"]
mod tests;
