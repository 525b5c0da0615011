//! Alarms and incidents over the API: from a press to the follow-up.

use crate::support::House;
use crate::support::client::Client;
use crate::support::clock::TestClock;
use crate::support::database::{BOTH, Database};
use domain::approval::Subject;
use domain::incident::repository::{Incidents as _, Kept};
use domain::incident::{Actor, Command, Incident, Step, Timings};
use domain::repository::{Persons as _, Registers as _, Rights as _, Sites as _};
use domain::role::{Grant, Role, Zone};
use domain::site::{ResidentPolicy, SiteKind};
use domain::{Clock as _, HouseholdId, IncidentId, ZoneId};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sharp_eyes::clock::SystemClock;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use web::token::{new, random};

const ALARMS: &str = "/api/v1/alarms";
const MINUTE: i64 = 60_000_000;

/// Somebody who lives in a household of their own, and it.
async fn resident(house: &House, label: &str) -> (Client, HouseholdId) {
    let person = house.person(label).await;
    let household = house.household(label).await;
    house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    (house.signed_in(&person).await, household)
}

async fn press(client: &Client, kind: &str) -> String {
    let (status, receipt) = client.post(ALARMS, json!({ "kind": kind })).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    format!("/api/v1/incidents/{}", receipt["incident_id"].as_str().unwrap())
}

async fn done(client: &Client, path: &str, act: &str, body: Value) -> Value {
    let (status, answer) = client.act(path, act, body.clone()).await;
    assert_eq!(status, StatusCode::OK, "{act} {body}: {answer}");
    answer
}

async fn stands(client: &Client, path: &str) -> (String, i64) {
    let (_, whole) = client.get(path).await;
    let incident = &whole["incident"];
    (incident["state"].as_str().unwrap().to_owned(), incident["version"].as_i64().unwrap())
}

