//! WebRTC among strangers and on bad lines: forged packets end nobody's session (C28),
//! a slow viewer is nobody else's trouble (C29), and what a line loses comes again.

use crate::support::House;
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::middle::{Middle, Weather};
use crate::support::process::{Gateway, serve};
use crate::support::whep::{self, FRAGMENT, Opened};
use camsim::clip::Clip;
use camsim::whep::{Came, Viewer, begins_key_frame};
use domain::CameraId;
use domain::role::Role;
use is::DefaultSha1HmacProvider;
use is::Sha1HmacProvider as _;
use is::stun::{StunMessage, TransId};
use relay::hub::Stats;
use relay::whep::Certificate;
use reqwest::Method;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::Instant;

/// The first message of somebody else's handshake.
fn client_hello() -> Vec<u8> {
    let config = Arc::new(dimpl::Config::builder().build().unwrap());
    let certificate = Certificate::generate().unwrap().for_dtls();
    let mut dtls = dimpl::Dtls::new_12(config, certificate, Instant::now().into_std());
    dtls.set_active(true);
    dtls.handle_timeout(Instant::now().into_std()).unwrap();
    let mut buffer = vec![0; 2_048];
    loop {
        match dtls.poll_output(&mut buffer) {
            dimpl::Output::Packet(packet) => return packet.to_vec(),
            dimpl::Output::Timeout(_) => panic!("no first message"),
            _ => {}
        }
    }
}

fn check(username: &str, password: &str) -> Vec<u8> {
    let message = StunMessage::binding_request(username, TransId::new(), true, 7, 1, true);
    let mut buffer = [0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let length = message.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).unwrap();
    buffer[..length].to_vec()
}

/// What everybody can know of a session who reads the answer over somebody's shoulder,
/// but not its password.
async fn open(client: &Client, camera: &CameraId) -> (Opened, String) {
    let opened = whep::try_open(client, camera).await.unwrap();
    let theirs = opened.offer.fragment();
    let theirs = theirs.lines().next().unwrap().split(':').nth(1).unwrap().to_owned();
    let username = format!("{}:{theirs}", opened.etag.trim_matches('"'));
    (opened, username)
}

/// Bodies of a PATCH that no fragment looks like.
const JUNK: [&str; 8] = [
    "",
    "a=ice-ufrag:\u{0}\r\n",
    "a=ice-ufrag:abcd\r\n",
    "a=ice-pwd:0123456789012345678901\r\n",
    "a=ice-ufrag:abcd\r\na=ice-pwd:short\r\n",
    "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n",
    "no line of anything",
    "m=video 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:\r\n",
];

/// Junk of every kind, `count` of each.
async fn flood(count: usize, username: &str, mut send: impl AsyncFnMut(&[u8])) {
    let hello = client_hello();
    let wrong = check(username, "not the password at all");
    let mut rtp = vec![0x80, 0xe0];
    rtp.resize(1_000, 0x5a);
    let mut rtcp = vec![0x81, 205];
    rtcp.resize(200, 0x5a);
    for n in 0..count {
        for packet in [&wrong, &rtp, &rtcp, &hello] {
            let mut packet = packet.clone();
            // Numbers that change, and now and then a packet that is cut off.
            if packet[0] >= 128 {
                packet[3] = n as u8;
            }
            packet.truncate(if n % 7 == 0 { packet.len() / 2 } else { packet.len() });
            send(&packet).await;
        }
    }
}

