//! Streams in another codec, for viewers that cannot play what a camera sends.

use crate::support::camera::{self, AAC, H264, H265};
use crate::support::client::Client;
use crate::support::decoder::house;
use crate::support::foreign::run;
use crate::support::live::{Heard, Live};
use crate::support::{House, until, until_within, viewings, whep};
use domain::CameraId;
use domain::role::Role;
use relay::hub::Stats;
use std::collections::BTreeSet;
use std::time::Duration;

async fn open(client: &Client, camera: &CameraId, query: &str) -> Live {
    Live::try_open_at(client, &format!("{camera}/main/live?{query}")).await.unwrap()
}

fn kill(id: u32) -> bool {
    std::process::Command::new("kill").args(["-9", &id.to_string()]).status().unwrap().success()
}

/// Takes `count` fragments behind the init segment, as a file.
async fn file(live: &mut Live, count: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for _ in 0..=count {
        file.extend(live.binary().await);
    }
    file
}

/// What FFmpeg makes of a file: the lines of each stream, decoded to the last frame.
async fn probe(house: &House, file: &[u8], entries: &str) -> Vec<String> {
    let path = house.folder.path("rendition.mp4");
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let entries = format!("stream={entries}");
    let arguments = ["-v", "error", "-count_frames", "-show_entries", &entries, "-of", "csv=p=0", path];
    let output = run("ffprobe", &arguments, Duration::from_secs(60)).await;
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The decode time of a fragment: its `tfdt` (ISO 14496-12, 8.8.12).
fn decode_time(fragment: &[u8]) -> Option<u64> {
    let at = fragment.windows(4).position(|four| four == b"tfdt")?;
    Some(u64::from_be_bytes(fragment.get(at + 8..at + 16)?.try_into().ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h265_camera_is_seen_as_h264_by_who_asks_and_as_h265_by_who_does_not() {
    let cameras = camera::start(&[("a", camera::clip(H265))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = open(&resident, &id, "video=h264").await;
    let mime = live.text("init").await["mime"].as_str().unwrap().to_owned();
    assert!(mime.starts_with("video/mp4; codecs=\"avc1.42c0"), "Constrained Baseline: {mime}");
    let file = file(&mut live, 30).await;
    assert_eq!(probe(&house, &file, "codec_name,width,height,nb_read_frames").await, ["h264,768,576,30"]);
    let mut plain = open(&resident, &id, "purpose=resident_view").await;
    let mime = plain.text("init").await["mime"].as_str().unwrap().to_owned();
    assert!(mime.contains("hvc1."), "{mime}");
    // It is one and the same stream that they were admitted to.
    let rows = viewings(&house.store, &id).await;
    assert_eq!(rows.len(), 2);
    for wrong in ["video=av1", "audio=mp3", "video="] {
        let path = format!("{id}/main/live?{wrong}");
        assert_eq!(Live::try_open_at(&resident, &path).await.err(), Some(422), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_the_cameras_and_a_key_picture_comes_every_two_seconds() {
    let cameras = camera::start(&[("a", camera::clip(H265))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = open(&resident, &id, "video=h264").await;
    let (mut times, mut file) = (Vec::new(), Vec::new());
    while times.len() < 50 {
        let bytes = live.binary().await;
        times.extend(decode_time(&bytes));
        file.extend(bytes);
    }
    // Ten pictures a second: 9,000 ticks of 90 kHz.
    let steps: BTreeSet<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    let steady = times.windows(2).filter(|two| two[1] - two[0] == 9_000).count();
    assert!(steady >= 47, "{steps:?}");
    let keys = probe_keys(&house, &file).await;
    assert_eq!(keys.first(), Some(&0));
    assert!(keys.windows(2).all(|two| two[1] - two[0] <= 20), "{keys:?}");
    assert!(keys.len() >= 3, "{keys:?}");
}

async fn probe_keys(house: &House, file: &[u8]) -> Vec<usize> {
    let path = house.folder.path("keys.mp4");
    std::fs::write(&path, file).unwrap();
    let arguments = ["-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0"];
    let output =
        run("ffprobe", &[&arguments[..], &[path.to_str().unwrap()]].concat(), Duration::from_secs(60)).await;
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().enumerate().filter(|(_, line)| line.starts_with('K')).map(|(n, _)| n).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn aac_becomes_opus_and_the_picture_goes_through_as_it_is() {
    let cameras = camera::start(&[("a", camera::clip(AAC))]).await;
    let house = house("").await;
    let id = house.camera_like(&cameras.url("a"), |c| c.audio_reason = Some("test".into())).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = open(&resident, &id, "audio=opus").await;
    let mime = live.text("init").await["mime"].as_str().unwrap().to_owned();
    assert!(mime.contains("avc1.64") && mime.contains("opus"), "High profile is kept: {mime}");
    let file = file(&mut live, 150).await;
    let lines = probe(&house, &file, "codec_name,sample_rate,channels,nb_read_frames,r_frame_rate").await;
    let sound = lines.iter().find(|line| line.contains("opus")).expect("sound");
    assert!(sound.starts_with("opus,48000,1,"), "{lines:?}");
    let packets: usize = sound.rsplit(',').next().unwrap().parse().unwrap();
    assert!(packets > 50, "{lines:?}");
    // It is heard: FFmpeg's volume is that of the camera's sound, not silence.
    let path = house.folder.path("rendition.mp4");
    let volume = [
        "-hide_banner",
        "-i",
        path.to_str().unwrap(),
        "-map",
        "0:a",
        "-af",
        "volumedetect",
        "-f",
        "null",
        "-",
    ];
    let output = run("ffmpeg", &volume, Duration::from_secs(60)).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let mean = text.split("mean_volume: ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(mean.parse::<f32>().unwrap() > -60.0, "{mean} dB");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_viewers_share_one_process_and_it_ends_after_the_last() {
    let cameras = camera::start(&[("a", camera::clip(H265)), ("b", camera::clip(H264))]).await;
    let house = house("conversions = 1").await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut first = open(&patrol, &id, "video=h264").await;
    first.binary().await;
    let mut second = open(&patrol, &id, "video=h264").await;
    second.binary().await;
    assert_eq!(house.decoder.processes().len(), 1);
    assert_eq!(Stats::get(&house.decoder.counters().started), 1);

    // A camera that sends H.264 needs none.
    let plain = house.camera(&cameras.url("b")).await;
    open(&patrol, &plain, "video=h264").await.binary().await;
    assert_eq!(house.decoder.processes().len(), 1);

    // One more camera is one too many.
    let other = house.camera(&cameras.url("a")).await;
    let _wanted = house.hub(&other).want();
    until(|| house.hub(&other).params().is_some()).await;
    let path = format!("{other}/main/live?video=h264");
    assert_eq!(Live::try_open_at(&patrol, &path).await.err(), Some(503));

    drop((first, second));
    // Fifteen seconds later.
    until_within(Duration::from_secs(60), || house.decoder.processes().is_empty()).await;
    // Now there is a place.
    open(&patrol, &other, "video=h264").await.binary().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_is_replaced_and_its_viewers_stay() {
    let cameras = camera::start(&[("a", camera::clip(H265))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let mut plain = open(&resident, &id, "").await;
    let watching = tokio::spawn(async move {
        let (mut last, mut lagged) = (None, 0);
        while stopped.try_recv().is_err() {
            match plain.next().await {
                Heard::Binary(bytes) => {
                    let time = decode_time(&bytes);
                    assert!(time.is_none() || last.is_none() || time > last, "{last:?} then {time:?}");
                    last = time.or(last);
                }
                Heard::Text(text) => lagged += u32::from(text["type"] == "lagged"),
                Heard::Closed(code) => panic!("closed with {code:?}"),
            }
        }
        lagged
    });
    let mut live = open(&resident, &id, "video=h264").await;
    let mut file = file(&mut live, 10).await;
    let (mut last, mut frames) = (None, 10);
    for _ in 0..3 {
        let before = house.decoder.processes();
        assert!(before.len() == 1 && kill(before[0]));
        let enough = frames + 30;
        while frames < enough {
            match live.next().await {
                Heard::Binary(bytes) => {
                    if let Some(time) = decode_time(&bytes) {
                        assert!(last.is_none_or(|last| time > last), "{last:?} then {time}");
                        last = Some(time);
                        frames += 1;
                    }
                    file.extend(bytes);
                }
                Heard::Text(_) => {}
                Heard::Closed(code) => panic!("closed with {code:?}"),
            }
        }
        let after = house.decoder.processes();
        assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    }
    // What came before and after is one stream that decodes without a fault.
    let lines = probe(&house, &file, "codec_name,nb_read_frames").await;
    assert_eq!(lines, ["h264,100"]);
    // The new process begins with a key picture where the old one left off. The camera's
    // own ones, where it would begin otherwise, are twenty pictures apart.
    let keys = probe_keys(&house, &file).await;
    assert!(keys.iter().any(|key| key % 20 != 0), "{keys:?}");
    // Whoever watches the camera itself has noticed nothing.
    stop.send(()).unwrap();
    assert_eq!(watching.await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_a_rendition_stay_through_an_outage_of_the_camera() {
    let cameras = camera::start(&[("a", camera::clip(H265))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = open(&resident, &id, "video=h264").await;
    live.binary().await;
    cameras.control().refuse(true);
    cameras.control().drop_all();
    while live.text("state").await["state"] != "reconnecting" {}
    cameras.control().refuse(false);
    while live.text("state").await["state"] != "live" {}
    live.binary().await;
}

/// C01: the right to a stream is the right to each form of it.
#[tokio::test(flavor = "multi_thread")]
async fn c01_a_rendition_ends_with_the_right() {
    let cameras = camera::start(&[("a", camera::clip(H265))]).await;
    let house = house("").await;
    let id = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let mut live = open(&resident, &id, "video=h264").await;
    live.binary().await;
    assert_eq!(resident.delete("/api/v1/session").await, 204);
    assert_eq!(live.closed().await, Some(4001));
}

/// Browsers take neither H.265 nor AAC by WebRTC: the offer says so, and nobody asks for more.
#[tokio::test(flavor = "multi_thread")]
async fn webrtc_brings_what_the_offer_takes() {
    let cameras = camera::start(&[("a", camera::clip(H265)), ("b", camera::clip(AAC))]).await;
    let house = house("").await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    for (path, sound) in [("a", false), ("b", true)] {
        let id = house.camera_like(&cameras.url(path), |c| c.audio_reason = Some("test".into())).await;
        let mut browser = whep::watch(&patrol, &id).await;
        let tracks = &browser.answer().tracks;
        let ssrc = |encoding: &str| {
            tracks.iter().find(|t| t.encoding.to_lowercase().starts_with(encoding)).map(|t| t.ssrc)
        };
        let (picture, heard) = (ssrc("h264").unwrap(), ssrc("opus"));
        assert_eq!(heard.is_some(), sound, "{path}: {tracks:?}");
        let (mut pictures, mut key, mut packets) = (0, false, 0);
        let coming = async {
            while pictures < 20 || (sound && packets < 20) {
                let packet = browser.packet().await.unwrap();
                if Some(packet.ssrc) == heard {
                    packets += 1;
                } else if packet.ssrc == picture {
                    key |= camsim::whep::begins_key_frame(&packet.payload);
                    pictures += usize::from(packet.marker);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), coming).await.expect("a picture and its sound come");
        assert!(key, "{path}: a decoder can begin");
    }
}
