//! People watch in a browser: fMP4 over WebSocket.

use crate::support::camera::{self, AAC, H264, H265};
use crate::support::foreign::run;
use crate::support::live::{Heard, Live};
use crate::support::{House, until, viewings};
use camsim::clip::Clip;
use domain::repository::{Cameras as _, Persons as _};
use domain::role::Role;
use relay::hub::Stats;
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_sees_a_moving_picture() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = Live::open(&resident, &id).await;
    let init = live.text("init").await;
    assert_eq!(init["mime"], "video/mp4; codecs=\"avc1.4d401f\"");
    let mut file = Vec::new();
    for _ in 0..31 {
        file.extend(live.binary().await);
    }
    // What came is a file that others can decode.
    let path = house.folder.path("live.mp4");
    std::fs::write(&path, &file).unwrap();
    let probe =
        ["-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames,width", "-of", "csv=p=0"];
    let arguments = [&probe[..], &[path.to_str().unwrap()]].concat();
    let output = run("ffprobe", &arguments, Duration::from_secs(20)).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "768,30");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_and_h265_are_announced_as_what_they_are() {
    let cameras = camera::start(&[("sound", camera::clip(AAC)), ("h265", camera::clip(H265))]).await;
    let house = House::start().await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let sound =
        house.camera_like(&cameras.url("sound"), |camera| camera.audio_reason = Some("test".into())).await;
    let mime = Live::open(&patrol, &sound).await.text("init").await["mime"].as_str().unwrap().to_owned();
    assert!(mime.contains("avc1.") && mime.contains("mp4a.40.2"), "{mime}");
    let silent = house.camera(&cameras.url("sound")).await;
    let mime = Live::open(&patrol, &silent).await.text("init").await["mime"].as_str().unwrap().to_owned();
    assert!(!mime.contains("mp4a"), "sound is off without a reason: {mime}");
    let h265 = house.camera(&cameras.url("h265")).await;
    let mime = Live::open(&patrol, &h265).await.text("init").await["mime"].as_str().unwrap().to_owned();
    assert!(mime.contains("hvc1.1."), "{mime}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_built_once_and_written_once_per_browser_without_waking_its_task() {
    const BROWSERS: u64 = 20;
    // Two frames a second, so that no two frames share a turn.
    let cameras = camera::start(&[("a", Arc::new(Clip::synthetic(2, 20, 20_000)))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut browsers = JoinSet::new();
    for _ in 0..BROWSERS {
        let mut live = Live::open(&patrol, &id).await;
        browsers.spawn(async move {
            loop {
                live.binary().await;
            }
        });
    }
    let hub = house.hub(&id);
    let count = |counter: fn(&Stats) -> &AtomicU64| Stats::get(counter(hub.stats()));
    let all =
        || [count(|s| &s.frames), count(|s| &s.fragments), count(|s| &s.writes), count(|s| &s.boardings)];
    // Past the beginning of each, which is the last group of pictures and a few texts.
    let now = count(|s| &s.frames);
    until(|| count(|s| &s.frames) > now + 1).await;
    // Sampled between two frames.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = all();
    until(|| count(|s| &s.frames) >= before[0] + 8).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let now = all();
    let [frames, fragments, writes, boardings] = std::array::from_fn(|i| now[i] - before[i]);
    assert_eq!(fragments, frames, "each frame is made a message once");
    assert_eq!(writes, frames * BROWSERS, "one write per frame and browser");
    assert_eq!(boardings, 0, "all of them stay on the bus");
    assert!(now[3] <= 3 * BROWSERS, "{} boardings to begin with", now[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_ends_with_the_right_to_it() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let owner = house.sign_in_as(Role::Owner).await;

    // Signed out.
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = Live::open(&resident, &id).await;
    live.binary().await;
    assert_eq!(resident.delete("/api/v1/session").await, 204);
    assert_eq!(live.closed().await, Some(4001));
    assert_eq!(Live::try_open(&resident, &id, "main").await.err(), Some(401));

    // Hidden from residents, while patrol goes on watching.
    let resident = house.sign_in_as(Role::Resident).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut live = Live::open(&resident, &id).await;
    let mut patrols = Live::open(&patrol, &id).await;
    live.binary().await;
    let path = format!("/api/v1/cameras/{id}");
    let (status, camera) = owner.patch(&path, json!({ "visibility": "patrol" })).await;
    assert_eq!((status.as_u16(), &camera["visibility"]), (200, &json!("patrol")));
    assert_eq!(live.closed().await, Some(4001));
    assert_eq!(Live::try_open(&resident, &id, "main").await.err(), Some(404));
    patrols.binary().await;

    // The camera is removed: the stream ends for everybody.
    assert_eq!(owner.delete(&path).await, 204);
    assert!(matches!(patrols.closed().await, Some(4001 | 4003)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_viewing_is_in_the_register_with_its_end() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = Live::open(&resident, &id).await;
    live.binary().await;
    let open = viewings(&house.store, &id).await;
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].role, open[0].ended_at), (Role::Resident, None));
    drop(live);
    for _ in 0..200 {
        let row = viewings(&house.store, &id).await.remove(0);
        if row.ended_at.is_some() {
            assert!(row.bytes > 20_000, "{} bytes: at least a key frame was seen", row.bytes);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the viewing is still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_says_goodbye_and_closes_the_register() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut live = Live::open(&patrol, &id).await;
    live.binary().await;
    let (store, stopped) = (std::sync::Arc::clone(&house.store), tokio::spawn(house.stop()));
    assert_eq!(live.closed().await, Some(1001));
    drop(live);
    let folder = stopped.await.unwrap();
    drop(store);
    // Read by a second life of the same database.
    let url = format!("sqlite:{}", folder.path("test.db").display());
    let key =
        store::seal::SealingKey::load_or_create(&folder.path("key"), store::seal::Hold::Shared).unwrap();
    let store = ::store::Store::open(&url, key).await.unwrap();
    assert!(viewings(&store, &id).await[0].ended_at.is_some());
    assert!(store.camera(&id).await.unwrap().is_some() && store.anybody().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_websocket_of_our_own_page_is_served() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let path = format!("/api/v1/cameras/{id}/main/live");
    let (status, problem) = resident.get(&path).await;
    assert_eq!((status.as_u16(), &problem["type"]), (426, &json!("not-websocket")));
    // RFC 9110 section 15.5.22.
    let refused = resident.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(refused.headers()["upgrade"], "websocket");
    assert_eq!(refused.headers()["connection"], "upgrade");
    let upgrade = |origin: &str| {
        resident
            .request(Method::GET, &path)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("origin", origin)
            .send()
    };
    assert_eq!(upgrade("http://evil.example").await.unwrap().status(), 403);
    assert_eq!(upgrade("null").await.unwrap().status(), 403);
    assert_eq!(upgrade(&resident.base).await.unwrap().status(), 101);
    // There is no sub-stream, and a stream has no other names.
    assert_eq!(Live::try_open(&resident, &id, "sub").await.err(), Some(404));
    assert_eq!(Live::try_open(&resident, &id, "third").await.err(), Some(404));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_browser_is_told_what_it_missed() {
    let clip = std::sync::Arc::new(camsim::clip::Clip::synthetic(25, 25, 40_000));
    let cameras = camera::start(&[("a", clip)]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut live = Live::open(&patrol, &id).await;
    live.binary().await;
    let frames = || relay::hub::Stats::get(&house.hub(&id).stats().frames);
    until(|| frames() > 125).await;
    let lagged = live.text("lagged").await;
    assert!(lagged["missed"].as_u64().unwrap() > 0);
    assert!(matches!(live.next().await, Heard::Binary(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_always_behind_is_heard_and_its_goodbye_is_answered() {
    // A megabyte a second, of which two thirds are taken.
    let clip = Arc::new(Clip::synthetic(25, 25, 40_000));
    let cameras = camera::start(&[("a", clip)]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut live = Live::open(&patrol, &id).await;
    let frames = || Stats::get(&house.hub(&id).stats().frames);
    until(|| frames() > 100).await;
    for _ in 0..3 {
        live.say(Message::Ping("?".into())).await;
        let mut taken = 0;
        while !matches!(live.next().await, Heard::Text(text) if text["type"] == "pong") {
            taken += 1;
            assert!(taken < 400, "it was not heard");
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    live.say(Message::Close(Some(goodbye))).await;
    assert_eq!(live.closed().await, Some(1_000));
}
