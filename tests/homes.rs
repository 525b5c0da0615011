//! Where a device and its parts are: a controller has doors in several buildings, and a button in a
//! flat is that household's.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::BOTH;
use domain::device::{DeviceKind, Part};
use domain::group::Group;
use domain::incident::repository::{Groups as _, Joined};
use domain::repository::{Devices as _, Rights as _, Sites as _};
use domain::role::Role;
use domain::{Clock as _, DeviceId, GroupId, HouseholdId, PlaceId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use web::token::random;

/// A Hikvision controller says that somebody was let in at a door.
async fn granted(house: &House, token: &str, door: u8, serial: u32) {
    let at = house.clock.now();
    let alert = json!({ "eventType": "AccessControllerEvent", "dateTime": at.to_string(),
        "AccessControllerEvent": { "majorEventType": 5, "subEventType": 1, "doorNo": door, "serialNo": serial,
                                   "currentEvent": true } });
    let client = house.client();
    let request = client.request(Method::POST, &format!("/ingest/v1/hikvision/{token}")).json(&alert);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

async fn items(client: &Client, path: &str) -> Vec<Value> {
    client.get(path).await.1["items"].as_array().unwrap().clone()
}

fn field(items: &[Value], name: &str) -> Vec<Value> {
    items.iter().map(|item| item[name].clone()).collect()
}

async fn patched(client: &Client, device: &DeviceId, change: Value) -> Value {
    let (status, answer) = client.patch(&format!("/api/v1/devices/{device}"), change).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn residents_read_of_their_own_door_of_a_controller_and_of_no_other() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (owner, patrol) = (house.sign_in_as(Role::Owner).await, house.sign_in_as(Role::Patrol).await);
        let resident = house.sign_in_as(Role::Resident).await;
        let (device, token) = house.door(&house.lobby).await;
        let parts = json!([
            { "part": "door/1", "place_id": house.lobby },
            { "part": "door/2", "place_id": house.gate, "name": "西门" },
        ]);
        let answer = patched(&owner, &device, json!({ "parts": parts })).await;
        assert_eq!(answer["parts"][1]["name"], "西门");
        for door in [1, 2, 3] {
            granted(&house, &token, door, 256 + u32::from(door)).await;
        }
        let list = "/api/v1/door-events";
        let seen = items(&resident, list).await;
        assert_eq!(
            field(&seen, "place_id"),
            [json!(house.lobby)],
            "door 2 is elsewhere, and nobody knows where 3 is"
        );
        assert_eq!(field(&seen, "part"), [Value::Null]);
        let seen = items(&patrol, list).await;
        assert_eq!(field(&seen, "part"), [json!("door/3"), json!("door/2"), json!("door/1")]);
        assert_eq!(field(&seen, "part_name"), [Value::Null, json!("西门"), Value::Null]);
        assert_eq!(field(&seen, "staff_only"), [json!(true), json!(false), json!(false)]);
        // A page that listens is told no more than the list shows.
        granted(&house, &token, 1, 290).await;
        let listed = field(&items(&resident, list).await, "id");
        let stream = resident.request(Method::GET, "/api/v1/stream").header("last-event-id", "0");
        let (mut stream, mut heard) = (stream.send().await.unwrap(), String::new());
        let all = async {
            while heard.matches("event: door_event").count() < 2 {
                heard += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
        for id in &listed {
            assert!(heard.contains(id.as_str().unwrap()), "{heard}");
        }
        // Without a map a device is at one place, as it was.
        patched(&owner, &device, json!({ "parts": [] })).await;
        granted(&house, &token, 3, 300).await;
        assert_eq!(items(&resident, list).await.len(), 3);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_there_once_and_somewhere_in_the_devices_site() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    let (device, _) = house.device(&house.lobby, DeviceKind::Panel).await;
    let elsewhere = house.another_site().await;
    let places = house.store.places().await.unwrap();
    let away = places.into_iter().find(|place| place.site_id == elsewhere).map(|place| place.id);
    let away = away.unwrap_or_else(|| PlaceId::from_random(random()));
    let gone = house.household("3-1-101").await;
    house.store.end_household(&gone, house.clock.now()).await.unwrap();
    let part = |name: &str, place: &PlaceId| json!({ "part": name, "place_id": place });
    for (change, pointer) in [
        (json!({ "parts": [part("input/1", &house.lobby), part(" input/1", &house.gate)] }), "/parts/1/part"),
        (json!({ "parts": [part("", &house.lobby)] }), "/parts/0/part"),
        (json!({ "parts": [part("input/1", &away)] }), "/parts/0/place_id"),
        (
            json!({ "parts": [{ "part": "input/1", "place_id": house.lobby, "household_id": gone }] }),
            "/parts/0/household_id",
        ),
        (json!({ "household_id": gone }), "/household_id"),
        (json!({ "household_id": "somebody" }), "/household_id"),
    ] {
        let (status, why) = owner.patch(&format!("/api/v1/devices/{device}"), change).await;
        assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!(pointer)), "{why}");
    }
    // A place where a part is cannot be removed under it.
    patched(&owner, &device, json!({ "parts": [part("input/1", &house.gate)] })).await;
    assert_eq!(owner.delete(&format!("/api/v1/places/{}", house.gate)).await, StatusCode::CONFLICT);
}

/// A group of that many households, this one among them.
async fn group(house: &House, home: &HouseholdId, others: usize) -> Client {
    let id = GroupId::from_random(random());
    let group = Group {
        id: id.clone(),
        site_id: house.site.clone(),
        name: "3-1".into(),
        created_at: house.clock.now(),
        ended_at: None,
        members: Vec::new(),
    };
    house.store.add_group(&group).await.unwrap();
    let mut neighbour = None;
    for n in 0..=others {
        let label = format!("3-1-9{n:02}");
        let household = if n == 0 { home.clone() } else { house.household(&label).await };
        let person = house.person(&format!("p{n}")).await;
        house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
        let joined = house.store.join_group(&id, &household, &person.id, house.clock.now()).await.unwrap();
        assert_eq!(joined, Joined::Joined);
        neighbour = Some(house.signed_in(&person).await);
    }
    neighbour.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_in_a_flat_calls_for_that_household_and_its_neighbours() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (owner, patrol) = (house.sign_in_as(Role::Owner).await, house.sign_in_as(Role::Patrol).await);
        let home = house.household("3-1-502").await;
        let neighbour = group(&house, &home, 5).await;
        let (device, token) = house.device(&house.gate, DeviceKind::Panel).await;
        let parts = json!([{ "part": "/flat/502", "place_id": house.lobby, "household_id": home }]);
        patched(&owner, &device, json!({ "name": "主机", "parts": parts })).await;
        let send = async |id: &str, source: &str, kind: &str| {
            let event = json!({ "specversion": "1.0", "id": id, "source": source,
                "type": format!("sharpeyes.alarm.{kind}") });
            let (status, _) = house.client().events(&token, "application/cloudevents+json", &event).await;
            assert_eq!(status, StatusCode::ACCEPTED);
        };
        send("1", "/flat/502", "panic").await;
        let list = "/api/v1/incidents";
        let incident = items(&patrol, list).await.remove(0);
        assert_eq!(
            (&incident["unit"], &incident["place_id"], &incident["device"]),
            (&json!("3-1-502"), &json!(house.lobby), &Value::Null)
        );
        let path = format!("/api/v1/incidents/{}", incident["id"].as_str().unwrap());
        let (_, whole) = neighbour.get(&path).await;
        assert_eq!(
            (&whole["call"]["asked"], &whole["incident"]["seen_as"]),
            (&json!(5), &json!("neighbour"))
        );
        // Another part is nobody's home: the desk is told which device, and which part of it.
        send("2", "/hall", "panic").await;
        let at = items(&patrol, list).await.remove(0)["device"].clone();
        assert_eq!(
            (&at["name"], &at["part"], &at["part_name"]),
            (&json!("主机"), &json!("/hall"), &Value::Null)
        );
        assert_eq!(items(&neighbour, list).await.len(), 1, "the hall is no neighbour's business");
        // When they have moved out it is the device's alone.
        house.store.end_household(&home, house.clock.now()).await.unwrap();
        house.clock.jump(1_000_000);
        send("3", "/flat/502", "fire").await;
        let incident = items(&patrol, list).await.remove(0);
        assert_eq!((&incident["unit"], &incident["device"]["part"]), (&Value::Null, &json!("/flat/502")));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_device_and_its_parts_are_is_kept() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let home = house.household("3-1-502").await;
        let (id, _) = house.device(&house.lobby, DeviceKind::Panel).await;
        let mut device = house.store.device(&id).await.unwrap().unwrap();
        device.household_id = Some(home.clone());
        let part = |name: &str, called: Option<&str>| Part {
            part: name.into(),
            name: called.map(str::to_owned),
            place_id: house.gate.clone(),
            household_id: called.map(|_| home.clone()),
        };
        device.parts = vec![part("input/1", Some("east")), part("input/2", None)];
        assert!(house.store.update_device(&device).await.unwrap());
        let hash = device.token_hash.clone().unwrap();
        assert_eq!(house.store.device(&id).await.unwrap(), Some(device.clone()));
        assert_eq!(house.store.device_by_token(&hash).await.unwrap(), Some(device.clone()));
        assert_eq!(house.store.devices().await.unwrap(), [device]);
        let names = house.store.names_of_device(&id, Some("input/1")).await.unwrap().unwrap();
        assert_eq!((names.device.as_str(), names.part.as_deref()), ("door", Some("east")));
        house.stop().await;
    }
}
