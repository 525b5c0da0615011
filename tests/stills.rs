//! Still pictures: the right camera's, with their age, decoded once for all who look.

use crate::support::camera::{self, AAC, H264, H265, SUB, media};
use crate::support::client::Client;
use crate::support::decoder::house;
use crate::support::foreign::run;
use crate::support::heartbeat::Heartbeat;
use crate::support::live::Live;
use crate::support::steady::Steady;
use crate::support::{House, until, viewings};
use domain::CameraId;
use domain::camera::{Pull, StreamKind, Visibility};
use domain::repository::Cameras as _;
use domain::role::Role;
use domain::viewing::ViewingTransport;
use relay::decoder::Counters;
use reqwest::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, LAST_MODIFIED, RETRY_AFTER};
use reqwest::{Method, Response};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the decode process is killed.
const WIDTHS: usize = 8;
/// A pause of a thread that has nothing to wait for.
const STOOD_STILL: Duration = Duration::from_millis(400);

async fn ask(client: &Client, camera: &CameraId, width: u16) -> Response {
    let path = format!("/api/v1/cameras/{camera}/snapshot.jpg?width={width}");
    client.request(Method::GET, &path).send().await.unwrap()
}

async fn jpeg(client: &Client, camera: &CameraId, width: u16) -> Vec<u8> {
    let response = ask(client, camera, width).await;
    let status = response.status();
    let body = response.bytes().await.unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    body.to_vec()
}

