//! A door event and its picture: of the right camera, at that moment, for who may see both.

use crate::intake::multipart;
use crate::support::camera::{self, AAC, H264, SUB};
use crate::support::client::Client;
use crate::support::decoder::house;
use crate::support::{House, until_within, viewings};
use domain::CameraId;
use domain::camera::{Pull, Visibility};
use domain::role::Role;
use domain::viewing::ViewingTransport;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::time::Duration;

const GRANTED: &str = include_str!("../src/web/intake/fixtures/hik-granted.json");

async fn event(house: &House, token: &str, serial: &str) {
    let (kind, body) = multipart(&GRANTED.replace("\"serialNo\": 257", &format!("\"serialNo\": {serial}")));
    let path = format!("/ingest/v1/hikvision/{token}");
    let request = house.client().request(Method::POST, &path).header("content-type", kind).body(body);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

/// The newest event once it has a bookmark, as this person reads it.
async fn bookmarked(client: &Client) -> Value {
    for _ in 0..300 {
        let row = client.get("/api/v1/door-events?limit=1").await.1["items"][0].clone();
        if !row["bookmark"].is_null() {
            return row;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("there is no bookmark");
}

async fn picture(client: &Client, event: &Value) -> (u16, Vec<u8>) {
    let path = format!("/api/v1/door-events/{}/picture.jpg", event["id"].as_str().unwrap());
    let response = client.request(Method::GET, &path).send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

async fn camera_at_lobby(
    house: &House,
    url: &str,
    change: impl FnOnce(&mut domain::camera::Camera),
) -> CameraId {
    let lobby = house.lobby.clone();
    house
        .camera_like(url, |camera| {
            camera.place_id = lobby;
            change(camera);
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn c18_a_resident_sees_the_picture_of_their_own_entrance_and_the_register_says_so() {
    let cameras = camera::start(&[("lobby", camera::clip(AAC)), ("gate", camera::clip(H264))]).await;
    let house = house("").await;
    let lobby = camera_at_lobby(&house, &cameras.url("lobby"), |camera| camera.pull = Pull::Always).await;
    house.camera(&cameras.url("gate")).await;
    let hub = house.hub(&lobby);
    until_within(Duration::from_secs(30), || relay::hub::Stats::get(&hub.stats().frames) > 30).await;
    let (_, token) = house.door(&house.lobby).await;
    let resident = house.sign_in_as(Role::Resident).await;
    event(&house, &token, "257").await;
    let row = bookmarked(&resident).await;
    let bookmark = &row["bookmark"];
    assert_eq!(bookmark["camera_id"], lobby.as_str(), "the camera at that door");
    let time = |value: &Value| domain::Timestamp::parse(value.as_str().unwrap()).unwrap().0;
    let received = time(&row["received_at"]);
    assert_eq!(received - time(&bookmark["from"]), 10_000_000);
    assert_eq!(time(&bookmark["until"]) - received, 60_000_000);
    // Of that moment, and not of the last key frame, which may be long ago.
    let off = (time(&bookmark["taken_at"]) - received).abs();
    assert!(off < 1_500_000, "{off} µs");
    let (status, jpeg) = picture(&resident, &row).await;
    assert_eq!(status, 200);
    assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.ends_with(&[0xff, 0xd9]), "{} bytes", jpeg.len());
    let bytes = (jpeg.len() + picture(&resident, &row).await.1.len()) as u64;
    let seen = viewings(&house.store, &lobby).await;
    let mine: Vec<_> = seen.iter().filter(|row| row.transport == ViewingTransport::DoorPicture).collect();
    assert_eq!(mine.len(), 1, "looked at twice within a minute is one row: {seen:?}");
    assert_eq!(mine[0].role, Role::Resident);
    // Whoever signs out has seen what was sent to them, and no more.
    assert_eq!(resident.delete("/api/v1/session").await, 204);
    for n in 0.. {
        let seen = viewings(&house.store, &lobby).await;
        let mine = seen.iter().find(|row| row.transport == ViewingTransport::DoorPicture).unwrap();
        if mine.ended_at.is_some() {
            assert_eq!((mine.bytes, mine.purpose), (bytes, Some(domain::viewing::Purpose::ResidentView)));
            break;
        }
        assert!(n < 400, "it does not end: {mine:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_has_waited_for_the_database_gets_the_picture_of_its_moment() {
    let cameras = camera::start(&[("lobby", camera::clip(H264))]).await;
    let house = house("").await;
    let lobby = camera_at_lobby(&house, &cameras.url("lobby"), |camera| camera.pull = Pull::Always).await;
    let hub = house.hub(&lobby);
    until_within(Duration::from_secs(30), || relay::hub::Stats::get(&hub.stats().frames) > 30).await;
    let (_, token) = house.door(&house.lobby).await;
    let resident = house.sign_in_as(Role::Resident).await;
    event(&house, &token, "1").await;
    bookmarked(&resident).await;
    let mut other = sqlx::AnyConnection::connect(&house.settings.database).await.unwrap();
    sqlx::query("begin immediate").execute(&mut other).await.unwrap();
    event(&house, &token, "2").await;
    assert!(house.folder.path("events.spool").exists());
    sqlx::query("rollback").execute(&mut other).await.unwrap();
    until_within(Duration::from_secs(30), || !house.folder.path("events.spool").exists()).await;
    let row = bookmarked(&resident).await;
    let time = |value: &Value| domain::Timestamp::parse(value.as_str().unwrap()).unwrap().0;
    let received = time(&row["received_at"]);
    let kept = bookmarked_at(&house).await;
    assert_eq!(kept.len(), 2, "{row}");
    let taken = kept.last().unwrap().unwrap_or_else(|| panic!("it has no picture: {row}"));
    assert!((0..=6_000_000).contains(&(taken - received)), "{} µs off", taken - received);
}

/// When the pictures of all bookmarks were taken, in the order of their events.
async fn bookmarked_at(house: &House) -> Vec<Option<i64>> {
    let mut connection = sqlx::AnyConnection::connect(&house.settings.database).await.unwrap();
    let sql =
        "select taken_at from door_bookmarks b join door_events e on e.id = b.door_event_id order by e.seq";
    sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_watch_the_camera_does_not_see_its_picture_either() {
    let cameras = camera::start(&[("lobby", camera::clip(SUB))]).await;
    let house = house("").await;
    let lobby =
        camera_at_lobby(&house, &cameras.url("lobby"), |camera| camera.visibility = Visibility::Patrol).await;
    let (_, token) = house.door(&house.lobby).await;
    let (resident, patrol) = (house.sign_in_as(Role::Resident).await, house.sign_in_as(Role::Patrol).await);
    event(&house, &token, "1").await;
    let row = bookmarked(&patrol).await;
    assert!(!row["bookmark"]["taken_at"].is_null(), "an idle camera is started for it: {row}");
    assert_eq!(picture(&patrol, &row).await.0, 200);
    // A resident reads of the event, and not that there is a camera.
    let (_, list) = resident.get("/api/v1/door-events").await;
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["bookmark"]), (&row["id"], &Value::Null));
    assert_eq!(picture(&resident, &row).await.0, 404);
    // Nobody's picture, and one of nothing, are answered alike.
    let nothing = json!({ "id": "0".repeat(32) });
    assert_eq!(picture(&resident, &nothing).await.0, 404);
    // Looking at what is kept does not wake the camera.
    let hub = house.hub(&lobby);
    until_within(Duration::from_secs(40), || *hub.interest().borrow() == 0).await;
    assert_eq!(picture(&patrol, &row).await.0, 200);
    assert_eq!(*hub.interest().borrow(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_without_a_camera_or_with_a_dead_one_is_an_event_all_the_same() {
    let house = house("").await;
    let (_, at_gate) = house.door(&house.gate).await;
    let dead = camera_at_lobby(&house, "rtsp://127.0.0.1:9/none", |_| {}).await;
    let (_, at_lobby) = house.door(&house.lobby).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    event(&house, &at_gate, "1").await;
    event(&house, &at_lobby, "2").await;
    let row = bookmarked(&patrol).await;
    assert_eq!(row["bookmark"]["camera_id"], dead.as_str());
    assert_eq!(row["bookmark"]["taken_at"], Value::Null);
    assert_eq!(picture(&patrol, &row).await.0, 404);
    assert_eq!(viewings(&house.store, &dead).await.len(), 0, "nobody has looked at what is not there");
    assert_eq!(patrol.get("/api/v1/door-events").await.1["items"].as_array().unwrap().len(), 2);
}
