//! CloudEvents 1.0 in JSON, single or in batches: the gateway's own format.

use crate::access::Sender;
use crate::extract::has_type;
use crate::{App, Problem, token};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use domain::device::Device;
use domain::event::door::{DoorEvent, DoorEventKind, Quality, Recorded};
use domain::{DoorEventId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest body, in bytes.
const BODY: usize = 64 << 10;
/// The most events in a batch.
const BATCH: usize = 100;
/// The longest `source` or `id`, in bytes.
const NAME: usize = 200;

const SINGLE: &[&str] = &["application/cloudevents+json", "application/json"];
const BATCHED: &[&str] = &["application/cloudevents-batch+json"];

/// Words that are kept; any other becomes `other`, so that no name, card number
/// or picture reference can slip in as one.
const DIRECTIONS: &[&str] = &["in", "out"];
const METHODS: &[&str] =
    &["card", "code", "button", "remote", "intercom", "qr", "bluetooth", "nfc", "key", "schedule"];
const REASONS: &[&str] =
    &["unknown", "expired", "blocked", "schedule", "wrong_code", "no_right", "antipassback", "interlock"];

/// The attributes that are read. Everything else is dropped on arrival.
#[derive(Deserialize)]
struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    time: Option<String>,
    /// Extension: `live` (if it is not said), `backlog`, `state` or `drill`.
    sequality: Option<String>,
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
struct Data {
    direction: Option<String>,
    method: Option<String>,
    reason: Option<String>,
}

/// What became of each event, in the order they were sent.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Receipt {
    results: Vec<Outcome>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Outcome {
    /// The event's id, as far as it has one.
    id: Option<String>,
    result: OutcomeWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum OutcomeWord {
    Accepted,
    Duplicate,
    Rejected,
}

/// Send events: one, or a batch of at most 100. Accepted means durable.
#[utoipa::path(post, path = "/ingest/v1/events", tag = "events", operation_id = "receive_events",
    request_body(content = Object, content_type = "application/cloudevents+json"),
    responses((status = 202, body = Receipt), (status = 401), (status = 413), (status = 415)))]
pub(crate) async fn receive(
    State(app): State<App>,
    Sender(device): Sender,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<(StatusCode, axum::Json<Receipt>), Problem> {
    let body = body.map_err(|_| Problem::TooLarge("64 KiB"))?;
    if body.len() > BODY {
        return Err(Problem::TooLarge("64 KiB"));
    }
    let not_json = |error: serde_json::Error| Problem::NotJson(error.to_string());
    let items: Vec<Value> = if has_type(&headers, BATCHED) {
        serde_json::from_slice(&body).map_err(not_json)?
    } else if has_type(&headers, SINGLE) {
        vec![serde_json::from_slice(&body).map_err(not_json)?]
    } else {
        return Err(Problem::MediaType("application/cloudevents+json or application/cloudevents-batch+json"));
    };
    if items.len() > BATCH {
        return Err(Problem::TooLarge("100 events in a batch"));
    }
    let received_at = app.now();
    let read: Vec<_> = items.into_iter().map(|item| read(item, &device, received_at)).collect();
    let events = read.iter().filter_map(|(_, event)| event.as_ref().ok().cloned()).collect();
    let recorded = app.repository().record_door_events(events).await?;
    let mut recorded = recorded.into_iter();
    let results = read.into_iter().map(|(id, event)| match event {
        Err(why) => Outcome { id, result: OutcomeWord::Rejected, detail: Some(why) },
        Ok(_) => {
            let duplicate = recorded.next() == Some(Recorded::Duplicate);
            let result = if duplicate { OutcomeWord::Duplicate } else { OutcomeWord::Accepted };
            Outcome { id, result, detail: None }
        }
    });
    Ok((StatusCode::ACCEPTED, axum::Json(Receipt { results: results.collect() })))
}

/// One event, or why it is not taken.
fn read(item: Value, device: &Device, received_at: Timestamp) -> (Option<String>, Result<DoorEvent, String>) {
    let id = item.get("id").and_then(Value::as_str).map(|id| id.chars().take(NAME).collect());
    let event = serde_json::from_value::<CloudEvent>(item)
        .map_err(|error| error.to_string())
        .and_then(|event| door_event(event, device, received_at));
    (id, event)
}

fn door_event(event: CloudEvent, device: &Device, received_at: Timestamp) -> Result<DoorEvent, String> {
    if event.specversion != "1.0" {
        return Err("specversion is not 1.0".to_owned());
    }
    for (name, text) in [("id", &event.id), ("source", &event.source)] {
        if text.is_empty() || text.len() > NAME || text.chars().any(char::is_control) {
            return Err(format!("{name} has 1 to {NAME} bytes and no control characters"));
        }
    }
    let kind = event.kind.strip_prefix("sharpeyes.").and_then(DoorEventKind::from_word);
    let kind = kind.ok_or("type is none that is known; door events begin with sharpeyes.door.")?;
    let quality = match event.sequality.as_deref() {
        None => Quality::Live,
        Some(word) => Quality::from_word(word).ok_or("sequality is live, backlog, state or drill")?,
    };
    let device_time = event.time.as_deref().map(Timestamp::parse);
    if device_time == Some(None) {
        return Err("time is not RFC 3339".to_owned());
    }
    let data = event.data.unwrap_or_default();
    Ok(DoorEvent {
        id: DoorEventId::from_random(token::random()),
        source: event.source,
        event_id: event.id,
        device_id: device.id.clone(),
        site_id: device.site_id.clone(),
        place_id: device.place_id.clone(),
        kind,
        quality,
        direction: known(data.direction, DIRECTIONS),
        method: known(data.method, METHODS),
        reason: known(data.reason, REASONS),
        device_time: device_time.flatten(),
        received_at,
    })
}

fn known(word: Option<String>, words: &[&str]) -> Option<String> {
    word.map(|word| if words.contains(&word.as_str()) { word } else { "other".to_owned() })
}