fn version(n: i64) -> Value {
    json!({ "version": n })
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_press_to_the_follow_up_in_one_place() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "3-1-502").await;
        let (desk, guard) =
            (house.sign_in_as(Role::DutyOperator).await, house.sign_in_as(Role::Patrol).await);
        let path = press(&resident, "panic").await;
        let (_, list) = desk.get("/api/v1/incidents?state=unfinished").await;
        let seen = &list["items"][0];
        assert_eq!(
            (&seen["kind"], &seen["unit"], &seen["drill"]),
            (&json!("panic"), &json!("3-1-502"), &json!(false))
        );
        assert!(!list.to_string().contains("name of"), "an alarm names nobody: {list}");

        done(&desk, &path, "ack", version(1)).await;
        // Everybody is told what they may do now.
        let may = async |client: &Client| client.get(&path).await.1["incident"]["may"].clone();
        assert_eq!(may(&resident).await, json!(["cancel", "note"]));
        assert_eq!(may(&desk).await, json!(["assign", "accept", "transfer", "false_alarm", "note"]));
        let me = guard.get("/api/v1/session").await.1["person"]["id"].clone();
        let sent = done(&desk, &path, "assign", json!({ "version": 2, "to": me })).await;
        assert_eq!((&sent["state"], &sent["assignee"]), (&json!("dispatched"), &me));
        assert!(!may(&desk).await.to_string().contains("accept"), "somebody else is to go");
        done(&guard, &path, "accept", version(3)).await;
        done(&guard, &path, "arrive", version(4)).await;
        done(&guard, &path, "feedback", json!({ "version": 5, "note": "fell, was helped up" })).await;
        done(&desk, &path, "close", version(6)).await;
        let end = done(&desk, &path, "follow_up", json!({ "version": 7, "satisfied": true })).await;
        assert_eq!((&end["state"], &end["version"]), (&json!("followed_up"), &json!(8)));

        // Who needed help reads the steps and the roles, and neither names nor remarks.
        let (_, own) = resident.get(&path).await;
        let rows = own["log"].as_array().unwrap();
        let steps: Vec<&str> = rows.iter().map(|row| row["act"].as_str().unwrap()).collect();
        assert_eq!(steps, ["open", "ack", "assign", "accept", "arrive", "feedback", "close", "follow_up"]);
        let roles: Vec<&str> = rows.iter().map(|row| row["role"].as_str().unwrap()).collect();
        assert_eq!(roles[0..4], ["resident", "duty_operator", "duty_operator", "patrol"]);
        let text = own.to_string();
        assert!(
            !text.contains("name of") && !text.contains("helped up") && text.contains("\"seen_as\":\"own\""),
            "{text}"
        );
        let staff = desk.get(&path).await.1.to_string();
        assert!(own["log"][2]["to_person"] == json!(true) && !own["log"][2].to_string().contains("assignee"));
        assert!(staff.contains("\"assignee_name\":\"name of patrol-"), "{staff}");
        assert!(staff.contains("name of patrol") && staff.contains("helped up"), "{staff}");
        assert!(!staff.contains("name of 3-1-502"), "whoever raised it is named to nobody");

        // Every step is in the chain, and the chain is whole.
        sharp_eyes::audit::verify(&*house.store, vec![]).await.unwrap();
        let chain = house.store.chain(0, 1_000).await.unwrap();
        let acts: Vec<&str> = chain
            .iter()
            .map(|link| link.entry.action.as_str())
            .filter(|a| a.starts_with("incident") || a.starts_with("alarm"))
            .collect();
        assert_eq!(acts.len(), 8, "{acts:?}");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c34_of_two_who_take_it_at_once_one_does_and_the_other_is_told_the_version() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "home").await;
        let guards = [house.sign_in_as(Role::Patrol).await, house.sign_in_as(Role::Patrol).await];
        for round in 0..10 {
            let kind = ["panic", "fire", "medical", "intrusion"][round % 4];
            if round % 4 == 0 {
                house.clock.jump(6 * MINUTE);
            }
            let path = press(&resident, kind).await;
            let take = |guard: &Client| {
                let (guard, path) = (guard.clone(), path.clone());
                tokio::spawn(async move { guard.act(&path, "ack", version(1)).await })
            };
            let (first, second) = (take(&guards[0]), take(&guards[1]));
            let mut answers = [first.await.unwrap(), second.await.unwrap()];
            answers.sort_by_key(|(status, _)| *status);
            assert_eq!(answers[0].0, StatusCode::OK, "{database:?} {answers:?}");
            let (status, late) = &answers[1];
            assert_eq!((status.as_u16(), &late["type"], &late["version"]), (409, &json!("stale"), &json!(2)));
            assert!(late["detail"].as_str().unwrap().contains("look at it again"), "{late}");
        }
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c40_the_same_key_gets_the_same_answer_and_another_request_under_it_none() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "home").await;
        let person = house.person("desk").await;
        house.store.add_grant(&house.grant(&person, Role::DutyOperator)).await.unwrap();
        let desk = house.signed_in(&person).await;
        let (key, body) = (new(), json!({ "kind": "panic" }));
        // Sent again at the same time, and later: counted once.
        let sends = (0..5).map(|_| {
            let (client, key, body) = (resident.clone(), key.clone(), body.clone());
            tokio::spawn(async move { client.keyed(ALARMS, &key, &body).await })
        });
        let mut receipts = Vec::new();
        for send in sends.collect::<Vec<_>>() {
            receipts.push(send.await.unwrap());
        }
        receipts.push(resident.keyed(ALARMS, &key, &body).await);
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:?}");
        assert_eq!((receipts[0].0, &receipts[0].1["alarms"]), (StatusCode::CREATED, &json!(1)));
        let (status, other) = resident.keyed(ALARMS, &key, &json!({ "kind": "fire" })).await;
        assert_eq!((status.as_u16(), &other["errors"][0]["pointer"]), (422, &json!("Idempotency-Key")));
        // A key is its owner's: another person's is another one.
        let path = format!("/api/v1/incidents/{}", receipts[0].1["incident_id"].as_str().unwrap());
        let ack = desk.keyed(&format!("{path}/ack"), &key, &version(1)).await;
        assert_eq!(ack.0, StatusCode::OK, "{}", ack.1);
        done(&desk, &path, "assign", json!({ "version": 2, "step": "patrol" })).await;
        // The answer that was lost on its way, though things have gone on since.
        assert_eq!(desk.keyed(&format!("{path}/ack"), &key, &version(1)).await, ack);
        assert_eq!(desk.keyed(&format!("{path}/ack"), &key, &version(2)).await.0.as_u16(), 422);
        assert_eq!(stands(&desk, &path).await, ("dispatched".into(), 3));
        // For a day; then it is a new one.
        house.clock.jump(25 * 60 * MINUTE);
        let desk = house.signed_in(&person).await;
        assert_eq!(desk.keyed(&format!("{path}/ack"), &key, &version(1)).await.0.as_u16(), 409);
        let (status, missing) =
            desk.post(&format!("{path}/note"), json!({ "version": 3, "note": "x" })).await;
        assert_eq!((status.as_u16(), &missing["errors"][0]["pointer"]), (422, &json!("Idempotency-Key")));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_that_is_stuck_makes_one_incident_and_no_press_is_refused() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "home").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let path = press(&resident, "panic").await;
        // Many at once, and for longer than alarms are put together: each follows the one before.
        for _ in 0..4 {
            let presses = (0..25).map(|_| {
                let resident = resident.clone();
                tokio::spawn(async move { press(&resident, "panic").await })
            });
            for pressed in presses.collect::<Vec<_>>() {
                assert_eq!(pressed.await.unwrap(), path, "{database:?}");
            }
            house.clock.jump(4 * MINUTE);
        }
        // They keep nobody from acting on the version they have seen.
        let taken = done(&desk, &path, "ack", version(1)).await;
        assert_eq!(taken["alarms"], 101);
        let (_, all) = desk.get("/api/v1/incidents").await;
        assert_eq!(all["items"].as_array().unwrap().len(), 1);
        // What is sealed and told is bounded, and still says how many there were.
        let chain = house.store.chain(0, 10_000).await.unwrap();
        let raised = chain.iter().filter(|link| link.entry.action == "alarm.raise").count();
        assert_eq!(raised, 13, "ten, and the 16th, 32nd and 64th");
        // Another kind is another incident, and so is one that comes later.
        assert_ne!(press(&resident, "fire").await, path);
        house.clock.jump(6 * MINUTE);
        assert_ne!(press(&resident, "panic").await, path);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_after_the_end_is_a_new_incident() {
    let house = House::start().await;
    let (resident, _) = resident(&house, "home").await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let path = press(&resident, "panic").await;
    done(&desk, &path, "ack", version(1)).await;
    done(&desk, &path, "false_alarm", json!({ "version": 2, "note": "a child" })).await;
    assert_ne!(press(&resident, "panic").await, path, "within five minutes, but somebody needs help again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_alarm_a_transfer_and_one_that_is_taken_back() {
    let house = House::start().await;
    let (resident, _) = resident(&house, "home").await;
    let (desk, volunteer) =
        (house.sign_in_as(Role::DutyOperator).await, house.sign_in_as(Role::GridWorker3).await);
    let path = press(&resident, "fire").await;
    done(&volunteer, &path, "ack", version(1)).await;
    let (status, why) = volunteer.act(&path, "transfer", json!({ "version": 2, "reference": "119-4" })).await;
    assert_eq!((status.as_u16(), &why["type"]), (403, &json!("forbidden")));
    let (status, why) = desk.act(&path, "transfer", version(2)).await;
    assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!("/reference")));
    let moved = done(&desk, &path, "transfer", json!({ "version": 2, "reference": "119-4" })).await;
    assert_eq!((&moved["state"], &moved["reference"]), (&json!("transferred"), &json!("119-4")));
    assert_eq!(resident.get(&path).await.1["incident"]["reference"], json!(null));
    let (status, why) = desk.act(&path, "arrive", version(3)).await;
    assert_eq!((status.as_u16(), &why["type"]), (409, &json!("not-now")));
    assert!(why["detail"].as_str().unwrap().contains("possible now: feedback, note"), "{why}");
    done(&desk, &path, "feedback", json!({ "version": 3, "note": "put out" })).await;
    done(&desk, &path, "close", version(4)).await;
    done(&desk, &path, "reopen", json!({ "version": 5, "note": "it burns again" })).await;

    let path = press(&resident, "panic").await;
    let asked = done(&resident, &path, "cancel", version(1)).await;
    assert_eq!((&asked["state"], &asked["cancel_asked"]), (&json!("open"), &json!(true)), "help still comes");
    assert_eq!(resident.act(&path, "cancel", version(2)).await.0.as_u16(), 409, "not by the reporter alone");
    assert_eq!(resident.act(&path, "ack", version(2)).await.0.as_u16(), 403);
    let gone = done(&desk, &path, "cancel", version(2)).await;
    assert_eq!(gone["state"], "cancelled");
    for (act, body) in [("follow_up", version(3)), ("assign", json!({ "version": 3, "to": "0".repeat(32) }))]
    {
        assert_eq!(desk.act(&path, act, body).await.0.as_u16(), 422, "{act}");
    }
    assert_eq!(desk.act(&path, "burn", version(3)).await.0.as_u16(), 404);
}

