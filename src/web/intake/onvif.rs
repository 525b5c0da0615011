//! ONVIF events as JSON over MQTT (ONVIF Core, "JSON Event Payload"): the topic says what
//! happened, the body when, where and how.
//!
//! Of the body only the time, the tokens of the source (as a hash) and one word of the data
//! are read. Credentials, their holders, objects and people are not.

use super::hikvision::hashed;
use super::levels::Levels;
use super::{Told, What, moment, unnamed};
use domain::Timestamp;
use domain::device::DeviceKind;
use domain::event::device::DeviceEventKind as Tells;
use domain::event::door::{DoorEventKind as Door, Quality};
use serde_json::{Map, Value};

/// The longest local topic that can be one of those that are known, in bytes.
const TOPIC: usize = 120;

/// What a message tells; nothing if its topic means nothing here. `topic` is what follows
/// `onvif-ej/`; `quality` is of the message: live or a state.
pub(super) fn told(
    topic: &str,
    payload: &Map<String, Value>,
    kind: DeviceKind,
    levels: &mut Levels,
    quality: Quality,
    now: Timestamp,
) -> Option<Vec<Told>> {
    let topic = local(topic)?;
    // Not in the specification, but some devices say it: a value that has not changed.
    let quality = match payload.get("PropertyOperation").and_then(Value::as_str) {
        Some("Initialized") => Quality::State,
        Some("Deleted") => return Some(Vec::new()),
        _ => quality,
    };
    let place = hashed(&[&payload.get("Source").map(Value::to_string).unwrap_or_default()]);
    // Nothing of a topic is kept but what is known of it.
    let kept = match topic.strip_prefix("AccessControl/").and_then(|rest| rest.split('/').next()) {
        Some(what) => format!("AccessControl/{what}"),
        None => topic.clone(),
    };
    let source = format!("onvif/{kept}/{}", place.get(..8).unwrap_or_default());
    let data = payload.get("Data").and_then(Value::as_object);
    let word = |name: &str| match data.and_then(|data| data.get(name)) {
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Bool(true)) => "true",
        Some(Value::Bool(false)) => "false",
        _ => "",
    };
    let door = |kind| What::Door { kind, direction: None, method: None, reason: None };
    let denied = |reason: &str| What::Door {
        kind: Door::Denied,
        direction: None,
        method: None,
        reason: Some(reason.to_owned()),
    };
    let mut alarm = |value: bool, what: What| {
        let (begins, quality) = levels.alarm(&source, value, quality, now)?;
        Some((if begins { what } else { What::Device(Tells::Cleared) }, quality))
    };
    let news = match topic.as_str() {
        "Device/Trigger/DigitalInput" => {
            let active = truth(word("LogicalState"))?;
            match kind {
                DeviceKind::Button | DeviceKind::Panel => alarm(active, What::Device(Tells::Panic)),
                DeviceKind::Door => levels
                    .plain(&source, active, quality, now)
                    .map(|quality| (What::Device(Tells::Input), quality)),
            }
        }
        "Door/State/DoorPhysicalState" => {
            let closed = match word("State") {
                "Open" => false,
                "Closed" => true,
                "Fault" | "Tamper" => {
                    return Some(one(source, "fault", door(Door::Fault), quality, payload, now));
                }
                _ => return None,
            };
            let what = door(if closed { Door::Closed } else { Door::Opened });
            levels.plain(&source, closed, quality, now).map(|quality| (what, quality))
        }
        "Door/State/DoorAlarm" => match word("State") {
            "Normal" => alarm(false, door(Door::Forced)),
            "DoorForcedOpen" => alarm(true, door(Door::Forced)),
            "DoorOpenTooLong" => Some((door(Door::HeldOpen), quality)),
            _ => return None,
        },
        "Door/State/DoorTamper" => match word("State") {
            "NotInTamper" => alarm(false, door(Door::Tamper)),
            "TamperDetected" => alarm(true, door(Door::Tamper)),
            _ => return None,
        },
        "Door/State/DoorFault" => match word("State") {
            "FaultDetected" => Some((door(Door::Fault), quality)),
            _ => return None,
        },
        "Door/State/DoorMode" => Some((door(Door::Mode), quality)),
        "AccessControl/Duress" => Some((door(Door::Duress), quality)),
        topic => {
            let what = match topic.strip_prefix("AccessControl/")?.split('/').next()? {
                "AccessGranted" => door(Door::Granted),
                "AccessTaken" => door(Door::Taken),
                "AccessNotTaken" => door(Door::NotTaken),
                "Denied" if topic.contains("NotFound") => denied("unknown"),
                "Denied" => denied(reason(word("Reason"))),
                _ => return None,
            };
            Some((what, quality))
        }
    };
    let state = format!("{}{}", word("State"), word("LogicalState"));
    Some(news.map(|(what, quality)| one(source, &state, what, quality, payload, now)).unwrap_or_default())
}

fn one(
    source: String,
    state: &str,
    what: What,
    quality: Quality,
    payload: &Map<String, Value>,
    now: Timestamp,
) -> Vec<Told> {
    let device_time = payload.get("UtcTime").and_then(Value::as_str).and_then(Timestamp::parse);
    let event_id = hashed(&[state, &moment(device_time)]);
    vec![Told { source, event_id, unnamed: unnamed(device_time, now), what, quality, device_time }]
}

/// The topic without name spaces and without the source, which is in the body, too.
fn local(topic: &str) -> Option<String> {
    let levels = topic.split('/').take_while(|level| !level.starts_with('&') && !level.is_empty());
    let plain = levels.map(|level| level.rsplit(':').next().unwrap_or(level));
    let topic = plain.collect::<Vec<_>>().join("/");
    (topic.len() <= TOPIC && !topic.chars().any(char::is_control)).then_some(topic)
}

fn truth(word: &str) -> Option<bool> {
    match word {
        "true" | "1" | "active" => Some(true),
        "false" | "0" | "inactive" => Some(false),
        _ => None,
    }
}

/// Why somebody was not let in (ONVIF Access Control, "Access denied").
fn reason(word: &str) -> &'static str {
    match word {
        "CredentialNotEnabled" => "blocked",
        "CredentialNotActive" | "NotPermittedAtThisTime" => "schedule",
        "CredentialExpired" => "expired",
        "InvalidPIN" => "wrong_code",
        "Unauthorized" => "no_right",
        "AntipassbackViolation" => "antipassback",
        _ => "other",
    }
}

/// For the fuzz target: messages of one device, as [`super::mqtt::fuzz`] wants them.
pub(crate) fn fuzz(bytes: &[u8]) {
    let members = ["UtcTime", "PropertyOperation", "Source"];
    super::mqtt::fuzz(bytes, "gate/onvif-ej/", &members, &["State", "LogicalState", "Reason"]);
    let topic = String::from_utf8_lossy(bytes);
    assert!(local(&topic).is_none_or(|topic| topic.len() <= TOPIC));
}
