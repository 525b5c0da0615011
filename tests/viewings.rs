//! The viewing register is complete: right to the byte (C18), closed after a
//! crash, and where it cannot be written nobody watches unwritten (C20).

use crate::full_disk::{furnished, more};
use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::database::{BOTH, Database, open};
use crate::support::hls::Player;
use crate::support::live::{Heard, Live};
use crate::support::process::{Gateway, configure, serve};
use crate::support::{House, until, viewings, whep};
use camsim::viewers::Viewer;
use domain::camera::StreamKind;
use domain::repository::{Registers as _, Rights as _};
use domain::role::Role;
use domain::viewing::{Viewing, ViewingTransport};
use domain::{CameraId, Clock as _, PersonId, SiteId, Timestamp, ViewingId};
use sharp_eyes::audit::verify;
use sharp_eyes::disk::Doubt;
use sharp_eyes::spool::Spool;
use sqlx::Connection as _;
use std::time::Duration;
use tokio::time::Instant;
use web::token::random;

async fn rows(house: &House, camera: &CameraId) -> Vec<Viewing> {
    viewings(&house.store, camera).await
}

async fn all_ended(house: &House, camera: &CameraId, count: usize) -> Vec<Viewing> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let rows = rows(house, camera).await;
        if rows.len() == count && rows.iter().all(|row| row.ended_at.is_some()) {
            return rows;
        }
        assert!(Instant::now() < end, "{rows:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Bytes of everything that came until the server closed.
async fn bytes_of_page(page: &mut Live) -> u64 {
    let mut bytes = 0;
    loop {
        match page.next().await {
            Heard::Binary(fragment) => bytes += fragment.len() as u64,
            Heard::Text(_) => {}
            Heard::Closed(_) => return bytes,
        }
    }
}

/// `frame` is what is around each packet.
async fn bytes_of_player(player: &mut Viewer, frame: u64) -> u64 {
    let mut bytes = 0;
    while let Ok(packet) = player.packet().await {
        bytes += packet.bytes.len() as u64 + frame;
    }
    bytes
}

/// Datagrams of media, as they came.
async fn bytes_of_browser(browser: &mut camsim::whep::Viewer) -> u64 {
    while browser.packet().await.is_ok() {}
    browser.sent()
}

async fn bytes_of_parts(player: &mut Player) -> u64 {
    while player.part().await.is_ok() {}
    player.bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn c18_the_register_knows_every_viewing_to_the_byte() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera(&cameras.url("a")).await;
        let person = house.person("guard").await;
        house.store.add_grant(&house.grant(&person, Role::Patrol)).await.unwrap();
        let guard = house.signed_in(&person).await;
        let key = guard.key().await;
        let path = format!("{camera}/main");
        let login = Some((key.login.as_str(), key.key.as_str()));
        let began = house.clock.now();
        let mut page = Live::open(&guard, &camera).await;
        let mut tcp = Viewer::play(house.rtsp, &path, login).await.unwrap();
        let mut rtc = whep::watch(&guard, &camera).await;
        let opened = whep::try_open(&guard, &camera).await.unwrap();
        let mut rtc_tcp = camsim::whep::Viewer::connect_tcp(opened.offer, &opened.answer).await.unwrap();
        let mut hls = Player::open(&guard, &camera).await;
        // Last, so that nothing waits in a socket that nobody reads yet.
        let mut udp = Viewer::play_udp(house.rtsp, &path, login).await.unwrap();
        let end = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(guard.delete(&format!("/api/v1/viewer-keys/{}", key.id)).await, 204);
            assert_eq!(guard.delete("/api/v1/session").await, 204);
        };
        let (by_page, by_tcp, by_udp, by_rtc, by_rtc_tcp, by_hls, ()) = tokio::join!(
            bytes_of_page(&mut page),
            bytes_of_player(&mut tcp, 4),
            bytes_of_player(&mut udp, 0),
            bytes_of_browser(&mut rtc),
            bytes_of_browser(&mut rtc_tcp),
            bytes_of_parts(&mut hls),
            end
        );
        let ended = house.clock.now();
        let rows = all_ended(&house, &camera, 6).await;
        for (transport, mut received) in [
            (ViewingTransport::WebSocket, vec![by_page]),
            (ViewingTransport::Rtsp, vec![by_tcp, by_udp]),
            (ViewingTransport::Whep, vec![by_rtc, by_rtc_tcp]),
            (ViewingTransport::Hls, vec![by_hls]),
        ] {
            let of = rows.iter().filter(|row| row.transport == transport);
            let mut written: Vec<u64> = of.map(|row| row.bytes).collect();
            written.sort_unstable();
            received.sort_unstable();
            assert_eq!(written.len(), received.len(), "{database:?} {transport:?}: {rows:?}");
            for (written, received) in written.iter().zip(&received) {
                assert!(*received > 100_000, "{database:?} {transport:?}: something was watched: {received}");
                let off = written.abs_diff(*received);
                assert!(off * 100 <= *received, "{database:?} {transport:?}: {written} of {received}");
            }
        }
        for row in &rows {
            let is = (&row.person_id, &row.camera_id, row.role, row.stream, row.purpose);
            let patrol = Some(domain::viewing::Purpose::Patrol);
            assert_eq!(is, (&person.id, &camera, Role::Patrol, StreamKind::Main, patrol));
            let end = row.ended_at.unwrap();
            assert!(began <= row.started_at && row.started_at <= end, "{row:?}");
            assert!(end <= ended.after(Duration::from_secs(5)), "{row:?}");
        }
        verify(&*house.store, vec![]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c18_viewings_that_a_crash_left_open_are_closed_at_the_next_start() {
    let house = House::start().await;
    let camera = house.camera("rtsp://127.0.0.1:9/a").await;
    let person = house.person("guard").await;
    house.store.add_grant(&house.grant(&person, Role::Patrol)).await.unwrap();
    let folder = house.stop().await;
    configure(&folder, ".");
    let gateway = Gateway::start(serve(&folder));
    let guard = Client::new(gateway.address).signed_in("guard").await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(Live::open(&guard, &camera).await);
    }
    let path = format!("/api/v1/cameras/{camera}/viewings");
    let ended = |list: &serde_json::Value| -> Vec<bool> {
        list["items"].as_array().unwrap().iter().map(|row| row["ended_at"].is_string()).collect()
    };
    assert_eq!(ended(&guard.get(&path).await.1), [false; 5]);
    // SIGKILL.
    drop(gateway);
    let gateway = Gateway::start(serve(&folder));
    let guard = Client::new(gateway.address).signed_in("guard").await;
    assert_eq!(ended(&guard.get(&path).await.1), [true; 5]);
}

/// Ways in which a register refuses, and how it takes writes again.
const AWAY: [(&str, &str); 2] = [
    ("alter table audit rename to audit_away", "alter table audit_away rename to audit"),
    ("alter table viewings rename to viewings_away", "alter table viewings_away rename to viewings"),
];

#[tokio::test(flavor = "multi_thread")]
async fn c20_without_a_register_only_those_on_duty_watch_and_every_viewing_is_recovered() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    for database in BOTH {
        let house = House::start_on(database).await;
        let camera = house.camera(&cameras.url("a")).await;
        let resident = house.sign_in_as(Role::Resident).await;
        let owner = house.sign_in_as(Role::Owner).await;
        let guard = house.sign_in_as(Role::Patrol).await;
        // Long enough after signing in that the session's last use is to be noted.
        house.clock.jump(120_000_000);
        Live::open(&resident, &camera).await.binary().await;
        all_ended(&house, &camera, 1).await;
        let mut count = 1;
        for (away, back) in AWAY {
            house.sql(away).await;
            for refused in [&resident, &owner] {
                let asked = Instant::now();
                assert_eq!(Live::try_open(refused, &camera, "main").await.err(), Some(503));
                let took = asked.elapsed();
                // The promise is a second; the other one is for a busy machine.
                assert!(took <= Duration::from_secs(2), "{database:?}: refused after {took:?}");
            }
            let mut page = Live::open(&guard, &camera).await;
            let fragment = page.binary().await.len();
            assert!(std::fs::read_to_string(house.folder.path("spool")).unwrap().contains(camera.as_str()));
            drop(page);
            house.sql(back).await;
            until(|| !house.folder.path("spool").exists()).await;
            count += 1;
            let rows = all_ended(&house, &camera, count).await;
            assert_eq!(rows[0].role, Role::Patrol);
            assert!(rows[0].bytes >= fragment as u64, "{:?}", rows[0]);
        }
        // The resident watches again, and the chain says what happened.
        Live::open(&resident, &camera).await.binary().await;
        let chain = house.store.chain(0, 1_000).await.unwrap();
        let broken = chain.iter().filter(|link| link.entry.action == "viewing.break_glass").count();
        assert_eq!(broken, AWAY.len(), "{database:?}");
        all_ended(&house, &camera, count + 1).await;
        verify(&*house.store, vec![]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c20_a_register_that_hangs_counts_as_away() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start_on(Database::Sqlite).await;
    let camera = house.camera(&cameras.url("a")).await;
    let resident = house.sign_in_as(Role::Resident).await;
    let guard = house.sign_in_as(Role::Patrol).await;
    let url = house.settings.database.clone();
    let mut other = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::query("begin immediate").execute(&mut other).await.unwrap();
    assert_eq!(Live::try_open(&resident, &camera, "main").await.err(), Some(503));
    Live::open(&guard, &camera).await.binary().await;
    sqlx::query("rollback").execute(&mut other).await.unwrap();
    until(|| !house.folder.path("spool").exists()).await;
    all_ended(&house, &camera, 1).await;
    verify(&*house.store, vec![]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_is_sealed_once_even_if_the_gateway_dies_meanwhile() {
    for database in BOTH {
        let (store, folder) = open(database).await;
        let path = folder.path("spool");
        let spool = Spool::new(Some(path.clone()), Doubt::default());
        let viewing = Viewing {
            id: ViewingId::from_random(random()),
            person_id: PersonId::from_random(random()),
            role: Role::Patrol,
            camera_id: CameraId::from_random(random()),
            stream: StreamKind::Main,
            transport: ViewingTransport::Rtsp,
            purpose: Some(domain::viewing::Purpose::Patrol),
            started_at: Timestamp(5),
            ended_at: None,
            bytes: 0,
        };
        spool.begin(&viewing, &SiteId::from_random(random())).await.unwrap();
        spool.end(&store, &viewing.id, Timestamp(9), 77).await;
        let mut text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        // It lost its power in the middle of a line.
        text.push_str("{\"what\":\"begin\",\"id\":\"00\u{fffd}");
        for sealed in [1, 0] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(
                Spool::new(Some(path.clone()), Doubt::default()).recover(&store).await.unwrap(),
                sealed
            );
            assert!(!path.exists());
        }
        // A line that never can be sealed is put aside, and the one before it is not told twice.
        let broken = text.lines().next().unwrap().replace(viewing.id.as_str(), "no id");
        for _ in 0..2 {
            std::fs::write(&path, format!("{text}\n{broken}\n")).unwrap();
            assert_eq!(Spool::new(Some(path.clone()), Doubt::default()).recover(&store).await.unwrap(), 0);
        }
        let kept = std::fs::read_to_string(path.with_extension("unreadable")).unwrap();
        assert!(kept.contains("no id"), "{kept}");
        let chain = store.chain(0, 100).await.unwrap();
        assert_eq!(chain.iter().filter(|link| link.entry.action == "viewing.break_glass").count(), 1);
        let (rows, _) = store.viewings_and_head().await.unwrap();
        assert_eq!(rows, [Viewing { ended_at: Some(Timestamp(9)), bytes: 77, ..viewing }], "{database:?}");
        verify(&store, vec![]).await.unwrap();
    }
}

/// Which viewings are open, in their order.
async fn open_ones(database: &mut sqlx::AnyConnection) -> Vec<i64> {
    let sql = "select case when ended_at is null then 1 else 0 end from viewings order by seq";
    sqlx::query_scalar(sql).fetch_all(database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_open_and_the_next_start_cannot_write_is_closed_as_soon_as_it_can_be() {
    let house = furnished().await;
    configure(&house.folder, ".");
    more(&house.folder, "[disk]\nreserve_bytes = 0\n");
    let gateway = Gateway::start(serve(&house.folder));
    let patrol = Client::new(gateway.address).signed_in("patrol").await;
    Live::open(&patrol, &house.camera).await.binary().await;
    let mut page = Live::open(&patrol, &house.camera).await;
    page.binary().await;
    drop(gateway);

    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", house.folder.path("test.db").display());
    let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
    let begun = open_ones(&mut database).await;
    assert!(begun.contains(&1));
    // What SQLite says to whoever writes on a disk that is full.
    let full = "create trigger full before update on viewings begin select raise(abort, 'disk is full'); end";
    sqlx::query(full).execute(&mut database).await.unwrap();
    let _gateway = Gateway::start(serve(&house.folder));
    let mut page = Live::open(&patrol, &house.camera).await;
    page.binary().await;
    assert_eq!(open_ones(&mut database).await, [&begun[..], &[1]].concat(), "it runs, and cannot close them");

    sqlx::query("drop trigger full").execute(&mut database).await.unwrap();
    let limit = Instant::now() + Duration::from_secs(30);
    while open_ones(&mut database).await.iter().sum::<i64>() > 1 {
        assert!(Instant::now() < limit, "nobody tries again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Who watches now still does.
    assert_eq!(open_ones(&mut database).await.last(), Some(&1));
    page.binary().await;
}
