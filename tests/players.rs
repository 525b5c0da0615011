//! People watch with RTSP players that are not ours, and the frames are the camera's.

use crate::support::camera::{self, AAC, H264, H265};
use crate::support::foreign::{frame_crcs, run};
use crate::support::marks::Unpacker;
use crate::support::{House, until};
use camsim::clip::Clip;
use camsim::screen::{Screen, Shown};
use camsim::viewers::{Viewer, frames};
use domain::camera::Pull;
use domain::role::Role;
use relay::hub::Stats;
use std::sync::Arc;
use std::time::Duration;

/// The frames of a player, found in the endless loop of the clip, in order and
/// without a gap.
fn assert_in_loop(got: &[String], clip: &[String]) {
    let first = clip.iter().position(|line| *line == got[0]).expect("the first frame is the clip's");
    for (n, line) in got.iter().enumerate() {
        assert_eq!(*line, clip[(first + n) % clip.len()], "frame {n} after the first");
    }
}

async fn compare(clip: &str, transport: &str, map: &str, codec: &str, frames: usize) {
    let cameras = camera::start(&[("a", camera::clip(clip))]).await;
    let house = House::start().await;
    let id = house.camera_like(&cameras.url("a"), |camera| camera.audio_reason = Some("test".into())).await;
    let key = house.sign_in_as(Role::Resident).await.key().await;
    let file = camera::media(clip);
    let all = frame_crcs(&["-i", file.to_str().unwrap()], map, codec, 100_000).await;
    let url = house.player_url(&key, &id);
    let got = frame_crcs(&["-rtsp_transport", transport, "-i", &url], map, codec, frames).await;
    assert_eq!(got.len(), frames);
    assert_in_loop(&got, &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_the_frames_of_an_h264_camera_by_tcp() {
    compare(H264, "tcp", "0:v", "h264", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_the_frames_of_an_h264_camera_by_udp() {
    compare(H264, "udp", "0:v", "h264", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_the_frames_of_an_h265_camera_by_tcp() {
    compare(H265, "tcp", "0:v", "hevc", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_the_frames_of_an_h265_camera_by_udp() {
    compare(H265, "udp", "0:v", "hevc", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_the_sound_of_an_aac_camera() {
    compare(AAC, "tcp", "0:a", "aac", 60).await;
    compare(AAC, "udp", "0:a", "aac", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_reads_a_stream() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Resident).await.key().await;
    let location = format!("location=rtsp://{}/{id}/main", house.rtsp);
    let (user, password) = (format!("user-id={}", key.login), format!("user-pw={}", key.key));
    for protocols in ["protocols=tcp", "protocols=udp"] {
        let pipeline = [
            "-v",
            "rtspsrc",
            &location,
            &user,
            &password,
            protocols,
            "latency=100",
            "!",
            "rtph264depay",
            "!",
            "avdec_h264",
            "!",
            "identity",
            "eos-after=20",
            "!",
            "fakesink",
            "silent=false",
        ];
        let output = run("gst-launch-1.0", &pipeline, Duration::from_secs(30)).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{protocols}: {text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.matches("chain").count() >= 19, "{protocols}: decoded pictures arrive: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_built_once_and_written_once_per_viewer() {
    const VIEWERS: usize = 20;
    // Two frames a second, so that no two frames share a wake-up.
    let clip = Arc::new(Clip::synthetic(2, 20, 20_000));
    let cameras = camera::start(&[("a", clip)]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let path = format!("{id}/main");
    let login = Some((key.login.as_str(), key.key.as_str()));
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        viewers.push(Viewer::play(house.rtsp, &path, login).await.unwrap());
    }
    // Past the burst of the last GOP, which leaves in one write by design.
    let end = tokio::time::Instant::now() + Duration::from_millis(700);
    futures_util::future::join_all(viewers.iter_mut().map(|viewer| viewer.drain(end))).await;
    let hub = house.hub(&id);
    let count = |counter| Stats::get(counter);
    let stats = hub.stats();
    let now = count(&stats.frames);
    until(|| count(&stats.frames) > now).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before =
        [count(&stats.frames), count(&stats.writes), count(&stats.images), count(&stats.copied_bytes)];
    let end = tokio::time::Instant::now() + Duration::from_secs(4);
    let bytes = futures_util::future::join_all(viewers.iter_mut().map(|viewer| viewer.drain(end))).await;
    // Sampled between two frames: they are half a second apart.
    let now = count(&stats.frames);
    until(|| count(&stats.frames) > now).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let frames = count(&stats.frames) - before[0];
    let writes = count(&stats.writes) - before[1];
    let images = count(&stats.images) - before[2];
    let copied = count(&stats.copied_bytes) - before[3];
    assert!(frames >= 6, "{frames} frames");
    assert_eq!(images, frames, "each frame is packetised once");
    assert_eq!(writes, frames * VIEWERS as u64, "one write per frame and viewer");
    // A frame is copied once for all: 20,000 bytes and 15 packet headers of 16 and 2 bytes.
    assert!(copied / frames < 21_000, "{} bytes copied per frame", copied / frames);
    let least = bytes.into_iter().map(Result::unwrap).min().unwrap();
    assert!(least >= (frames - 1) * 20_000, "every viewer got them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_its_first_picture_from_the_ring() {
    // A key frame every ten seconds.
    let cameras = camera::start(&[("a", Arc::new(Clip::synthetic(10, 100, 5_000)))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let (path, login) = (format!("{id}/main"), Some((key.login.as_str(), key.key.as_str())));
    let _first = Viewer::play(house.rtsp, &path, login).await.unwrap();
    let hub = house.hub(&id);
    // Well after a key frame, well before the next.
    until(|| Stats::get(&hub.stats().frames) % 100 == 40).await;
    let keys_before = Stats::get(&hub.stats().frames) / 100;
    let mut viewer = Viewer::play(house.rtsp, &path, login).await.unwrap();
    let stamps = frames(&mut viewer, 30, Duration::from_secs(3)).await;
    assert_eq!(stamps.len(), 30, "the last GOP comes at once");
    assert_eq!(Stats::get(&hub.stats().frames) / 100, keys_before, "no key frame came in between");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_viewer_disturbs_nobody_and_resumes_on_a_key_frame() {
    // 8 Mbit/s, so that a stalled viewer's kernel buffers are full soon.
    let cameras = camera::start(&[("a", Arc::new(Clip::synthetic(25, 25, 40_000)))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let (path, login) = (format!("{id}/main"), Some((key.login.as_str(), key.key.as_str())));
    let mut stalled = Viewer::play(house.rtsp, &path, login).await.unwrap();
    let mut viewers = Vec::new();
    for _ in 0..19 {
        viewers.push(Viewer::play(house.rtsp, &path, login).await.unwrap());
    }
    let hub = house.hub(&id);
    let lagged = || Stats::get(&hub.stats().lagged);
    let healthy = tokio::spawn(async move {
        let watch = viewers.iter_mut().map(|viewer| frames(viewer, 200, Duration::from_secs(12)));
        futures_util::future::join_all(watch).await
    });
    for stamps in healthy.await.unwrap() {
        assert_eq!(stamps.len(), 200);
        let gaps = stamps.windows(2).filter(|w| w[1].wrapping_sub(w[0]) != 3_600).count();
        assert_eq!(gaps, 0, "a healthy viewer lost a frame");
    }
    assert_eq!(lagged(), 0, "the stalled one has not moved");
    // It reads again: old frames out of the kernel, then a gap, then a key frame.
    let mut last: Option<u32> = None;
    let resumed = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let packet = stalled.packet().await.unwrap();
            if packet.channel != 0 {
                continue;
            }
            let stamp = u32::from_be_bytes(packet.bytes[4..8].try_into().unwrap());
            let gap = last.is_some_and(|last| stamp.wrapping_sub(last) > 3_600);
            last = Some(stamp);
            if gap {
                return packet.bytes[12] & 0x1f;
            }
        }
    });
    // Key frames begin with their SPS.
    assert_eq!(resumed.await.expect("it goes on"), 7);
    assert_eq!(lagged(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_nobody_watches_is_not_asked_for_anything() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let camera = cameras.hub("a").unwrap();
    assert_eq!(Stats::get(&camera.stats().writes), 0, "no packet has left the camera");
    assert_eq!(Stats::get(&house.hub(&id).stats().frames), 0);
    // And one that was watched is let go after the linger time.
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let mut viewer = Viewer::play(house.rtsp, &format!("{id}/main"), login).await.unwrap();
    assert_eq!(frames(&mut viewer, 3, Duration::from_secs(5)).await.len(), 3);
    drop(viewer);
    until(|| house.hub(&id).status().state == relay::hub::State::Idle).await;
    let writes = Stats::get(&camera.stats().writes);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Stats::get(&camera.stats().writes), writes);
    // What was held is no longer now: the next viewer waits for the camera.
    assert!(house.hub(&id).params().is_none());
    cameras.control().refuse(true);
    let refused = Viewer::play(house.rtsp, &format!("{id}/main"), login).await.err().unwrap();
    assert!(refused.to_string().contains("503"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_resolution_reaches_the_player() {
    let other = Some(camera::clip(camera::SUB));
    let cameras = camsim::start(
        "127.0.0.1:0".parse().unwrap(),
        vec![camsim::Camera { path: "a".into(), clip: camera::clip(H264), other }],
        None,
    )
    .await
    .unwrap();
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let mut viewer = Viewer::play(house.rtsp, &format!("{id}/main"), login).await.unwrap();
    assert_eq!(frames(&mut viewer, 3, Duration::from_secs(5)).await.len(), 3);
    let width = || house.hub(&id).params().and_then(|p| p.video.as_ref().map(|v| v.width));
    assert_eq!(width(), Some(768));
    cameras.control().other_resolution("a", true);
    until(|| width() == Some(384)).await;
    assert!(!frames(&mut viewer, 25, Duration::from_secs(5)).await.is_empty(), "the viewer stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_late_in_a_long_group_of_pictures_misses_none() {
    const GOP: u64 = 200;
    let cameras = camera::start(&[("a", Arc::new(Clip::marked(7, 50, 200)))]).await;
    let house = House::start().await;
    let id = house.camera_like(&cameras.url("a"), |camera| camera.pull = Pull::Always).await;
    let key = house.sign_in_as(Role::Patrol).await.key().await;
    // More than a viewer is given in one turn.
    let place = || Stats::get(&house.hub(&id).stats().frames) % GOP;
    until(|| (130..180).contains(&place())).await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let mut viewer = Viewer::play(house.rtsp, &format!("{id}/main"), login).await.unwrap();
    let (mut unpacker, mut screen, mut seen) = (Unpacker::default(), Screen::default(), 0);
    while seen < 300 {
        let packet = viewer.packet().await.unwrap();
        if packet.channel != 0 {
            continue;
        }
        let sequence = u16::from_be_bytes([packet.bytes[2], packet.bytes[3]]);
        for shown in unpacker.push(sequence, &packet.bytes[12..]).iter().filter_map(|nal| screen.show(nal)) {
            assert!(matches!(shown, Shown::Mark(_)), "{shown:?} after {seen} pictures");
            seen += 1;
        }
    }
}
