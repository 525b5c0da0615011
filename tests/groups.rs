//! Joint defence: one press reaches the neighbours who have consented, and nobody else.

use crate::support::House;
use crate::support::client::Client;
use crate::support::database::BOTH;
use domain::device::{Device, DeviceKind};
use domain::repository::{Devices as _, Registers as _, Rights as _};
use domain::role::Role;
use domain::{Clock as _, DeviceId, HouseholdId};
use serde_json::{Value, json};
use web::token::random;

/// Households of one person each.
async fn neighbours(house: &House, count: usize) -> Vec<(Client, HouseholdId)> {
    let mut all = Vec::new();
    for n in 0..count {
        let label = format!("3-1-{n:02}");
        let person = house.person(&label).await;
        let household = house.household(&label).await;
        house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
        all.push((house.signed_in(&person).await, household));
    }
    all
}

async fn group(house: &House, admin: &Client) -> String {
    let input = json!({ "site_id": house.site, "name": "building 3" });
    let (status, group) = admin.post("/api/v1/groups", input).await;
    assert_eq!(status.as_u16(), 201, "{group}");
    format!("/api/v1/groups/{}", group["id"].as_str().unwrap())
}

fn consent(household: &HouseholdId) -> Value {
    json!({ "household_id": household, "consent": true })
}

async fn join(group: &str, (client, household): &(Client, HouseholdId)) -> u16 {
    client.post(&format!("{group}/members"), consent(household)).await.0.as_u16()
}

