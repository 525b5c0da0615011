//! Buttons, contacts and controllers that tell by an MQTT broker: Debian's Mosquitto.

use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use crate::support::process::{Gateway, configure, serve};
use crate::support::wrapped::Wrapped;
use crate::support::{House, until_within};
use domain::Clock as _;
use domain::device::{Device, DeviceKind};
use domain::repository::Devices as _;
use domain::role::Role;
use domain::{DeviceId, PlaceId};
use serde_json::{Value, json};
use sharp_eyes::Settings;
use sqlx::Connection as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const SOS: &str = "zigbee2mqtt/3-201";
const GATE: &str = "gate/onvif-ej/Device/Trigger/DigitalInput/&DigitInputToken_1";
const INPUT: &str = include_str!("../src/web/intake/fixtures/onvif-input.json");
const PRESS: &str = "{\"action\":\"emergency\",\"battery\":100,\"linkquality\":120}";
/// When the first press was, by the button, in milliseconds since 1970.
const FIRST: i64 = 1_790_000_000_000;
const LONG: Duration = Duration::from_secs(90);

/// A press at this moment of the button's own.
fn press(n: i64) -> String {
    json!({ "action": "emergency", "last_seen": FIRST + n, "battery": 100 }).to_string()
}

/// Registers a device under a topic.
async fn device(house: &House, place: &PlaceId, kind: DeviceKind, topic: &str) -> DeviceId {
    let device = Device {
        id: DeviceId::from_random(web::token::random()),
        site_id: house.site.clone(),
        place_id: place.clone(),
        name: topic.into(),
        kind,
        token_hash: None,
        household_id: None,
        parts: Vec::new(),
        mqtt_topic: Some(topic.into()),
        pull: None,
        created_at: house.clock.now(),
    };
    house.store.add_device(&device).await.unwrap();
    house.changed();
    device.id
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Waits until the broker has taken the house in so many times.
async fn sessions(house: &House, n: u64) {
    until_within(LONG, || count(&house.web.intake().broker_sessions) >= n).await;
}

/// Waits until so many events are kept.
async fn kept(house: &House, n: u64) {
    let limit = tokio::time::Instant::now() + LONG;
    while count(&house.web.intake().accepted) < n {
        assert!(tokio::time::Instant::now() < limit, "{n} are expected: {:?}", house.web.intake());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn incidents(patrol: &Client) -> Vec<Value> {
    patrol.get("/api/v1/incidents").await.1["items"].as_array().unwrap().clone()
}

async fn told(patrol: &Client, path: &str) -> Vec<(String, String)> {
    let list = patrol.get(path).await.1;
    let word = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(|row| (word(row, "type"), word(row, "quality"))).collect()
}

fn pair(word: &str, quality: &str) -> (String, String) {
    (word.to_owned(), quality.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_by_the_broker_is_one_incident_and_what_is_retained_is_none() {
    for database in BOTH {
        // What was retained is there before the gateway has ever been.
        let mut broker = Broker::start().await;
        broker.retain(SOS, PRESS).await;
        broker.retain(GATE, INPUT).await;
        broker.stop().await;
        let house = House::start_with(database, &broker.settings()).await;
        let button = device(&house, &house.lobby, DeviceKind::Button, SOS).await;
        device(&house, &house.gate, DeviceKind::Panel, "gate").await;
        let patrol = house.sign_in_as(Role::Patrol).await;
        broker.run().await;
        kept(&house, 2).await;
        assert_eq!(incidents(&patrol).await, Vec::<Value>::new(), "{database:?}: retained");
        let states = told(&patrol, "/api/v1/device-events").await;
        assert_eq!(states, [pair("alarm.panic", "state"), pair("alarm.panic", "state")]);
        // The same words as they happen.
        broker.publish(SOS, &press(1)).await;
        kept(&house, 3).await;
        let rows = incidents(&patrol).await;
        assert_eq!((rows.len(), &rows[0]["kind"], &rows[0]["alarms"]), (1, &json!("panic"), &json!(1)));
        let (_, list) = patrol.get("/api/v1/device-events?alarms=true").await;
        assert_eq!(list["items"][0]["device_id"], button.as_str());
        // Said to be an initial value.
        let initialized = INPUT.replace("\"Source\"", "\"PropertyOperation\":\"Initialized\",\"Source\"");
        broker.publish(GATE, &initialized.replace("00:15:02", "00:16:02")).await;
        kept(&house, 4).await;
        assert_eq!(incidents(&patrol).await.len(), 1, "{database:?}: initialized");
        broker.publish(GATE, &INPUT.replace("00:15:02", "00:17:02")).await;
        kept(&house, 5).await;
        assert_eq!(incidents(&patrol).await.len(), 2, "{database:?}: the panel's own word");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_that_is_stuck_is_one_incident_with_a_counter_and_an_input_that_is_stuck_one_event() {
    let broker = Broker::start().await;
    let house = House::start_with(Database::Sqlite, &broker.settings()).await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    device(&house, &house.gate, DeviceKind::Panel, "zigbee2mqtt/smoke").await;
    sessions(&house, 1).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let presses: Vec<String> = (0..50).map(press).collect();
    broker.publish_all(SOS, &presses).await;
    broker.publish_all("zigbee2mqtt/smoke", &vec!["{\"smoke\":true}".to_owned(); 50]).await;
    broker.publish("zigbee2mqtt/smoke", "{\"smoke\":false}").await;
    // And what a wrong clock leads to.
    kept(&house, 52).await;
    let rows = incidents(&patrol).await;
    let of = |kind: &str| {
        rows.iter().filter(|row| row["kind"] == kind).map(|row| row["alarms"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("panic"), [json!(50)], "{rows:?}");
    assert_eq!(of("fire"), [json!(1)], "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pressed_while_the_gateway_is_away_arrives_when_it_is_back_and_once() {
    let broker = Broker::start().await;
    let house = House::start_with(Database::Sqlite, &broker.settings()).await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    sessions(&house, 1).await;
    broker.publish(SOS, &press(1)).await;
    kept(&house, 1).await;
    let (site, gate, lobby) = (house.site.clone(), house.gate.clone(), house.lobby.clone());
    let (settings, clock) = (house.settings.clone(), house.clock.clone());
    let folder = house.stop().await;
    broker.publish_all(SOS, &[press(2), press(3)]).await;
    let house = House::again(folder, settings, clock, (site, gate, lobby)).await;
    kept(&house, 2).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let alarms = told(&patrol, "/api/v1/device-events?alarms=true").await;
    assert_eq!(alarms.len(), 3, "{alarms:?}");
    assert_eq!(incidents(&patrol).await[0]["alarms"], 3);
}

/// zigbee2mqtt publishes so, unless it is told otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn c38_a_press_that_is_published_once_is_held_while_it_can_be_kept_nowhere() {
    let broker = Broker::start().await;
    let house = House::start_with(Database::Sqlite, &broker.settings()).await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    let (places, clock) =
        ((house.site.clone(), house.gate.clone(), house.lobby.clone()), house.clock.clone());
    let mut settings = house.settings.clone();
    settings.event_spool = None;
    let house = House::again(house.stop().await, settings, clock, places).await;
    sessions(&house, 1).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut other = sqlx::AnyConnection::connect(&house.settings.database).await.unwrap();
    sqlx::query("begin immediate").execute(&mut other).await.unwrap();
    broker.publish_once(SOS, &press(1)).await;
    // Until the tries that were made of it before are given up.
    tokio::time::sleep(Duration::from_secs(20)).await;
    broker.publish_once(SOS, &press(2)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    sqlx::query("rollback").execute(&mut other).await.unwrap();
    let limit = tokio::time::Instant::now() + LONG;
    while incidents(&patrol).await.first().is_none_or(|row| row["alarms"] != 2) {
        assert!(tokio::time::Instant::now() < limit, "a press is lost: {:?}", incidents(&patrol).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(count(&house.web.intake().broker_sessions), 1, "the session has lasted");
}

#[tokio::test(flavor = "multi_thread")]
async fn c37_while_there_is_room_for_alarms_alone_an_ordinary_event_holds_up_no_press() {
    let broker = Broker::start().await;
    // A reserve that no disk has room for.
    let settings = format!("{}[disk]\nreserve_bytes = 1000000000000000\n", broker.settings());
    let house = House::start_with(Database::Sqlite, &settings).await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    device(&house, &house.gate, DeviceKind::Door, "zigbee2mqtt/door").await;
    sessions(&house, 1).await;
    let (patrol, intake) = (house.sign_in_as(Role::Patrol).await, house.web.intake());
    let flap = |n: i64| json!({ "contact": n % 2 == 0, "last_seen": FIRST + n }).to_string();
    broker.publish_all("zigbee2mqtt/door", &(0..100).map(flap).collect::<Vec<_>>()).await;
    // One message with both, and no time to know it again by.
    broker.publish(SOS, "{\"action\":\"emergency\",\"contact\":true}").await;
    kept(&house, 1).await;
    until_within(LONG, || count(&intake.no_room) >= 101).await;
    // It would be sent again meanwhile.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let rows = incidents(&patrol).await;
    assert_eq!((rows.len(), &rows[0]["alarms"]), (1, &json!(1)), "{rows:?}");
    assert_eq!([&intake.accepted, &intake.no_room, &intake.broker_sessions].map(count), [1, 101, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_loses_no_press_and_keeps_none_twice() {
    let broker = Broker::start().await;
    let house = House::start().await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    let folder = house.stop().await;
    configure(&folder, "");
    let config = std::fs::read_to_string(folder.path("config.toml")).unwrap();
    std::fs::write(folder.path("config.toml"), config + &broker.settings()).unwrap();
    let settings = Settings::load(Some(&folder.path("config.toml"))).unwrap();
    let mut database = sqlx::AnyConnection::connect(&settings.database).await.unwrap();
    let mut times = async |since: i64| -> Vec<i64> {
        let sql = "select device_time from device_events where kind = 'alarm.panic' and device_time >= $1";
        let since = (FIRST + since) * 1_000;
        sqlx::query_scalar(sql).bind(since).fetch_all(&mut database).await.unwrap()
    };
    // The broker keeps for whom it has seen once.
    let mut gateway = Some(Gateway::start(serve(&folder)));
    let limit = tokio::time::Instant::now() + LONG;
    while times(-10_000).await.is_empty() {
        assert!(tokio::time::Instant::now() < limit, "the first press is never heard");
        broker.publish(SOS, &press(-1)).await;
    }
    let (mut kills, mut sent) = (0, 0);
    while kills < 8 {
        for _ in 0..10 {
            broker.publish_all(SOS, &(sent..sent + 10).map(press).collect::<Vec<_>>()).await;
            sent += 10;
        }
        drop(gateway.take());
        kills += 1;
        broker.publish_all(SOS, &(sent..sent + 10).map(press).collect::<Vec<_>>()).await;
        sent += 10;
        gateway = Some(Gateway::start(serve(&folder)));
    }
    let expected = usize::try_from(sent).unwrap();
    let limit = tokio::time::Instant::now() + LONG;
    while times(0).await.len() < expected {
        assert!(tokio::time::Instant::now() < limit, "{} of {expected}", times(0).await.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut all = times(0).await;
    all.sort_unstable();
    all.dedup();
    assert_eq!((all.len(), times(0).await.len()), (expected, expected), "none lost, none twice");
    println!("{expected} presses over {kills} kills");
}

/// A line to the broker, on which what the gateway says can be lost.
struct Line {
    address: SocketAddr,
    deaf: Arc<AtomicBool>,
    cut: watch::Sender<()>,
    _serving: JoinSet<()>,
}

impl Line {
    async fn start(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, deaf, cut) =
            (listener.local_addr().unwrap(), Arc::<AtomicBool>::default(), watch::Sender::new(()));
        let mut serving = JoinSet::new();
        serving.spawn({
            let (deaf, cut) = (Arc::clone(&deaf), cut.clone());
            async move {
                loop {
                    let (mut near, _) = listener.accept().await.unwrap();
                    let mut far = TcpStream::connect(broker).await.unwrap();
                    let (mut said, mut cut) = ([0; 4_096], cut.subscribe());
                    let (mut heard, mut to_near) = near.split();
                    let (mut from_far, mut to_far) = far.split();
                    let there = async {
                        while let Ok(n @ 1..) = heard.read(&mut said).await {
                            if !deaf.load(Ordering::SeqCst) && to_far.write_all(&said[..n]).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        () = there => {}
                        _ = tokio::io::copy(&mut from_far, &mut to_near) => {}
                        _ = cut.changed() => {}
                    }
                }
            }
        });
        Self { address, deaf, cut, _serving: serving }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_that_is_sent_again_because_its_acknowledgement_was_lost_is_one_press_and_a_new_one_is_another()
 {
    let broker = Broker::start().await;
    let line = Line::start(broker.address).await;
    let settings = format!("[mqtt]\nurl = \"mqtt://{}\"\n", line.address);
    let house = House::start_with(Database::Sqlite, &settings).await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    sessions(&house, 1).await;
    let (patrol, intake) = (house.sign_in_as(Role::Patrol).await, house.web.intake());
    // So that what is subscribed to has arrived.
    broker.publish(SOS, &press(1)).await;
    kept(&house, 1).await;
    line.deaf.store(true, Ordering::SeqCst);
    broker.publish(SOS, PRESS).await;
    // And what a wrong clock leads to was kept with the first.
    kept(&house, 2).await;
    // Longer than what is told twice by a device without a clock is the same anyway.
    tokio::time::sleep(Duration::from_secs(6)).await;
    line.deaf.store(false, Ordering::SeqCst);
    line.cut.send_replace(());
    sessions(&house, 2).await;
    until_within(LONG, || count(&intake.duplicate) == 1).await;
    broker.publish(SOS, PRESS).await;
    kept(&house, 3).await;
    let rows = incidents(&patrol).await;
    assert_eq!((rows.len(), &rows[0]["alarms"]), (1, &json!(3)), "{rows:?}");
    assert_eq!([&intake.accepted, &intake.duplicate].map(count), [3, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_is_found_again_with_what_it_has_kept() {
    let mut broker = Broker::start().await;
    let house = House::start_with(Database::Sqlite, &broker.settings()).await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    sessions(&house, 1).await;
    for n in 0..2 {
        broker.stop().await;
        broker.run().await;
        broker.publish(SOS, &press(n)).await;
        sessions(&house, 2 + u64::try_from(n).unwrap()).await;
    }
    kept(&house, 2).await;
    assert_eq!(count(&house.web.intake().duplicate), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_counted_and_dropped_and_the_next_press_is_heard() {
    let broker = Broker::start().await;
    let house = House::start_with(Database::Sqlite, &broker.settings()).await;
    device(&house, &house.lobby, DeviceKind::Button, SOS).await;
    sessions(&house, 1).await;
    let intake = house.web.intake();
    for bad in ["{", "[1]", "nothing"] {
        broker.publish(SOS, bad).await;
    }
    broker.publish(SOS, &format!("{{\"action\":\"{}\"}}", "x".repeat(65_536))).await;
    // This one the broker itself keeps from us: it is longer than we have said to take.
    broker.publish(SOS, &format!("{{\"action\":\"{}\"}}", "x".repeat(200_000))).await;
    broker.publish("zigbee2mqtt/stranger", PRESS).await;
    broker.retain("zigbee2mqtt/bridge/devices", &format!("[\"{}\"]", "x".repeat(50_000))).await;
    broker.publish(SOS, "{\"linkquality\":3}").await;
    broker.publish(SOS, &press(1)).await;
    kept(&house, 1).await;
    let all = [&intake.malformed, &intake.too_large, &intake.unknown_topic, &intake.unknown];
    assert_eq!(all.map(count), [3, 1, 2, 1]);
    assert_eq!(count(&intake.broker_sessions), 1, "the session has lasted");
    let patrol = house.sign_in_as(Role::Patrol).await;
    assert_eq!(incidents(&patrol).await.len(), 1);
    let owner = house.sign_in_as(Role::Owner).await;
    let devices = owner.get("/api/v1/devices").await.1;
    assert_eq!(devices["items"].as_array().unwrap().len(), 1, "a message makes no device");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_by_the_broker_gets_through_while_the_devices_bucket_is_empty() {
    let broker = Broker::start().await;
    let house = House::start_with(Database::Sqlite, &broker.settings()).await;
    device(&house, &house.lobby, DeviceKind::Door, SOS).await;
    sessions(&house, 1).await;
    let flap = |n: i64| json!({ "contact": n % 2 == 0, "last_seen": FIRST + n }).to_string();
    let storm: Vec<String> = (0..12_000).map(flap).collect();
    let intake = house.web.intake();
    broker.publish_all(SOS, &storm).await;
    broker.publish(SOS, &press(1_000_000)).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let limit = tokio::time::Instant::now() + LONG;
    while incidents(&patrol).await.is_empty() {
        assert!(tokio::time::Instant::now() < limit, "{} kept", count(&intake.accepted));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(count(&intake.too_many) > 100, "the bucket was empty: {} refused", count(&intake.too_many));
    println!("{} kept, {} refused", count(&intake.accepted), count(&intake.too_many));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_tls_and_a_login_is_believed_only_with_its_authority_and_tells_only_who_may_hear() {
    let folder = crate::support::folder::Folder::new();
    let passwords = folder.path("passwords");
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["gateway", "hunter2-hunter2"])
        .status();
    assert!(made.unwrap().success());
    let more = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let broker = Broker::start_with(&more).await;
    let wrapped = Wrapped::start(broker.address).await;
    let authority = folder.path("authority.pem");
    std::fs::write(&authority, &wrapped.authority).unwrap();
    let settings = |password: &str, authority: &str| {
        format!(
            "[mqtt]\nurl = \"mqtts://{}\"\nusername = \"gateway\"\npassword = \"{password}\"\nauthority = \"{authority}\"\n",
            wrapped.address
        )
    };
    let authority = authority.display().to_string();
    let right = House::start_with(Database::Sqlite, &settings("hunter2-hunter2", &authority)).await;
    sessions(&right, 1).await;
    let wrong = House::start_with(Database::Sqlite, &settings("wrong-password", &authority)).await;
    let stranger = House::start_with(Database::Sqlite, &settings("hunter2-hunter2", "")).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for house in [&wrong, &stranger] {
        assert_eq!(count(&house.web.intake().broker_sessions), 0);
    }
}
