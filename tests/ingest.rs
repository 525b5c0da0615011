//! Cameras of all kinds, the bad ones too.

use crate::support::camera::{self, AAC, H264};
use crate::support::foreign::GstServer;
use crate::support::{House, until, until_within};
use camsim::viewers::{Viewer, frames};
use domain::role::Role;
use domain::{CameraId, Secret};
use relay::hub::{State, Stats};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

async fn reads_gstreamer(launch: &str, codec: &str) {
    let server = GstServer::start(launch).await;
    let house = House::start().await;
    let id = house.camera(&server.url).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    // As a player does: the server's encoder may take longer to start than a DESCRIBE waits.
    let mut viewer = Err("not tried yet".into());
    for _ in 0..10 {
        viewer = Viewer::play(house.rtsp, &format!("{id}/main"), login).await;
        if viewer.is_ok() {
            break;
        }
    }
    let mut viewer = viewer.unwrap_or_else(|error| panic!("{error}; {:?}", house.hub(&id).status()));
    assert_eq!(frames(&mut viewer, 40, Duration::from_secs(20)).await.len(), 40);
    let params = house.hub(&id).params().unwrap();
    let video = params.video.as_ref().unwrap();
    assert_eq!((video.name(), video.width, video.height), (codec, 640, 480));
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_a_gstreamer_server_with_h264() {
    let source = "videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=20/1";
    let encoder = "x264enc tune=zerolatency key-int-max=20 ! rtph264pay name=pay0 pt=96";
    reads_gstreamer(&format!("( {source} ! {encoder} )"), "H.264").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_a_gstreamer_server_with_h265() {
    let source = "videotestsrc is-live=true ! video/x-raw,width=640,height=480,framerate=20/1";
    let encoder =
        "x265enc tune=zerolatency key-int-max=20 speed-preset=ultrafast ! rtph265pay name=pay0 pt=96";
    reads_gstreamer(&format!("( {source} ! {encoder} )"), "H.265").await;
}

/// Wants a camera so that it is pulled, without a viewer.
async fn wanted(house: &House, id: &CameraId) -> impl Drop + use<> {
    let interest = house.hub(id).want();
    tokio::task::yield_now().await;
    interest
}

/// A few bytes too much for each picture would end every camera after hours.
#[tokio::test(flavor = "multi_thread")]
async fn c27_what_a_cameras_session_holds_does_not_grow_with_its_pictures() {
    let fast = std::sync::Arc::new(camsim::clip::Clip::synthetic(200, 50, 3_000));
    let cameras = camera::start(&[("fast", fast), ("sound", camera::clip(AAC))]).await;
    let house = House::start().await;
    let fast = house.camera(&cameras.url("fast")).await;
    let sound =
        house.camera_like(&cameras.url("sound"), |camera| camera.audio_reason = Some("test".into())).await;
    for id in [fast, sound] {
        let _wanted = wanted(&house, &id).await;
        let hub = house.hub(&id);
        let get = |counter: fn(&Stats) -> &std::sync::atomic::AtomicU64| Stats::get(counter(hub.stats()));
        until(|| get(|stats| &stats.frames) > 100 && get(|stats| &stats.held_bytes) > 0).await;
        let (frames, held) = (get(|stats| &stats.frames), get(|stats| &stats.held_bytes));
        assert!(held < 1 << 20, "{held} bytes");
        // Sixteen bytes for each would be seen.
        until_within(Duration::from_secs(60), || get(|stats| &stats.frames) > frames + 1_000).await;
        let grown = get(|stats| &stats.held_bytes).saturating_sub(held);
        assert!(grown < 12_000, "{grown} bytes more after 1,000 pictures");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_with_a_password_is_read_and_a_wrong_one_is_said() {
    let login = Some(("admin", "right-password"));
    let cameras = camera::start_with_login(&[("a", camera::clip(H264))], login).await;
    let house = House::start().await;
    let with = |password: &'static str| {
        let url = cameras.url("a");
        let house = &house;
        async move {
            house
                .camera_like(&url, |camera| {
                    camera.username = Some("admin".into());
                    camera.password = Some(Secret::new(password));
                })
                .await
        }
    };
    let (right, wrong) = (with("right-password").await, with("wrong-password").await);
    let none = house.camera(&cameras.url("a")).await;
    let _wanted = (wanted(&house, &right).await, wanted(&house, &wrong).await, wanted(&house, &none).await);
    let state = |id| house.hub(id).status();
    until(|| state(&right).state == State::Live).await;
    until(|| state(&wrong).state == State::Refused).await;
    assert_eq!(&*state(&wrong).detail, "the camera refused the password");
    until(|| state(&none).state == State::Refused).await;
    assert_eq!(&*state(&none).detail, "the camera asks for a password and none is set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_not_tried_again_because_somebody_looks_again() {
    let cameras = camera::start_with_login(&[("a", camera::clip(H264))], Some(("admin", "right"))).await;
    let house = House::start().await;
    let id = house
        .camera_like(&cameras.url("a"), |camera| {
            camera.username = Some("admin".into());
            camera.password = Some(Secret::new("wrong"));
        })
        .await;
    let state = || house.hub(&id).status().state;
    let first = wanted(&house, &id).await;
    until(|| state() == State::Refused).await;
    assert_eq!(cameras.logins(), 1);
    drop(first);
    until(|| state() == State::Idle).await;
    let _again = wanted(&house, &id).await;
    until(|| state() == State::Refused).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cameras.logins(), 1, "the camera would lock its account");
}

#[tokio::test(flavor = "multi_thread")]
async fn c09_a_password_is_not_shown_to_who_asks_for_it_readably() {
    const BASIC: &str = "Basic realm=\"x\"";
    const DIGEST: &str = "Digest realm=\"x\", nonce=\"n\"";
    // One that asks readably at once, and ones that ask for a proof first: on the
    // connection before, in the answer before, or in the same words.
    let refused = "offers only Basic";
    impostor(&[BASIC], refused).await;
    impostor(&[DIGEST, BASIC], "refused the password").await;
    impostor(&[BASIC, DIGEST], refused).await;
    impostor(&["basic REALM=x"], refused).await;
    impostor(&["Bearer realm=\"x\", Basic realm=\"x\""], refused).await;
    impostor(&["Digest nonsense, Basic realm=\"x\""], "").await;
    impostor(&["Digest realm=\"x\", nonce=\"n\", algorithm=NONE, Basic realm=\"x\""], "").await;
}

/// A camera's place taken by somebody who makes these challenges in turn. They never
/// get the password, and the operator reads `detail`.
async fn impostor(challenges: &'static [&'static str], detail: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, mut said) = tokio::sync::mpsc::channel::<String>(64);
    let impostor = tokio::spawn(async move {
        let mut challenges = challenges.iter().cycle();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut buffer = vec![0; 4_096];
            while let Ok(read @ 1..) = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await {
                let _ = heard.send(String::from_utf8_lossy(&buffer[..read]).into_owned()).await;
                let text = String::from_utf8_lossy(&buffer[..read]);
                let sequence = text.split("CSeq: ").nth(1).and_then(|s| s.lines().next()).unwrap_or("1");
                let challenge = challenges.next().unwrap();
                let answer = format!(
                    "RTSP/1.0 401 Unauthorized\r\nCSeq: {sequence}\r\nWWW-Authenticate: {challenge}\r\n\r\n"
                );
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    let house = House::start().await;
    let id = house
        .camera_like(&format!("rtsp://{address}/a"), |camera| {
            camera.username = Some("admin".into());
            camera.password = Some(Secret::new("hunter2-hunter2"));
        })
        .await;
    let _wanted = wanted(&house, &id).await;
    until(|| !house.hub(&id).status().detail.is_empty()).await;
    // As often as the rules for refused logins let it: nobody waits for more.
    until(|| matches!(house.hub(&id).status().state, State::Refused | State::Offline)).await;
    let status = house.hub(&id).status();
    assert!(status.detail.contains(detail), "{challenges:?}: {status:?}");
    impostor.abort();
    let mut heard = 0;
    while let Ok(text) = said.try_recv() {
        heard += 1;
        let shown = ["hunter2", "aHVudGVyMi", "YWRtaW46"].iter().any(|form| text.contains(form));
        assert!(!shown && !text.to_lowercase().contains("authorization: basic"), "{challenges:?}: {text}");
    }
    assert!(heard > 0, "the camera was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_lies_hurts_only_its_own_stream() {
    let good = camera::start(&[("a", camera::clip(H264))]).await;
    let bad = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let (good_id, bad_id) = (house.camera(&good.url("a")).await, house.camera(&bad.url("a")).await);
    let _wanted = (wanted(&house, &good_id).await, wanted(&house, &bad_id).await);
    let live = |id| house.hub(id).status().state == State::Live;
    until(|| live(&good_id) && live(&bad_id)).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let mut viewer = Viewer::play(house.rtsp, &format!("{good_id}/main"), login).await.unwrap();
    let watching = tokio::spawn(async move { frames(&mut viewer, 110, Duration::from_secs(20)).await });
    for misbehave in [camsim::control::Control::garbage, camsim::control::Control::huge] {
        until(|| live(&bad_id)).await;
        misbehave(bad.control());
        until(|| !live(&bad_id)).await;
        until_within(Duration::from_secs(10), || live(&bad_id)).await;
    }
    let stamps = watching.await.unwrap();
    assert_eq!(stamps.len(), 110);
    assert!(stamps.windows(2).all(|w| w[1].wrapping_sub(w[0]) == 9_000), "the good one lost nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_at_one_byte_a_second_is_given_up_in_time() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    cameras.control().trickle(true);
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let _wanted = wanted(&house, &id).await;
    until_within(Duration::from_secs(8), || house.hub(&id).status().state == State::Offline).await;
    assert_eq!(&*house.hub(&id).status().detail, "the camera did not answer within 5 s");
    cameras.control().trickle(false);
    until(|| house.hub(&id).status().state == State::Live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_not_there_is_said_and_found_when_it_comes() {
    let house = House::start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let id = house.camera(&format!("rtsp://{address}/a")).await;
    let _wanted = wanted(&house, &id).await;
    until(|| house.hub(&id).status().state == State::Offline).await;
    assert_eq!(&*house.hub(&id).status().detail, "the camera cannot be reached: connection refused");
    let camera = camsim::Camera { path: "a".into(), clip: camera::clip(H264), other: None };
    let _cameras = camsim::start(address, vec![camera], None).await.unwrap();
    until_within(Duration::from_secs(3), || house.hub(&id).status().state == State::Live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_sends_by_udp_is_read_where_its_record_says_so() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera_like(&cameras.url("a"), |c| c.transport = domain::camera::Transport::Udp).await;
    let _wanted = wanted(&house, &id).await;
    until(|| Stats::get(&house.hub(&id).stats().frames) > 25).await;
    assert_eq!(house.hub(&id).status().state, State::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_always_on_camera_is_pulled_by_itself() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera_like(&cameras.url("a"), |c| c.pull = domain::camera::Pull::Always).await;
    until(|| Stats::get(&house.hub(&id).stats().frames) > 5).await;
}
