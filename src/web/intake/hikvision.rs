//! What Hikvision's door stations, readers and panels send to an "HTTP host": one alert
//! as JSON or XML, alone or as a part of a multipart message beside its pictures.
//!
//! Of an alert only the code of what happened, the door, the serial number and the time
//! are read. Names, card and employee numbers, faces, temperatures and pictures are
//! not: the picture of a door event is our own camera's.

use super::levels::Levels;
use super::{BATCH, Counters, Told, What, all_in_all, fuzz, keep, moment, unnamed};
use crate::access::Sender;
use crate::extract::has_type;
use crate::{App, Problem, token};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use domain::Timestamp;
use domain::device::{Device, DeviceKind};
use domain::event::device::DeviceEventKind as Tells;
use domain::event::door::{DoorEventKind as Door, Quality};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The largest alert without its pictures, in bytes.
pub const ALERT: usize = 64 << 10;

const JSON: &[&str] = &["application/json", "text/json"];
const XML: &[&str] = &["application/xml", "text/xml"];
const MULTIPART: &[&str] = &["multipart/form-data", "multipart/mixed", "multipart/x-mixed-replace"];

/// `EventNotificationAlert`, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Alert {
    #[serde(deserialize_with = "word")]
    event_type: String,
    #[serde(deserialize_with = "word")]
    event_state: String,
    #[serde(deserialize_with = "text")]
    date_time: Option<String>,
    #[serde(rename = "inputIOPortID", deserialize_with = "number")]
    input: Option<u64>,
    #[serde(rename = "AccessControllerEvent", deserialize_with = "access")]
    access: Option<Access>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Access {
    #[serde(deserialize_with = "number")]
    major_event_type: Option<u64>,
    #[serde(deserialize_with = "number")]
    sub_event_type: Option<u64>,
    #[serde(deserialize_with = "number")]
    door_no: Option<u64>,
    #[serde(deserialize_with = "number")]
    serial_no: Option<u64>,
    #[serde(deserialize_with = "truth")]
    current_event: Option<bool>,
}

/// Firmwares differ in whether a number is one or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(u64),
    Truth(bool),
    Text(String),
    Other(serde::de::IgnoredAny),
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(match Loose::deserialize(from)? {
        Loose::Number(number) => Some(number),
        Loose::Text(text) => text.trim().parse().ok(),
        Loose::Truth(_) | Loose::Other(_) => None,
    })
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Loose::deserialize(from)? {
        Loose::Text(text) => Some(text),
        Loose::Number(_) | Loose::Truth(_) | Loose::Other(_) => None,
    })
}

fn word<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(text(from)?.unwrap_or_default())
}

/// An element that is empty is none.
fn access<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Access>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Maybe {
        Access(Access),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Maybe::deserialize(from)? {
        Maybe::Access(access) => Some(access),
        Maybe::Other(_) => None,
    })
}

fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Ok(match Loose::deserialize(from)? {
        Loose::Truth(truth) => Some(truth),
        Loose::Number(number) => Some(number != 0),
        Loose::Text(text) => text.trim().parse().ok(),
        Loose::Other(_) => None,
    })
}

/// What Hikvision devices send by HTTP. Set it as "HTTP listening" with the device's token as
/// a part of the address, or as the password of any user name.
#[utoipa::path(post, path = "/ingest/v1/hikvision/{token}", tag = "events", operation_id = "receive_hikvision",
    params(("token" = String, Path, description = "the device's token")),
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "all of it is durable"), (status = 400), (status = 401), (status = 413),
        (status = 415), (status = 429)))]
pub(crate) async fn receive_by_address(
    app: State<App>,
    sender: Sender,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<StatusCode, Problem> {
    receive(app, sender, headers, body).await
}

/// The same, with the token in a header.
#[utoipa::path(post, path = "/ingest/v1/hikvision", tag = "events", operation_id = "receive_hikvision_by_header",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "all of it is durable"), (status = 400), (status = 401), (status = 413),
        (status = 415), (status = 429)))]
