//! C06: nobody is ever shown another camera than the one they asked for, whatever
//! happens to cameras, viewers, the decode process and the gateway meanwhile.
//!
//! Eight cameras whose pictures say which they are, and two that are converted, are
//! watched by every transport by viewers who come and go; an operator moves, renames,
//! removes and restarts. Every picture that is sent is looked at.

use crate::support::camera::start as start_cameras;
use crate::support::client::{Client, Key};
use crate::support::decoder::house;
use crate::support::dice::Dice;
use crate::support::folder::Folder;
use crate::support::foreign::run;
use crate::support::live::{Heard, Live};
use crate::support::marks::{Unpacker, marks, nals_of_fragments, of_jpegs};
use crate::support::whep::SDP;
use crate::support::{House, until};
use camsim::Cameras;
use camsim::clip::Clip;
use camsim::mark::Mark;
use camsim::screen::{Screen, Shown};
use camsim::viewers::Viewer;
use camsim::whep::{self, Answer, Offer, Wants};
use domain::CameraId;
use domain::role::Role;
use reqwest::Method;
use serde_json::json;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// Pictures that are looked at, at least.
const PICTURES: u64 = 100_000;
const FPS: u32 = 60;
const GOP: u32 = 150;
/// Without anything new for this long a viewer leaves.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long all of it may take on a machine that does other things, too.
const LONGEST: Duration = Duration::from_secs(300);

/// How somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    WebSocket,
    Rtsp,
    RtspUdp,
    Whep,
    WhepTcp,
    Hls,
    Still,
    Converted,
}

/// How many watch so, and how many pictures of it there must be at least.
const WAYS: [(Way, usize, u64); 8] = [
    (Way::WebSocket, 11, 10_000),
    (Way::Rtsp, 10, 10_000),
    (Way::RtspUdp, 1, 200),
    (Way::Whep, 3, 2_000),
    (Way::WhepTcp, 1, 500),
    (Way::Hls, 2, 1_000),
    (Way::Still, 2, 100),
    (Way::Converted, 1, 50),
];

/// Where a camera's pictures may come from.
#[derive(Default)]
struct Sources {
    /// Numbers that its marks may show, in the order in which they came to.
    numbers: Vec<u16>,
    /// From here on for who comes now.
    settled: usize,
    /// Whether it can be watched, and how.
    listed: bool,
    converted: bool,
}

/// What the viewers and the operator share.
struct World {
    rtsp: SocketAddr,
    people: Vec<(Client, Key)>,
    sources: Mutex<HashMap<CameraId, Sources>>,
    seen: HashMap<Way, AtomicU64>,
    wrong: Mutex<HashMap<String, u64>>,
    /// All viewers leave and come back when it changes.
    round: watch::Sender<u64>,
    enough: AtomicBool,
}

/// One look at a camera.
struct Visit<'a> {
    world: &'a World,
    way: Way,
    camera: CameraId,
    client: &'a Client,
    key: &'a Key,
    /// The place in [`Sources::numbers`] that was seen last: it never goes back.
    at: usize,
    screen: Screen,
    round: watch::Receiver<u64>,
    /// Pictures after which they leave.
    enough: u64,
    seen: u64,
}

impl World {
    fn visit<'a>(&'a self, way: Way, dice: &mut Dice) -> Option<Visit<'a>> {
        let sources = self.sources.lock().unwrap();
        let fits = |sources: &Sources| sources.listed && sources.converted == (way == Way::Converted);
        let mut cameras: Vec<_> = sources.iter().filter(|(_, sources)| fits(sources)).collect();
        cameras.sort_by_key(|(id, _)| id.as_str());
        let (camera, now) = *cameras.get(usize::try_from(dice.roll(cameras.len().max(1) as u64)).unwrap())?;
        let (client, key) = &self.people[usize::try_from(dice.roll(self.people.len() as u64)).unwrap()];
        Some(Visit {
            world: self,
            way,
            camera: camera.clone(),
            client,
            key,
            at: now.settled,
            screen: Screen::default(),
            round: self.round.subscribe(),
            enough: 60 + dice.roll(400),
            seen: 0,
        })
    }

    fn count(&self, way: Way) -> u64 {
        self.seen[&way].load(Ordering::Relaxed)
    }

    fn total(&self) -> u64 {
        WAYS.iter().map(|(way, ..)| self.count(*way)).sum()
    }

    fn is_over(&self) -> bool {
        self.total() >= PICTURES && WAYS.iter().all(|(way, _, least)| self.count(*way) >= *least)
    }
}

