//! CloudEvents 1.0 in JSON, single or in batches: the gateway's own format.

use super::{BATCH, BODY, Counters, NAME, Outcome, Told, What, fuzz, keep, wrong_name};
use crate::access::Sender;
use crate::extract::has_type;
use crate::{App, Problem};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use domain::Timestamp;
use domain::event::device::DeviceEventKind;
use domain::event::door::{DoorEventKind, Quality, Recorded};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const SINGLE: &[&str] = &["application/cloudevents+json", "application/json"];
const BATCHED: &[&str] = &["application/cloudevents-batch+json"];

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
    results: Vec<ItemResult>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ItemResult {
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
///
/// `duplicate` is what is kept already. While the database is away that is known only of what
/// came meanwhile: the rest is `accepted` again, and kept once all the same.
#[utoipa::path(post, path = "/ingest/v1/events", tag = "events", operation_id = "receive_events",
    request_body(content = Object, content_type = "application/cloudevents+json"),
    responses((status = 202, body = Receipt), (status = 401), (status = 413), (status = 415)))]
pub(crate) async fn receive(
    State(app): State<App>,
    Sender(device): Sender,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<(StatusCode, axum::Json<Receipt>), Problem> {
    let too_large = |most| {
        Counters::add(&app.intake.too_large, 1);
        Problem::TooLarge(most)
    };
    let body = body.map_err(|_| too_large("64 KiB"))?;
    if body.len() > BODY {
        return Err(too_large("64 KiB"));
    }
    let not_json = |error: serde_json::Error| {
        Counters::add(&app.intake.malformed, 1);
        Problem::NotJson(error.to_string())
    };
    let items: Vec<Value> = if has_type(&headers, BATCHED) {
        serde_json::from_slice(&body).map_err(not_json)?
    } else if has_type(&headers, SINGLE) {
        vec![serde_json::from_slice(&body).map_err(not_json)?]
    } else {
        return Err(Problem::MediaType("application/cloudevents+json or application/cloudevents-batch+json"));
    };
    if items.len() > BATCH {
        return Err(too_large("100 events in a batch"));
    }
    let (ids, read): (Vec<_>, Vec<_>) = items.into_iter().map(read).unzip();
    let told = read.iter().filter_map(|told| told.as_ref().ok().cloned()).collect();
    let mut outcomes = keep(&app, &device, told).await?.into_iter();
    let result = |(id, told): (Option<String>, Result<Told, String>)| {
        let (result, detail) = match told {
            Err(why) => {
                Counters::add(&app.intake.malformed, 1);
                (OutcomeWord::Rejected, Some(why))
            }
            Ok(_) => match outcomes.next() {
                Some(Outcome::Kept(Recorded::Duplicate)) => (OutcomeWord::Duplicate, None),
                Some(Outcome::TooMany(wait)) => {
                    let wait = wait.as_secs() + 1;
                    (
                        OutcomeWord::Rejected,
                        Some(format!("too many events of this device; send it again in {wait} s")),
                    )
                }
                Some(Outcome::NoRoom(wait)) => {
                    let wait = wait.as_secs();
                    (
                        OutcomeWord::Rejected,
                        Some(format!(
                            "there is hardly room on the gateway's disk; send it again in {wait} s"
                        )),
                    )
                }
                _ => (OutcomeWord::Accepted, None),
            },
        };
        ItemResult { id, result, detail }
    };
    let results = ids.into_iter().zip(read).map(result).collect();
    Ok((StatusCode::ACCEPTED, axum::Json(Receipt { results })))
}

/// One event, or why it is not taken.
fn read(item: Value) -> (Option<String>, Result<Told, String>) {
    let id = item.get("id").and_then(Value::as_str).map(|id| id.chars().take(NAME).collect());
    let told = serde_json::from_value::<CloudEvent>(item).map_err(|error| error.to_string()).and_then(told);
    (id, told)
}

fn told(event: CloudEvent) -> Result<Told, String> {
    if event.specversion != "1.0" {
        return Err("specversion is not 1.0".to_owned());
    }
    for (name, text) in [("id", &event.id), ("source", &event.source)] {
        if wrong_name(text) {
            return Err(format!("{name} has 1 to {NAME} bytes and no control characters"));
        }
    }
    let Data { direction, method, reason } = event.data.unwrap_or_default();
    let door = |kind| What::Door { kind, direction, method, reason };
    let word = event.kind.strip_prefix("sharpeyes.").unwrap_or_default();
    let what = match (DoorEventKind::from_word(word), DeviceEventKind::from_word(word)) {
        (Some(kind), _) => door(kind),
        // The gateway says that itself.
        (_, Some(kind)) if kind != DeviceEventKind::ClockSkew => What::Device(kind),
        _ => {
            let example = "sharpeyes.door.access.granted or sharpeyes.alarm.panic";
            return Err(format!("type is none that is known; it is like {example}"));
        }
    };
    let quality = match event.sequality.as_deref() {
        None => Quality::Live,
        Some(word) => Quality::from_word(word).ok_or("sequality is live, backlog, state or drill")?,
    };
    let device_time = event.time.as_deref().map(Timestamp::parse);
    if device_time == Some(None) {
        return Err("time is not RFC 3339".to_owned());
    }
    let device_time = device_time.flatten();
    Ok(Told { source: event.source, event_id: event.id, unnamed: None, what, quality, device_time })
}

/// For the fuzz target: a batch, or one event.
pub(crate) fn fuzz(bytes: &[u8]) {
    let items = serde_json::from_slice::<Vec<Value>>(bytes)
        .or_else(|_| serde_json::from_slice(bytes).map(|one| vec![one]));
    for item in items.unwrap_or_default() {
        let members = ["specversion", "id", "source", "type", "time", "sequality"];
        let plain = fuzz::only(&item, &members, "data", &["direction", "method", "reason"]);
        let ((id, told), (_, of_plain)) = (read(item), read(plain));
        assert!(id.is_none_or(|id| id.chars().count() <= NAME));
        assert_eq!(told.as_ref().ok(), of_plain.as_ref().ok(), "what else is in it changes nothing");
        for device in told.iter().flat_map(|_| fuzz::devices()) {
            told.iter().for_each(|told| fuzz::can_be_kept(told, &device));
        }
    }
}
