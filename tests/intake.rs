//! What devices of other makers send, and what becomes of alarms among it.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use crate::support::until_within;
use domain::Clock as _;
use domain::device::DeviceKind;
use domain::repository::Sites as _;
use domain::role::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::time::Duration;

const SINGLE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const GRANTED: &str = include_str!("../src/web/intake/fixtures/hik-granted.json");
const FORCED: &str = include_str!("../src/web/intake/fixtures/hik-forced.xml");
const HEARTBEAT: &str = include_str!("../src/web/intake/fixtures/hik-heartbeat.json");
const RTLOG: &str = include_str!("../src/web/intake/fixtures/zk-rtlog.txt");
const DAY: i64 = 24 * 3_600 * 1_000_000;

fn event(id: &str, kind: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/button", "type": format!("sharpeyes.{kind}") })
}

fn with(mut event: Value, field: &str, value: impl Into<Value>) -> Value {
    event[field] = value.into();
    event
}

fn results(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect()
}

/// An alert beside the picture that a door station takes of a face, as one sends it.
pub fn multipart(alert: &str) -> (String, Vec<u8>) {
    let mut body = format!(
        "--MIME_boundary\r\nContent-Disposition: form-data; name=\"event_log\"\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{alert}\r\n\
         --MIME_boundary\r\nContent-Disposition: form-data; name=\"Picture\"; filename=\"Picture.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n",
        alert.len()
    )
    .into_bytes();
    body.extend([0xff, 0xd8, 0xff, 0xe0].repeat(3_000));
    body.extend(b"\r\n--MIME_boundary--\r\n");
    ("multipart/form-data; boundary=MIME_boundary".to_owned(), body)
}