pub(crate) async fn receive(
    State(app): State<App>,
    Sender(device): Sender,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|_| Problem::TooLarge("1 MiB"));
    let alerts = match body {
        Ok(body) => alerts(&headers, body).await,
        Err(problem) => Err(problem),
    };
    let alerts = alerts.inspect_err(|problem| {
        let counter = match problem {
            Problem::TooLarge(_) => &app.intake.too_large,
            _ => &app.intake.malformed,
        };
        Counters::add(counter, 1);
    })?;
    let (mut all, mut levels) = (Vec::new(), app.inputs.of(&device.id));
    for alert in alerts {
        match alert.told(&device, &mut levels, app.now()) {
            Some(told) => all.extend(told),
            // Heartbeats, operations, what a newer firmware invents: said yes to, or the
            // device sends them for ever.
            None => Counters::add(&app.intake.unknown, 1),
        }
    }
    // Told no, the device sends all of it again; what was kept is not kept twice.
    all_in_all(&keep(&app, &device, all).await?)?;
    app.inputs.learn(&device.id, levels);
    Ok(StatusCode::OK)
}

/// The alerts of a body.
async fn alerts(headers: &HeaderMap, body: Bytes) -> Result<Vec<Alert>, Problem> {
    if has_type(headers, JSON) || has_type(headers, XML) {
        return Ok(vec![alert(&body)?]);
    }
    if !has_type(headers, MULTIPART) {
        return Err(Problem::MediaType("application/json, application/xml or multipart/form-data"));
    }
    let boundary = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(boundary);
    let boundary =
        boundary.ok_or_else(|| Problem::Malformed("the multipart message names no boundary".to_owned()))?;
    let wrong =
        |error: multer::Error| Problem::Malformed(format!("the multipart message cannot be read: {error}"));
    let body = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(body) });
    let mut parts = multer::Multipart::new(body, boundary);
    let mut alerts = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(wrong)? {
        if alerts.len() >= BATCH {
            return Err(Problem::TooLarge("100 events in a message"));
        }
        let picture = part.content_type().is_some_and(|kind| kind.type_() == "image");
        let bytes = part.bytes().await.map_err(wrong)?;
        // What it is, is seen by how it begins: not every firmware says so.
        if !picture && matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'<' | 0xef)) {
            alerts.push(alert(&bytes)?);
        }
    }
    Ok(alerts)
}

pub(super) fn boundary(kind: &str) -> Option<String> {
    kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let fits = (1..=70).contains(&value.len());
        (name.trim().eq_ignore_ascii_case("boundary") && fits).then(|| value.to_owned())
    })
}

/// One alert, JSON or XML.
pub(super) fn alert(bytes: &[u8]) -> Result<Alert, Problem> {
    if bytes.len() > ALERT {
        return Err(Problem::TooLarge("64 KiB for an alert without pictures"));
    }
    let wrong = |error| Problem::Malformed(format!("the alert cannot be read: {error}"));
    serde_json::from_value(value(bytes)?).map_err(wrong)
}

/// The same objects and texts, in whichever format they come.
fn value(bytes: &[u8]) -> Result<Value, Problem> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if bytes.first() == Some(&b'<') {
        let wrong = |why| Problem::Malformed(format!("the alert is no XML that can be read: {why}"));
        return super::xml::read(bytes).map_err(wrong).map(|value| match value {
            // An element without elements says nothing.
            Value::String(_) => Value::Object(serde_json::Map::new()),
            value => value,
        });
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::NotJson(error.to_string()))
}

impl Alert {
    /// Whether it only says that the device is still there: no video is lost.
    pub(super) fn is_heartbeat(&self) -> bool {
        self.event_type.eq_ignore_ascii_case("videoloss") && self.event_state.eq_ignore_ascii_case("inactive")
    }