/// Numbers of the picture's packets, while frames come.
async fn watch_for(viewer: &mut Viewer, time: Duration) -> Vec<u64> {
    let (end, mut numbers) = (Instant::now() + time, Vec::new());
    while let Ok(came) = tokio::time::timeout_at(end, viewer.next()).await {
        match came.expect("the session goes on") {
            Came::Packet(packet) => numbers.push(packet.sequence),
            Came::Report(..) => {}
            Came::Bye => panic!("the session was ended"),
        }
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn c28_nobody_is_answered_who_has_not_proven_to_be_there() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let (opened, username) = open(&client, &camera).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = opened.answer.udp;
    flood(200, &username, async |packet| {
        let _ = stranger.send_to(packet, at).await;
    })
    .await;
    let mut buffer = [0; 2_048];
    let heard = tokio::time::timeout(Duration::from_millis(500), stranger.recv(&mut buffer)).await;
    assert!(heard.is_err(), "{heard:?}");
    // The one it was made for comes all the same.
    let mut viewer = Viewer::connect(opened.offer, &opened.answer).await.unwrap();
    assert!(begins_key_frame(&viewer.packet().await.unwrap().payload));
}

#[tokio::test(flavor = "multi_thread")]
async fn c28_a_forged_first_message_and_floods_end_no_session() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let (opened, username) = open(&client, &camera).await;
    let middle = Middle::start(opened.answer.udp, Weather::default()).await;
    let mut cut = client_hello();
    cut.truncate(40);
    let mut broken = client_hello();
    broken[30..60].fill(0xff);
    middle.lie_in_wait(vec![client_hello(), cut, broken, client_hello()]);
    let mut viewer = Viewer::connect_at(opened.offer, &opened.answer, middle.address).await.unwrap();
    viewer.packet().await.unwrap();

    // From the viewer's own address, from elsewhere, and over HTTP.
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, location, etag) = (opened.answer.udp, opened.location.clone(), opened.etag.clone());
    let abuse = async {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            flood(100, &username, async |packet| {
                middle.forge(packet).await;
                let _ = stranger.send_to(packet, at).await;
            })
            .await;
            for junk in JUNK {
                let patch = client
                    .request(Method::PATCH, &location)
                    .header("content-type", FRAGMENT)
                    .header("if-match", etag.as_str())
                    .body(junk);
                let answer = patch.send().await.unwrap();
                assert_eq!(answer.status(), 400, "{junk:?}: {}", answer.text().await.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (numbers, ()) = tokio::join!(watch_for(&mut viewer, Duration::from_secs(4)), abuse);
    assert!(numbers.len() > 20, "{}", numbers.len());
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "nothing was lost");
    assert_eq!(client.delete(&opened.location).await, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn c28_before_consent_less_comes_out_than_went_in() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let (opened, username) = open(&client, &camera).await;
    let middle = Middle::start(opened.answer.udp, Weather::default()).await;
    let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    flood(100, &username, async |packet| {
        let _ = inside.send_to(packet, middle.address).await;
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (to, from) = middle.bytes();
    assert!(to > 10_000 && from == 0, "{to} in, {from} out");
}

/// Whoever is signed in knows a session's password, and can write any sender on a check.
#[tokio::test(flavor = "multi_thread")]
async fn c28_an_address_that_is_written_on_a_check_is_sent_less_than_was_said_in_its_name() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let opened = whep::try_open(&client, &camera).await.unwrap();
    let at = opened.answer.udp;
    let mut viewer = Viewer::connect(opened.offer, &opened.answer).await.unwrap();
    viewer.packet().await.unwrap();
    let victim = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut said, mut heard, mut buffer) = (0, 0, [0; 2_048]);
    for n in 0..40 {
        // Once, as it takes no more to be sent 2 Mbit/s for half a minute; then on and on, with
        // what comes after a check.
        let mut packets = vec![viewer.check()];
        if n > 20 {
            packets.push(client_hello());
            packets.push([&[0x81, 205][..], &[0x5a; 198]].concat());
        }
        for packet in packets.iter().filter(|_| n == 0 || n > 10) {
            said += victim.send_to(packet, at).await.unwrap();
        }
        let end = Instant::now() + Duration::from_millis(100);
        while let Ok(got) = tokio::time::timeout_at(end, victim.recv(&mut buffer)).await {
            heard += got.unwrap();
            assert!(heard <= said, "{heard} bytes to who said {said}");
        }
        // And the picture goes on where it went.
        let numbers = watch_for(&mut viewer, Duration::from_millis(100)).await;
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    }
    assert!(heard > 0, "a check is answered");
    let numbers = watch_for(&mut viewer, Duration::from_secs(2)).await;
    assert!(numbers.len() > 20, "{}", numbers.len());
}

/// The CPU time that a process has used, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    // utime and stime, in hundredths on every Linux.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

#[tokio::test(flavor = "multi_thread")]
async fn c28_ten_thousand_packets_of_junk_a_second_cost_less_than_a_core() {
    const PACKETS: usize = 50_000;
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    // A process of its own, so that its CPU time is its own.
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let settings = house.settings.clone();
    let folder = house.stop().await;
    let free = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [http, webrtc] = [0, 1].map(free);
    let config = format!(
        "[http]\nlisten = \"{http}\"\n[rtsp]\nlisten = \"\"\n[webrtc]\nlisten = \"{webrtc}\"\n\
         [database]\nurl = \"{}\"\n[secrets]\nkey_file = \"{}\"\n[audit]\nspool_file = \"\"\n\
         [events]\nspool_file = \"\"\n[disk]\nreserve_bytes = 0\n[log]\nfilter = \"error\"\n\
         [cameras]\nallow_networks = [\"127.0.0.0/8\"]\n",
        settings.database,
        settings.key_file.display()
    );
    std::fs::write(folder.path("config.toml"), config).unwrap();
    let gateway = Gateway::start(serve(&folder));
    let mut client = Client::new(gateway.address);
    client.cookie = patrol.cookie;

    let (opened, username) = open(&client, &camera).await;
    let middle = Middle::start(opened.answer.udp, Weather::default()).await;
    let mut viewer = Viewer::connect_at(opened.offer, &opened.answer, middle.address).await.unwrap();
    viewer.packet().await.unwrap();
    // What is wrong, and what has the right password, too.
    let mut junk = Vec::new();
    flood(7, &username, async |packet| junk.push(packet.to_vec())).await;
    junk.push(viewer.check());
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, before, began) = (opened.answer.udp, cpu_seconds(gateway.pid()), Instant::now());
    let abuse = async {
        for n in 0..PACKETS {
            let packet = &junk[n % junk.len()];
            // Every other one from the viewer's own address.
            if n % 2 == 0 {
                middle.forge(packet).await;
            } else {
                let _ = stranger.send_to(packet, at).await;
            }
            if n % 100 == 99 {
                tokio::time::sleep_until(began + Duration::from_micros(100) * n as u32).await;
            }
        }
    };
    let (numbers, ()) = tokio::join!(watch_for(&mut viewer, Duration::from_secs(6)), abuse);
    let (took, spent) = (began.elapsed(), cpu_seconds(gateway.pid()) - before);
    let a_second = spent / PACKETS as f64 * 10_000.0;
    println!(
        "{PACKETS} packets in {took:?} took {spent:.2} CPU-s: {a_second:.2} of a core at 10,000 a second"
    );
    assert!(a_second <= 1.0, "{a_second}");
    // The session has survived, and so has its picture.
    assert!(numbers.len() > 20, "{}", numbers.len());
    assert!(watch_for(&mut viewer, Duration::from_secs(2)).await.len() > 20);
    assert_eq!(client.delete(&opened.location).await, 204);
}

/// A connection with as small a window as there is, whose viewer takes nothing.
async fn zero_window(client: &Client, camera: &CameraId) -> Viewer {
    let Opened { offer, answer, .. } = whep::try_open(client, camera).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let stream = socket.connect(answer.tcp.unwrap()).await.unwrap();
    Viewer::connect_on(stream, offer, &answer).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn c29_slow_viewers_are_nobody_elses_trouble() {
    // The other one has key frames of three megabytes.
    let large = Arc::new(Clip::synthetic(25, 50, 10_000).with_key_frames_of(3 << 20));
    let cameras = camera::start(&[("a", camera::synthetic(25, 50, 10_000)), ("b", large)]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let large = house.camera(&cameras.url("b")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(whep::watch(&client, &camera).await);
    }
    // Some take nothing from their connections, some have a line of 50 kbit/s.
    let mut stuck = Vec::new();
    for camera in [&large, &large, &camera, &camera] {
        stuck.push(zero_window(&client, camera).await);
    }
    let mut narrow = Vec::new();
    for _ in 0..3 {
        let Opened { offer, answer, .. } = whep::try_open(&client, &camera).await.unwrap();
        let weather = Weather { rate: Some(50_000 / 8), ..Weather::default() };
        let middle = Middle::start(answer.udp, weather).await;
        narrow.push((Viewer::connect_at(offer, &answer, middle.address).await, middle));
    }

    let watching = others.into_iter().map(|mut viewer| {
        tokio::spawn(async move {
            watch_for(&mut viewer, Duration::from_secs(1)).await;
            // Less than the eight seconds after which the kernel lets go of who takes nothing.
            watch_for(&mut viewer, Duration::from_secs(4)).await
        })
    });
    for task in watching.collect::<Vec<_>>() {
        let numbers = task.await.unwrap();
        assert!(numbers.len() > 700, "{}", numbers.len());
        let lost = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert_eq!(lost, 0, "of {} packets", numbers.len());
    }
    let waiting = house.whep.most_waiting();
    println!("{waiting} bytes have waited for one of them at the most");
    assert!((512 << 10..2 << 20).contains(&waiting), "{waiting}");
    // Those that stood still go on at a key frame, not with all that they missed.
    let hub = house.hub(&camera);
    let mut stuck = stuck.pop().unwrap();
    let catching_up = async {
        let mut last = None;
        loop {
            let packet = stuck.packet().await.unwrap();
            assert!(last.is_none_or(|last| packet.sequence == last + 1), "no packet is left out on the way");
            last = Some(packet.sequence);
            if Stats::get(&hub.stats().lagged) > 0 && begins_key_frame(&packet.payload) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), catching_up).await.expect("it goes on at a key frame");
    drop(narrow);
}

/// What is lost comes again within a second, on a line that loses two of a hundred
/// and delivers them in any order.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_bad_line_the_picture_recovers_within_a_second() {
    let cameras = camera::start(&[("a", camera::synthetic(25, 50, 10_000))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let Opened { offer, answer, .. } = whep::try_open(&client, &camera).await.unwrap();
    let weather = Weather { loss_percent: 2, jitter: Duration::from_millis(50), rate: None };
    let middle = Middle::start(answer.udp, weather).await;
    let mut viewer = Viewer::connect_at(offer, &answer, middle.address).await.unwrap();
    let ssrc = viewer.answer().tracks[0].ssrc;
    let (mut newest, mut missing) = (None::<u64>, BTreeMap::<u64, (Instant, Instant)>::new());
    let (mut recovered, mut worst) = (0, Duration::ZERO);
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        let came = tokio::time::timeout(Duration::from_millis(10), viewer.packet()).await;
        let now = Instant::now();
        if let Ok(packet) = came {
            let number = packet.unwrap().sequence;
            if let Some((since, _)) = missing.remove(&number) {
                recovered += 1;
                worst = worst.max(now - since);
            }
            for gone in newest.map_or(number, |newest| newest + 1)..number {
                // It may only be late: it is asked for after the longest delay.
                missing.insert(gone, (now, now + weather.jitter + Duration::from_millis(10)));
            }
            newest = newest.max(Some(number));
        }
        for (number, (_, ask_at)) in &mut missing {
            if now >= *ask_at {
                *ask_at = now + Duration::from_millis(120);
                viewer.nack(ssrc, *number as u16, 0).await.unwrap();
            }
        }
    }
    let resent = Stats::get(&house.hub(&camera).stats().resent);
    println!("{recovered} came late or again ({resent} sent again), the last after {worst:?}");
    assert!(resent > 10, "{resent}");
    let overdue = missing.values().filter(|(since, _)| end - *since > Duration::from_secs(1)).count();
    assert_eq!(overdue, 0, "{missing:?}");
    assert!(worst <= Duration::from_secs(1), "{worst:?}");
}
