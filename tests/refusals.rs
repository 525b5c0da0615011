//! Why somebody watches, and who was refused: both are in the registers, and no
//! answer tells a stranger more for it.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::database::BOTH;
use crate::support::live::Live;
use domain::audit::Entry;
use domain::repository::Registers as _;
use domain::role::Role;
use reqwest::Method;
use serde_json::{Value, json};
use sharp_eyes::audit::verify;
use std::time::Duration;

async fn ok(answer: (reqwest::StatusCode, Value)) -> Value {
    assert!(answer.0.is_success(), "{answer:?}");
    answer.1
}

async fn entries(house: &House, action: &str) -> Vec<Entry> {
    let links = house.store.audit(&domain::repository::EntryFilter::newest(500)).await.unwrap();
    links.into_iter().map(|link| link.entry).filter(|entry| entry.action == action).collect()
}

/// Refusals are noted beside the answer: waits for `count` of them.
async fn noted(house: &House, action: &str, count: usize) -> Vec<Entry> {
    for _ in 0..200 {
        let found = entries(house, action).await;
        if found.len() >= count {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{action} was not noted {count} times: {:?}", entries(house, action).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_viewing_says_why() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera(&cameras.url("a")).await;
        let watch = async |role: Role, purpose: Option<&str>| {
            let client = house.sign_in_as(role).await;
            let live = match purpose {
                Some(purpose) => Live::try_open_for(&client, &camera, purpose).await,
                None => Live::try_open(&client, &camera, "main").await,
            };
            let opened = live.map(drop);
            let rows = client.get(&format!("/api/v1/cameras/{camera}/viewings")).await.1;
            opened.map(|()| rows["items"][0]["purpose"].as_str().unwrap().to_owned())
        };
        for (role, said, kept) in [
            (Role::Resident, None, Ok("resident_view")),
            (Role::Resident, Some("resident_view"), Ok("resident_view")),
            (Role::Resident, Some("incident"), Err(422)),
            (Role::Patrol, None, Ok("patrol")),
            (Role::Patrol, Some("incident"), Ok("incident")),
            (Role::Patrol, Some("maintenance"), Err(422)),
            (Role::GridWorker1, None, Ok("grid_work")),
            (Role::Administrator, None, Ok("maintenance")),
            (Role::Owner, Some("incident"), Ok("incident")),
            (Role::Owner, Some("resident_view"), Err(422)),
            (Role::Owner, Some("curiosity"), Err(422)),
        ] {
            assert_eq!(watch(role, said).await, kept.map(str::to_owned), "{database:?} {role:?} {said:?}");
        }
        // Nobody learns by a purpose what is there.
        let auditor = house.sign_in_as(Role::Auditor).await;
        assert_eq!(Live::try_open_for(&auditor, &camera, "curiosity").await.err(), Some(422));
        let nothing = domain::CameraId::from_random([9; 16]);
        assert_eq!(Live::try_open_for(&auditor, &nothing, "curiosity").await.err(), Some(422));
        for camera in [&camera, &nothing] {
            assert_eq!(Live::try_open_for(&auditor, camera, "incident").await.err(), Some(404));
        }
        // A player has its role's.
        let patrol = house.sign_in_as(Role::Patrol).await;
        let key = patrol.key().await;
        let key = Some((key.login.as_str(), key.key.as_str()));
        let mut player =
            camsim::viewers::Viewer::play(house.rtsp, &format!("{camera}/main"), key).await.unwrap();
        player.packet().await.unwrap();
        let rows = ok(patrol.get(&format!("/api/v1/cameras/{camera}/viewings")).await).await;
        assert_eq!(
            (&rows["items"][0]["transport"], &rows["items"][0]["purpose"]),
            (&json!("rtsp"), &json!("patrol"))
        );
        drop(player);
        let begun = entries(&house, "viewing.begin").await;
        assert!(begun.len() >= 8 && begun.iter().all(|entry| entry.detail.contains("\"purpose\":\"")));
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_noted_with_why_and_only_for_what_is_there() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera(&cameras.url("a")).await;
        let auditor = house.sign_in_as(Role::Auditor).await;
        let me = ok(auditor.get("/api/v1/session").await).await["person"]["id"].clone();
        assert_eq!(Live::try_open(&auditor, &camera, "main").await.err(), Some(404));
        let nothing = domain::CameraId::from_random([9; 16]);
        assert_eq!(Live::try_open(&auditor, &nothing, "main").await.err(), Some(404));
        let refused = noted(&house, "viewing.refused", 1).await;
        assert_eq!(refused.len(), 1, "{database:?}: what is not there is not refused");
        assert_eq!(refused[0].object, camera.to_string());
        assert_eq!(refused[0].site_id.as_ref(), Some(&house.site));
        assert_eq!(json!(refused[0].actor), me);
        assert!(refused[0].detail.contains("\"why\":\"no_role\""), "{}", refused[0].detail);

        // An act that a role does not allow, by the route that was asked.
        assert_eq!(auditor.post("/api/v1/sites", json!({})).await.0.as_u16(), 403);
        let chief = house.sign_in_as(Role::Administrator).await;
        let site =
            json!({ "name": "x", "kind": "village", "time_zone": "Asia/Shanghai", "resident_policy": "off" });
        assert_eq!(chief.post("/api/v1/sites", site).await.0.as_u16(), 403);
        let acts = noted(&house, "act.refused", 2).await;
        assert!(acts.iter().all(|entry| entry.object == "POST /api/v1/sites"), "{acts:?}");

        // A sign-in, known and unknown login alike; what was typed is nowhere.
        house.person("zhang").await;
        for login in ["zhang", "nobody-of-that-name"] {
            let wrong = json!({ "login": login, "password": "a wrong password" });
            assert_eq!(house.client().post("/api/v1/session", wrong).await.0.as_u16(), 401);
        }
        let signed = noted(&house, "session.refused", 2).await;
        assert_eq!(signed.iter().filter(|entry| entry.actor.is_some()).count(), 1);
        assert!(!format!("{signed:?}").contains("nobody-of"));
        verify(&*house.store, vec![]).await.unwrap();
    }
}

/// What one may not do, again and again.
async fn insist(client: &Client, times: usize) {
    for _ in 0..times {
        let status = client.send(Method::GET, "/api/v1/audit", None).await.0.as_u16();
        assert_eq!(status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_insists_does_not_fill_the_log() {
    let house = House::start().await;
    let resident = house.sign_in_as(Role::Resident).await;
    let me = ok(resident.get("/api/v1/session").await).await["person"]["id"].clone();
    insist(&resident, 60).await;
    assert_eq!(noted(&house, "act.refused", 10).await.len(), 10);
    let other = house.sign_in_as(Role::Patrol).await;
    insist(&other, 1).await;
    assert_eq!(noted(&house, "act.refused", 11).await.len(), 11, "somebody else is still heard");
    // The rest is one entry with a number, at the latest when the gateway stops.
    let folder = house.stop().await;
    let url = format!("sqlite:{}", folder.path("test.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let rest: Vec<(String, String)> =
        sqlx::query_as("select actor, detail from audit where action = 'refusals.more'")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(rest, [(me.as_str().unwrap().to_owned(), "{\"count\":50}".to_owned())]);
}

/// C05: a no is a no, whether the camera is there or not.
#[tokio::test(flavor = "multi_thread")]
async fn c05_a_refused_camera_takes_no_longer_than_one_that_is_not_there() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let there = house.camera(&cameras.url("a")).await;
        let auditor = house.sign_in_as(Role::Auditor).await;
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..100 {
            let nothing = domain::CameraId::from_random(web::token::random());
            for (camera, took) in [&there, &nothing].into_iter().zip(&mut took) {
                let began = tokio::time::Instant::now();
                assert_eq!(Live::try_open(&auditor, camera, "main").await.err(), Some(404));
                took.push(began.elapsed());
            }
        }
        let [there, nothing] = took.map(|mut took| {
            took.sort_unstable();
            took[took.len() / 2]
        });
        println!("{database:?}: {there:?} and {nothing:?}");
        assert!(there.abs_diff(nothing) < Duration::from_millis(5), "{database:?}: {there:?} {nothing:?}");
    }
}
