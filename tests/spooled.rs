//! What waits for the database, and how it comes to an end.

use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use crate::support::{House, until_within};
use domain::device::DeviceKind;
use domain::role::Role;
use serde_json::{Value, json};
use sqlx::Connection as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const SINGLE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn event(id: &str, kind: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/a", "type": format!("sharpeyes.{kind}") })
}

fn results(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect()
}

/// Somebody else holds the database until this is rolled back.
async fn held(house: &House, database: Database) -> sqlx::AnyConnection {
    let mut other = sqlx::AnyConnection::connect(&house.settings.database).await.unwrap();
    let locks: &[&str] = match database {
        Database::Sqlite => &["begin immediate"],
        Database::Postgres => &["begin", "lock table door_events, device_events in access exclusive mode"],
    };
    for sql in locks {
        sqlx::query(*sql).execute(&mut other).await.unwrap();
    }
    other
}

fn holds_something(house: &House) -> bool {
    house.folder.path("events.spool").exists() || house.folder.path("events.spool.sealing").exists()
}

async fn count(house: &House, table: &str) -> i64 {
    let mut connection = sqlx::AnyConnection::connect(&house.settings.database).await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

/// Sends events one by one until it is told to stop, without a pause.
async fn send(device: Client, token: String, name: usize, sent: Arc<AtomicUsize>, over: Arc<AtomicBool>) {
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let event = event(&format!("{name}-{n}"), "door.opened");
        let (status, answer) = device.events(&token, SINGLE, &event).await;
        assert_eq!(status, 202, "{answer}");
        sent.fetch_add(results(&answer).iter().filter(|r| **r == "accepted").count(), Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c38_while_events_keep_coming_the_spool_empties_and_they_go_to_the_database_again() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (sent, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut senders = Vec::new();
        for name in 0..16 {
            let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
            let client = house.client();
            senders.push(tokio::spawn(send(client, token, name, Arc::clone(&sent), Arc::clone(&over))));
        }
        until_within(Duration::from_secs(30), || sent.load(Ordering::Relaxed) > 50).await;
        let mut other = held(&house, database).await;
        let spool = house.folder.path("events.spool");
        let size = || std::fs::metadata(&spool).map_or(0, |file| file.len());
        until_within(Duration::from_secs(60), || size() > 150_000).await;
        sqlx::query("rollback").execute(&mut other).await.unwrap();
        // They keep coming all the time, and for a second nothing waits any more.
        let (mut empty, mut looks) = (0, 0);
        while empty < 20 {
            empty = if holds_something(&house) { 0 } else { empty + 1 };
            looks += 1;
            assert!(looks < 1_200, "{database:?}: there is always something that waits");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let before = sent.load(Ordering::Relaxed);
        until_within(Duration::from_secs(30), || sent.load(Ordering::Relaxed) > before).await;
        over.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.await.unwrap();
        }
        let kept = usize::try_from(count(&house, "door_events").await).unwrap();
        assert_eq!(kept, sent.load(Ordering::Relaxed), "{database:?}: none is lost, none is there twice");
    }
}

/// A try that took too long, and the one after it, may meet in one transaction.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_tried_twice_at_once_is_counted_once() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
        let (device, patrol) = (house.client(), house.sign_in_as(Role::Patrol).await);
        device.events(&token, SINGLE, &event("before", "input.changed")).await;
        let mut other = held(&house, database).await;
        for n in 0..3 {
            let batch = json!([event(&format!("{n}"), "door.forced"), event(&format!("{n}"), "alarm.panic")]);
            device.events(&token, BATCH, &batch).await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        sqlx::query("rollback").execute(&mut other).await.unwrap();
        until_within(Duration::from_secs(30), || !holds_something(&house)).await;
        let rows = patrol.get("/api/v1/incidents").await.1["items"].as_array().unwrap().clone();
        let alarms: i64 = rows.iter().map(|row| row["alarms"].as_i64().unwrap()).sum();
        assert_eq!(alarms, 6, "{database:?}: {rows:?}");
        assert_eq!(count(&house, "outbox where topic = 'door_event'").await, 3, "{database:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_has_waited_for_hours_is_an_incident_and_late() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, token) = house.device(&house.lobby, DeviceKind::Button).await;
        let (_, quick) = house.device(&house.gate, DeviceKind::Button).await;
        let device = house.client();
        for token in [&token, &quick] {
            device.events(token, SINGLE, &event("before", "input.changed")).await;
        }
        let mut other = held(&house, database).await;
        let (status, answer) = device.events(&token, SINGLE, &event("1", "alarm.panic")).await;
        assert_eq!((status.as_u16(), results(&answer)), (202, vec!["accepted"]), "{database:?}");
        // The device has not got the answer, and asks again.
        let (_, answer) = device.events(&token, SINGLE, &event("1", "alarm.panic")).await;
        assert_eq!(results(&answer), ["duplicate"], "{database:?}: it waits already");
        house.clock.jump(3 * 3_600 * 1_000_000);
        // Until the tries that were made of it before are given up.
        tokio::time::sleep(Duration::from_secs(20)).await;
        device.events(&quick, SINGLE, &event("2", "alarm.panic")).await;
        sqlx::query("rollback").execute(&mut other).await.unwrap();
        until_within(Duration::from_secs(30), || !holds_something(&house)).await;
        let patrol = house.sign_in_as(Role::Patrol).await;
        let rows = patrol.get("/api/v1/incidents").await.1["items"].as_array().unwrap().clone();
        let late = |place: &domain::PlaceId| {
            let here = rows.iter().filter(|row| row["place_id"] == place.as_str());
            here.map(|row| (row["late"].clone(), row["alarms"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(late(&house.lobby), [(json!(true), json!(1))], "{database:?}: {rows:?}");
        assert_eq!(late(&house.gate), [(json!(false), json!(1))], "{database:?}: {rows:?}");
    }
}
