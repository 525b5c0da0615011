//! A door says what happened; the people concerned read it.

use crate::support::House;
use domain::role::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};

const SINGLE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn event(id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/site/xingfu/device/door-03",
        "type": "sharpeyes.door.access.denied", "subject": "door/03",
        "time": "2026-11-23T08:15:02+08:00", "datacontenttype": "application/json", "sequality": "live",
        "data": { "direction": "in", "method": "card", "reason": "expired",
                  "credential_ref": "hmac:9f2c", "name": "Zhang San", "picture": "aGVsbG8=" }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_taken_once_and_read_by_those_concerned() {
    let house = House::start().await;
    let (device, token) = house.door(&house.lobby).await;
    let (_, other_token) = house.door(&house.gate).await;
    let sender = house.client();
    let (status, answer) = sender.events(&token, SINGLE, &event("257")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(answer, json!({ "results": [{ "id": "257", "result": "accepted" }] }));
    let (status, answer) = sender.events(&token, SINGLE, &event("257")).await;
    assert_eq!((status, &answer["results"][0]["result"]), (StatusCode::ACCEPTED, &json!("duplicate")));
    // The same id from another door is another event.
    let (_, answer) = sender.events(&other_token, SINGLE, &event("257")).await;
    assert_eq!(answer["results"][0]["result"], "accepted");

    let resident = house.sign_in_as(Role::Resident).await;
    let (_, list) = resident.get("/api/v1/door-events").await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "a resident reads their own entrance");
    let row = &items[0];
    assert_eq!(row["type"], "door.access.denied");
    assert_eq!(
        (&row["direction"], &row["method"], &row["reason"]),
        (&json!("in"), &json!("card"), &json!("expired"))
    );
    assert_eq!((row["device_id"].as_str(), row["quality"].as_str()), (Some(device.as_str()), Some("live")));
    assert_eq!(row["device_time"], "2026-11-23T00:15:02Z");
    let text = row.to_string();
    for private in ["9f2c", "Zhang", "aGVs"] {
        assert!(!text.contains(private), "{private} was kept");
    }
    let patrol = house.sign_in_as(Role::Patrol).await;
    assert_eq!(patrol.get("/api/v1/door-events").await.1["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_item_by_item() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let with = |id: &str, field: &str, value: Value| {
        let mut event = event(id);
        event[field] = value;
        event
    };
    let batch = json!([
        event("1"),
        with("2", "type", json!("sharpeyes.face.recognised")),
        with("3", "time", json!("yesterday")),
        with("4", "specversion", json!("0.3")),
        { "id": "5" },
        with("6", "sequality", json!("perhaps")),
        with("8", "source", json!("a\u{0}b")),
        with("7", "data", json!({ "method": "face: Zhang San", "reason": "6222021234567890123" })),
        event("1"),
        17,
    ]);
    let (status, answer) = house.client().events(&token, BATCH, &batch).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let results: Vec<&str> =
        answer["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
    let expected = ["accepted"; 1]
        .into_iter()
        .chain(["rejected"; 6])
        .chain(["accepted", "duplicate", "rejected"])
        .collect::<Vec<_>>();
    assert_eq!(results, expected);
    assert!(answer["results"][1]["detail"].as_str().unwrap().contains("sharpeyes.door."));
    let patrol = house.sign_in_as(Role::Patrol).await;
    let (_, list) = patrol.get("/api/v1/door-events").await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["method"], &items[0]["reason"]), (&json!("other"), &json!("other")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_opened_under_duress_tells_patrol_and_not_the_phone_beside_it() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let mut duress = event("1");
    duress["type"] = json!("sharpeyes.door.duress");
    assert_eq!(house.client().events(&token, SINGLE, &duress).await.0, StatusCode::ACCEPTED);
    let read = async |role| house.sign_in_as(role).await.get("/api/v1/door-events?limit=1").await.1;
    assert_eq!(
        read(Role::Resident).await,
        json!({ "items": [], "next": null }),
        "not even that there is one"
    );
    assert_eq!(read(Role::Patrol).await["items"][0]["type"], "door.duress");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_is_refused_with_the_reason() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let client = house.client();
    let (status, problem) = client.events("0".repeat(64).as_str(), SINGLE, &event("1")).await;
    assert_eq!((status.as_u16(), &problem["type"]), (401, &json!("not-signed-in")));
    let (status, problem) = client.events(&token, "text/plain", &event("1")).await;
    assert_eq!(status.as_u16(), 415, "{problem}");
    let big = json!({ "id": "x".repeat(70_000) });
    assert_eq!(client.events(&token, SINGLE, &big).await.0.as_u16(), 413);
    let many = Value::Array((0..101).map(|n| event(&n.to_string())).collect());
    let (status, problem) = client.events(&token, BATCH, &many).await;
    assert_eq!((status.as_u16(), &problem["detail"]), (413, &json!("at most 100 events in a batch")));
    let half = client.request(reqwest::Method::POST, "/ingest/v1/events").bearer_auth(&token);
    let response = half.header("content-type", SINGLE).body("{\"id\":").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    let patrol = house.sign_in_as(Role::Patrol).await;
    assert_eq!(patrol.get("/api/v1/door-events").await.1["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_door_events_follow_each_other() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let batch = Value::Array((0..25).map(|n| event(&n.to_string())).collect());
    house.client().events(&token, BATCH, &batch).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let (mut seen, mut path) = (Vec::new(), "/api/v1/door-events?limit=10".to_owned());
    loop {
        let (_, list) = patrol.get(&path).await;
        seen.extend(
            list["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = list["next"].as_str() else { break };
        path = format!("/api/v1/door-events?limit=10&cursor={next}");
    }
    assert_eq!(seen.len(), 25);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25);
    let (status, problem) = patrol.get("/api/v1/door-events?since=yesterday").await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("since")));
    let past = patrol.get("/api/v1/door-events?until=2020-01-01T00:00:00Z").await.1;
    assert_eq!(past["items"], json!([]));
}
