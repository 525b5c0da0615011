//! How much one person may do: nobody fills the registers by insisting.

use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::live::Live;
use crate::support::{House, until};
use domain::Clock as _;
use domain::repository::{Registers as _, Rights as _};
use domain::role::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

/// Changes nothing, and is written down only if it is let through.
async fn act(client: &Client) -> (StatusCode, Option<u64>, String) {
    let request = client.request(Method::DELETE, "/api/v1/viewer-keys/00000000000000000000000000000000");
    let response = request.send().await.unwrap();
    let wait = response.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse().unwrap());
    (response.status(), wait, response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_acts_sixty_times_and_then_waits() {
    let house = House::start().await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut refused = None;
    for n in 0..300 {
        let (status, wait, text) = act(&resident).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some((n, wait, text));
            break;
        }
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    let (acts, wait, text) = refused.expect("there is a limit");
    assert!(acts >= 60, "{acts}");
    assert!(wait.is_some_and(|seconds| (1..=2).contains(&seconds)), "{wait:?}");
    let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&problem["type"], problem["detail"].as_str().unwrap().starts_with("wait ")),
        (&json!("too-many"), true)
    );
    // Nothing is written for what is not let through, and reading goes on.
    let before = house.store.head().await.unwrap();
    let key = json!({ "name": "player" });
    let mut refusals = 0;
    for _ in 0..20 {
        let (status, _) = resident.post("/api/v1/viewer-keys", key.clone()).await;
        refusals += u32::from(status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refusals >= 1);
    let links = house.store.chain(before.seq, 100).await.unwrap();
    let made = links.iter().filter(|link| link.entry.action == "viewer_key.create").count();
    assert_eq!(u32::try_from(made).unwrap(), 20 - refusals);
    assert_eq!(resident.get("/api/v1/session").await.0, StatusCode::OK);
    // The neighbour has a bucket of their own.
    let neighbour = house.sign_in_as(Role::Resident).await;
    assert_eq!(act(&neighbour).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_lets_a_script_work() {
    let house = House::start().await;
    let owner = house.sign_in_as(Role::Owner).await;
    for _ in 0..500 {
        assert_eq!(act(&owner).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_watches_64_pictures_at_once_on_all_transports_together() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let key = resident.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Live::open(&resident, &camera).await);
    }
    let before = house.store.head().await.unwrap();
    assert_eq!(Live::try_open(&resident, &camera, "main").await.err(), Some(429));
    let played = camsim::viewers::Viewer::play(house.rtsp, &format!("{camera}/main"), login).await;
    assert!(played.err().unwrap().to_string().contains("503"), "a player is refused, too");
    let links = house.store.chain(before.seq, 100).await.unwrap();
    assert!(!links.iter().any(|link| link.entry.action.starts_with("viewing.")), "{links:?}");
    // A camera that they may not see is still one that is not there.
    let nothing = domain::CameraId::from_random(web::token::random());
    assert_eq!(Live::try_open(&resident, &nothing, "main").await.err(), Some(404));
    let neighbour = house.sign_in_as(Role::Resident).await;
    Live::open(&neighbour, &camera).await.binary().await;
    // Closing one makes room for one.
    open.pop();
    let opened = std::sync::atomic::AtomicBool::new(false);
    let again = async {
        while Live::try_open(&resident, &camera, "main").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        opened.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    tokio::join!(again, until(|| opened.load(std::sync::atomic::Ordering::SeqCst)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_for_help_gets_through_while_the_persons_bucket_is_empty() {
    let house = House::start().await;
    let person = house.person("home").await;
    let household = house.household("home").await;
    house.store.add_member(&household, &person.id, house.clock.now()).await.unwrap();
    let resident = house.signed_in(&person).await;
    let mut last = StatusCode::OK;
    for _ in 0..300 {
        last = act(&resident).await.0;
        if last == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    for pressed in 1..=80 {
        let (status, receipt) = resident.post("/api/v1/alarms", json!({ "kind": "panic" })).await;
        assert_eq!((status, &receipt["alarms"]), (StatusCode::CREATED, &json!(pressed)), "{receipt}");
    }
    // A hundred presses do not fill the register: the first ten are sealed, then every doubling.
    let links = house.store.chain(0, 10_000).await.unwrap();
    let sealed = links.iter().filter(|link| link.entry.action == "alarm.raise").count();
    assert_eq!(sealed, 10 + ["16", "32", "64"].len());
}
