//! Devices whose alerts are fetched (ISAPI alertStream). The shapes are those of Hikvision's ISAPI
//! guide ("Receive Alarms/Events in Arming Mode"); names, numbers and addresses are made up.

use crate::support::House;
use crate::support::alerts::{Device, LOGIN, Manner};
use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use crate::support::until_within;
use domain::device::{Device as Registered, DeviceKind, Pull};
use domain::repository::Devices as _;
use domain::role::Role;
use domain::{Clock as _, DeviceId, Secret};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

const FORCED: &str = include_str!("../src/web/intake/fixtures/hik-forced.xml");
const INPUT: &str = include_str!("../src/web/intake/fixtures/hik-input.xml");
const HEARTBEAT: &str = include_str!("../src/web/intake/fixtures/hik-stream.xml");
const LONG: Duration = Duration::from_secs(90);

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn input(house: &House, kind: &str, url: &str, password: &str) -> Value {
    json!({ "place_id": house.gate.to_string(), "name": "panel", "kind": kind,
        "pull": { "url": url, "username": LOGIN.0, "password": password } })
}

/// Registers a device as an administrator does, and waits for its stream.
async fn registered(house: &House, owner: &Client, device: &Device, kind: &str) -> String {
    let (status, made) = owner.post("/api/v1/devices", input(house, kind, &device.url(), LOGIN.1)).await;
    assert_eq!(status.as_u16(), 201, "{made}");
    until_within(LONG, || device.open() == 1).await;
    format!("/api/v1/devices/{}", made["id"].as_str().unwrap())
}