async fn post(client: &Client, path: &str, kind: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = client.request(Method::POST, path).header("content-type", kind).body(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn doors(patrol: &Client) -> Vec<Value> {
    patrol.get("/api/v1/door-events").await.1["items"].as_array().unwrap().clone()
}

async fn incidents(patrol: &Client) -> Vec<Value> {
    patrol.get("/api/v1/incidents").await.1["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hikvision_door_is_kept_without_names_cards_and_faces() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    let path = format!("/ingest/v1/hikvision/{token}");
    let (kind, body) = multipart(GRANTED);
    assert_eq!(post(&device, &path, &kind, body.clone()).await.0, 200);
    // Sent again, since the answer was lost.
    assert_eq!(post(&device, &path, &kind, body).await.0, 200);
    assert_eq!(post(&device, &path, "application/json", HEARTBEAT).await.0, 200);
    let rows = doors(&patrol).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (&row["type"], &row["method"], &row["device_time"]),
        (&json!("door.access.granted"), &json!("card"), &json!("2026-11-23T00:15:02Z"))
    );
    let kept = std::fs::read(house.folder.path("test.db-wal")).unwrap_or_default();
    let kept = [kept, std::fs::read(house.folder.path("test.db")).unwrap()].concat();
    for private in ["Zhang San", "3194721066", "\"1042\"", "36.4"] {
        assert!(!kept.windows(private.len()).any(|part| part == private.as_bytes()), "{private} was kept");
        assert!(!row.to_string().contains(private));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_come_as_a_password_and_a_wrong_one_not_too_often() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let device = house.client();
    let send = async |password: &str| {
        let request = device.request(Method::POST, "/ingest/v1/hikvision").basic_auth("door", Some(password));
        let request = request.header("content-type", "application/xml").body(FORCED);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(&token).await, 200);
    // One that is told an address may send a password of its own, which means nothing here.
    let request = device.request(Method::POST, &format!("/ingest/v1/hikvision/{token}"));
    let request = request.basic_auth("admin", Some("12345")).header("content-type", "application/xml");
    assert_eq!(request.body(FORCED).send().await.unwrap().status().as_u16(), 200);
    let mut answers = Vec::new();
    for n in 0..40 {
        answers.push(send(&format!("{n:064}")).await);
    }
    assert_eq!(&answers[..30], [401; 30]);
    assert_eq!(&answers[30..], [429; 10]);
    assert_eq!(send(&token).await, 200, "who has the right one is not kept out");
    // Nor is anybody who signs in from there.
    let person = house.person("patrol").await;
    house.client().signed_in(&person.login).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zkteco_controller_registers_and_pushes() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    let path = |what: &str| format!("/ingest/v1/zkteco/{token}/iclock/{what}");
    let ask = async |what: &str| {
        let response = device.request(Method::GET, &path(what)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, options) = ask("cdata?SN=CRJP230860129&options=all&DeviceType=acc").await;
    assert!(status == 200 && options.starts_with("registry=ok\nRegistryCode="), "{options}");
    let (_, options) = ask("cdata?SN=CRJP230860129&options=all&pushver=2.4.1").await;
    assert!(options.starts_with("GET OPTION FROM: CRJP230860129\n"), "{options}");
    assert_eq!(ask("getrequest?SN=CRJP230860129").await, (200, "OK".to_owned()));
    assert_eq!(ask("elsewhere?SN=1").await.0, 404);
    let sent = post(&device, &path("cdata?SN=CRJP230860129&table=rtlog"), "text/plain", RTLOG).await;
    assert_eq!(sent, (200, "OK: 4".to_owned()));
    // People, fingers and faces are not wanted.
    let people = "USER PIN=1\tName=Zhang San\tCard=3194721066\n";
    let sent = post(&device, &path("cdata?SN=1&table=OPERLOG"), "text/plain", people).await;
    assert_eq!(sent, (200, "OK".to_owned()));
    let kinds: Vec<Value> = doors(&patrol).await.iter().map(|row| row["type"].clone()).collect();
    assert_eq!(kinds, ["door.forced", "door.access.denied", "door.access.granted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_of_a_button_is_an_incident_once_however_often_it_is_sent() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (button, token) = house.device(&house.gate, DeviceKind::Button).await;
        let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
        for _ in 0..3 {
            let (status, _) = device.events(&token, SINGLE, &event("1", "alarm.panic")).await;
            assert_eq!(status, StatusCode::ACCEPTED);
        }
        let rows = incidents(&patrol).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((&rows[0]["kind"], &rows[0]["alarms"]), (&json!("panic"), &json!(1)));
        // An input that is stuck sends new ones all the time.
        for n in 2..60 {
            device.events(&token, SINGLE, &event(&n.to_string(), "alarm.panic")).await;
        }
        let rows = incidents(&patrol).await;
        assert_eq!((rows.len(), &rows[0]["alarms"]), (1, &json!(59)), "{rows:?}");
        let (_, list) = patrol.get("/api/v1/device-events?alarms=true&limit=500").await;
        assert_eq!(list["items"].as_array().unwrap().len(), 59);
        assert_eq!(list["items"][0]["device_id"], button.as_str());
        let resident = house.sign_in_as(Role::Resident).await;
        assert_eq!(resident.get("/api/v1/device-events").await.0, 403, "for who is on duty");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_says_how_things_are_raises_nothing() {
    let house = House::start().await;
    let (_, token) = house.device(&house.gate, DeviceKind::Button).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    let now = house.clock.now();
    let minutes = |n: i64| domain::Timestamp(now.0 - n * 60_000_000).to_string();
    let panic = |id: &str, quality: &str, time: String| {
        with(with(event(id, "alarm.panic"), "sequality", quality), "time", time)
    };
    // An initial or retained value, and one that was kept for longer than it is an alarm.
    let quiet = json!([
        panic("1", "state", minutes(0)),
        panic("2", "backlog", minutes(11)),
        event("3", "alarm.cleared")
    ]);
    assert_eq!(results(&device.events(&token, BATCH, &quiet).await.1), ["accepted"; 3]);
    assert_eq!(incidents(&patrol).await, Vec::<Value>::new());
    let (_, list) = patrol.get("/api/v1/device-events?alarms=true").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "that one is over is none: {list}");
    let kept = |row: &Value| row["quality"] == "backlog";
    assert!(list["items"].as_array().unwrap().iter().any(kept), "it is in the operator's list: {list}");
    // Kept for a few minutes: it must not vanish.
    device.events(&token, SINGLE, &panic("4", "backlog", minutes(4))).await;
    assert_eq!(incidents(&patrol).await[0]["late"], true);
    // A drill is one, beside it.
    device.events(&token, SINGLE, &panic("5", "drill", minutes(0))).await;
    let rows = incidents(&patrol).await;
    assert_eq!(rows.iter().filter(|row| row["drill"] == true).count(), 1, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_alarms_of_doors_are_in_the_operators_list_page_by_page_beside_the_others() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
        let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
        let old = domain::Timestamp(house.clock.now().0 - DAY).to_string();
        let told =
            |id: &str, kind: &str| with(with(event(id, kind), "sequality", "backlog"), "time", old.clone());
        let kinds = ["door.forced", "alarm.fire", "door.duress", "alarm.panic", "door.tamper"];
        for kind in kinds {
            device.events(&token, BATCH, &json!([told(kind, kind), told("x", "door.opened")])).await;
        }
        device.events(&token, SINGLE, &told("over", "alarm.cleared")).await;
        assert_eq!(incidents(&patrol).await, Vec::<Value>::new(), "{database:?}");
        let (mut read, mut path) = (Vec::new(), "/api/v1/device-events?alarms=true&limit=2".to_owned());
        loop {
            let (status, list) = patrol.get(&path).await;
            assert_eq!(status, 200, "{list}");
            read.extend(list["items"].as_array().unwrap().iter().map(|row| row["type"].clone()));
            let Some(next) = list["next"].as_str() else { break };
            path = format!("/api/v1/device-events?alarms=true&limit=2&cursor={next}");
        }
        read.reverse();
        assert_eq!(read, kinds, "{database:?}: each once, the newest first");
        assert_eq!(patrol.get("/api/v1/device-events?alarms=true&cursor=5").await.0, 422);
        let resident = house.sign_in_as(Role::Resident).await;
        assert_eq!(resident.get("/api/v1/device-events?alarms=true").await.0, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_has_a_list_of_late_alarms_and_of_devices_that_need_somebody() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, door) = house.door(&house.lobby).await;
        let (_, button) = house.device(&house.gate, DeviceKind::Button).await;
        let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
        let minutes = |n: i64| domain::Timestamp(house.clock.now().0 - n * 60_000_000).to_string();
        let kept = |id: &str, kind: &str, ago| {
            with(with(event(id, kind), "sequality", "backlog"), "time", minutes(ago))
        };
        // What is an incident is not in it, nor what is no alarm.
        let inside =
            json!([event("1", "alarm.panic"), kept("2", "alarm.fire", 4), kept("3", "input.changed", 60)]);
        device.events(&button, BATCH, &inside).await;
        let listed = json!([
            kept("4", "alarm.panic", 11),
            kept("4", "alarm.panic", 11),
            event("5", "device.low_battery"),
            event("6", "device.offline"),
            with(event("7", "input.changed"), "time", minutes(2)),
        ]);
        device.events(&button, BATCH, &listed).await;
        let at_door = json!([kept("8", "door.opened", 60), kept("9", "door.forced", 60)]);
        device.events(&door, BATCH, &at_door).await;
        let (mut read, mut path) = (Vec::new(), "/api/v1/device-events?desk=true&limit=2".to_owned());
        loop {
            let (status, list) = patrol.get(&path).await;
            assert_eq!(status, 200, "{list}");
            let kinds = list["items"].as_array().unwrap().iter().map(|row| row["type"].to_string());
            read.extend(kinds);
            let Some(next) = list["next"].as_str() else { break };
            path = format!("/api/v1/device-events?desk=true&limit=2&cursor={next}");
        }
        read.sort();
        let all = ["alarm.panic", "device.clock_skew", "device.low_battery", "device.offline", "door.forced"];
        assert_eq!(read, all.map(|kind| format!("\"{kind}\"")), "{database:?}");
        assert_eq!(patrol.get("/api/v1/device-events?desk=true&cursor=5").await.0, 422);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_forced_is_an_alarm_and_duress_is_a_silent_one() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    let resident = house.sign_in_as(Role::Resident).await;
    device.events(&token, BATCH, &json!([event("1", "door.forced"), event("2", "door.duress")])).await;
    let kinds: Vec<Value> = incidents(&patrol).await.iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert!(kinds.contains(&json!("intrusion")) && kinds.contains(&json!("duress")));
    assert!(incidents(&resident).await.iter().all(|row| row["kind"] != "duress"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_from_another_year_is_taken_and_the_clock_is_told_of_once_a_day() {
    let house = House::start().await;
    let (_, token) = house.device(&house.gate, DeviceKind::Button).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    for (id, days) in [("1", -365), ("2", 3_650), ("3", 1)] {
        let time = domain::Timestamp(house.clock.now().0 + days * DAY).to_string();
        let (status, answer) =
            device.events(&token, SINGLE, &with(event(id, "alarm.panic"), "time", time)).await;
        assert_eq!((status, results(&answer)), (StatusCode::ACCEPTED, vec!["accepted"]));
    }
    let (_, list) = patrol.get("/api/v1/device-events").await;
    let skews = list["items"].as_array().unwrap().iter().filter(|row| row["type"] == "device.clock_skew");
    assert_eq!(skews.count(), 1, "{list}");
    // Time limits rest on when it arrived.
    let opened = incidents(&patrol).await[0]["opened_at"].as_str().unwrap().to_owned();
    let late = house.clock.now().0 - domain::Timestamp::parse(&opened).unwrap().0;
    assert!((0..60_000_000).contains(&late), "{opened}");
    // The next day it is told again.
    house.clock.jump(DAY);
    let patrol = house.sign_in_as(Role::Patrol).await;
    let time = domain::Timestamp(0).to_string();
    device.events(&token, SINGLE, &with(event("4", "input.changed"), "time", time)).await;
    let (_, list) = patrol.get("/api/v1/device-events").await;
    let skews = list["items"].as_array().unwrap().iter().filter(|row| row["type"] == "device.clock_skew");
    assert_eq!(skews.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_gets_through_while_the_devices_bucket_is_empty() {
    let house = House::start().await;
    let (_, token) = house.device(&house.gate, DeviceKind::Panel).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    let mut sent = 0;
    let refused = loop {
        let batch = (0..100).map(|n| event(&format!("{sent}-{n}"), "input.changed")).collect();
        let (_, answer) = device.events(&token, BATCH, &Value::Array(batch)).await;
        if results(&answer).contains(&"rejected") {
            break answer;
        }
        sent += 1;
        assert!(sent < 500, "the bucket is never empty");
    };
    assert!(refused["results"][99]["detail"].as_str().unwrap().contains("send it again in"), "{refused}");
    let mut mixed: Vec<Value> = (0..99).map(|n| event(&format!("m-{n}"), "input.changed")).collect();
    mixed.push(event("help", "alarm.panic"));
    let (_, answer) = device.events(&token, BATCH, &Value::Array(mixed)).await;
    let results = results(&answer);
    assert_eq!((results[0], results[99]), ("rejected", "accepted"), "{answer}");
    assert_eq!(incidents(&patrol).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_says_how_things_are_goes_through_no_empty_bucket() {
    let house = House::start().await;
    let (_, token) = house.device(&house.gate, DeviceKind::Panel).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    let state = |id: String| with(event(&id, "alarm.panic"), "sequality", "state");
    let mut sent = 0;
    loop {
        let batch = (0..100).map(|n| state(format!("{sent}-{n}"))).collect();
        let (_, answer) = device.events(&token, BATCH, &Value::Array(batch)).await;
        if results(&answer).contains(&"rejected") {
            break;
        }
        sent += 1;
        assert!(sent < 500, "the bucket is never empty");
    }
    assert_eq!(results(&device.events(&token, SINGLE, &event("1", "alarm.panic")).await.1), ["accepted"]);
    assert_eq!(incidents(&patrol).await.len(), 1);
}

/// What is forged is not taken; what is replayed, old or out of order is kept once, in the
/// order in which it came.
#[tokio::test(flavor = "multi_thread")]
async fn c40_nothing_forged_is_taken_and_what_is_replayed_or_out_of_order_is_kept_once() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (one, token) = house.device(&house.gate, DeviceKind::Panel).await;
        let (_, other) = house.device(&house.lobby, DeviceKind::Panel).await;
        let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
        let at = |n: i64| domain::Timestamp(house.clock.now().0 + n * 1_000_000).to_string();
        let told = |id: &str, n: i64| with(event(id, "door.opened"), "time", at(n));
        for forged in ["", "0", &"0".repeat(64), one.as_str(), &token[1..], &token.to_uppercase()] {
            let (status, _) = device.events(forged, SINGLE, &told("1", 0)).await;
            assert_eq!(status.as_u16(), 401, "{forged:?}");
        }
        assert_eq!(doors(&patrol).await, Vec::<Value>::new());
        let order = [("3", 3), ("1", 1), ("old", -9 * 24 * 3_600), ("2", 2)];
        for (id, n) in order {
            assert_eq!(results(&device.events(&token, SINGLE, &told(id, n)).await.1), ["accepted"]);
        }
        // Again, later, with another time, in a batch and all at once.
        let again = Value::Array(order.iter().map(|(id, n)| told(id, n + 60)).collect());
        let sending: Vec<_> = (0..5).map(|_| device.events(&token, BATCH, &again)).collect();
        for (_, answer) in futures_util::future::join_all(sending).await {
            assert_eq!(results(&answer), ["duplicate"; 4], "{database:?}");
        }
        // Another device's event of the same name is another one, and takes nobody's place.
        assert_eq!(results(&device.events(&other, SINGLE, &told("1", 0)).await.1), ["accepted"]);
        let rows = doors(&patrol).await;
        assert_eq!(rows.len(), 5, "{database:?}: {rows:?}");
        let mut connection = sqlx::AnyConnection::connect(&house.settings.database).await.unwrap();
        let sql = "select event_id from door_events order by seq";
        let kept: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
        assert_eq!(kept, ["3", "1", "old", "2", "1"], "{database:?}: in the order in which they came");
    }
}

/// C37: a device that is told one thing of a whole message must not keep a press behind it.
#[tokio::test(flavor = "multi_thread")]
async fn c37_where_there_is_room_for_alarms_alone_a_message_with_one_is_taken_and_one_without_is_not() {
    // A reserve that no disk has room for.
    let settings = "[disk]\nreserve_bytes = 1000000000000000\n";
    let house = House::start_with(Database::Sqlite, settings).await;
    let (_, token) = house.door(&house.gate).await;
    let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
    // Opened by force, by a device that says neither its number nor the time.
    let forced = "{\"AccessControllerEvent\": {\"majorEventType\": 5, \"subEventType\": 27, \"doorNo\": 1}}";
    let body = |alerts: &[&str]| {
        let head =
            "--b\r\nContent-Disposition: form-data; name=\"e\"\r\nContent-Type: application/json\r\n\r\n";
        let parts: String = alerts.iter().map(|alert| format!("{head}{alert}\r\n")).collect();
        format!("{parts}--b--\r\n")
    };
    let path = format!("/ingest/v1/hikvision/{token}");
    let kind = "multipart/form-data; boundary=b";
    assert_eq!(post(&device, &path, kind, body(&[GRANTED, forced])).await.0, 200);
    assert_eq!(post(&device, &path, kind, body(&[GRANTED, GRANTED])).await.0, 429);
    // The controller's lines as well: 102 is forced, 0 is granted.
    let zk = format!("/ingest/v1/zkteco/{token}/iclock/cdata?table=rtlog");
    let line = |event: u8| format!("time=2026-11-23 08:15:02\teventaddr=1\tevent={event}\tindex={event}\n");
    assert_eq!(post(&device, &zk, "text/plain", line(0) + &line(102)).await, (200, "OK: 2".to_owned()));
    assert_eq!(post(&device, &zk, "text/plain", line(0)).await.0, 429);
    let rows = incidents(&patrol).await;
    assert_eq!(
        (rows.len(), &rows[0]["kind"], &rows[0]["alarms"]),
        (1, &json!("intrusion"), &json!(2)),
        "{rows:?}"
    );
    let counters = house.web.intake();
    let counted =
        [&counters.accepted, &counters.no_room].map(|n| n.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(counted, [2, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read_are_refused_with_the_reason_and_nothing_is_kept() {
    let house = House::start().await;
    let (_, token) = house.door(&house.lobby).await;
    let device = house.client();
    let path = format!("/ingest/v1/hikvision/{token}");
    let json = "application/json";
    for (kind, body, status, says) in [
        (json, "{", 400, "EOF"),
        ("text/xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", 400, "document type"),
        ("multipart/form-data", "--", 400, "boundary"),
        ("image/jpeg", "x", 415, "application/json"),
    ] {
        let (got, text) = post(&device, &path, kind, body).await;
        assert!(got == status && text.contains(says), "{kind}: {got} {text}");
    }
    assert_eq!(post(&device, &path, json, format!("{{\"a\": \"{}\"}}", "x".repeat(70_000))).await.0, 413);
    assert_eq!(post(&device, &path, json, vec![b' '; 2 << 20]).await.0, 413);
    // What says nothing is said yes to, or it is sent for ever.
    for (kind, body) in [
        ("text/xml", "<EventNotificationAlert/>"),
        ("text/xml", "<a><eventType/><AccessControllerEvent/></a>"),
        (json, "{\"eventType\": null, \"dateTime\": 5, \"AccessControllerEvent\": null}"),
    ] {
        assert_eq!(post(&device, &path, kind, body).await.0, 200, "{body}");
    }
    let zk = format!("/ingest/v1/zkteco/{token}/iclock/cdata?table=rtlog");
    assert_eq!(post(&device, &zk, "text/plain", "time=1\tevent=0\n".repeat(101)).await.0, 413);
    assert_eq!(post(&device, &zk, "text/plain", "nothing\n\n").await, (200, "OK: 1".to_owned()));
    assert_eq!(doors(&house.sign_in_as(Role::Patrol).await).await, Vec::<Value>::new());
}

/// C38: those whose database is away are told yes when their event is durable elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn c38_while_the_database_is_away_events_wait_durably_and_none_is_lost() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
        let (_, stranger) = house.device(&house.lobby, DeviceKind::Panel).await;
        let device = house.client();
        device.events(&token, SINGLE, &event("before", "alarm.cleared")).await;
        device.events(&token, SINGLE, &event("known", "alarm.tamper")).await;
        let mut other = sqlx::AnyConnection::connect(&house.settings.database).await.unwrap();
        let locks: &[&str] = match database {
            Database::Sqlite => &["begin immediate"],
            Database::Postgres => {
                &["begin", "lock table devices, sites, door_events, device_events in access exclusive mode"]
            }
        };
        for sql in locks {
            sqlx::query(*sql).execute(&mut other).await.unwrap();
        }
        for n in 0..10 {
            let mut batch: Vec<Value> = (0..10).map(|m| event(&format!("{n}-{m}"), "door.opened")).collect();
            batch.push(event("help", "alarm.panic"));
            let (status, answer) = device.events(&token, BATCH, &Value::Array(batch)).await;
            let mut wanted = vec!["accepted"; 11];
            if n > 0 {
                wanted[10] = "duplicate";
            }
            assert_eq!((status, results(&answer)), (StatusCode::ACCEPTED, wanted), "{database:?}");
        }
        let spool = house.folder.path("events.spool");
        assert!(
            std::fs::read_to_string(&spool).unwrap().contains("9-9"),
            "durable before the device is told so"
        );
        let zk = format!("/ingest/v1/zkteco/{token}/iclock/cdata?SN=1&table=rtlog");
        assert_eq!(post(&device, &zk, "text/plain", RTLOG).await, (200, "OK: 4".to_owned()), "{database:?}");
        if database == Database::Postgres {
            // One that was never seen cannot be known.
            let (status, _) = device.events(&stranger, SINGLE, &event("1", "door.opened")).await;
            assert_eq!(status.as_u16(), 503);
        }
        sqlx::query("rollback").execute(&mut other).await.unwrap();
        until_within(Duration::from_secs(30), || {
            !spool.exists() && !house.folder.path("events.spool.sealing").exists()
        })
        .await;
        let patrol = house.sign_in_as(Role::Patrol).await;
        let rows = patrol.get("/api/v1/door-events?limit=500").await.1["items"].as_array().unwrap().clone();
        assert_eq!(rows.len(), 103, "{database:?}");
        let raised = incidents(&patrol).await;
        let alarms = |kind: &str| {
            let of = raised.iter().filter(|row| row["kind"] == kind);
            of.map(|row| row["alarms"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(alarms("panic"), [json!(1)], "{database:?}: pressed once, sent ten times");
        assert_eq!(alarms("intrusion"), [json!(1)], "{database:?}: a door that was forced meanwhile");
        let (_, answer) = device.events(&token, SINGLE, &event("3-3", "door.opened")).await;
        assert_eq!(results(&answer), ["duplicate"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_keeps_no_other_device_and_no_alarm_from_being_heard() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (button, token) = house.device(&house.lobby, DeviceKind::Button).await;
        let (broken, _) = house.device(&house.gate, DeviceKind::Door).await;
        let (device, owner) = (house.client(), house.sign_in_as(Role::Owner).await);
        let press = async |id: &str| device.events(&token, SINGLE, &event(id, "alarm.panic")).await.0;
        assert_eq!(press("1").await, StatusCode::ACCEPTED);
        house.sql("update incidents set step = 'nonsense'").await;
        house.sql(&format!("update devices set kind = 'nonsense' where id = '{broken}'")).await;
        house.sql("insert into sites select 'x', name, 'nonsense', time_zone, resident_policy, created_at from sites").await;
        assert_eq!(press("2").await, StatusCode::ACCEPTED, "{database:?}: it opens an incident of its own");
        assert_eq!(press("3").await, StatusCode::ACCEPTED);
        let rows = owner.get("/api/v1/incidents").await.1["items"].as_array().unwrap().clone();
        assert_eq!((rows.len(), &rows[0]["alarms"]), (1, &json!(2)), "{database:?}: {rows:?}");
        let (status, list) = owner.get("/api/v1/devices").await;
        assert_eq!(
            (status, list["items"].as_array().unwrap().len()),
            (StatusCode::OK, 1),
            "{database:?}: {list}"
        );
        assert_eq!(list["items"][0]["id"], button.as_str());
        let sites = house.store.sites().await.unwrap();
        assert_eq!(sites.iter().map(|site| &site.id).collect::<Vec<_>>(), [&house.site], "{database:?}");
    }
}
