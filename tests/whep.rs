//! Browsers watch by WebRTC: what is answered, what is sent, and who may change it.

use crate::support::camera::{self, H264, H265};
use crate::support::client::Client;
use crate::support::foreign::run;
use crate::support::whep::{self, FRAGMENT, Opened, SDP};
use crate::support::{House, until};
use camsim::clip::Clip;
use camsim::whep::{Came, Offer, Packet, Viewer, Wants, begins_key_frame};
use domain::CameraId;
use domain::role::Role;
use media::Codec;
use relay::hub::Stats;
use reqwest::Method;
use std::time::Duration;
use tokio::time::Instant;

/// Packets of the picture until one ends a frame.
async fn frame(viewer: &mut Viewer) -> Vec<Packet> {
    let video = viewer.answer().tracks[0].ssrc;
    let mut packets = Vec::new();
    loop {
        let packet = viewer.packet().await.unwrap();
        if packet.ssrc == video {
            let marker = packet.marker;
            packets.push(packet);
            if marker {
                return packets;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sees_a_key_frame_first_and_then_every_frame() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Resident).await;
    let mut viewer = whep::watch(&client, &camera).await;
    let promised = &viewer.answer().tracks;
    assert_eq!((promised.len(), promised[0].encoding.as_str()), (1, "H264/90000"));
    let mut last: Option<Packet> = None;
    for n in 0..60 {
        let packets = frame(&mut viewer).await;
        if n == 0 {
            assert!(begins_key_frame(&packets[0].payload));
        }
        for packet in packets {
            assert!(packet.sealed.len() <= 1_200);
            if let Some(last) = &last {
                assert_eq!(packet.sequence, last.sequence + 1);
                let step = packet.timestamp.wrapping_sub(last.timestamp);
                assert!(if last.marker { (1..90_000).contains(&step) } else { step == 0 });
            }
            last = Some(packet);
        }
    }
    // And the reports by which picture and sound keep together.
    loop {
        if let Came::Report(ssrc, _) = viewer.next().await.unwrap() {
            assert_eq!(ssrc, viewer.answer().tracks[0].ssrc);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_built_once_and_a_frame_leaves_in_one_call() {
    let cameras = camera::start(&[("a", camera::synthetic(25, 50, 10_000))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        viewers.push(whep::watch(&client, &camera).await);
    }
    let hub = house.hub(&camera);
    let count = |counter| Stats::get(counter);
    for viewer in &mut viewers {
        for _ in 0..50 {
            frame(viewer).await;
        }
    }
    let (payloads, frames) = (count(&hub.stats().payloads), count(&hub.stats().frames));
    assert!(payloads <= frames, "{payloads} of {frames}");
    let (calls, datagrams) = (count(&hub.stats().writes), count(&hub.stats().datagrams));
    // Nine packets a frame; a key frame's parameter sets are a call of their own.
    assert!(calls * 7 < datagrams, "{calls} calls for {datagrams} datagrams");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_in_the_middle_sees_a_picture_at_once_and_is_led_to_now() {
    let cameras = camera::start(&[("a", camera::synthetic(25, 250, 4_000))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let mut first = whep::watch(&client, &camera).await;
    // Well into the group of pictures.
    for _ in 0..60 {
        frame(&mut first).await;
    }
    let mut second = whep::watch(&client, &camera).await;
    let began = Instant::now();
    let mut stamps = Vec::new();
    for n in 0..60 {
        let packets = frame(&mut second).await;
        assert!(n > 0 || begins_key_frame(&packets[0].payload));
        stamps.push(packets[0].timestamp);
    }
    assert!(began.elapsed() < Duration::from_millis(2_000), "60 frames last 2.4 s, but they were there");
    let steps: Vec<u32> = stamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.iter().take(40).all(|step| *step == 90), "{steps:?}");
    // From then on as the camera has them, once what came meanwhile is there, too.
    let mut last = *stamps.last().unwrap();
    let mut steady = 0;
    for _ in 0..100 {
        let stamp = frame(&mut second).await[0].timestamp;
        steady += usize::from(stamp.wrapping_sub(last) > 2_000);
        last = stamp;
    }
    assert!(steady > 55, "{steady}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_lost_comes_again_the_same_to_the_last_bit() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let mut viewer = whep::watch(&client, &camera).await;
    for _ in 0..5 {
        frame(&mut viewer).await;
    }
    let lost = frame(&mut viewer).await.remove(0);
    viewer.nack(lost.ssrc, lost.sequence as u16, 0).await.unwrap();
    let again = async {
        loop {
            let packet = viewer.packet().await.unwrap();
            if packet.sequence == lost.sequence {
                return packet;
            }
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(10), again).await.expect("it is sent again");
    assert_eq!(again.sealed, lost.sealed);
    assert_eq!(Stats::get(&house.hub(&camera).stats().resent), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_key_frame_gets_the_newest_without_waiting_for_the_next() {
    let cameras = camera::start(&[("a", camera::synthetic(25, 1_000, 4_000))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let mut viewer = whep::watch(&client, &camera).await;
    let mut last = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        last = frame(&mut viewer).await[0].timestamp;
    }
    let ssrc = viewer.answer().tracks[0].ssrc;
    viewer.pli(ssrc).await.unwrap();
    // The next of the camera's own would come in forty seconds.
    let key = async {
        loop {
            let packets = frame(&mut viewer).await;
            let step = packets[0].timestamp.wrapping_sub(last);
            assert!(step < 90_000 * 10, "time goes on and never back: {step}");
            last = packets[0].timestamp;
            if begins_key_frame(&packets[0].payload) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), key).await.expect("a key frame comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_does_not_get_through_it_goes_by_tcp() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let Opened { offer, answer, .. } = whep::try_open(&client, &camera).await.unwrap();
    let mut viewer = Viewer::connect_tcp(offer, &answer).await.unwrap();
    let mut last = None;
    for n in 0..40 {
        for packet in frame(&mut viewer).await {
            assert!(n > 0 || last.is_some() || begins_key_frame(&packet.payload));
            assert!(last.is_none_or(|last| packet.sequence == last + 1));
            last = Some(packet.sequence);
        }
    }
    // It may come back by another connection, until its consent is over.
    drop(viewer);
    let interest = house.hub(&camera).interest();
    crate::support::until_within(Duration::from_secs(60), || *interest.borrow() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_changes_networks_goes_on_with_its_picture() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let mut viewer = whep::watch(&client, &camera).await;
    let mut last = frame(&mut viewer).await.pop().unwrap().sequence;
    for _ in 0..3 {
        viewer.roam().await.unwrap();
        for _ in 0..20 {
            let now = frame(&mut viewer).await.pop().unwrap().sequence;
            assert!(now > last);
            last = now;
        }
    }
    assert_eq!(house.whep.sessions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_by_another_connection_goes_on_at_a_key_frame() {
    // A key frame every forty seconds.
    let cameras = camera::start(&[("a", camera::synthetic(25, 1_000, 4_000))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let Opened { offer, answer, .. } = whep::try_open(&client, &camera).await.unwrap();
    let mut viewer = Viewer::connect_tcp(offer, &answer).await.unwrap();
    let mut last = 0;
    for _ in 0..20 {
        last = frame(&mut viewer).await.pop().unwrap().sequence;
    }
    viewer.reconnect(Duration::from_secs(2)).await.unwrap();
    let mut packets = frame(&mut viewer).await;
    assert!(packets[0].sequence > last && begins_key_frame(&packets[0].payload), "the two seconds are gone");
    last = packets.pop().unwrap().sequence;
    for _ in 0..20 {
        for packet in frame(&mut viewer).await {
            assert_eq!(packet.sequence, last + 1);
            last = packet.sequence;
        }
    }
}

/// A camera at a constant bitrate pads what is small.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_are_padded_end_where_they_should() {
    for filler in [20, 3_000] {
        let padded = std::sync::Arc::new(Clip::synthetic(25, 25, 6_000).with_filler(filler));
        let cameras = camera::start(&[("a", padded)]).await;
        let house = House::start().await;
        let camera = house.camera(&cameras.url("a")).await;
        let client = house.sign_in_as(Role::Patrol).await;
        let mut viewer = whep::watch(&client, &camera).await;
        let ten = async {
            for _ in 0..10 {
                let packets = frame(&mut viewer).await;
                let size: usize = packets.iter().map(|packet| packet.payload.len()).sum();
                assert!((6_000..6_200).contains(&size), "a frame, and nothing of the filler: {size}");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ten).await.expect("frames end with their markers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_offer_does_not_take_is_refused_with_what_to_do() {
    let cameras = camera::start(&[("a", camera::clip(H264)), ("b", camera::clip(H265))]).await;
    let house = House::start().await;
    let (h264, h265) = (house.camera(&cameras.url("a")).await, house.camera(&cameras.url("b")).await);
    let client = house.sign_in_as(Role::Patrol).await;
    let post = async |camera, kind, body: &str| {
        let response = whep::send(&client, Method::POST, &whep::path(camera), kind, body).await;
        let status = response.status().as_u16();
        let problem: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        (status, problem["detail"].as_str().unwrap().to_owned())
    };
    let offer = Offer::new(Wants::Everything).unwrap().sdp;
    let vp8 = Offer::new(Wants::Vp8).unwrap().sdp;
    for text in [&vp8, &offer.replace("packetization-mode=1", "packetization-mode=0")] {
        let (status, why) = post(&h264, SDP, text).await;
        assert!(status == 406 && why.contains("packetization-mode=1"), "{status} {why}");
        assert!(!why.contains("let the camera send"), "it does: {why}");
    }
    let (status, why) = post(&h265, SDP, &offer).await;
    assert!(status == 406 && why.contains("H.265") && why.contains("let the camera send H.264"), "{why}");
    let (status, why) = post(&h264, "application/json", &offer).await;
    assert!(status == 415 && why.contains(SDP), "{status} {why}");
    for (body, expected) in [
        ("", "v=0"),
        ("v=0\r\n", "no m= section"),
        (&offer.replace("a=fingerprint", "a=nothing"), "fingerprint"),
        (&offer.replace("a=setup:actpass", "a=setup:passive"), "actpass"),
    ] {
        let (status, why) = post(&h264, SDP, body).await;
        assert!(status == 400 && why.contains(expected), "{status} {why}");
    }
    let (status, why) = post(&h264, SDP, &offer.replace("a=recvonly", "a=sendonly")).await;
    assert!(status == 406 && why.contains("recvonly"), "{status} {why}");
    let (status, _) = post(&h264, SDP, &"x".repeat(100_000)).await;
    assert_eq!(status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_changed_and_ended_at_its_address() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let Opened { offer, answer, location, etag } = whep::try_open(&client, &camera).await.unwrap();
    let patch = async |etag: Option<&str>, kind: &str, body: &str| {
        let mut request = client.request(Method::PATCH, &location).header("content-type", kind);
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        request.body(body.to_owned()).send().await.unwrap()
    };
    let (fragment, again) = (offer.fragment(), Offer::new(Wants::Everything).unwrap());
    let mut viewer = Viewer::connect(offer, &answer).await.unwrap();
    frame(&mut viewer).await;

    // Candidates tell us nothing, and are welcome.
    let candidate =
        format!("{fragment}m=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n");
    assert_eq!(patch(Some(&etag), FRAGMENT, &candidate).await.status(), 204);
    assert_eq!(patch(None, FRAGMENT, &candidate).await.status(), 428);
    assert_eq!(patch(Some("\"another\""), FRAGMENT, &candidate).await.status(), 412);
    assert_eq!(patch(Some(&etag), SDP, &candidate).await.status(), 415);
    assert_eq!(patch(Some(&etag), FRAGMENT, "nonsense").await.status(), 400);

    // ICE begins anew, and the picture goes on.
    let restarted = patch(Some("*"), FRAGMENT, &again.fragment()).await;
    assert_eq!(restarted.status(), 200);
    let anew = restarted.headers()["etag"].to_str().unwrap().to_owned();
    assert_ne!(anew, etag);
    let restarted = restarted.text().await.unwrap();
    let place = |begin: &str| restarted.find(begin).expect(begin);
    assert!(place("m=video") < place("a=mid:0") && place("a=mid:0") < place("a=candidate"), "{restarted}");
    viewer.restart(&again, &restarted).await.unwrap();
    for _ in 0..30 {
        frame(&mut viewer).await;
    }
    assert_eq!(patch(Some(&etag), FRAGMENT, &again.fragment()).await.status(), 412, "the old mark");

    assert_eq!(client.delete(&location).await, 204);
    let end = async { while viewer.packet().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(10), end).await.expect("the end is said");
    assert!(!viewer.comes_after_the_end(Duration::from_millis(300)).await);
    until(|| *house.hub(&camera).interest().borrow() == 0).await;
    assert_eq!(client.delete(&location).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn c17_a_session_is_its_owners_alone_and_cannot_be_guessed() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let mine = house.sign_in_as(Role::Patrol).await;
    let others = [house.sign_in_as(Role::Owner).await, house.sign_in_as(Role::Patrol).await];
    let opened = whep::try_open(&mine, &camera).await.unwrap();
    let id = opened.location.rsplit('/').next().unwrap().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "128 bits: {id}");
    let Opened { offer, answer, location: theirs, etag } = opened;
    let fragment = offer.fragment();
    let mut viewer = Viewer::connect(offer, &answer).await.unwrap();
    // Who watches meanwhile notices nothing.
    let watching = tokio::spawn(async move {
        let mut packets = 0;
        while viewer.packet().await.is_ok() {
            packets += 1;
        }
        packets
    });

    let refusal = async |client: &Client, method: Method, path: &str| {
        let response = client
            .request(method, path)
            .header("content-type", FRAGMENT)
            .header("if-match", etag.as_str())
            .body(fragment.clone())
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let nothing = whep::path(&camera) + "/" + &"0".repeat(32);
    for method in [Method::PATCH, Method::DELETE] {
        let unknown = refusal(&mine, method.clone(), &nothing).await;
        assert_eq!(unknown.0, 404);
        for other in &others {
            assert_eq!(refusal(other, method.clone(), &theirs).await, unknown);
        }
        // Nor under another camera's or stream's name.
        let elsewhere = theirs.replace("/main/", "/sub/");
        assert_eq!(refusal(&mine, method.clone(), &elsewhere).await, unknown);
        assert_eq!(refusal(&house.client(), method, &theirs).await.0, 401);
    }
    // Ended ones, one's own and others', and what was never one.
    let ended = whep::try_open(&mine, &camera).await.unwrap().location;
    assert_eq!(mine.delete(&ended).await, 204);
    until(|| house.whep.sessions() == 1).await;
    let clients = [mine.clone(), others[0].clone(), others[1].clone()];
    let tries = (0..8u64).map(|task| {
        let (clients, ended, theirs, fragment) =
            (clients.clone(), ended.clone(), theirs.clone(), fragment.clone());
        let (etag, path) = (etag.clone(), whep::path(&camera));
        tokio::spawn(async move {
            for n in 0..1_250u64 {
                let number = u128::from(n * 8 + task).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
                let guess = format!("{path}/{number:032x}");
                let (client, address) = match n % 4 {
                    0 => (&clients[1 + (n / 4 % 2) as usize], &theirs),
                    1 => (&clients[(n % 3) as usize], &ended),
                    _ => (&clients[(n % 3) as usize], &guess),
                };
                let method = [Method::PATCH, Method::DELETE, Method::GET][(n / 4 % 3) as usize].clone();
                // Nothing is read at a session: that is the same for one's own and others'.
                let expected = if method == Method::GET { 405 } else { 404 };
                let request = client
                    .request(method.clone(), address)
                    .header("content-type", FRAGMENT)
                    .header("if-match", if n % 5 == 0 { "*" } else { etag.as_str() })
                    .body(fragment.clone());
                let got = request.send().await.unwrap().status();
                assert_eq!(got, expected, "{method} {address}, try {n} of task {task}");
            }
        })
    });
    for task in tries.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(!watching.is_finished());
    assert_eq!(mine.delete(&theirs).await, 204);
    assert!(watching.await.unwrap() > 100);
    assert_eq!(mine.delete(&theirs).await, 404, "and not after its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_connects_or_is_gone_holds_no_place() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    // As many as one person may have, …
    let mut count = 0;
    let refused = loop {
        match whep::try_open(&client, &camera).await {
            Ok(_) => count += 1,
            Err(status) => break status,
        }
    };
    // (more, if the first of them were over by then)
    assert!(count >= 128 && refused == 429, "{count}, {refused}");
    // … which does not trouble others, …
    let other = house.sign_in_as(Role::Patrol).await;
    let mut viewer = whep::watch(&other, &camera).await;
    frame(&mut viewer).await;
    // … and is over after a while without a viewer.
    let interest = house.hub(&camera).interest();
    crate::support::until_within(Duration::from_secs(60), || *interest.borrow() == 1).await;
    assert!(whep::try_open(&client, &camera).await.is_ok());
    // A viewer that goes on taking packets but never asks is gone, too.
    viewer.mute = true;
    let end = async { while viewer.packet().await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(60), end).await.expect("consent has ended");
}

/// What a WebRTC that is not ours says of the camera: after so many pictures, and with sound
/// in this codec.
async fn aiortc(client: &Client, camera: &CameraId, [pictures, sound]: [&str; 2]) -> serde_json::Value {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = format!("{root}/target/aiortc-venv/bin/python");
    let (script, cookie) = (format!("{root}/tests/aiortc/watch.py"), client.cookie.clone().unwrap());
    let arguments = [script.as_str(), &client.base, &whep::path(camera), &cookie, pictures, sound];
    let output = run(&python, &arguments, Duration::from_secs(90)).await;
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)))
}

/// Every byte of G.711 arrives as the camera sent it, in order, and is decoded.
#[tokio::test(flavor = "multi_thread")]
async fn the_sound_of_a_g711_camera_is_heard_sample_by_sample() {
    for (codec, name) in [(Codec::Pcma, "pcma"), (Codec::Pcmu, "pcmu")] {
        // Ten pictures a second for 3.2 seconds: the bytes go on counting in the next round.
        let clip = Clip::synthetic(10, 32, 2_000).with_g711(codec);
        let cameras = camera::start(&[("a", std::sync::Arc::new(clip))]).await;
        let house = House::start().await;
        let camera =
            house.camera_like(&cameras.url("a"), |camera| camera.audio_reason = Some("test".into())).await;
        let client = house.sign_in_as(Role::Resident).await;
        let said = aiortc(&client, &camera, ["0", name]).await;
        let expected = serde_json::json!({
            "status": 201, "samples": 8_000, "rate": 8_000, "format": "s16", "counts_on": true, "ended": 204
        });
        assert_eq!(said, expected, "{name}");
    }
}

/// With a WebRTC that shares nothing with ours: its ICE, DTLS, SRTP, depacketiser and
/// decoder are others'.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_not_ours_decodes_the_picture() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Resident).await;
    let said = aiortc(&client, &camera, ["40", ""]).await;
    let expected = serde_json::json!({
        "status": 201, "frames": 40, "size": [768, 576], "steady": true, "ended": 204
    });
    assert_eq!(said, expected);
}

/// A browser has six connections to the gateway: a wall of cameras that are away must leave it some.
#[tokio::test(flavor = "multi_thread")]
async fn an_offer_for_a_camera_that_is_away_is_answered_as_soon_as_that_is_known() {
    let (cameras, house) = (camera::start(&[("a", camera::clip(H264))]).await, House::start().await);
    let away = house.camera("rtsp://127.0.0.1:9/a").await;
    let back = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let took = async |camera| {
        let began = Instant::now();
        (whep::try_open(&client, camera).await.map(|_| ()), began.elapsed())
    };
    // Idle before, and known to be away before.
    for _ in 0..3 {
        let (answer, took) = took(&away).await;
        assert_eq!(answer, Err(503));
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    // Who asks has it tried again, and is not sent away if it is there by now.
    cameras.control().refuse(true);
    assert_eq!(took(&back).await.0, Err(503));
    cameras.control().refuse(false);
    let began = Instant::now();
    while took(&back).await.0.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is there");
    }
}
