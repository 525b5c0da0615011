//! A device has parts: the inputs of a panel, the doors of a controller. Each is told from the
//! others, and one that is stuck from one that is pressed.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::{BOTH, Database};
use domain::Clock as _;
use domain::device::DeviceKind;
use domain::repository::Rights as _;
use domain::role::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const SINGLE: &str = "application/cloudevents+json";
const SECOND: i64 = 1_000_000;

/// An input of a Hikvision panel says how it is.
async fn input(house: &House, token: &str, number: u8, state: &str) {
    let at = house.clock.now();
    let alert = format!(
        "<EventNotificationAlert><dateTime>{at}</dateTime><inputIOPortID>{number}</inputIOPortID>
         <eventType>IO</eventType><eventState>{state}</eventState></EventNotificationAlert>"
    );
    let client = house.client();
    let path = format!("/ingest/v1/hikvision/{token}");
    let request = client.request(Method::POST, &path).header("content-type", "application/xml").body(alert);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

async fn incidents(client: &Client) -> Vec<Value> {
    client.get("/api/v1/incidents").await.1["items"].as_array().unwrap().clone()
}

async fn false_alarm(client: &Client, incident: &Value) {
    let path = format!("/api/v1/incidents/{}", incident["id"].as_str().unwrap());
    for (act, version) in [("ack", 1), ("false_alarm", 2)] {
        let body = json!({ "version": version, "note": "the contact hangs" });
        let (status, answer) = client.act(&path, act, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_inputs_of_a_panel_are_two_incidents_and_one_that_is_pressed_again_is_one() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
        let patrol = house.sign_in_as(Role::Patrol).await;
        input(&house, &token, 3, "active").await;
        house.clock.jump(120 * SECOND);
        input(&house, &token, 5, "active").await;
        house.clock.jump(SECOND);
        input(&house, &token, 5, "inactive").await;
        input(&house, &token, 5, "active").await;
        let alarms: Vec<i64> =
            incidents(&patrol).await.iter().map(|i| i["alarms"].as_i64().unwrap()).collect();
        assert_eq!(alarms, [2, 1], "somebody else presses at input 5");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_names_another_part_with_each_alarm_floods_nobody() {
    let house = House::start().await;
    let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    for n in 0..80 {
        let event = json!({
            "specversion": "1.0", "id": "1", "source": format!("/part/{n}"), "type": "sharpeyes.alarm.panic"
        });
        assert_eq!(house.client().events(&token, SINGLE, &event).await.0, StatusCode::ACCEPTED);
    }
    let (_, list) = patrol.get("/api/v1/incidents?limit=200").await;
    let alarms: Vec<i64> =
        list["items"].as_array().unwrap().iter().map(|i| i["alarms"].as_i64().unwrap()).collect();
    assert_eq!(
        (alarms.len(), alarms[0]),
        (65, 16),
        "the rest is one incident of the device, and none is lost"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_is_stuck_does_not_call_everybody_again_after_the_false_alarm() {
    let house = House::start().await;
    let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let stuck = async |times: usize| {
        for _ in 0..times {
            input(&house, &token, 3, "active").await;
            house.clock.jump(5 * SECOND);
        }
    };
    stuck(3).await;
    let first = incidents(&patrol).await;
    assert_eq!((first.len(), &first[0]["alarms"]), (1, &json!(1)), "it is told once");
    false_alarm(&patrol, &first[0]).await;
    stuck(10).await;
    assert_eq!(incidents(&patrol).await.len(), 1, "the input is still stuck, and nobody has pressed");
    input(&house, &token, 3, "inactive").await;
    stuck(2).await;
    assert_eq!(incidents(&patrol).await.len(), 2, "it was let go and pressed again");
    // An input that never says that it is off.
    false_alarm(&patrol, &incidents(&patrol).await[0]).await;
    house.clock.jump(31 * SECOND);
    stuck(1).await;
    assert_eq!(incidents(&patrol).await.len(), 3, "after silence it is a new press");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_press_makes_an_incident_that_came_late_a_live_one() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (_, token) = house.device(&house.lobby, DeviceKind::Button).await;
        let patrol = house.sign_in_as(Role::Patrol).await;
        let press = async |id: &str, quality: &str| {
            let event = json!({ "specversion": "1.0", "id": id, "source": "/button",
                "type": "sharpeyes.alarm.panic", "sequality": quality });
            assert_eq!(house.client().events(&token, SINGLE, &event).await.0, StatusCode::ACCEPTED);
        };
        let told = async || house.sql_count("select count(*) from outbox where topic = 'alarm'").await;
        press("1", "backlog").await;
        assert_eq!(incidents(&patrol).await[0]["late"], true);
        // Far beyond those that are each told.
        house.sql("update incidents set alarms = 20").await;
        let before = told().await;
        press("2", "live").await;
        let live = incidents(&patrol).await;
        assert_eq!((live.len(), &live[0]["late"]), (1, &json!(false)));
        assert_eq!(told().await, before + 1, "pages are told that somebody asks now");
        press("3", "backlog").await;
        assert_eq!(incidents(&patrol).await[0]["late"], false, "what was kept makes nothing late again");
        assert_eq!(told().await, before + 1);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duress_at_a_door_is_kept_from_whoever_on_duty_lives_behind_it() {
    for database in BOTH {
        for in_a_flat in [false, true] {
            is_kept_from_home(database, in_a_flat).await;
        }
    }
}

/// At the door of the lobby, or at a flat's own, wherever that lock is said to be.
async fn is_kept_from_home(database: Database, in_a_flat: bool) {
    let house = House::start_on(database).await;
    let home = house.household("3-1-502").await;
    let (device, token) = house.door(if in_a_flat { &house.gate } else { &house.lobby }).await;
    if in_a_flat {
        let owner = house.sign_in_as(Role::Owner).await;
        let path = format!("/api/v1/devices/{device}");
        assert_eq!(owner.patch(&path, json!({ "household_id": home })).await.0, StatusCode::OK);
    }
    let mut pages = Vec::new();
    for (login, lives_there) in [("neighbour", true), ("guard", false)] {
        let person = house.person(login).await;
        house.store.add_grant(&house.grant(&person, Role::Patrol)).await.unwrap();
        if lives_there {
            house.store.add_member(&home, &person.id, house.clock.now()).await.unwrap();
        }
        pages.push(house.signed_in(&person).await);
    }
    let hour_ago = domain::Timestamp(house.clock.now().0 - 3_600_000_000).to_string();
    let duress =
        json!({ "specversion": "1.0", "id": "1", "source": "/door", "type": "sharpeyes.door.duress" });
    let late = json!({ "specversion": "1.0", "id": "2", "source": "/door", "type": "sharpeyes.door.duress",
                       "time": hour_ago, "sequality": "backlog" });
    for event in [&duress, &late] {
        assert_eq!(house.client().events(&token, SINGLE, event).await.0, StatusCode::ACCEPTED);
    }
    let [neighbour, guard] = &pages[..] else { panic!() };
    for (list, all) in [
        ("/api/v1/incidents", 1),
        ("/api/v1/door-events", 2),
        ("/api/v1/device-events?alarms=true", 2),
        ("/api/v1/device-events?desk=true", 1),
        ("/api/v1/device-events?desk=true&alarms=true", 1),
    ] {
        let seen = async |client: &Client| client.get(list).await.1["items"].as_array().unwrap().len();
        assert_eq!((seen(neighbour).await, seen(guard).await), (0, all), "{list}, in a flat: {in_a_flat}");
    }
    let incident = incidents(guard).await.remove(0);
    assert_eq!(incident["called"], true, "whoever lives elsewhere is called");
    let path = format!("/api/v1/incidents/{}", incident["id"].as_str().unwrap());
    assert_eq!(neighbour.get(&path).await.0, StatusCode::NOT_FOUND);
    house.stop().await;
}