async fn press(client: &Client, body: Value) -> (String, Value) {
    let (status, receipt) = client.post("/api/v1/alarms", body).await;
    assert_eq!(status.as_u16(), 201, "{receipt}");
    (format!("/api/v1/incidents/{}", receipt["incident_id"].as_str().unwrap()), receipt)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_press_reaches_the_neighbours_at_once_and_they_say_who_comes() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let admin = house.sign_in_as(Role::Administrator).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let homes = neighbours(&house, 7).await;
        let group = group(&house, &admin).await;
        for home in &homes[..6] {
            assert_eq!(join(&group, home).await, 201);
        }
        let needy = &homes[0].0;
        let (path, receipt) = press(needy, json!({ "kind": "medical" })).await;
        assert_eq!(receipt["households"], 5, "{database:?}: all but the one who needs help");

        // In parallel with the desk, who has not taken it yet.
        let (_, seen) = homes[1].0.get(&path).await;
        let incident = &seen["incident"];
        assert_eq!(
            (&incident["seen_as"], &incident["unit"], &incident["state"]),
            (&json!("neighbour"), &json!("3-1-00"), &json!("open"))
        );
        assert_eq!(incident["may"], json!([]), "they answer, and do nothing else with it");
        assert_eq!((&seen["log"], &seen["call"]["own"]), (&json!([]), &json!("queued")));
        assert_eq!(homes[1].0.get("/api/v1/incidents").await.1["items"].as_array().unwrap().len(), 1);
        assert_eq!(homes[6].0.get(&path).await.0.as_u16(), 404, "who has not consented");
        let answer = async |home: usize, word: &str| {
            homes[home].0.post(&format!("{path}/answer"), json!({ "answer": word })).await
        };
        answer(1, "shown").await;
        answer(1, "coming").await;
        answer(2, "shown").await;
        answer(3, "declined").await;
        answer(3, "shown").await;
        let (_, call) = needy.get(&path).await;
        let call = &call["call"];
        assert_eq!(
            (&call["asked"], &call["seen"], &call["declined"]),
            (&json!(5), &json!(3), &json!(1)),
            "{call}"
        );
        assert_eq!(call["coming"], json!(["3-1-01"]), "by what is on the door");
        assert_eq!(call.get("households"), None, "not who has not");
        let (_, whole) = desk.get(&path).await;
        let each = whole["call"]["households"].as_array().unwrap();
        let answers: Vec<&str> = each.iter().map(|one| one["answer"].as_str().unwrap()).collect();
        assert_eq!(answers, ["coming", "shown", "declined", "queued", "queued"], "{database:?}");
        assert_eq!(whole["incident"]["version"], 1, "answers keep nobody from acting");
        assert!(!whole.to_string().contains("name of 3-1"), "{whole}");

        // What is not theirs: to act, to answer for others, or words that are none.
        assert_eq!(homes[1].0.act(&path, "ack", json!({ "version": 1 })).await.0.as_u16(), 403);
        assert_eq!(
            needy.post(&format!("{path}/answer"), json!({ "answer": "coming" })).await.0.as_u16(),
            409
        );
        assert_eq!(answer(1, "queued").await.0.as_u16(), 422);
        desk.act(&path, "ack", json!({ "version": 1 })).await;
        desk.act(&path, "false_alarm", json!({ "version": 2, "note": "better now" })).await;
        let (status, over) = answer(2, "coming").await;
        assert_eq!(status.as_u16(), 409);
        assert!(over["detail"].as_str().unwrap().contains("it is over"), "{over}");
        assert_eq!(homes[1].0.get("/api/v1/incidents").await.1["items"], json!([]));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_who_have_a_role_as_well_are_called_and_answer_like_any_other() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let admin = house.sign_in_as(Role::Administrator).await;
        let homes = neighbours(&house, 2).await;
        let group = group(&house, &admin).await;
        let mut called = Vec::new();
        for (n, role) in
            [Role::GridWorker3, Role::GridWorker2, Role::Auditor, Role::Patrol].into_iter().enumerate()
        {
            let person = house.person(role.word()).await;
            let household = house.household(&format!("3-2-{n:02}")).await;
            house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
            house.store.add_grant(&house.grant(&person, role)).await.unwrap();
            let home = (house.signed_in(&person).await, household);
            assert_eq!(join(&group, &home).await, 201);
            called.push(home);
        }
        for home in &homes {
            assert_eq!(join(&group, home).await, 201);
        }
        let (path, _) = press(&homes[0].0, json!({ "kind": "medical" })).await;
        let answer_of = async |client: &Client| {
            let (_, list) = client.get("/api/v1/incidents").await;
            let (_, whole) = client.get(&path).await;
            let listed = list["items"][0]["answer"].clone();
            assert_eq!(listed, whole["incident"]["answer"], "the list says the same");
            (whole["incident"]["seen_as"].clone(), listed)
        };
        for (client, _) in &called {
            assert_eq!(answer_of(client).await, (json!("staff"), json!("queued")), "{database:?}");
            let answer = client.post(&format!("{path}/answer"), json!({ "answer": "coming" })).await;
            assert_eq!(answer.0.as_u16(), 200, "{}", answer.1);
            assert_eq!(answer_of(client).await.1, json!("coming"), "{database:?}");
        }
        assert_eq!(answer_of(&homes[1].0).await, (json!("neighbour"), json!("queued")));
        assert_eq!(answer_of(&homes[0].0).await, (json!("own"), json!(null)), "their own");
        assert_eq!(answer_of(&admin).await, (json!("staff"), json!(null)), "who lives elsewhere");
        // Of a silent one nobody is a neighbour, with a role or without.
        let (silent, receipt) = press(&homes[0].0, json!({ "kind": "duress" })).await;
        assert_eq!(receipt["households"], 0);
        for (client, _) in &called {
            assert_eq!(client.get(&silent).await.1["incident"]["answer"], json!(null));
        }
        assert_eq!(homes[1].0.get(&silent).await.0.as_u16(), 404);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_that_is_repeated_says_whom_the_first_was_sent_to() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let admin = house.sign_in_as(Role::Administrator).await;
        let homes = neighbours(&house, 7).await;
        let group = group(&house, &admin).await;
        for home in &homes[..6] {
            assert_eq!(join(&group, home).await, 201);
        }
        let body = json!({ "kind": "panic", "drill": true });
        assert_eq!(press(&homes[0].0, body.clone()).await.1["households"], 5);
        // It belongs to the first: who has joined since was not told.
        assert_eq!(join(&group, &homes[6]).await, 201);
        let (_, receipt) = press(&homes[0].0, body).await;
        assert_eq!((&receipt["merged"], &receipt["households"]), (&json!(true), &json!(5)), "{database:?}");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_household_consents_for_itself_and_leaves_when_it_wants_to() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let admin = house.sign_in_as(Role::Administrator).await;
        let homes = neighbours(&house, 22).await;
        let group = group(&house, &admin).await;
        let members = format!("{group}/members");
        // Nobody consents for others, and nothing but a yes is one.
        for (client, body) in [
            (&admin, consent(&homes[0].1)),
            (&homes[1].0, consent(&homes[0].1)),
            (&homes[0].0, json!({ "household_id": homes[0].1, "consent": false })),
            (&homes[0].0, json!({ "household_id": homes[0].1 })),
        ] {
            assert_eq!(client.post(&members, body.clone()).await.0.as_u16(), 422, "{body}");
        }
        for (n, home) in homes[..5].iter().enumerate() {
            let (_, before) = admin.get(&group).await;
            assert_eq!((&before["active"], &before["households"]), (&json!(false), &json!(n)));
            let (_, receipt) = press(&home.0, json!({ "kind": "panic", "drill": true })).await;
            assert_eq!(receipt["households"], 0);
            assert_eq!(join(&group, home).await, 201);
        }
        assert_eq!(join(&group, &homes[0]).await, 409, "it belongs to it already");
        assert_eq!(admin.get(&group).await.1["active"], true);
        // Who belongs to it sees the others' doors; who does not, how many there are.
        assert_eq!(homes[1].0.get(&group).await.1["members"].as_array().unwrap().len(), 5);
        let (_, outside) = homes[9].0.get(&group).await;
        assert_eq!(
            (&outside["households"], &outside["members"], &outside["joined"]),
            (&json!(5), &json!([]), &json!(false))
        );
        // One tap, and no alarm reaches them any more.
        let leave = async |client: &Client, home: usize| {
            client.delete(&format!("{members}/{}", homes[home].1)).await.as_u16()
        };
        assert_eq!(leave(&homes[1].0, 2).await, 403, "not for others");
        assert_eq!(leave(&homes[1].0, 1).await, 204);
        assert_eq!(leave(&homes[1].0, 1).await, 404);
        house.clock.jump(6 * 60_000_000);
        let (path, receipt) = press(&homes[0].0, json!({ "kind": "panic" })).await;
        assert_eq!(
            (&receipt["households"], homes[1].0.get(&path).await.0.as_u16()),
            (&json!(0), 404),
            "four are too few"
        );
        // Who moves out is in it no more, and there is a most.
        for home in &homes[5..21] {
            assert_eq!(join(&group, home).await, 201);
        }
        assert_eq!(join(&group, &homes[21]).await, 409, "20 are as many as may be");
        house.store.end_household(&homes[20].1, house.clock.now()).await.unwrap();
        assert_eq!(admin.get(&group).await.1["households"], 19);
        assert_eq!(join(&group, &homes[21]).await, 201);
        assert_eq!(homes[0].0.delete(&group).await.as_u16(), 403);
        assert_eq!(admin.delete(&group).await.as_u16(), 204);
        assert_eq!(admin.get(&group).await.0.as_u16(), 404);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_alarm_reaches_no_neighbour() {
    let house = House::start().await;
    let admin = house.sign_in_as(Role::Administrator).await;
    let homes = neighbours(&house, 5).await;
    let group = group(&house, &admin).await;
    for home in &homes {
        assert_eq!(join(&group, home).await, 201);
    }
    let (path, receipt) = press(&homes[0].0, json!({ "kind": "duress" })).await;
    assert_eq!(receipt["households"], 0);
    for (client, _) in &homes {
        assert_eq!(client.get(&path).await.0.as_u16(), 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_goes_the_same_way_stays_in_the_site_and_has_a_ledger_of_its_own() {
    let house = House::start().await;
    let admin = house.sign_in_as(Role::Administrator).await;
    let (desk, volunteer) =
        (house.sign_in_as(Role::DutyOperator).await, house.sign_in_as(Role::GridWorker3).await);
    let homes = neighbours(&house, 6).await;
    let group = group(&house, &admin).await;
    let id = group.rsplit('/').next().unwrap();
    let input = json!({ "group_id": id, "place_id": house.gate });
    assert_eq!(desk.post("/api/v1/drills", input.clone()).await.0.as_u16(), 409, "too few to practise");
    for home in &homes[..5] {
        assert_eq!(join(&group, home).await, 201);
    }
    assert_eq!(
        volunteer.post("/api/v1/drills", input.clone()).await.0.as_u16(),
        422,
        "who handles alarms begins one"
    );
    let (status, begun) = desk.post("/api/v1/drills", input).await;
    assert_eq!((status.as_u16(), &begun["drill"], &begun["households"]), (201, &json!(true), &json!(5)));
    let path = format!("/api/v1/incidents/{}", begun["incident_id"].as_str().unwrap());
    let (_, seen) = homes[1].0.get(&path).await;
    assert_eq!(
        (&seen["incident"]["drill"], &seen["incident"]["seen_as"]),
        (&json!(true), &json!("neighbour"))
    );
    homes[1].0.post(&format!("{path}/answer"), json!({ "answer": "coming" })).await;
    let acked = desk.act(&path, "ack", json!({ "version": 1 })).await;
    assert_eq!(acked.0.as_u16(), 200, "{}", acked.1);
    let (status, why) = desk.act(&path, "transfer", json!({ "version": 2, "reference": "110-1" })).await;
    assert_eq!(status.as_u16(), 409);
    assert!(why["detail"].as_str().unwrap().contains("stays within the site"), "{why}");
    let (status, _) = desk.act(&path, "assign", json!({ "version": 2, "step": "decide" })).await;
    assert_eq!(status.as_u16(), 409);
    // A real alarm from the same place is not swallowed by the practice.
    let (real, _) = press(&desk, json!({ "kind": "panic", "place_id": house.gate })).await;
    assert_ne!(real, path);

    let (_, ledger) = desk.get("/api/v1/drills").await;
    let rows = ledger["items"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "the real one is not in it");
    let row = &rows[0];
    assert_eq!(
        (&row["group_id"], &row["asked"], &row["coming"], &row["seen"]),
        (&json!(id), &json!(5), &json!(1), &json!(1))
    );
    assert!(
        row["ack_seconds"].as_i64().is_some_and(|seconds| seconds >= 0) && row["arrive_seconds"].is_null()
    );
    assert!(!ledger.to_string().contains("3-1-"), "what is counted is not who: {ledger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_of_buttons_are_noted() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (guard, resident) =
            (house.sign_in_as(Role::Patrol).await, house.sign_in_as(Role::Resident).await);
        let button = Device {
            id: DeviceId::from_random(random()),
            site_id: house.site.clone(),
            place_id: house.lobby.clone(),
            name: "button".into(),
            kind: DeviceKind::Button,
            token_hash: None,
            household_id: None,
            parts: Vec::new(),
            mqtt_topic: None,
            pull: None,
            created_at: house.clock.now(),
        };
        house.store.add_device(&button).await.unwrap();
        let (door, _) = house.door(&house.lobby).await;
        let test = |device: &DeviceId, worked| json!({ "device_id": device, "worked": worked });
        for worked in [false, true] {
            assert_eq!(guard.post("/api/v1/button-tests", test(&button.id, worked)).await.0.as_u16(), 201);
        }
        let (status, why) = guard.post("/api/v1/button-tests", test(&door, true)).await;
        assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!("/device_id")));
        assert_eq!(resident.post("/api/v1/button-tests", test(&button.id, true)).await.0.as_u16(), 403);
        let list = format!("/api/v1/button-tests?site_id={}", house.site);
        let (_, ledger) = guard.get(&list).await;
        let worked: Vec<bool> =
            ledger["items"].as_array().unwrap().iter().map(|row| row["worked"] == true).collect();
        assert_eq!(worked, [true, false], "the newest first");
        assert_eq!(resident.get(&list).await.0.as_u16(), 404);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_within_a_test_is_noted_and_the_next_one_is_an_alarm() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (guard, resident) =
            (house.sign_in_as(Role::Patrol).await, house.sign_in_as(Role::Resident).await);
        let (button, token) = house.device(&house.lobby, DeviceKind::Button).await;
        let (door, _) = house.door(&house.lobby).await;
        let device = house.client();
        let press = async |id: &str, kind: &str| {
            let event = json!({ "specversion": "1.0", "type": kind, "source": "/button", "id": id });
            let (status, answer) = device.events(&token, "application/cloudevents+json", &event).await;
            assert_eq!(status.as_u16(), 202, "{answer}");
        };
        let site = &house.site;
        let button_now = async || {
            let (status, list) = guard.get(&format!("/api/v1/buttons?site_id={site}")).await;
            assert_eq!((status.as_u16(), list["items"].as_array().unwrap().len()), (200, 1), "{list}");
            list["items"][0].clone()
        };
        let ledger = async || {
            let (_, list) = guard.get(&format!("/api/v1/button-tests?site_id={site}")).await;
            let rows = list["items"].as_array().unwrap().clone();
            assert!(rows.iter().all(|row| row["name"].is_string()), "{rows:?}");
            rows.iter().map(|row| row["worked"] == true).collect::<Vec<_>>()
        };
        let incidents = async || guard.get("/api/v1/incidents").await.1["items"].as_array().unwrap().len();
        let test = format!("/api/v1/buttons/{button}/test");
        let begin = async |client: &Client, path: &str, minutes: i64| {
            client.post(path, json!({ "minutes": minutes })).await.0.as_u16()
        };

        // It is new; a month later it is not, and nobody knows whether it works.
        assert_eq!(button_now().await["overdue"], false);
        house.sql("update devices set created_at = created_at - 2678400000000").await;
        assert_eq!(button_now().await["overdue"], true, "{database:?}");
        for (client, path, minutes, status) in [
            (&guard, test.clone(), 16, 422),
            (&guard, test.clone(), 0, 422),
            (&guard, format!("/api/v1/buttons/{door}/test"), 5, 404),
            (&resident, test.clone(), 5, 403),
            (&guard, test.clone(), 5, 201),
            (&guard, test.clone(), 5, 409),
        ] {
            assert_eq!(begin(client, &path, minutes).await, status, "{path} {minutes}");
        }
        let testing = button_now().await;
        assert!(testing["testing_until"].is_string());
        // The press has arrived: it is in the ledger, and nobody is called.
        press("1", "sharpeyes.alarm.panic").await;
        assert_eq!((ledger().await, incidents().await), (vec![true], 0), "{database:?}");
        let (_, list) = guard.get(&format!("/api/v1/button-tests?site_id={site}")).await;
        assert_eq!(list["items"][0]["id"], testing["testing_id"], "it is the test that went on: {testing}");
        let after = button_now().await;
        assert_eq!(after["testing_id"], Value::Null);
        assert_eq!((&after["overdue"], &after["testing_until"]), (&json!(false), &Value::Null));
        // Told once more it is what it was; and every other press is an alarm again.
        press("1", "sharpeyes.alarm.panic").await;
        assert_eq!((ledger().await.len(), incidents().await), (1, 0));
        press("2", "sharpeyes.alarm.panic").await;
        assert_eq!((ledger().await.len(), incidents().await), (1, 1), "{database:?}");

        // What no hand presses is no test, whatever goes on.
        assert_eq!(begin(&guard, &test, 5).await, 201);
        press("3", "sharpeyes.alarm.tamper").await;
        press("3b", "sharpeyes.alarm.fire").await;
        assert_eq!((ledger().await.len(), incidents().await), (1, 3), "{database:?}");
        // Nobody presses, or it does not arrive: that is noted, too.
        house.clock.jump(5 * 60 * 1_000_000);
        let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        while ledger().await.len() < 2 {
            assert!(tokio::time::Instant::now() < limit, "{database:?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(ledger().await, [false, true], "{database:?}");
        // One that was begun by mistake ends, and the press is an alarm.
        assert_eq!(begin(&guard, &test, 5).await, 201);
        assert_eq!(guard.delete(&test).await.as_u16(), 204);
        assert_eq!(guard.delete(&test).await.as_u16(), 404);
        house.clock.jump(6 * 60 * 1_000_000);
        press("4", "sharpeyes.alarm.panic").await;
        assert_eq!((ledger().await.len(), incidents().await), (2, 4), "{database:?}");
        assert_eq!(resident.get(&format!("/api/v1/buttons?site_id={site}")).await.0.as_u16(), 404);
        // All of it is in the chain.
        let links = house.store.audit(&domain::repository::EntryFilter::newest(100)).await.unwrap();
        let acts: Vec<&str> = links.iter().rev().map(|link| link.entry.action.as_str()).collect();
        let acts: Vec<&str> = acts.into_iter().filter(|act| act.starts_with("button_test")).collect();
        let both = ["button_test.begin", "button_test.end"];
        assert_eq!(acts, [&both[..], &both[..], &["button_test.begin", "button_test.stop"]].concat());
        house.stop().await;
    }
}

/// What comes from it may be a fire at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_panel_is_not_put_into_test() {
    let house = House::start().await;
    let guard = house.sign_in_as(Role::Patrol).await;
    let (panel, _) = house.device(&house.lobby, DeviceKind::Panel).await;
    let (status, why) = guard.post(&format!("/api/v1/buttons/{panel}/test"), json!({ "minutes": 5 })).await;
    assert_eq!(status.as_u16(), 409, "{why}");
    assert!(why["detail"].as_str().unwrap().contains("panel"), "{why}");
    let (_, list) = guard.get(&format!("/api/v1/buttons?site_id={}", house.site)).await;
    assert_eq!(list["items"][0]["may_test"], false, "{list}");
}