/// Somebody was made to take it back, or did so by mistake, and presses again.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_presses_again_has_not_taken_it_back() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "home").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let path = press(&resident, "panic").await;
        done(&resident, &path, "cancel", version(1)).await;
        assert_eq!(press(&resident, "panic").await, path, "{database:?}: it is the same incident");
        let (_, whole) = desk.get(&path).await;
        let incident = &whole["incident"];
        assert_eq!((&incident["cancel_asked"], &incident["version"]), (&json!(false), &json!(3)), "{whole}");
        assert_eq!(whole["log"][2]["act"], "reopen", "{whole}");
        let (status, _) = desk.act(&path, "cancel", version(2)).await;
        assert_eq!(status.as_u16(), 409, "{database:?}: the desk has seen what was before it");
        done(&desk, &path, "ack", version(3)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_under_duress_shows_on_no_residents_phone() {
    let house = House::start().await;
    let (resident, household) = resident(&house, "home").await;
    let other = house.person("family").await;
    house.store.add_member(&household, &other.id, house.clock.now()).await.unwrap();
    let family = house.signed_in(&other).await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    let path = press(&resident, "duress").await;
    for client in [&resident, &family] {
        assert_eq!(client.get(&path).await.0.as_u16(), 404);
        assert_eq!(client.get("/api/v1/incidents").await.1["items"], json!([]));
        assert_eq!(client.act(&path, "cancel", version(1)).await.0.as_u16(), 404);
    }
    assert_eq!(desk.get(&path).await.1["incident"]["kind"], "duress");
    let (status, why) = desk.act(&path, "cancel", version(1)).await;
    assert_eq!(status.as_u16(), 409);
    assert!(why["detail"].as_str().unwrap().contains("have somebody go there"), "{why}");
    // Nor do the cameras open that residents have during incidents.
    assert!(!opens_cameras(&house).await);
}

/// Whether residents may watch under the policy `incident` now.
async fn opens_cameras(house: &House) -> bool {
    let mut site = house.store.site(&house.site).await.unwrap().unwrap();
    site.resident_policy = ResidentPolicy::Incident;
    house.store.update_site(&site).await.unwrap();
    let person = house.person(&format!("watcher-{}", new())).await;
    let household = house.household(&format!("watcher-{}", new())).await;
    house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    house.store.add_approval(&house.approval(Subject::Household(household), &person)).await.unwrap();
    let camera = crate::support::camera_at(&house.site, &house.gate, "rtsp://127.0.0.1:9/a");
    let standing = house.store.standing(&person.id).await.unwrap().unwrap();
    let scene = house.store.scene().await.unwrap();
    domain::access::decide_watch(&standing, &camera, &scene, house.clock.now()).is_allowed()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_incident_opens_the_sites_cameras_and_a_drill_does_not() {
    let house = House::start().await;
    let (resident, _) = resident(&house, "home").await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    assert!(!opens_cameras(&house).await);
    let (status, drill) = resident.post(ALARMS, json!({ "kind": "panic", "drill": true })).await;
    assert_eq!((status.as_u16(), &drill["drill"]), (201, &json!(true)));
    assert!(!opens_cameras(&house).await);
    let path = press(&resident, "panic").await;
    assert!(opens_cameras(&house).await);
    done(&desk, &path, "ack", version(1)).await;
    done(&desk, &path, "false_alarm", json!({ "version": 2, "note": "a cat" })).await;
    assert!(!opens_cameras(&house).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_what_and_whose_it_is_to_act() {
    let house = House::start().await;
    let (resident, _) = resident(&house, "home").await;
    let (stranger, _) = self::resident(&house, "next door").await;
    let path = press(&resident, "panic").await;
    for role in [Role::Administrator, Role::Auditor] {
        let reader = house.sign_in_as(role).await;
        assert_eq!(reader.get(&path).await.0.as_u16(), 200, "{role:?} reads");
        assert_eq!(reader.act(&path, "ack", version(1)).await.0.as_u16(), 403, "{role:?} does not act");
    }
    assert_eq!(stranger.get(&path).await.0.as_u16(), 404);
    assert_eq!(stranger.act(&path, "ack", version(1)).await.0.as_u16(), 404);
    // A grid worker of another zone is none of it; the home's entrance is at the lobby.
    let worker = async |place: &domain::PlaceId| {
        let person = house.person(&format!("worker-{}", new())).await;
        let zone = Zone {
            id: ZoneId::from_random(random()),
            site_id: house.site.clone(),
            name: new(),
            places: [place.clone()].into(),
            created_at: house.clock.now(),
        };
        house.store.add_zone(&zone).await.unwrap();
        let grant = Grant { zone: Some(zone), ..house.grant(&person, Role::GridWorker1) };
        house.store.add_grant(&grant).await.unwrap();
        house.signed_in(&person).await
    };
    let (here, elsewhere) = (worker(&house.lobby).await, worker(&house.gate).await);
    assert_eq!(elsewhere.get(&path).await.0.as_u16(), 404);
    assert_eq!(elsewhere.get("/api/v1/incidents").await.1["items"], json!([]));
    assert_eq!(here.act(&path, "ack", version(1)).await.0.as_u16(), 200);
    // Where somebody is on duty they may say that help is wanted, and nowhere else.
    for (place, expected) in [(&house.lobby, 201), (&house.gate, 422)] {
        let (status, _) = here.post(ALARMS, json!({ "kind": "medical", "place_id": place })).await;
        assert_eq!(status.as_u16(), expected);
    }
    assert_eq!(
        resident.post(ALARMS, json!({ "kind": "panic", "place_id": house.lobby })).await.0.as_u16(),
        422
    );
    let (status, why) = here.post(ALARMS, json!({ "kind": "panic" })).await;
    assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!("/place_id")));
    for kind in ["tamper", "boredom", ""] {
        assert_eq!(resident.post(ALARMS, json!({ "kind": kind })).await.0.as_u16(), 422, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_moved_out_presses_for_that_home_no_more() {
    let house = House::start().await;
    let (resident, household) = resident(&house, "home").await;
    let (_, other) = self::resident(&house, "other").await;
    let at = |household: &HouseholdId| json!({ "kind": "panic", "household_id": household });
    assert_eq!(resident.post(ALARMS, at(&other)).await.0.as_u16(), 422);
    assert_eq!(resident.post(ALARMS, at(&household)).await.0.as_u16(), 201);
    let homes = resident.get("/api/v1/homes").await.1["items"].clone();
    let entrance = house.lobby.to_string();
    assert_eq!(
        homes,
        json!([{ "household_id": household, "site_id": house.site, "entrance_id": entrance, "unit": "home" }])
    );
    house.store.end_household(&household, house.clock.now()).await.unwrap();
    assert_eq!(resident.post(ALARMS, at(&household)).await.0.as_u16(), 422);
    assert_eq!(resident.get("/api/v1/homes").await.1["items"], json!([]));
}

/// The acts in an incident's log, and who in the chain was called last.
async fn log(house: &House, id: &str) -> Vec<String> {
    let id = IncidentId::parse(id.rsplit('/').next().unwrap()).unwrap();
    let rows = house.store.incident_log(&id).await.unwrap();
    rows.iter().map(|row| format!("{} {}", row.act.word(), row.step.word())).collect()
}

/// A gateway at the same database that has just started, so many minutes later. To it
/// every time limit that it finds has passed.
fn later(house: &House, minutes: i64) -> JoinHandle<()> {
    let clock = house.clock.now();
    let later = TestClock::default();
    later.jump(clock.0 - SystemClock.now().0 + minutes * MINUTE);
    let pulse = tokio::sync::watch::channel(()).1;
    let store = Arc::clone(&house.store) as _;
    tokio::spawn(sharp_eyes::incidents::run(store, Arc::new(later), Arc::default(), pulse))
}

#[tokio::test(flavor = "multi_thread")]
async fn c34_c39_whoever_is_not_answered_in_time_is_passed_over_once_and_by_no_clock_that_jumps() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "home").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let path = press(&resident, "panic").await;
        // The runner has seen it; now the machine's clock goes wrong in both directions.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        for jump in [
            60 * MINUTE,
            -120 * MINUTE,
            10 * 365 * 24 * 60 * MINUTE,
            -10 * 365 * 24 * 60 * MINUTE,
            60 * MINUTE,
        ] {
            house.clock.jump(jump);
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        assert_eq!(log(&house, &path).await, ["open grid_worker"], "{database:?}: nobody is called early");
        for (rows, last) in [
            (2, "escalate building_leader"),
            (3, "escalate patrol"),
            (4, "escalate station"),
            (5, "escalate decide"),
            (6, "remind decide"),
            (7, "remind decide"),
        ] {
            let gateways = [later(&house, rows * 10), later(&house, rows * 10)];
            let (mut called, limit) = (Vec::new(), tokio::time::Instant::now() + Duration::from_secs(20));
            while called.len() < usize::try_from(rows).unwrap() && tokio::time::Instant::now() < limit {
                called = log(&house, &path).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(called.last().unwrap(), last, "{database:?}");
            assert_eq!(called.len(), usize::try_from(rows).unwrap());
            // Two have seen it, and the house's own: it stays at one.
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            assert_eq!(log(&house, &path).await, called);
            gateways.into_iter().for_each(|gateway| gateway.abort());
        }
        // Nobody is left, and those at the end are reminded; a person takes it still.
        assert_eq!(done(&desk, &path, "ack", version(7)).await["state"], "acked");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c34_whoever_takes_it_and_does_nothing_is_not_waited_for() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "home").await;
        let volunteer = house.sign_in_as(Role::GridWorker3).await;
        let leader = house.sign_in_as(Role::GridWorker2).await;
        let path = press(&resident, "panic").await;
        let taken = done(&volunteer, &path, "ack", version(1)).await;
        assert_eq!((&taken["left_lying"], &taken["may"]), (&json!(false), &json!(["accept", "note"])));
        let gateway = later(&house, 4);
        let mut called = Vec::new();
        for _ in 0..1_000 {
            called = log(&house, &path).await;
            if called.len() > 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        gateway.abort();
        assert_eq!(called.last().map(String::as_str), Some("escalate building_leader"), "{database:?}");
        let (_, seen) = leader.get(&path).await;
        let incident = &seen["incident"];
        assert_eq!((&incident["state"], &incident["left_lying"]), (&json!("acked"), &json!(true)));
        // Whoever is called goes; and so may who has taken it.
        assert_eq!(done(&leader, &path, "accept", version(3)).await["state"], "accepted");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_cannot_come_takes_out_nobody_but_themselves() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (resident, _) = resident(&house, "home").await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let mut volunteers = Vec::new();
        for _ in 0..3 {
            volunteers.push(house.sign_in_as(Role::GridWorker3).await);
        }
        let path = press(&resident, "panic").await;
        done(&desk, &path, "ack", version(1)).await;
        done(&desk, &path, "assign", json!({ "version": 2, "step": "patrol" })).await;
        let step = async |n: usize, seen: i64| {
            let after = done(&volunteers[n], &path, "decline", version(seen)).await;
            (after["state"].as_str().unwrap().to_owned(), after["step"].as_str().unwrap().to_owned())
        };
        let asked = ("dispatched".to_owned(), "patrol".to_owned());
        let limit = desk.get(&path).await.1["incident"]["due_at"].clone();
        assert_eq!(step(0, 3).await, asked, "{database:?}: two are left");
        assert_eq!(step(0, 4).await, asked, "who says it twice is one");
        assert_eq!(desk.get(&path).await.1["incident"]["due_at"], limit, "and gives nobody more time");
        // Of two who say so at once one is late by a version, and counts anew.
        let both = tokio::join!(
            volunteers[1].act(&path, "decline", version(5)),
            volunteers[2].act(&path, "decline", version(5)),
        );
        let mut statuses = [both.0.0.as_u16(), both.1.0.as_u16()];
        let late = if statuses[0] == 409 { 1 } else { 2 };
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        assert_eq!(stands(&desk, &path).await, ("dispatched".to_owned(), 6));
        assert_eq!(step(late, 6).await, ("dispatched".to_owned(), "station".to_owned()), "{database:?}");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_switched_off_is_not_left_to_go() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let desk = house.sign_in_as(Role::DutyOperator).await;
        let volunteer = house.sign_in_as(Role::GridWorker3).await;
        let gone = house.person("gone").await;
        house.store.add_grant(&house.grant(&gone, Role::Patrol)).await.unwrap();
        house.sql(&format!("update persons set disabled = 1 where id = '{}'", gone.id)).await;
        let path = press(&resident(&house, "home").await.0, "panic").await;
        done(&desk, &path, "ack", version(1)).await;
        done(&desk, &path, "assign", json!({ "version": 2, "step": "patrol" })).await;
        let after = done(&volunteer, &path, "decline", version(3)).await;
        assert_eq!(after["step"], "station", "{database:?}: nobody else can come");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_last_of_those_who_decide_cannot_come_it_is_back_with_whoever_took_it() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (one, two) =
            (house.sign_in_as(Role::DutyOperator).await, house.sign_in_as(Role::DutyOperator).await);
        // They decide, too, but only read: nobody waits for them to say that they go.
        house.sign_in_as(Role::Administrator).await;
        let path = press(&resident(&house, "home").await.0, "panic").await;
        done(&one, &path, "ack", version(1)).await;
        done(&one, &path, "assign", json!({ "version": 2, "step": "decide" })).await;
        assert_eq!(done(&one, &path, "decline", version(3)).await["state"], "dispatched", "{database:?}");
        assert_eq!(done(&two, &path, "decline", version(4)).await["state"], "acked", "{database:?}");
        house.stop().await;
    }
}

/// An incident in the store, opened by the first household that there is.
async fn opened(house: &House) -> Incident {
    let (resident, _) = resident(house, &new()).await;
    let path = press(&resident, "panic").await;
    let id = IncidentId::parse(path.rsplit('/').next().unwrap()).unwrap();
    house.store.incident(&id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn c34_two_gateways_let_a_time_limit_run_out_once() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let incident = opened(&house).await;
        let command = Command::Expire(incident.timer.unwrap());
        let timings = Timings::of(SiteKind::Compound);
        let change = incident.apply(&command, None, &Actor::house(), &timings, house.clock.now()).unwrap();
        let (first, second) =
            tokio::join!(house.store.change(&change, None, ""), house.store.change(&change, None, ""));
        let mut kept = [first.unwrap(), second.unwrap()];
        kept.sort_by_key(|kept| *kept == Kept::Stale);
        assert_eq!(kept, [Kept::Done(()), Kept::Stale], "{database:?}");
        // And it reads back as it was made: state, timer, all of it.
        let now = house.store.incident(&incident.id).await.unwrap().unwrap();
        assert_eq!((now.step, &now), (Step::BuildingLeader, &change.incident));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_that_cannot_be_read_keeps_no_other_from_running_out() {
    for database in BOTH {
        let house = House::start_on(database).await;
        let (odd, broken, whole) = (opened(&house).await, opened(&house).await, opened(&house).await);
        house.sql(&format!("update incident_timers set kind = '?' where incident_id = '{}'", odd.id)).await;
        house.sql(&format!("update incidents set kind = '?' where id = '{}'", broken.id)).await;
        let gateway = later(&house, 2);
        let limit = tokio::time::Instant::now() + Duration::from_secs(30);
        while house.store.incident_log(&whole.id).await.unwrap().len() < 2 {
            assert!(tokio::time::Instant::now() < limit, "{database:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        gateway.abort();
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_outlasts_the_gateway() {
    let house = House::start().await;
    let (resident, _) = resident(&house, "home").await;
    let path = press(&resident, "panic").await;
    let settings = house.settings.clone();
    let folder = house.stop().await;
    // It passes while nobody is there.
    let store = sharp_eyes::app::open_store(&settings).await.unwrap();
    let due = store.timers().await.unwrap();
    assert_eq!(due.len(), 1);
    let clock = TestClock::default();
    clock.jump(2 * MINUTE);
    let store = Arc::new(store);
    let (shared, pulse) = (Arc::clone(&store) as _, tokio::sync::watch::channel(()).1);
    let runner = tokio::spawn(sharp_eyes::incidents::run(shared, Arc::new(clock), Arc::default(), pulse));
    let id = IncidentId::parse(path.rsplit('/').next().unwrap()).unwrap();
    let mut rows = 1;
    for _ in 0..400 {
        rows = store.incident_log(&id).await.unwrap().len();
        if rows > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rows, 2, "the next in the chain is called");
    runner.abort();
    let _ = runner.await;
    store.close().await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_filtered() {
    let house = House::start_on(Database::Postgres).await;
    let desk = house.sign_in_as(Role::DutyOperator).await;
    for _ in 0..5 {
        opened(&house).await;
    }
    let (_, first) = desk.get("/api/v1/incidents?limit=2").await;
    let (_, second) =
        desk.get(&format!("/api/v1/incidents?limit=3&cursor={}", first["next"].as_str().unwrap())).await;
    let ids = |page: &Value| -> BTreeSet<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()).collect()
    };
    assert_eq!((ids(&first).len(), ids(&second).len(), (&ids(&first) | &ids(&second)).len()), (2, 3, 5));
    // One that cannot be read takes nothing from the list but itself.
    let one = second["items"][2]["id"].as_str().unwrap();
    house.sql(&format!("update incidents set kind = '?' where id = '{one}'")).await;
    let (_, last) = desk.get("/api/v1/incidents?limit=5").await;
    assert_eq!((ids(&last).len(), last["next"].is_string()), (4, true), "{last}");
    house.sql(&format!("update incidents set kind = 'panic' where id = '{one}'")).await;
    let count = async |query: &str| {
        desk.get(&format!("/api/v1/incidents?{query}")).await.1["items"].as_array().map(Vec::len)
    };
    assert_eq!(count("state=open&drill=false").await, Some(5));
    assert_eq!(count("state=closed").await, Some(0));
    assert_eq!(count("drill=true").await, Some(0));
    assert_eq!(count(&format!("site_id={}", house.site)).await, Some(5));
    assert_eq!(desk.get("/api/v1/incidents?state=lost").await.0.as_u16(), 422);
    assert_eq!(house.store.persons().await.unwrap().len(), 6);
}
