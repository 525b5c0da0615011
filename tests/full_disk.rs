//! C37: a disk that is full, or takes nothing: it is told within seconds, what must be
//! written is, whoever watches goes on, and all of it comes to an end by itself.

use crate::support::camera::{self, H264};
use crate::support::client::Client;
use crate::support::decoder::house;
use crate::support::folder::Folder;
use crate::support::live::{Heard, Live};
use crate::support::process::{Gateway, configure, preload, serve};
use crate::support::{House, until_within};
use camsim::Cameras;
use domain::CameraId;
use domain::camera::Pull;
use domain::device::DeviceKind;
use domain::repository::Rights as _;
use domain::role::Role;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

pub const BATCH: &str = "application/cloudevents-batch+json";
const MIB: u64 = 1 << 20;
/// Within this it is told, on a machine that does other things, too.
const TOLD: Duration = Duration::from_secs(10);
/// Within this it is over, on a machine that does other things, too.
pub const OVER: Duration = Duration::from_secs(30);

/// A stopped house with a camera, a panel, somebody of the patrol and an owner.
pub struct Furnished {
    pub folder: Folder,
    pub camera: CameraId,
    pub token: String,
    _cameras: Cameras,
}

pub async fn furnished() -> Furnished {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = House::start().await;
    let camera = house.camera(&cameras.url("a")).await;
    let (_, token) = house.device(&house.lobby, DeviceKind::Panel).await;
    for (login, role) in [("patrol", Role::Patrol), ("owner", Role::Owner)] {
        let person = house.person(login).await;
        house.store.add_grant(&house.grant(&person, role)).await.unwrap();
    }
    Furnished { folder: house.stop().await, camera, token, _cameras: cameras }
}

pub fn more(folder: &Folder, text: &str) {
    let path = folder.path("config.toml");
    let config = std::fs::read_to_string(&path).unwrap().replace("[disk]\nreserve_bytes = 0\n", text);
    std::fs::write(path, config + "[cameras]\nallow_networks = [\"127.0.0.0/8\"]\n").unwrap();
}

/// `count` events whose ids begin with `name`, and a press for help.
pub fn batch(name: &str, count: usize) -> Value {
    let event = |n: usize| json!({ "specversion": "1.0", "id": format!("{name}-{n}"), "source": "/a", "type": "sharpeyes.door.opened" });
    let help = json!({ "specversion": "1.0", "id": name, "source": "/b", "type": "sharpeyes.alarm.panic" });
    Value::Array((0..count).map(event).chain([help]).collect())
}

pub fn accepted(answer: &Value) -> usize {
    answer["results"].as_array().unwrap().iter().filter(|row| row["result"] == "accepted").count()
}

async fn troubles(owner: &Client) -> Vec<Value> {
    owner.get("/api/v1/health").await.1["items"].as_array().unwrap().clone()
}