async fn incidents(patrol: &Client) -> Vec<Value> {
    patrol.get("/api/v1/incidents").await.1["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_tells_whom_it_is_asked_by_is_kept_and_an_alarm_is_an_incident() {
    for database in BOTH {
        let (house, device) = (House::start_on(database).await, Device::start().await);
        let owner = house.sign_in_as(Role::Owner).await;
        registered(&house, &owner, &device, "panel").await;
        let intake = house.web.intake();
        for _ in 0..3 {
            device.tell(HEARTBEAT);
        }
        // A picture beside it, and an input that says again and again that it is active.
        let picture = [
            b"--MIME_boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 90000\r\n\r\n".to_vec(),
            vec![0xff; 90_000],
            b"\r\n".to_vec(),
        ];
        device.send(&picture.concat());
        for second in 0..20 {
            device.tell(&INPUT.replace("02:10:00", &format!("02:10:{second:02}")));
        }
        device.tell(&INPUT.replace(">active<", ">inactive<"));
        device.tell("<EventNotificationAlert>");
        device.tell(&HEARTBEAT.replace("videoloss", "VMD"));
        until_within(LONG, || count(&intake.accepted) == 2 && count(&intake.unknown) == 1).await;
        assert_eq!(count(&intake.malformed), 1, "what cannot be read ends nothing");
        assert_eq!(device.open(), 1);
        let rows = incidents(&house.sign_in_as(Role::Patrol).await).await;
        assert_eq!(
            (rows.len(), &rows[0]["kind"], &rows[0]["alarms"]),
            (1, &json!("panic"), &json!(1)),
            "{database:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_in_a_device_is_not_live_and_raises_nothing_when_it_is_old() {
    let (house, device) = (House::start().await, Device::start().await);
    let owner = house.sign_in_as(Role::Owner).await;
    registered(&house, &owner, &device, "door").await;
    // `currentEvent` is false in it, and it is days old.
    device.tell(FORCED);
    until_within(LONG, || count(&house.web.intake().accepted) == 1).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    assert_eq!(patrol.get("/api/v1/door-events").await.1["items"][0]["quality"], "backlog");
    assert_eq!(incidents(&patrol).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_begun_again_also_by_a_gateway_that_restarts() {
    let (house, device) = (House::start().await, Device::start().await);
    let owner = house.sign_in_as(Role::Owner).await;
    registered(&house, &owner, &device, "panel").await;
    for streams in 2..4 {
        device.hang_up();
        until_within(LONG, || device.streams() >= streams && device.open() == 1).await;
    }
    let begun = device.streams();
    let house = house.restart().await;
    until_within(LONG, || device.streams() > begun && device.open() == 1).await;
    device.tell(INPUT);
    until_within(LONG, || count(&house.web.intake().accepted) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_never_ends_a_part_is_left_and_holds_no_memory() {
    let (house, device) = (House::start().await, Device::start().await);
    let owner = house.sign_in_as(Role::Owner).await;
    registered(&house, &owner, &device, "panel").await;
    let intake = house.web.intake();
    for (manner, bad) in [(Manner::Endless, 1), (Manner::Huge, 2)] {
        device.behave(manner);
        device.hang_up();
        until_within(LONG, || count(&intake.malformed) >= bad).await;
    }
    // Each time no more than the buffers of two sockets.
    let tries = usize::try_from(count(&intake.malformed)).unwrap();
    assert!(device.written() <= tries * (16 << 20), "{} bytes in {tries} tries", device.written());
    device.behave(Manner::Good);
    until_within(LONG, || device.open() == 1).await;
    device.tell(INPUT);
    until_within(LONG, || count(&intake.accepted) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once_a_minute_and_a_right_one_at_once() {
    let (house, device) = (House::start().await, Device::start().await);
    let owner = house.sign_in_as(Role::Owner).await;
    let (_, made) =
        owner.post("/api/v1/devices", input(&house, "panel", &device.url(), "wrong-password")).await;
    until_within(LONG, || device.wrong() == 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((device.wrong(), device.streams()), (1, 0));
    let path = format!("/api/v1/devices/{}", made["id"].as_str().unwrap());
    let pull = json!({ "url": device.url(), "username": LOGIN.0, "password": LOGIN.1 });
    assert_eq!(owner.patch(&path, json!({ "pull": pull })).await.0, 200);
    until_within(LONG, || device.open() == 1).await;
    // Nobody is fetched from any more.
    assert_eq!(owner.patch(&path, json!({ "pull": null })).await.1["pull"], Value::Null);
    until_within(LONG, || device.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_shown_to_nobody_and_goes_nowhere_but_where_it_was_written_for() {
    let (house, device) = (House::start().await, Device::start().await);
    let owner = house.sign_in_as(Role::Owner).await;
    let path = registered(&house, &owner, &device, "panel").await;
    let (_, list) = owner.get("/api/v1/devices").await;
    assert_eq!(list["items"][0]["pull"], json!({ "url": device.url() + "/", "username": LOGIN.0 }));
    // Another name leaves it where it is.
    assert_eq!(owner.patch(&path, json!({ "name": "another" })).await.0, 200);
    until_within(LONG, || device.streams() == 2 && device.open() == 1).await;
    let thief = Device::start().await;
    for (url, username) in [(thief.url(), LOGIN.0), (device.url(), "somebody")] {
        let (status, answer) =
            owner.patch(&path, json!({ "pull": { "url": url, "username": username } })).await;
        assert_eq!(
            (status.as_u16(), &answer["errors"][0]["pointer"]),
            (422, &json!("/pull/password")),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_not_shown_to_a_device_that_asks_for_it_readably_and_no_redirection_is_followed() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let [readable, other, thief] = [Device::start().await, Device::start().await, Device::start().await];
    readable.behave(Manner::Basic);
    other.behave(Manner::Elsewhere(thief.url()));
    for device in [&readable, &other] {
        let (status, _) = owner.post("/api/v1/devices", input(&house, "panel", &device.url(), LOGIN.1)).await;
        assert_eq!(status.as_u16(), 201);
    }
    until_within(LONG, || readable.asked() >= 1 && other.asked() >= 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((readable.shown(), readable.wrong(), thief.asked()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_where_no_camera_may_be_is_fetched_from() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    for url in [
        "http://169.254.169.254",
        "http://2852039166/",
        "http://[::1]",
        "http://0.0.0.0:80",
        "http://metadata.google.internal",
        "http://[::ffff:169.254.169.254]",
        "https://[fe80::1]/",
        "ftp://10.0.0.1",
        "http://a:b@10.0.0.1",
        "http://10.0.0.1/other/path",
        "10.0.0.1",
    ] {
        let (status, answer) = owner.post("/api/v1/devices", input(&house, "panel", url, LOGIN.1)).await;
        assert_eq!(
            (status.as_u16(), &answer["errors"][0]["pointer"]),
            (422, &json!("/pull/url")),
            "{url}: {answer}"
        );
    }
    // One that is in the registry all the same, as a name would be that means another address now.
    let forbidden = TcpListener::bind("[::1]:0").await.unwrap();
    let row = |url: String, password: &str| Registered {
        id: DeviceId::from_random(web::token::random()),
        site_id: house.site.clone(),
        place_id: house.gate.clone(),
        name: "panel".into(),
        kind: DeviceKind::Panel,
        token_hash: None,
        household_id: None,
        parts: Vec::new(),
        mqtt_topic: None,
        pull: Some(Pull { url, username: LOGIN.0.into(), password: Secret::new(password) }),
        created_at: house.clock.now(),
    };
    house
        .store
        .add_device(&row(format!("http://{}/", forbidden.local_addr().unwrap()), LOGIN.1))
        .await
        .unwrap();
    let allowed = Device::start().await;
    house.store.add_device(&row(allowed.url() + "/", LOGIN.1)).await.unwrap();
    house.changed();
    until_within(LONG, || allowed.open() == 1).await;
    let asked = tokio::time::timeout(Duration::from_secs(4), forbidden.accept()).await;
    assert!(asked.is_err(), "it was connected to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devices_topic_is_its_own_alone() {
    for database in [Database::Sqlite, Database::Postgres] {
        let house = House::start_on(database).await;
        let owner = house.sign_in_as(Role::Owner).await;
        let device = |topic: &str| json!({ "place_id": house.gate.to_string(), "name": "sos", "kind": "button", "mqtt_topic": topic });
        let (status, made) = owner.post("/api/v1/devices", device("zigbee2mqtt/sos")).await;
        assert_eq!((status.as_u16(), &made["mqtt_topic"]), (201, &json!("zigbee2mqtt/sos")));
        for topic in ["zigbee2mqtt/sos", "zigbee2mqtt/#", "+/sos", "$SYS/a", "/a", "a/", "a\nb"] {
            let (status, answer) = owner.post("/api/v1/devices", device(topic)).await;
            assert_eq!(
                (status.as_u16(), &answer["errors"][0]["pointer"]),
                (422, &json!("/mqtt_topic")),
                "{topic}"
            );
        }
        let resident = house.sign_in_as(Role::Resident).await;
        let path = format!("/api/v1/devices/{}", made["id"].as_str().unwrap());
        assert_eq!(resident.patch(&path, json!({ "name": "mine" })).await.0, 403);
    }
}