impl Visit<'_> {
    fn is_over(&self) -> bool {
        self.seen >= self.enough
            || self.round.has_changed().unwrap_or(true)
            || self.world.enough.load(Ordering::Relaxed)
    }

    fn wrong(&self, what: &str) {
        let text = format!("{:?} of {}: {what}", self.way, self.camera);
        *self.world.wrong.lock().unwrap().entry(text).or_default() += 1;
    }

    /// A picture was seen: it must be one of this camera's.
    fn saw(&mut self, mark: Option<Mark>) {
        self.seen += 1;
        self.world.seen[&self.way].fetch_add(1, Ordering::Relaxed);
        let Some(mark) = mark else { return self.wrong("a picture without a mark") };
        let sources = self.world.sources.lock().unwrap();
        let numbers = &sources[&self.camera].numbers;
        let place = numbers.iter().skip(self.at).position(|number| *number == mark.camera);
        let numbers = format!("{:?}", numbers.get(self.at..));
        drop(sources);
        match place {
            Some(ahead) => self.at += ahead,
            None => self.wrong(&format!("{mark:?}, and not one of {numbers}")),
        }
    }

    /// A NAL unit came. `whole` says that nothing can have been lost on the way.
    fn take(&mut self, nal: &[u8], whole: bool) {
        match self.screen.show(nal) {
            None => {}
            Some(Shown::Mark(mark)) => self.saw(Some(mark)),
            Some(Shown::Torn) if !whole => {}
            Some(Shown::Torn) => self.wrong("a picture that does not follow from the one before"),
            Some(Shown::Unreadable) => self.saw(None),
        }
    }

    /// Watches; nothing if it did not come to that, or has ended.
    async fn watch(&mut self) -> Option<()> {
        match self.way {
            Way::WebSocket => self.live().await,
            Way::Rtsp | Way::RtspUdp => self.rtsp().await,
            Way::Whep | Way::WhepTcp => self.whep().await,
            Way::Hls => self.hls().await,
            Way::Still => self.still().await,
            Way::Converted => self.converted().await,
        }
    }

    async fn live(&mut self) -> Option<()> {
        let mut live = Live::try_open(self.client, &self.camera, "main").await.ok()?;
        while !self.is_over() {
            match timeout(PATIENCE, live.next()).await.ok()? {
                Heard::Binary(bytes) => {
                    nals_of_fragments(&bytes).into_iter().for_each(|nal| self.take(nal, true));
                }
                // What comes next begins with a key frame.
                Heard::Text(_) => {}
                Heard::Closed(_) => return None,
            }
        }
        Some(())
    }

    async fn rtsp(&mut self) -> Option<()> {
        let (address, path) = (self.world.rtsp, format!("{}/main", self.camera));
        let login = Some((self.key.login.as_str(), self.key.key.as_str()));
        let udp = self.way == Way::RtspUdp;
        let opening = async {
            if udp {
                Viewer::play_udp(address, &path, login).await
            } else {
                Viewer::play(address, &path, login).await
            }
        };
        let mut viewer = timeout(Duration::from_secs(15), opening).await.ok()?.ok()?;
        let mut unpacker = Unpacker::default();
        while !self.is_over() {
            let packet = timeout(PATIENCE, viewer.packet()).await.ok()?.ok()?;
            if packet.channel == 0 {
                let sequence = u16::from_be_bytes([packet.bytes[2], packet.bytes[3]]);
                let nals = unpacker.push(sequence, &packet.bytes[12..]);
                nals.iter().for_each(|nal| self.take(nal, !udp));
            }
        }
        Some(())
    }

    async fn whep(&mut self) -> Option<()> {
        let offer = Offer::new(Wants::Everything).ok()?;
        let request = self.client.request(Method::POST, &crate::support::whep::path(&self.camera));
        let request = request.header("content-type", SDP).body(offer.sdp.clone());
        let response = request.send().await.ok().filter(|response| response.status() == 201)?;
        let answer = Answer::parse(&response.text().await.ok()?).ok()?;
        let tcp = self.way == Way::WhepTcp;
        let mut viewer = if tcp {
            whep::Viewer::connect_tcp(offer, &answer).await.ok()?
        } else {
            whep::Viewer::connect(offer, &answer).await.ok()?
        };
        let mut unpacker = Unpacker::default();
        while !self.is_over() {
            let packet = timeout(PATIENCE, viewer.packet()).await.ok()?.ok()?;
            if answer.tracks.first().is_some_and(|track| track.ssrc == packet.ssrc) {
                let nals = unpacker.push((packet.sequence & 0xffff) as u16, &packet.payload);
                nals.iter().for_each(|nal| self.take(nal, tcp));
            }
        }
        Some(())
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let path = format!("/api/v1/cameras/{}/{path}", self.camera);
        let asking = self.client.request(Method::GET, &path).send();
        let response = timeout(Duration::from_secs(15), asking).await.ok()?.ok()?;
        let body = (response.status() == 200).then(|| response.bytes())?;
        Some(body.await.ok()?.to_vec())
    }

    async fn hls(&mut self) -> Option<()> {
        self.get("main/hls/index.m3u8").await?;
        let mut last = None;
        while !self.is_over() {
            let playlist = String::from_utf8(self.get("main/hls/live.m3u8").await?).unwrap();
            let lines: Vec<_> = playlist.lines().filter(|line| line.starts_with("#EXT-X-PART:")).collect();
            let known = lines.iter().position(|line| last.as_deref() == Some(*line));
            // Who begins, or has lost the way, begins with a key frame.
            let first = match known {
                Some(place) => place + 1,
                None => {
                    lines.iter().rposition(|line| line.contains("INDEPENDENT=YES")).unwrap_or(lines.len())
                }
            };
            for line in &lines[first..] {
                let uri = line.split("URI=\"").nth(1).unwrap().split('"').next().unwrap();
                let part = self.get(&format!("main/hls/{uri}")).await?;
                nals_of_fragments(&part).into_iter().for_each(|nal| self.take(nal, true));
                last = Some((*line).to_owned());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Some(())
    }

    /// Some stills of one camera, in all widths.
    async fn still(&mut self) -> Option<()> {
        let mut stills = Vec::new();
        for n in 0..8u64 {
            let width = 64 + (self.enough * 37 + n * 311) % 1_857;
            stills.extend(self.get(&format!("snapshot.jpg?width={width}")).await);
        }
        if !stills.is_empty() {
            of_jpegs(&stills).await.into_iter().for_each(|mark| self.saw(mark));
        }
        Some(())
    }

    /// As H.264 what is not: pictures that the decode process has made.
    async fn converted(&mut self) -> Option<()> {
        let path = format!("{}/main/live?video=h264", self.camera);
        let mut live = Live::try_open_at(self.client, &path).await.ok()?;
        let (mut file, mut pictures) = (Vec::new(), 0);
        let until = Instant::now() + Duration::from_secs(15);
        while pictures < 30 && !self.round.has_changed().unwrap_or(true) {
            let Ok(heard) = timeout_at(until, live.next()).await else { break };
            match heard {
                // From elsewhere, or in another form: a file has one beginning.
                Heard::Text(text) if text["type"] == "init" && !file.is_empty() => break,
                Heard::Text(_) => {}
                Heard::Binary(bytes) => {
                    pictures += u64::from(&bytes[4..8] == b"moof");
                    file.extend(bytes);
                }
                Heard::Closed(_) => break,
            }
        }
        if pictures > 0 {
            let folder = Folder::new();
            let path = folder.path("converted.mp4");
            std::fs::write(&path, file).unwrap();
            // In the file's own units of time: two pictures may be close together.
            let input = ["-i", path.to_str().unwrap(), "-fps_mode", "passthrough", "-enc_time_base", "-1"];
            for mark in marks(&input, 256, 128).await {
                self.saw(mark);
            }
        }
        Some(())
    }
}

async fn viewer(world: Arc<World>, way: Way, seed: u64) {
    let mut dice = Dice(seed);
    while !world.enough.load(Ordering::Relaxed) {
        if let Some(mut visit) = world.visit(way, &mut dice) {
            let mut round = visit.round.clone();
            tokio::select! {
                _ = visit.watch() => {}
                // All come back in the same moment.
                _ = round.changed() => continue,
            }
        }
        // Decoding is dear, and no more of it is needed.
        let pause = if matches!(way, Way::Still | Way::Converted) { 1_500 } else { 120 };
        tokio::time::sleep(Duration::from_millis(dice.roll(pause))).await;
    }
}

/// The cameras, on two ports.
struct Site {
    ports: Vec<Cameras>,
    /// The port and the path of each number.
    paths: Vec<(usize, String)>,
    clips: Vec<Vec<(String, Arc<Clip>)>>,
}

impl Site {
    async fn start() -> Self {
        let mut clips = vec![Vec::new(), Vec::new()];
        let mut paths = Vec::new();
        for number in 0..8u16 {
            paths.push((usize::from(number % 2), format!("h264-{number}")));
            clips[usize::from(number % 2)]
                .push((format!("h264-{number}"), Arc::new(Clip::marked(number, FPS, GOP))));
        }
        for number in 8..10u16 {
            paths.push((0, format!("h265-{number}")));
            clips[0].push((format!("h265-{number}"), h265(number).await));
        }
        let mut ports = Vec::new();
        for clips in &clips {
            let clips: Vec<_> = clips.iter().map(|(path, clip)| (path.as_str(), Arc::clone(clip))).collect();
            ports.push(start_cameras(&clips).await);
        }
        Self { ports, paths, clips }
    }

    fn url(&self, number: u16) -> String {
        let (port, path) = &self.paths[usize::from(number)];
        self.ports[*port].url(path)
    }

    /// The devices are switched off and on: they count from the beginning again.
    async fn restart(&mut self, port: usize) {
        let address = self.ports[port].address();
        let camera = |(path, clip): &(String, Arc<Clip>)| camsim::Camera {
            path: path.clone(),
            clip: Arc::clone(clip),
            other: None,
        };
        drop(self.ports.remove(port));
        loop {
            let cameras = self.clips[port].iter().map(camera).collect();
            match camsim::start(address, cameras, None).await {
                Ok(cameras) => return self.ports.insert(port, cameras),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// Two seconds of a marked camera as H.265.
async fn h265(number: u16) -> Arc<Clip> {
    let cameras = start_cameras(&[("a", Arc::new(Clip::marked(number, 25, 25)))]).await;
    let (folder, url) = (Folder::new(), cameras.url("a"));
    let path = folder.path("h265.mp4");
    let input = ["-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-frames:v", "50", "-c:v", "libx265"];
    let encoder = ["-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25:bframes=0"];
    let output = [path.to_str().unwrap()];
    let made = run("ffmpeg", &[&input[..], &encoder, &output].concat(), Duration::from_secs(60)).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Arc::new(Clip::read(&path).unwrap())
}

/// Whoever runs the cameras, and what happens to them.
struct Operator {
    house: House,
    site: Site,
    owner: Client,
    world: Arc<World>,
    dice: Dice,
    /// What was done, and how often.
    done: HashMap<&'static str, u64>,
}

impl Operator {
    fn listed(&self, converted: bool) -> Vec<(CameraId, u16)> {
        let sources = self.world.sources.lock().unwrap();
        let listed = sources.iter().filter(|(_, s)| s.listed && s.converted == converted);
        let mut all: Vec<_> = listed.map(|(id, s)| (id.clone(), *s.numbers.last().unwrap())).collect();
        all.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        all
    }

    /// Asks for a change until it is made: a busy machine's database may be late.
    async fn order(&self, method: Method, path: &str, body: Option<serde_json::Value>) -> serde_json::Value {
        for _ in 0..40 {
            let (status, answer) = self.owner.send(method.clone(), path, body.clone()).await;
            if status != 503 {
                assert!(status.is_success(), "{method} {path}: {status} {answer}");
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("{method} {path} is not done")
    }

    async fn register(&mut self, number: u16) {
        let input = json!({ "place_id": self.house.gate, "name": format!("camera {number}"), "purpose": "safety",
            "responsible_unit": "office", "main_url": self.site.url(number) });
        let camera = self.order(Method::POST, "/api/v1/cameras", Some(input)).await;
        let id = CameraId::parse(camera["id"].as_str().unwrap()).unwrap();
        let sources = Sources { numbers: vec![number], settled: 0, listed: true, converted: number >= 8 };
        self.world.sources.lock().unwrap().insert(id, sources);
    }

    async fn patch(&self, id: &CameraId, change: serde_json::Value) {
        self.order(Method::PATCH, &format!("/api/v1/cameras/{id}"), Some(change)).await;
    }

    /// The camera is another device from now on.
    async fn moved(&self, id: &CameraId, number: u16) {
        self.world.sources.lock().unwrap().get_mut(id).unwrap().numbers.push(number);
        let before = Instant::now();
        self.patch(id, json!({ "main_url": self.site.url(number) })).await;
        until(|| self.house.hub(id).source_since() >= before).await;
        let mut sources = self.world.sources.lock().unwrap();
        let sources = sources.get_mut(id).unwrap();
        sources.settled = sources.numbers.len() - 1;
        // Who comes in this moment may find what is left of before.
        self.world.round.send_modify(|round| *round += 1);
    }

    async fn act(&mut self) {
        let act = self.dice.pick(&[
            "rename", "swap", "swap", "swap", "anew", "drop", "leave", "kill", "kill", "refuse", "restart",
        ]);
        *self.done.entry(act).or_default() += 1;
        let converted = self.dice.one_in(5);
        let all = self.listed(converted);
        let (id, number) = all[usize::try_from(self.dice.roll(all.len() as u64)).unwrap()].clone();
        let port = usize::try_from(self.dice.roll(2)).unwrap();
        match act {
            "rename" => {
                let name = format!("renamed {}", self.dice.roll(1_000));
                self.patch(&id, json!({ "name": name })).await;
            }
            "swap" => {
                let (other, others) = all.iter().find(|(other, _)| *other != id).unwrap();
                self.moved(&id, *others).await;
                self.moved(other, number).await;
            }
            "anew" => {
                self.world.sources.lock().unwrap().get_mut(&id).unwrap().listed = false;
                self.order(Method::DELETE, &format!("/api/v1/cameras/{id}"), None).await;
                self.register(number).await;
            }
            "drop" => self.site.ports[port].control().drop_all(),
            "leave" => self.world.round.send_modify(|round| *round += 1),
            "kill" => {
                for id in self.house.decoder.processes() {
                    // It may have ended by itself meanwhile.
                    let _ = std::process::Command::new("kill").args(["-9", &id.to_string()]).output();
                }
            }
            "refuse" => {
                self.site.ports[port].control().refuse(true);
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.site.ports[port].control().refuse(false);
            }
            _ => self.site.restart(port).await,
        }
    }

    async fn storm(mut self) -> Self {
        let (began, mut restarts) = (Instant::now(), 0);
        while !self.world.is_over() && began.elapsed() < LONGEST {
            self.act().await;
            if self.world.total() > (restarts + 1) * PICTURES / 3 && restarts < 2 {
                restarts += 1;
                self.house = self.house.restart().await;
            }
            tokio::time::sleep(Duration::from_millis(300 + self.dice.roll(700))).await;
        }
        println!("{:?} after {:?}, {restarts} restarts", self.done, began.elapsed());
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c06_nobody_sees_a_wrong_camera_in_a_hundred_thousand_pictures() {
    let seed = u64::from_be_bytes(web::token::random());
    println!("seed {seed:#x}");
    let (site, house) = (Site::start().await, house("").await);
    let mut people = Vec::new();
    for role in [Role::Patrol, Role::Patrol, Role::Patrol, Role::DutyOperator] {
        let client = house.sign_in_as(role).await;
        let key = client.key().await;
        people.push((client, key));
    }
    let world = Arc::new(World {
        rtsp: house.rtsp,
        people,
        sources: Mutex::default(),
        seen: WAYS.iter().map(|(way, ..)| (*way, AtomicU64::new(0))).collect(),
        wrong: Mutex::default(),
        round: watch::Sender::new(0),
        enough: AtomicBool::new(false),
    });
    let owner = house.sign_in_as(Role::Owner).await;
    let mut operator =
        Operator { house, site, owner, world: Arc::clone(&world), dice: Dice(seed), done: HashMap::new() };
    for number in 0..10 {
        operator.register(number).await;
    }
    let mut viewers = Vec::new();
    for (place, (way, count, _)) in WAYS.into_iter().enumerate() {
        for n in 0..count {
            viewers.push(tokio::spawn(viewer(Arc::clone(&world), way, seed ^ (place * 100 + n) as u64)));
        }
    }
    let operator = operator.storm().await;
    world.enough.store(true, Ordering::Relaxed);
    for viewer in viewers {
        viewer.await.unwrap();
    }
    let seen: Vec<_> = WAYS.iter().map(|(way, ..)| (*way, world.count(*way))).collect();
    println!("{seen:?}");
    let wrong = world.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "seed {seed:#x}: wrong: {wrong:#?}");
    assert!(world.is_over(), "seed {seed:#x}: too few pictures: {seen:?}");
    drop(operator);
}
