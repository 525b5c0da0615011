//! The camera is gone for a while; its viewers are not.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::live::Live;
use camsim::viewers::Viewer;
use domain::role::Role;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Between the camera's return and the next picture, at most. The rule itself
/// (tried again at least every second while somebody watches) is a table test
/// of `ingest::backoff`; here a busy machine gets some grace beyond 1.2 s.
const GRACE: Duration = Duration::from_millis(1_800);

async fn outage(seconds: u64) {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let key = patrol.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let mut player = Viewer::play(house.rtsp, &format!("{id}/main"), login).await.unwrap();
    let mut page = Live::open(&patrol, &id).await;
    player.packet().await.unwrap();
    page.binary().await;

    cameras.control().refuse(true);
    // Both read on, so that what comes after the outage is new.
    let gone = Instant::now() + Duration::from_secs(seconds);
    let state = page.text("state");
    let drain_player = async {
        while let Ok(packet) = tokio::time::timeout_at(gone, player.packet()).await {
            packet.expect("the player stays connected");
        }
    };
    let (state, ()) = tokio::join!(state, drain_player);
    assert_eq!(state["state"], "reconnecting");
    let drain_page = async {
        loop {
            page.binary().await;
        }
    };
    let _ = tokio::time::timeout_at(gone, drain_page).await;

    cameras.control().refuse(false);
    let back = Instant::now();
    let player_back = async {
        player.packet().await.expect("the player stays connected");
        back.elapsed()
    };
    let page_back = async {
        page.binary().await;
        back.elapsed()
    };
    let (player_back, page_back) = tokio::join!(player_back, page_back);
    println!("outage of {seconds} s: next packet after {player_back:?}, next fragment after {page_back:?}");
    assert!(player_back < GRACE && page_back < GRACE, "{player_back:?} {page_back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_stay_through_an_outage_of_three_seconds() {
    outage(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_stay_through_an_outage_of_eight_seconds() {
    outage(8).await;
}

/// C33: what there is to see of a camera that misbehaves so, whose state is then called so.
async fn frozen(misbehave: impl Fn(&camsim::Cameras, bool), state: &str, detail: &str) {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let owner = house.sign_in_as(Role::Owner).await;
    let mut page = Live::open(&patrol, &id).await;
    page.binary().await;
    misbehave(&cameras, true);
    let began = Instant::now();
    let stale = async { while page.text("state").await["state"] != "stale" {} };
    tokio::time::timeout(Duration::from_secs(30), stale).await.expect("it is called stale");
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    let (_, camera) = owner.get(&format!("/api/v1/cameras/{id}")).await;
    assert_eq!((&camera["status"]["state"], &camera["status"]["detail"]), (&json!(state), &json!(detail)));
    misbehave(&cameras, false);
    while page.text("state").await["state"] != "live" {}
    page.binary().await;
}

/// C33.
#[tokio::test(flavor = "multi_thread")]
async fn c33_a_silent_camera_is_called_stale_within_ten_seconds_and_then_live_again() {
    let detail = "the camera is connected but sends no picture";
    frozen(|cameras, on| cameras.control().stall("a", on), "stale", detail).await;
}

/// C33: stuck encoders send what they have, bit by bit.
#[tokio::test(flavor = "multi_thread")]
async fn c33_a_camera_that_repeats_its_picture_is_called_stale_within_ten_seconds_and_then_live_again() {
    let detail = "the camera is connected but sends the same picture again and again";
    frozen(|cameras, on| cameras.control().repeat("a", on), "repeating", detail).await;
}
