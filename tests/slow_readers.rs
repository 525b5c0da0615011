//! A viewer that takes nothing while the picture is sent: what the gateway's machine
//! still holds for them is not delivered once the right has ended (C01).

use crate::support::House;
use crate::support::camera;
use crate::support::client::Client;
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
