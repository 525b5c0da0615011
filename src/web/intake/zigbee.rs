//! What zigbee2mqtt says of a device: one JSON object with all that is known of it, or
//! whether it can be reached. Buttons say once that they are pressed; everything else says how
//! it is, again and again.
//!
//! Of the object only the inputs named here are read. Where somebody is (`occupancy`,
//! `presence`) is none of them.

use super::hikvision::hashed;
use super::levels::{Edge, Levels};
use super::{Told, What, moment, unnamed};
use domain::Timestamp;
use domain::device::DeviceKind;
use domain::event::device::DeviceEventKind as Tells;
use domain::event::door::{DoorEventKind as Door, Quality};
use serde_json::{Map, Value};

/// Inputs that are an alarm while they are true.
const ALARMS: [(&str, Tells); 4] = [
    ("smoke", Tells::Fire),
    ("gas", Tells::Fire),
    ("carbon_monoxide", Tells::Fire),
    ("tamper", Tells::Tamper),
];

/// Presses of a plain button. On something that is registered as an alarm button they ask
/// for help.
const PRESSES: &[&str] =
    &["single", "double", "triple", "quadruple", "many", "hold", "long", "press", "on", "toggle"];

/// A battery with so many per cent is low.
const LOW: f64 = 10.0;

/// What a message tells; nothing if nothing in it is known. `quality` is of the message:
/// live or a state.
pub(super) fn told(
    payload: &Map<String, Value>,
    kind: DeviceKind,
    levels: &mut Levels,
    quality: Quality,
    now: Timestamp,
) -> Option<Vec<Told>> {
    let device_time = payload.get("last_seen").and_then(time);
    let moment = moment(device_time);
    let tell = |input: &str, word: &str, what: What, quality: Quality| Told {
        source: format!("zigbee2mqtt/{input}"),
        event_id: hashed(&[word, &moment]),
        unnamed: unnamed(device_time, now),
        what,
        quality,
        device_time,
    };
    let truth = |input: &str| payload.get(input).and_then(Value::as_bool);
    let (mut all, mut known) = (Vec::new(), false);
    if let Some(action) = payload.get("action").and_then(Value::as_str).filter(|word| !word.is_empty()) {
        let what = pressed(action, kind);
        known |= what.is_some();
        all.extend(what.map(|what| tell("action", action, What::Device(what), quality)));
    }
    // Who presses again asks again: nothing says that it was released.
    if let Some(pressed) = truth("sos") {
        known = true;
        if pressed {
            all.push(tell("sos", "on", What::Device(Tells::Panic), quality));
        }
    }
    for (input, alarm) in ALARMS {
        let Some(value) = truth(input) else { continue };
        known = true;
        if let Some((begins, quality)) = levels.alarm(input, value, quality, now) {
            let (word, what) = if begins { ("on", alarm) } else { ("off", Tells::Cleared) };
            all.push(tell(input, word, What::Device(what), quality));
        }
    }
    if let Some(closed) = truth("contact") {
        known = true;
        if let Some(quality) = levels.plain("contact", closed, quality, now) {
            let word = if closed { "closed" } else { "open" };
            all.push(tell("contact", word, contact(closed, kind), quality));
        }
    }
    let percent = payload.get("battery").and_then(Value::as_f64);
    if let Some(low) = truth("battery_low").or_else(|| percent.map(|percent| percent <= LOW)) {
        known = true;
        if low {
            // It says so with every message: one a day is enough.
            let day = now.to_string().chars().take(10).collect::<String>();
            let what = What::Device(Tells::LowBattery);
            all.push(Told {
                event_id: format!("low:{day}"),
                unnamed: None,
                ..tell("battery", "low", what, quality)
            });
        }
    }
    known.then_some(all)
}

/// Whether a device can be reached: `{"state":"offline"}`, of old the bare word.
pub(super) fn availability(
    payload: &[u8],
    levels: &mut Levels,
    quality: Quality,
    now: Timestamp,
) -> Option<Vec<Told>> {
    let object = serde_json::from_slice::<Value>(payload).ok();
    let word = object.as_ref().and_then(|object| object.get("state")?.as_str());
    let word = word.map_or(payload, str::as_bytes);
    let (online, what) = match word {
        b"online" => (true, Tells::Online),
        b"offline" => (false, Tells::Offline),
        _ => return None,
    };
    if levels.set("availability", online, now) == Edge::Same {
        return Some(Vec::new());
    }
    Some(vec![Told {
        source: "zigbee2mqtt/availability".to_owned(),
        event_id: what.word().to_owned(),
        unnamed: Some(now),
        what: What::Device(what),
        quality,
        device_time: None,
    }])
}

/// What a press is.
fn pressed(action: &str, kind: DeviceKind) -> Option<Tells> {
    match action {
        "emergency" | "panic" | "sos" => Some(Tells::Panic),
        "fire" => Some(Tells::Fire),
        "medical" => Some(Tells::Medical),
        // Some write which of their buttons it was in front: `1_single`.
        _ if kind == DeviceKind::Button => {
            let word = action.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
            PRESSES.contains(&word).then_some(Tells::Panic)
        }
        _ => None,
    }
}

fn contact(closed: bool, kind: DeviceKind) -> What {
    match kind {
        DeviceKind::Door => {
            let kind = if closed { Door::Closed } else { Door::Opened };
            What::Door { kind, direction: None, method: None, reason: None }
        }
        DeviceKind::Button | DeviceKind::Panel => What::Device(Tells::Input),
    }
}

/// `last_seen`: ISO 8601, or milliseconds since 1970.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => Timestamp::parse(text),
        value => value.as_i64().and_then(Timestamp::from_millis),
    }
}

/// For the fuzz target: messages of one device, as [`super::mqtt::fuzz`] wants them.
pub(crate) fn fuzz(bytes: &[u8]) {
    let presses = ["action", "sos", "contact", "battery", "battery_low", "last_seen", "state"];
    let members: Vec<&str> = ALARMS.iter().map(|(input, _)| *input).chain(presses).collect();
    super::mqtt::fuzz(bytes, "zigbee2mqtt/3-201", &members, &[]);
}
