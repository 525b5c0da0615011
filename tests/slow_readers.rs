//! Viewers that take nothing, or little, while the picture is sent: what the gateway's machine
//! still holds for them is not delivered once the right has ended (C01), it is not much, and
//! nobody else notices them (C29).

use crate::support::House;
use crate::support::camera;
use crate::support::client::Client;
use crate::support::hls::{Player, lint};
use crate::support::steady::Steady;
use crate::support::whep::{self, Opened};
use crate::tls::house_with_ca;
use camsim::viewers::Viewer;
use domain::CameraId;
use domain::repository::Rights as _;
use domain::role::Role;
use relay::hub::Stats;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

const PROMISE: Duration = Duration::from_secs(2);
/// What the viewer's own machine may have taken before: its receive buffer.
const RECEIVED: usize = 16 << 10;
/// What the gateway's machine held, at the least, or the test shows nothing.
const HELD: u64 = 60 << 10;
/// A 2 Mbit/s picture.
const BIG: &str = "gate-h264-aac.mp4";

async fn narrow(to: std::net::SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.connect(to).await.unwrap()
}

/// Waits until nothing more is written for viewers of the camera.
async fn stuck(house: &House, camera: &CameraId) {
    let written = || Stats::get(&house.hub(camera).stats().written_bytes);
    let (mut before, mut since) = (written(), Instant::now());
    let limit = Instant::now() + Duration::from_secs(60);
    while since.elapsed() < Duration::from_secs(2) {
        assert!(Instant::now() < limit, "the viewer takes something");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = written();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    assert!(before > HELD, "only {before} bytes were written to a viewer that takes none");
}

/// Everything that still comes, as fast as it can.
async fn rest(stream: &mut TcpStream) -> usize {
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    let reading = async {
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            bytes += read;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the connection is closed");
    bytes
}

fn upgrade(client: &Client, camera: &CameraId) -> String {
    format!(
        "GET /api/v1/cameras/{camera}/main/live HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {}\r\n\r\n",
        client.base.split("//").nth(1).unwrap(),
        client.cookie.as_deref().unwrap()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_a_page_that_takes_nothing_gets_nothing_after_its_right_has_ended() {
    let cameras = camera::start(&[("a", camera::clip(BIG))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut stream = narrow(patrol.address).await;
    stream.write_all(upgrade(&patrol, &id).as_bytes()).await.unwrap();
    stuck(&house, &id).await;
    assert_eq!(patrol.delete("/api/v1/session").await, 204);
    tokio::time::sleep(PROMISE).await;
    let rest = rest(&mut stream).await;
    assert!(rest <= RECEIVED, "{rest} bytes came after the promise");
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_the_same_under_tls() {
    let cameras = camera::start(&[("a", camera::clip(BIG))]).await;
    let (house, client, _folder) = house_with_ca("").await;
    let id = house.camera(&cameras.url("a")).await;
    let person = house.person("patrol").await;
    house.store.add_grant(&house.grant(&person, Role::Patrol)).await.unwrap();
    let patrol = client.signed_in("patrol").await;
    let host = patrol.base.split("//").nth(1).and_then(|host| host.split(':').next()).unwrap().to_owned();
    let connector = TlsConnector::from(Arc::clone(&patrol.trust));
    let mut tls =
        connector.connect(ServerName::try_from(host).unwrap(), narrow(patrol.address).await).await.unwrap();
    tls.write_all(upgrade(&patrol, &id).as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    stuck(&house, &id).await;
    assert_eq!(patrol.delete("/api/v1/session").await, 204);
    tokio::time::sleep(PROMISE).await;
    let (mut stream, _) = tls.into_inner();
    let rest = rest(&mut stream).await;
    assert!(rest <= RECEIVED, "{rest} bytes came after the promise");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_a_player_that_takes_nothing_gets_nothing_after_its_key_is_gone() {
    let cameras = camera::start(&[("a", camera::clip(BIG))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let key = patrol.key().await;
    let login = Some((key.login.as_str(), key.key.as_str()));
    let stream = narrow(house.rtsp).await;
    let player = Viewer::play_on(stream, &format!("{id}/main"), login).await.unwrap();
    stuck(&house, &id).await;
    assert_eq!(patrol.delete(&format!("/api/v1/viewer-keys/{}", key.id)).await, 204);
    tokio::time::sleep(PROMISE).await;
    let rest = rest(&mut player.into_stream()).await;
    assert!(rest <= RECEIVED, "{rest} bytes came after the promise");
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_the_same_where_webrtc_goes_by_tcp() {
    let cameras = camera::start(&[("a", camera::clip(BIG))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let Opened { offer, answer, .. } = whep::try_open(&patrol, &id).await.unwrap();
    let stream = narrow(answer.tcp.unwrap()).await;
    let viewer = camsim::whep::Viewer::connect_on(stream, offer, &answer).await.unwrap();
    stuck(&house, &id).await;
    assert_eq!(patrol.delete("/api/v1/session").await, 204);
    tokio::time::sleep(PROMISE).await;
    let rest = rest(&mut viewer.into_stream().unwrap()).await;
    assert!(rest <= RECEIVED, "{rest} bytes came after the promise");
}

/// How a slow reader is served.
#[derive(Clone, Copy, Debug)]
enum Way {
    Rtsp,
    WebSocket,
    Hls,
}

/// A reader with as small a window as there is, to whom the picture is being sent.
async fn reader(way: Way, house: &House, client: &Client, id: &CameraId) -> TcpStream {
    match way {
        Way::Rtsp => {
            let key = client.key().await;
            let login = Some((key.login.as_str(), key.key.as_str()));
            let stream = narrow(house.rtsp).await;
            Viewer::play_on(stream, &format!("{id}/main"), login).await.unwrap().into_stream()
        }
        Way::WebSocket => {
            let mut stream = narrow(client.address).await;
            stream.write_all(upgrade(client, id).as_bytes()).await.unwrap();
            stream
        }
        Way::Hls => {
            let mut player = Player::open(client, id).await;
            while lint(&player.text).segments.is_empty() {
                player.part().await.unwrap();
            }
            let newest = lint(&player.text).segments.pop_last().unwrap().1.1;
            let mut stream = narrow(client.address).await;
            let (address, cookie) = (client.address, client.cookie.as_ref().unwrap());
            let path = player.path(&newest);
            let get = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n");
            stream.write_all(get.as_bytes()).await.unwrap();
            stream
        }
    }
}

/// What the kernel holds of the gateway's for the reader at this port; nothing if it has let go of them.
fn queued(port: u16) -> Option<u64> {
    // proc_net_tcp(5): local address, remote address, state (01: established), tx_queue:rx_queue.
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let of_it = fields.get(2)?.ends_with(&format!(":{port:04X}")) && *fields.get(3)? == "01";
        of_it.then(|| u64::from_str_radix(fields[4].split(':').next().unwrap(), 16).unwrap())
    })
}

/// Takes 50 kbit/s, for as long as something comes; how many bytes that were.
async fn sip(mut stream: TcpStream) -> usize {
    let (mut buffer, mut bytes) = ([0; 1_250], 0);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        bytes += read;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bytes
}

/// C29, as far as two cores carry it.
async fn among_healthy_ones(way: Way) {
    const MOST: u64 = 2 << 20;
    let cameras = camera::start(&[("a", camera::clip(BIG))]).await;
    let house = House::start().await;
    let id = house.camera(&cameras.url("a")).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    let mut healthy = Steady::default();
    for _ in 0..3 {
        healthy.websocket(&patrol, &id).await;
        healthy.rtsp(&house, &patrol, &id).await;
    }
    healthy.hls(&patrol, &id).await;
    let (stuck, slow) = (house.sign_in_as(Role::Patrol).await, house.sign_in_as(Role::Patrol).await);
    let stuck = reader(way, &house, &stuck, &id).await;
    let slow = reader(way, &house, &slow, &id).await;
    let ports = [&stuck, &slow].map(|stream| stream.local_addr().unwrap().port());
    let slow = tokio::spawn(sip(slow));
    let (began, mut held, mut let_go) = (Instant::now(), [0; 2], None);
    while began.elapsed() < Duration::from_secs(14) {
        for (port, held) in ports.iter().zip(&mut held) {
            *held = queued(*port).unwrap_or(0).max(*held);
        }
        let_go = let_go.or_else(|| queued(ports[0]).is_none().then(|| began.elapsed()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lagged = Stats::get(&house.hub(&id).stats().lagged);
    println!("{way:?}: let go after {let_go:?}; at most {held:?} bytes were held; {lagged} jumps");
    assert!(held[0] > 16 << 10 && held.iter().all(|held| *held <= MOST), "{held:?}");
    let let_go = let_go.expect("who takes nothing is let go");
    // The promise is ten seconds; the rest is for a machine that is busy.
    assert!(let_go < Duration::from_secs(13), "{let_go:?}");
    // A picture live is not sent late: who is too slow jumps to a key frame, or is let go.
    assert!(matches!(way, Way::Hls) || lagged > 0 || slow.is_finished());
    slow.abort();
    healthy.see(5).await;
    println!("{:?}", healthy.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn c29_slow_players_hold_little_and_nobody_else_notices() {
    among_healthy_ones(Way::Rtsp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c29_slow_pages_hold_little_and_nobody_else_notices() {
    among_healthy_ones(Way::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c29_slow_readers_of_segments_hold_little_and_nobody_else_notices() {
    among_healthy_ones(Way::Hls).await;
}