    /// What it tells, which may be no news; nothing if it is nothing that is kept.
    pub(super) fn told(self, device: &Device, levels: &mut Levels, now: Timestamp) -> Option<Vec<Told>> {
        let device_time = self.date_time.as_deref().and_then(Timestamp::parse);
        let Some(access) = self.access else {
            return self.input(device, levels, device_time, now);
        };
        let (major, minor) = (access.major_event_type?, access.sub_event_type?);
        let what = what(major, minor, device.kind)?;
        let door = access.door_no.unwrap_or(1);
        let event_id = match access.serial_no {
            // A device that was reset counts anew, at another time.
            Some(serial) => format!("{serial}:{}", moment(device_time)),
            None => hashed(&[&major.to_string(), &minor.to_string(), &moment(device_time)]),
        };
        let quality = if access.current_event == Some(false) { Quality::Backlog } else { Quality::Live };
        let (source, unnamed) = (format!("hikvision/door/{door}"), unnamed(device_time, now));
        Some(vec![Told { source, event_id, unnamed, what, quality, device_time }])
    }

    /// An input of a panel or a recorder. While it is on the device says so again and again: only
    /// that it begins and that it ends is told.
    fn input(
        &self,
        device: &Device,
        levels: &mut Levels,
        device_time: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Vec<Told>> {
        if !self.event_type.eq_ignore_ascii_case("IO") {
            return None;
        }
        let active = self.event_state.eq_ignore_ascii_case("active");
        let input = self.input.unwrap_or(1);
        let source = format!("hikvision/input/{input}");
        let news = match device.kind {
            DeviceKind::Button | DeviceKind::Panel => levels
                .pressed(&source, active, now)
                .map(|begins| (if begins { Tells::Panic } else { Tells::Cleared }, Quality::Live)),
            DeviceKind::Door => {
                levels.plain(&source, active, Quality::Live, now).map(|quality| (Tells::Input, quality))
            }
        };
        let event_id = hashed(&[&self.event_state, &moment(device_time)]);
        let unnamed = unnamed(device_time, now);
        let told = |(what, quality)| {
            let what = What::Device(what);
            Told { source, event_id, unnamed, what, quality, device_time }
        };
        Some(news.map(told).into_iter().collect())
    }
}

/// What stands for a serial number where there is none.
pub(super) fn hashed(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    token::hex(hash.finalize().get(..16).unwrap_or_default())
}

/// What a pair of codes means (HCNetSDK, "access control event types"). How somebody was
/// recognised is kept for cards, codes and telephones; a finger or a face is `other`.
fn what(major: u64, minor: u64, kind: DeviceKind) -> Option<What> {
    let door = |kind, direction: Option<&str>, method: Option<&str>, reason: Option<&str>| {
        let [direction, method, reason] = [direction, method, reason].map(|word| word.map(str::to_owned));
        Some(What::Door { kind, direction, method, reason })
    };
    let plain = |kind| door(kind, None, None, None);
    let granted = |method| door(Door::Granted, None, Some(method), None);
    let denied = |method, reason| door(Door::Denied, None, method, Some(reason));
    let tells = |what| Some(What::Device(what));
    match (major, minor) {
        // Alarms.
        (1, 0x404 | 0x406 | 0x40f | 0x41e | 0x422) => plain(Door::Tamper),
        (1, 0x40a) => plain(Door::Duress),
        (1, 0x415 | 0x416 | 0x418 | 0x424) => tells(Tells::Fire),
        (1, 0x41c) => tells(Tells::Panic),
        (1, 0x408) if kind != DeviceKind::Door => tells(Tells::Panic),
        (1, 0x408) => tells(Tells::Input),
        (1, 0x405 | 0x407 | 0x409 | 0x410 | 0x417 | 0x419 | 0x41d | 0x41f | 0x423 | 0x425) => {
            tells(Tells::Cleared)
        }
        // Exceptions.
        (2, 0x403 | 0x411) => tells(Tells::LowBattery),
        (2, 0x3a | 0x408 | 0x409 | 0x40d | 0x40f | 0x417 | 0x41d | 0x421 | 0x42c | 0x42d) => {
            tells(Tells::Fault)
        }
        // Operations.
        (3, 0x400 | 0x41d) => granted("remote"),
        (3, 0x402 | 0x403 | 0x41e) => plain(Door::Mode),
        // Events.
        (5, 0x01 | 0x02 | 0x10 | 0x28) => granted("card"),
        (5, 0x22 | 0x65 | 0xb3 | 0xb5) => granted("code"),
        (5, 0x9f) => granted("bluetooth"),
        (5, 0x26 | 0x2b | 0x2e | 0x45 | 0x48 | 0x4b | 0x4d | 0x69 | 0x99) => granted("other"),
        (5, 0x17) => door(Door::Granted, Some("out"), Some("button"), None),
        (5, 0x03..=0x05) => denied(Some("card"), "wrong_code"),
        (5, 0x06) => denied(Some("card"), "no_right"),
        (5, 0x07 | 0x0d) => denied(Some("card"), "schedule"),
        (5, 0x08) => denied(Some("card"), "expired"),
        (5, 0x09) => denied(Some("card"), "unknown"),
        (5, 0x0a | 0x78) => denied(None, "antipassback"),
        (5, 0x0b) => denied(None, "interlock"),
        (5, 0x71) => denied(None, "blocked"),
        (5, 0x66 | 0x67 | 0x97 | 0xb4) => denied(Some("code"), "wrong_code"),
        (5, 0x31 | 0x98) => denied(None, "unknown"),
        (5, 0x75 | 0x76) => denied(None, "schedule"),
        (5, 0x27 | 0x29 | 0x2c | 0x2f | 0x46 | 0x49 | 0x4c | 0x4e | 0x50 | 0x70) => {
            denied(Some("other"), "unknown")
        }
        (5, 0x15 | 0x19) => plain(Door::Opened),
        (5, 0x16 | 0x1a) => plain(Door::Closed),
        (5, 0x1b | 0x87) => plain(Door::Forced),
        (5, 0x1c) => plain(Door::HeldOpen),
        (5, 0x13 | 0x14 | 0x1f | 0x20 | 0x34 | 0x35) => plain(Door::Mode),
        (5, 0x53..=0x5d) => plain(Door::Fault),
        (5, 0x25 | 0x33) => tells(Tells::Called),
        (5, 0x8a) => tells(Tells::Intrusion),
        _ => None,
    }
}

/// For the fuzz target: an alert as it comes, and the same bytes as a multipart message.
pub(crate) fn fuzz(bytes: &[u8]) {
    let plain = |value: &Value| {
        let members = ["eventType", "eventState", "dateTime", "inputIOPortID"];
        let inner = ["majorEventType", "subEventType", "doorNo", "serialNo", "currentEvent"];
        serde_json::from_value::<Alert>(fuzz::only(value, &members, "AccessControllerEvent", &inner))
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("multipart/form-data; boundary=b"));
    for device in fuzz::devices() {
        let tells = |alert: Alert| alert.told(&device, &mut Levels::default(), fuzz::NOW);
        let told = alert(bytes).ok().and_then(tells);
        if let (Some(told), Ok(value)) = (&told, value(bytes)) {
            told.iter().for_each(|told| fuzz::is_in_our_words(told, &device));
            let of_plain = plain(&value).ok().and_then(tells);
            assert_eq!(of_plain.as_ref(), Some(told), "what else is in it changes nothing");
        }
        // The body is there as a whole, so it is never waited for.
        let parts = alerts(&headers, Bytes::copy_from_slice(bytes));
        let parts = futures_util::FutureExt::now_or_never(parts).and_then(Result::ok).unwrap_or_default();
        assert!(parts.len() <= BATCH);
        for told in parts.into_iter().filter_map(tells).flatten() {
            fuzz::is_in_our_words(&told, &device);
        }
    }
    let boundary = std::str::from_utf8(bytes).ok().and_then(boundary);
    assert!(boundary.is_none_or(|boundary| (1..=70).contains(&boundary.len())));
}

#[cfg(test)]
#[path = "hikvision_tests.rs"]
mod tests;