/// Waits until exactly this is wrong; answers how long that took and what is said of it.
pub async fn until_wrong(owner: &Client, what: &[&str], limit: Duration) -> (Duration, String) {
    let began = Instant::now();
    loop {
        let now = troubles(owner).await;
        if now.iter().map(|row| row["what"].as_str().unwrap()).eq(what.iter().copied()) {
            let detail = now.first().map(|row| row["detail"].as_str().unwrap().to_owned());
            return (began.elapsed(), detail.unwrap_or_default());
        }
        assert!(began.elapsed() < limit, "{what:?} is not told: {now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Somebody who watches all the time; the fragments that have come, until the end.
fn watching(mut page: Live) -> (Arc<AtomicU64>, tokio::task::JoinHandle<()>) {
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        loop {
            match page.next().await {
                Heard::Binary(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
                Heard::Text(_) => {}
                Heard::Closed(_) => return,
            }
        }
    });
    (seen, task)
}

async fn goes_on(seen: &AtomicU64) {
    let before = seen.load(Ordering::Relaxed);
    until_within(Duration::from_secs(20), || seen.load(Ordering::Relaxed) > before + 5).await;
}

/// The next event of the page that tells of the house's health.
async fn told(page: &mut Response, text: &mut String) -> Value {
    loop {
        if let Some((block, rest)) = text.clone().split_once("\n\n") {
            *text = rest.to_owned();
            if block.contains("event: health") || block.contains("event:health") {
                let data = block.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
                return serde_json::from_str(data.trim()).unwrap();
            }
            continue;
        }
        let chunk = tokio::time::timeout(Duration::from_secs(20), page.chunk()).await.unwrap();
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
    }
}

async fn audit(owner: &Client) -> Vec<String> {
    let rows = owner.get("/api/v1/audit?limit=500").await.1;
    let rows = rows["items"].as_array().unwrap_or_else(|| panic!("{rows}"));
    rows.iter().map(|row| row["action"].as_str().unwrap().to_owned()).rev().collect()
}

pub async fn doors(client: &Client) -> usize {
    let (mut rows, mut path) = (0, "/api/v1/door-events?limit=500".to_owned());
    loop {
        let (_, list) = client.get(&path).await;
        rows += list["items"].as_array().unwrap().len();
        let Some(next) = list["next"].as_str() else { return rows };
        path = format!("/api/v1/door-events?limit=500&cursor={next}");
    }
}

/// Makes what is free on a disk this much, by a file that is larger or smaller.
fn leave(disk: &Path, bytes: u64) {
    let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(disk).output().unwrap();
    let numbers = String::from_utf8(output.stdout).unwrap();
    let free: u64 = numbers.split_whitespace().map(|n| n.parse::<u64>().unwrap()).product();
    let ballast = disk.join("ballast");
    let size = std::fs::metadata(&ballast).map_or(0, |file| file.len());
    let wanted = (size + free).saturating_sub(bytes);
    if wanted <= size {
        std::fs::OpenOptions::new().write(true).open(ballast).unwrap().set_len(wanted).unwrap();
        return;
    }
    let script = format!("head -c {} /dev/zero >> \"$1\"", wanted - size);
    // Where it does not fit, as much as there is.
    let _ = Command::new("sh").args(["-c", &script, "sh"]).arg(ballast).output().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c37_on_a_full_disk_of_64_mib_it_is_told_and_events_are_kept_from_the_reserve() {
    let can_mount = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).status();
    assert!(
        can_mount.is_ok_and(|status| status.success()),
        "this test gives the gateway a small disk of its own, for which user namespaces must be allowed"
    );
    let house = furnished().await;
    let (folder, token) = (&house.folder, &house.token);
    let disk = folder.path("disk");
    std::fs::create_dir(&disk).unwrap();
    configure(folder, "disk");
    more(folder, "[disk]\nreserve_bytes = 8388608\nfloor_bytes = 16777216\n");
    let script = "mount -t tmpfs -o size=64m tmpfs \"$1/disk\" && cp -p \"$1\"/test.db* \"$1/key\" \"$1/disk\" && \
                  exec \"$2\" serve --config \"$1/config.toml\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(folder.path("")).arg(env!("CARGO_BIN_EXE_sharp-eyes"));
    let gateway = Gateway::start(command);
    let seen_from_here = PathBuf::from(format!("/proc/{}/root{}", gateway.pid(), disk.display()));
    let reserve = seen_from_here.join("test.db.reserve");
    let held = || std::fs::metadata(&reserve).map_or(0, |file| file.len());
    let device = Client::new(gateway.address);
    let patrol = Client::new(gateway.address).signed_in("patrol").await;
    let owner = Client::new(gateway.address).signed_in("owner").await;
    let mut page = owner.request(Method::GET, "/api/v1/stream").send().await.unwrap();
    let mut text = String::new();
    let (seen, view) = watching(Live::open(&patrol, &house.camera).await);
    goes_on(&seen).await;
    assert_eq!((troubles(&owner).await, held()), (Vec::new(), 8 * MIB));
    assert_eq!(patrol.get("/api/v1/health").await.0, 403, "for who looks after the house");
    let (_, answer) = device.events(token, BATCH, &batch("before", 50)).await;
    assert_eq!(accepted(&answer), 51);

    // Below the floor: it is told, and everything is still kept, beside the reserve.
    leave(&seen_from_here, 12 * MIB);
    let (took, detail) = until_wrong(&owner, &["disk_full"], TOLD).await;
    println!("told after {took:?}: {detail}");
    assert_eq!(told(&mut page, &mut text).await, json!({ "troubles": ["disk_full"] }));
    assert!(detail.contains("16 MiB") && detail.contains("make room"), "{detail}");
    assert_eq!(held(), 8 * MIB);
    goes_on(&seen).await;

    // Not a byte is left: the reserve is given up, and events and registers are written.
    leave(&seen_from_here, 0);
    until_within(OVER, || held() == 0).await;
    // What was refused in between, its device sends again.
    let began = Instant::now();
    while device.events(token, BATCH, &batch("first", 50)).await.0.as_u16() == 503 {
        assert!(began.elapsed() < OVER, "nothing is kept from the reserve");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (mut kept, mut last, mut n) = (100, None, 0);
    while last.is_none() {
        let (status, answer) = device.events(token, BATCH, &batch(&format!("full-{n}"), 50)).await;
        assert_eq!(status.as_u16(), 202, "{answer}");
        // A press for help always is.
        assert_eq!(answer["results"][50]["result"], "accepted", "{answer}");
        kept += accepted(&answer) - 1;
        last = (accepted(&answer) == 1).then(|| answer["results"][0]["detail"].as_str().unwrap().to_owned());
        n += 1;
        // Slower than the disk is looked at.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(n < 500, "the last quarter is not for alarms alone");
    }
    assert!(n > 5 && last.as_ref().unwrap().contains("hardly room"), "{n} {last:?}");
    // Somebody new watches, and is in the register.
    let another = Client::new(gateway.address).signed_in("patrol").await;
    Live::open(&another, &house.camera).await.binary().await;
    goes_on(&seen).await;
    println!("{} events were kept from the reserve, and {n} presses", kept - 50);

    // There is room again: all of it ends by itself.
    leave(&seen_from_here, 40 * MIB);
    let (took, _) = until_wrong(&owner, &[], OVER).await;
    assert_eq!(told(&mut page, &mut text).await["troubles"], json!(["disk_full"]), "what to do has changed");
    until_within(OVER, || held() == 8 * MIB).await;
    println!("over after {took:?}");
    let (_, answer) = device.events(token, BATCH, &batch("after", 50)).await;
    assert_eq!(accepted(&answer), 51);
    assert_eq!(doors(&patrol).await, kept + 50, "none is lost, none is there twice");
    let rows = patrol.get("/api/v1/incidents?limit=500").await.1["items"].as_array().unwrap().clone();
    let presses: i64 = rows.iter().map(|row| row["alarms"].as_i64().unwrap()).sum();
    assert_eq!(presses, i64::from(n) + 3);
    let noted = audit(&owner).await;
    let noted: Vec<&String> = noted.iter().filter(|action| action.starts_with("disk.")).collect();
    assert_eq!(noted, ["disk.full", "disk.room"]);
    goes_on(&seen).await;
    assert!(!view.is_finished(), "the view that was open goes on all the time");
    view.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn c37_a_gateway_that_starts_on_a_full_disk_comes_up_from_the_reserve() {
    let house = furnished().await;
    let (folder, token) = (&house.folder, &house.token);
    std::fs::create_dir(folder.path("disk")).unwrap();
    configure(folder, "disk");
    more(folder, "[disk]\nreserve_bytes = 8388608\nfloor_bytes = 16777216\n");
    // Somebody else has filled the disk while the gateway was away.
    let script = "mount -t tmpfs -o size=64m tmpfs \"$1/disk\" && cp -p \"$1\"/test.db* \"$1/key\" \"$1/disk\" && \
                  head -c 8388608 /dev/zero > \"$1/disk/test.db.reserve\" && \
                  { cat /dev/zero > \"$1/disk/ballast\" 2>/dev/null || true; } && \
                  exec \"$2\" serve --config \"$1/config.toml\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(folder.path("")).arg(env!("CARGO_BIN_EXE_sharp-eyes"));
    let gateway = Gateway::start(command);
    let device = Client::new(gateway.address);
    let began = Instant::now();
    while device.events(token, BATCH, &batch("first", 0)).await.0.as_u16() != 202 {
        assert!(began.elapsed() < OVER, "a press is not kept from the reserve");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let owner = Client::new(gateway.address).signed_in("owner").await;
    until_wrong(&owner, &["disk_full"], TOLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c37_on_a_disk_that_becomes_read_only_it_is_told_views_go_on_and_devices_keep_their_events() {
    let house = furnished().await;
    let (folder, token) = (&house.folder, &house.token);
    configure(folder, ".");
    more(folder, "[disk]\nreserve_bytes = 1048576\nfloor_bytes = 1048576\n");
    let (switch, elsewhere) = (std::env::temp_dir().join(web::token::new()), Folder::new());
    let log = elsewhere.path("log");
    let mut command = serve(folder);
    preload(&mut command, folder, "read_only");
    command.env("READ_ONLY", folder.path("")).env("READ_ONLY_SWITCH", &switch);
    command.stderr(std::fs::File::create(&log).unwrap());
    let gateway = Gateway::start(command);
    let device = Client::new(gateway.address);
    let patrol = Client::new(gateway.address).signed_in("patrol").await;
    let owner = Client::new(gateway.address).signed_in("owner").await;
    let mut page = owner.request(Method::GET, "/api/v1/stream").send().await.unwrap();
    let mut text = String::new();
    let (seen, view) = watching(Live::open(&patrol, &house.camera).await);
    goes_on(&seen).await;
    let (_, answer) = device.events(token, BATCH, &batch("before", 5)).await;
    assert_eq!(accepted(&answer), 6);

    std::fs::write(&switch, "").unwrap();
    let (took, detail) = until_wrong(&owner, &["disk_read_only"], TOLD).await;
    println!("told after {took:?}: {detail}");
    assert_eq!(told(&mut page, &mut text).await, json!({ "troubles": ["disk_read_only"] }));
    let (status, answer) = device.events(token, BATCH, &batch("meanwhile", 5)).await;
    assert_eq!(status.as_u16(), 503, "its device keeps it: {answer}");
    let refused = Live::try_open(&patrol, &house.camera, "main").await.err();
    assert_eq!(refused, Some(503), "nobody unwritten");
    // Long enough for leases that are not renewed to end.
    goes_on(&seen).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    goes_on(&seen).await;
    assert!(!view.is_finished());

    std::fs::remove_file(&switch).unwrap();
    let (took, _) = until_wrong(&owner, &[], OVER).await;
    println!("over after {took:?}");
    let (status, answer) = device.events(token, BATCH, &batch("meanwhile", 5)).await;
    assert_eq!((status.as_u16(), accepted(&answer)), (202, 6), "sent again, it is kept: {answer}");
    assert_eq!(doors(&patrol).await, 10);
    Live::open(&patrol, &house.camera).await.binary().await;
    let noted = audit(&owner).await;
    let noted: Vec<&String> = noted.iter().filter(|action| action.starts_with("disk.")).collect();
    assert_eq!(noted, ["disk.full", "disk.room"], "what could not be noted then is noted now");
    let log = std::fs::read_to_string(log).unwrap();
    let said = log.lines().filter(|line| line.contains("the database cannot be used")).count();
    assert_eq!((said, log.contains("after_connect")), (1, false), "what lasts is said once: {log}");
    goes_on(&seen).await;
    view.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn c37_below_the_floor_a_door_event_is_kept_and_its_picture_is_not() {
    let cameras = camera::start(&[("a", camera::clip(H264))]).await;
    let house = house("[disk]\nreserve_bytes = 65536\nfloor_bytes = 4611686018427387904\n").await;
    let lobby = house.lobby.clone();
    let camera = house
        .camera_like(&cameras.url("a"), |camera| {
            camera.place_id = lobby;
            camera.pull = Pull::Always;
        })
        .await;
    let hub = house.hub(&camera);
    until_within(OVER, || relay::hub::Stats::get(&hub.stats().frames) > 30).await;
    let (_, token) = house.door(&house.lobby).await;
    let patrol = house.sign_in_as(Role::Patrol).await;
    house.client().events(&token, BATCH, &batch("1", 1)).await;
    let began = Instant::now();
    let bookmark = loop {
        let row = patrol.get("/api/v1/door-events?limit=1").await.1["items"][0].clone();
        if !row["bookmark"].is_null() {
            break row["bookmark"].clone();
        }
        assert!(began.elapsed() < OVER);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((&bookmark["camera_id"], &bookmark["taken_at"]), (&json!(camera), &Value::Null));
    let owner = house.sign_in_as(Role::Owner).await;
    assert_eq!(troubles(&owner).await[0]["what"], "disk_full");
}
