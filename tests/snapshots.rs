//! Still pictures as `curl` gets them: they say which camera they are of, how old they
//! are, and nothing of where a camera was before.

use crate::support::camera;
use crate::support::client::Client;
use crate::support::decoder::house;
use crate::support::foreign::run;
use crate::support::marks::of_jpegs;
use crate::support::{House, until};
use camsim::clip::Clip;
use camsim::mark::Mark;
use domain::CameraId;
use domain::role::Role;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const FPS: u32 = 25;
const GOP: u32 = 50;

/// The status, the age in seconds if there is one, and the body that curl gets.
async fn curl(house: &House, client: &Client, camera: &CameraId, width: u16) -> (u16, Option<u64>, Vec<u8>) {
    let file = house.folder.path(&format!("{camera}-{width}-{:?}.jpg", std::time::Instant::now()));
    let file = file.to_str().unwrap();
    let url = format!("http://{}/api/v1/cameras/{camera}/snapshot.jpg?width={width}", house.http);
    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    let said = "%{http_code} %header{age} %{content_type}";
    let arguments = ["-sS", "-o", file, "-H", &cookie, "-w", said, &url];
    let output = run("curl", &arguments, Duration::from_secs(60)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let words: Vec<_> = said.split(' ').collect();
    if words[0] == "200" {
        assert_eq!(words[2], "image/jpeg");
    }
    (words[0].parse().unwrap(), words[1].parse().ok(), std::fs::read(file).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gets_a_jpeg_of_the_right_camera_with_its_age() {
    let numbers = [3u16, 200, 4_711, 40_000, 65_535];
    let paths = numbers.map(|number| format!("camera-{number}"));
    let clips: Vec<_> = paths
        .iter()
        .zip(numbers)
        .map(|(path, number)| (path.as_str(), Arc::new(Clip::marked(number, FPS, GOP))))
        .collect();
    let cameras = camera::start(&clips).await;
    let house = house("").await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut ids = Vec::new();
    for path in &paths {
        ids.push(house.camera(&cameras.url(path)).await);
    }
    // All at once, in widths that share a picture and widths that do not, more than once.
    let mut asked = Vec::new();
    for width in [64, 160, 161, 320, 500, 640, 1_280, 1_920, 161, 500] {
        asked.extend(ids.iter().zip(numbers).map(|(id, number)| (id, number, width)));
    }
    let answers = asked.iter().map(|(id, _, width)| curl(&house, &resident, id, *width));
    let answers = futures_util::future::join_all(answers).await;
    let mut jpegs = Vec::new();
    for (status, age, jpeg) in answers {
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&jpeg));
        assert!(age.is_some_and(|age| age < 60), "{age:?}");
        jpegs.push(jpeg);
    }
    for (mark, (_, number, width)) in of_jpegs(&jpegs).await.into_iter().zip(&asked) {
        let Mark { camera, frame } = mark.unwrap_or_else(|| panic!("no mark at {width} of {number}"));
        assert_eq!(camera, *number, "at {width}");
        assert_eq!((frame - 1) % GOP, 0, "a key frame");
    }
    assert!(house.decoder.counters().cached.load(Ordering::Relaxed) > 0, "some were there already");
}

/// The camera's address changes: what is kept shows another place.
#[tokio::test(flavor = "multi_thread")]
async fn c06_a_camera_that_moves_shows_nothing_of_where_it_was() {
    let clips = [("one", 1u16), ("two", 2)].map(|(path, n)| (path, Arc::new(Clip::marked(n, FPS, GOP))));
    let cameras = camera::start(&clips).await;
    let house = house("").await;
    let (resident, owner) = (house.sign_in_as(Role::Resident).await, house.sign_in_as(Role::Owner).await);
    let id = house.camera(&cameras.url("one")).await;
    let to = async |url: String| {
        let before = tokio::time::Instant::now();
        let (status, _) = owner.patch(&format!("/api/v1/cameras/{id}"), json!({ "main_url": url })).await;
        assert_eq!(status, 200);
        until(|| house.hub(&id).source_since() >= before).await;
    };
    let shown = async || {
        let (status, _, jpeg) = curl(&house, &resident, &id, 320).await;
        if status == 200 { of_jpegs(&[jpeg]).await[0].map(|mark| mark.camera) } else { None }
    };
    assert_eq!(shown().await, Some(1));
    to(cameras.url("two")).await;
    assert_eq!(shown().await, Some(2));
    // To where nobody answers: better no picture than one of another place.
    to("rtsp://127.0.0.1:9/nobody".into()).await;
    assert_eq!(shown().await, None);
    to(cameras.url("one")).await;
    assert_eq!(shown().await, Some(1));
}