/// What `input` shows, small: 32 × 24 grey points.
async fn thumbnail(input: &str) -> Vec<u8> {
    let picture = ["-v", "error", "-i", input, "-frames:v", "1", "-vf", "scale=32:24:flags=area,format=gray"];
    let arguments = [&picture[..], &["-f", "rawvideo", "-"]].concat();
    let output = run("ffmpeg", &arguments, Duration::from_secs(60)).await;
    assert_eq!(output.stdout.len(), 768, "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The size of a picture, and how far it is from the first one of each clip: mean
/// difference of a point, of 255.
async fn compare(house: &House, jpeg: &[u8], clips: &[&str]) -> (String, Vec<u32>) {
    let path = house.folder.path("still.jpg");
    std::fs::write(&path, jpeg).unwrap();
    let path = path.to_str().unwrap();
    let probe = ["-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", path];
    let probed = run("ffprobe", &probe, Duration::from_secs(60)).await;
    let still = thumbnail(path).await;
    let mut distances = Vec::new();
    for clip in clips {
        let clip = thumbnail(media(clip).to_str().unwrap()).await;
        let sum: u32 = still.iter().zip(&clip).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        distances.push(sum / 768);
    }
    (String::from_utf8(probed.stdout).unwrap().trim().to_owned(), distances)
}

fn count(counter: fn(&Counters) -> &AtomicU64, house: &House) -> u64 {
    counter(house.decoder.counters()).load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_is_a_jpeg_of_the_right_camera_with_its_age() {
    let clips = [("gate", AAC), ("crossroad", H264), ("parking", H265)];
    let cameras = clips.map(|(path, clip)| (path, camera::clip(clip)));
    let cameras = camera::start(&cameras).await;
    let house = house("").await;
    let resident = house.sign_in_as(Role::Resident).await;
    for (n, (path, _)) in clips.into_iter().enumerate() {
        let id = house.camera(&cameras.url(path)).await;
        let response = ask(&resident, &id, 320).await;
        assert_eq!(response.status(), 200);
        let header = |name| response.headers()[&name].to_str().unwrap().to_owned();
        assert_eq!(header(CONTENT_TYPE), "image/jpeg");
        assert_eq!(header(CACHE_CONTROL), "private, no-store");
        let age: u64 = header(AGE).parse().unwrap();
        assert!(age <= 60, "{age} s");
        assert!(header(LAST_MODIFIED).ends_with(" GMT"), "{}", header(LAST_MODIFIED));
        let (size, distances) = compare(&house, &response.bytes().await.unwrap(), &[AAC, H264]).await;
        // The H.265 clip shows the same crossroads as the H.264 one.
        let (own, height) = if n == 0 { (0, 180) } else { (1, 240) };
        assert_eq!(size, format!("mjpeg,320,{height}"));
        assert!(distances[own] < 25 && distances[1 - own] > 2 * distances[own], "{path}: {distances:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_picture_comes_from_the_sub_stream_and_none_is_made_larger() {
    let cameras = camera::start(&[("a", camera::clip(H264)), ("a-sub", camera::clip(SUB))]).await;
    let house = house("").await;
    let id = house.camera_like(&cameras.url("a"), |c| c.sub_url = Some(cameras.url("a-sub"))).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let small = jpeg(&resident, &id, 640).await;
    assert_eq!(compare(&house, &small, &[]).await.0, "mjpeg,384,288");
    let large = jpeg(&resident, &id, 1920).await;
    assert_eq!(compare(&house, &large, &[]).await.0, "mjpeg,768,576");
    let between = jpeg(&resident, &id, 700).await;
    assert_eq!(compare(&house, &between, &[]).await.0, "mjpeg,768,576");
    for wrong in ["63", "1921", "-1", "wide", "640.5"] {
        let path = format!("/api/v1/cameras/{id}/snapshot.jpg?width={wrong}");
        assert_eq!(resident.get(&path).await.0, 422, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_frame_is_decoded_once_for_all_who_look() {
    // One key frame in 20 s, so that the next one does not come in between.
    let clip = std::sync::Arc::new(camsim::clip::Clip::read(&media(H264)).unwrap());
    let cameras = camera::start(&[("a", clip)]).await;
    let house = house("").await;
    let id = house.camera_like(&cameras.url("a"), |c| c.pull = Pull::Always).await;
    let mut viewers = Vec::new();
    for _ in 0..8 {
        viewers.push(house.sign_in_as(Role::Resident).await);
    }
    jpeg(&viewers[0], &id, 320).await;
    let hub = house.hub(&id);
    let (before, keys) = (count(|c| &c.decoded, &house), relay::hub::Stats::get(&hub.stats().frames));
    let all = viewers.iter().map(|viewer| jpeg(viewer, &id, 640));
    let all = futures_util::future::join_all(all).await;
    let decoded = count(|c| &c.decoded, &house) - before;
    let frames = relay::hub::Stats::get(&hub.stats().frames) - keys;
    // At 10 pictures a second a further key frame needs a while.
    let most = 1 + frames / 10;
    assert!((1..=most).contains(&decoded), "{decoded} decoded while {frames} frames came");
    assert!(all.iter().filter(|picture| **picture == all[0]).count() >= 4, "they share it");
    assert_eq!(count(|c| &c.failed, &house), 0);
}

/// C45.
#[tokio::test(flavor = "multi_thread")]
async fn c45_killing_the_decode_process_costs_no_viewer_a_frame_and_the_next_picture_comes() {
    let cameras = camera::start(&[("a", camera::clip(H264)), ("h265", camera::clip(H265))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let h265 = house.camera(&cameras.url("h265")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut steady = Steady::default();
    steady.websocket(&resident, &id).await;
    steady.rtsp(&house, &resident, &id).await;
    steady.whep(&resident, &id).await;
    steady.hls(&resident, &id).await;
    // What others watch is converted meanwhile.
    let path = format!("{h265}/main/live?video=h264");
    let mut converted = Live::try_open_at(&resident, &path).await.unwrap();
    converted.binary().await;
    jpeg(&resident, &id, 160).await;
    let (mut killed, heart) = (0, Heartbeat::start());
    let mut times = Vec::new();
    for width in [320, 640, 960, 1280].into_iter().cycle().take(WIDTHS) {
        steady.see(10).await;
        // The one that was started ahead for this picture.
        until(|| !house.decoder.processes().is_empty()).await;
        for id in house.decoder.processes() {
            let kill = std::process::Command::new("kill").args(["-9", &id.to_string()]).status();
            killed += u32::from(kill.unwrap().success());
        }
        heart.worst();
        let asked = Instant::now();
        jpeg(&resident, &id, width).await;
        times.push((asked.elapsed(), heart.worst()));
    }
    println!("next picture after, and the machine stood still for: {times:?}");
    // Of a trial during which the machine itself stood still nothing can be said.
    let told: Vec<_> = times.iter().filter(|(_, still)| *still < STOOD_STILL).collect();
    assert!(told.len() >= WIDTHS / 2, "the machine stands still: {times:?}");
    assert!(told.iter().all(|(took, _)| *took <= Duration::from_secs(2)), "{times:?}");
    assert!(killed >= 4, "{killed}");
    assert!(count(|c| &c.failed, &house) > 0, "a killed one was met");
    steady.see(10).await;
    println!("{:?}", steady.end().await);
    // It goes on with another process, and its viewer stays.
    for _ in 0..5 {
        converted.binary().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_gone_shows_its_last_picture_and_one_that_never_was_there_says_why() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let before = jpeg(&resident, &id, 320).await;
    cameras.control().refuse(true);
    cameras.control().drop_all();
    until(|| house.hub(&id).status().state == relay::hub::State::Offline).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let response = ask(&resident, &id, 320).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers()[AGE].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert!(!before.is_empty() && response.bytes().await.unwrap().starts_with(&[0xff, 0xd8]));

    let nobody = house.camera("rtsp://127.0.0.1:9/nobody").await;
    let asked = Instant::now();
    let response = ask(&resident, &nobody, 320).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key(RETRY_AFTER));
    let problem: serde_json::Value = response.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("cannot be reached"), "{detail}");
    println!("refused after {:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_decode_process_everything_else_works() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start_with(
        crate::support::database::Database::Sqlite,
        "[decode]\nprogram = \"/nowhere/sharp-eyes-decode\"",
    )
    .await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let response = ask(&resident, &id, 320).await;
    assert_eq!(response.status(), 503);
    let problem: serde_json::Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("no decode process"), "{problem}");
    Live::open(&resident, &id).await.binary().await;
    // Nothing was seen, so nothing is written down as seen.
    let rows = viewings(&house.store, &id).await;
    assert!(rows.iter().all(|row| row.transport != ViewingTransport::Snapshot));
}

/// C01, C18: looking at stills is one viewing with its bytes, and ends with the right.
#[tokio::test(flavor = "multi_thread")]
async fn c01_c18_stills_are_in_the_register_and_end_with_the_right() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut bytes = 0;
    for width in [160, 320, 320, 640] {
        bytes += jpeg(&resident, &id, width).await.len() as u64;
    }
    jpeg(&patrol, &id, 320).await;

    let mut camera = house.store.camera(&id).await.unwrap().unwrap();
    camera.visibility = Visibility::Patrol;
    house.store.update_camera(&camera).await.unwrap();
    house.changed();
    let withdrawn = Instant::now();
    loop {
        let last = ask(&resident, &id, 320).await;
        if last.status() == 404 {
            break;
        }
        if last.status() == 200 {
            bytes += last.bytes().await.unwrap().len() as u64;
        }
        assert!(withdrawn.elapsed() < Duration::from_secs(2), "still shown");
    }
    jpeg(&patrol, &id, 320).await;

    let mut mine = Vec::new();
    for _ in 0..400 {
        let rows = viewings(&house.store, &id).await;
        assert_eq!(rows.len(), 2, "one row a person: {rows:?}");
        mine = rows.into_iter().filter(|row| row.role == Role::Resident).collect();
        if mine[0].ended_at.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let row = &mine[0];
    assert!(row.ended_at.is_some() && row.transport == ViewingTransport::Snapshot);
    assert_eq!(row.stream, StreamKind::Main);
    assert!(row.bytes.abs_diff(bytes) * 100 <= bytes, "{} of {bytes}", row.bytes);
}
