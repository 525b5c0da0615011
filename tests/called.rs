//! What a page knows of whom an incident calls.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::BOTH;
use domain::repository::{Persons as _, Rights as _};
use domain::role::Role;
use domain::{Clock as _, HouseholdId};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Somebody of that household, who may have a role as well.
async fn at_home(house: &House, home: &HouseholdId, login: &str, role: Option<Role>) -> Client {
    let person = house.person(login).await;
    house.store.add_member(home, &person.id, house.clock.now()).await.unwrap();
    if let Some(role) = role {
        house.store.add_grant(&house.grant(&person, role)).await.unwrap();
    }
    house.signed_in(&person).await
}

async fn press(client: &Client, kind: &str) -> String {
    let (status, receipt) = client.post("/api/v1/alarms", json!({ "kind": kind })).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    format!("/api/v1/incidents/{}", receipt["incident_id"].as_str().unwrap())
}

/// That field of the incident, in itself and in the list: they say the same.
async fn field(client: &Client, path: &str, name: &str) -> Value {
    let one = client.get(path).await.1["incident"].clone();
    let (_, list) = client.get("/api/v1/incidents").await;
    let listed = list["items"].as_array().unwrap().iter().find(|item| item["id"] == one["id"]);
    assert_eq!(listed.unwrap()[name], one[name], "the list says the same of {name}");
    one[name].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_on_duty_is_told_what_they_have_raised_from_what_a_relative_has() {
    let house = House::start().await;
    let home = house.household("3-1-502").await;
    let operator = at_home(&house, &home, "operator", Some(Role::DutyOperator)).await;
    let spouse = at_home(&house, &home, "spouse", None).await;
    let relatives = press(&spouse, "medical").await;
    let of = async |client: &Client, path: &str| {
        let fields = ["seen_as", "own", "raised_by_me"].map(|name| field(client, path, name));
        let [seen_as, own, mine] = fields;
        (seen_as.await, own.await, mine.await)
    };
    assert_eq!(of(&operator, &relatives).await, (json!("staff"), json!(true), json!(false)));
    assert_eq!(of(&spouse, &relatives).await, (json!("own"), json!(true), json!(true)));
    let mine = press(&operator, "fire").await;
    assert_eq!(of(&operator, &mine).await, (json!("staff"), json!(true), json!(true)));
    assert_eq!(of(&spouse, &mine).await, (json!("own"), json!(true), json!(false)));
    house.stop().await;
}

async fn done(client: &Client, path: &str, act: &str, body: Value) -> Value {
    let (status, answer) = client.act(path, act, body).await;
    assert_eq!(status, StatusCode::OK, "{act}: {answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_called_when_the_step_of_its_role_is_and_when_nobody_holds_that_step() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let home = house.household("3-1-502").await;
        let resident = at_home(&house, &home, "resident", None).await;
        let operator = house.sign_in_as(Role::DutyOperator).await;
        let leader = house.person("leader").await;
        let grant = house.grant(&leader, Role::GridWorker2);
        house.store.add_grant(&grant).await.unwrap();
        let leader_page = house.signed_in(&leader).await;
        let auditor = house.sign_in_as(Role::Auditor).await;
        let path = press(&resident, "panic").await;
        let called = async || {
            let mut all = Vec::new();
            for client in [&operator, &leader_page, &auditor, &resident] {
                all.push(field(client, &path, "called").await == true);
            }
            all
        };
        // Nobody is a grid worker: those on duty instead.
        assert_eq!(called().await, [true, false, false, false], "{database:?}");
        let taken = done(&operator, &path, "ack", json!({ "version": 1 })).await;
        assert_eq!(taken["called"], false, "it is taken");
        let sent = json!({ "version": 2, "step": "building_leader" });
        assert_eq!(done(&operator, &path, "assign", sent).await["called"], false);
        assert_eq!(called().await, [false, true, false, false], "{database:?}");
        // An account that is switched off answers nothing, so nobody holds the step.
        house.store.set_disabled(&leader.id, true).await.unwrap();
        assert_eq!(field(&operator, &path, "called").await, true, "{database:?}");
        house.store.set_disabled(&leader.id, false).await.unwrap();
        let leader_page = house.signed_in(&leader).await;
        // Who cannot come is not called again, and the next are.
        let gone = done(&leader_page, &path, "decline", json!({ "version": 3 })).await;
        assert_eq!((&gone["step"], &gone["called"]), (&json!("patrol"), &json!(false)));
        assert_eq!(field(&operator, &path, "called").await, true, "nobody patrols: {database:?}");
        // Whoever goes is called no more, and nobody else.
        let going = done(&operator, &path, "accept", json!({ "version": 4 })).await;
        assert_eq!(going["called"], false);
        assert_eq!(field(&leader_page, &path, "called").await, false, "{database:?}");
        // Whom it calls cannot be read, so no telephone rings: rather the page of all who can do something.
        house.sql("update incident_log set act = '?' where version = 1").await;
        for (client, expected) in [(&leader_page, true), (&auditor, false)] {
            let (status, list) = client.get("/api/v1/incidents").await;
            assert_eq!((status, &list["items"][0]["called"]), (StatusCode::OK, &json!(expected)), "{list}");
        }
        house.stop().await;
    }
}
