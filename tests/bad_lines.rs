//! Pictures on lines that carry little more than the stream: after a disturbance the
//! picture is there again within a second, whole.

use crate::support::House;
use crate::support::camera;
use crate::support::marks::Unpacker;
use crate::support::middle::{Middle, Weather};
use crate::support::whep::{self, Opened};
use camsim::clip::Clip;
use camsim::mark::Mark;
use camsim::screen::{Screen, Shown};
use camsim::whep::{Came, Packet, Viewer, begins_key_frame};
use domain::camera::Pull;
use domain::role::Role;
use relay::hub::{Hub, Stats};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A group of pictures lasts four seconds.
const GOP: u32 = 100;

/// A browser's way with losses: it asks again, and after a while for a key frame. What it
/// shows is decoded.
struct Browser {
    viewer: Viewer,
    ssrc: u32,
    waiting: BTreeMap<u64, Packet>,
    /// The next packet to decode.
    next: Option<u64>,
    missing: BTreeMap<u64, (Instant, Instant)>,
    key_asked: Option<Instant>,
    keys_asked: usize,
    unpacker: Unpacker,
    screen: Screen,
    bytes: u64,
    shown: Vec<(Instant, Mark)>,
}

impl Browser {
    fn new(viewer: Viewer) -> Self {
        let ssrc = viewer.answer().tracks[0].ssrc;
        Self {
            viewer,
            ssrc,
            waiting: BTreeMap::new(),
            next: None,
            missing: BTreeMap::new(),
            key_asked: None,
            keys_asked: 0,
            unpacker: Unpacker::default(),
            screen: Screen::default(),
            bytes: 0,
            shown: Vec::new(),
        }
    }

    async fn watch(&mut self, time: Duration) {
        self.watch_until(Instant::now() + time, |_| false).await;
    }

    async fn watch_until(&mut self, end: Instant, enough: impl Fn(&Self) -> bool) {
        while Instant::now() < end && !enough(self) {
            match tokio::time::timeout(Duration::from_millis(10), self.viewer.next()).await {
                Ok(Ok(Came::Packet(packet))) if packet.ssrc == self.ssrc => self.take(packet),
                Ok(came) => assert!(!matches!(came.unwrap(), Came::Bye), "the session goes on"),
                Err(_) => {}
            }
            self.ask().await;
            self.show();
        }
    }

    fn take(&mut self, packet: Packet) {
        self.bytes += packet.sealed.len() as u64;
        let (number, now) = (packet.sequence, Instant::now());
        let next = *self.next.get_or_insert(number);
        let newest = self.waiting.last_key_value().map_or(next, |(number, _)| number + 1);
        for gone in newest.max(next)..number {
            self.missing.insert(gone, (now, now + Duration::from_millis(10)));
        }
        self.missing.remove(&number);
        if number >= next {
            self.waiting.insert(number, packet);
        }
    }

    async fn ask(&mut self) {
        let now = Instant::now();
        for (number, (_, at)) in self.missing.iter_mut().filter(|(_, (_, at))| *at <= now) {
            *at = now + Duration::from_millis(100);
            self.viewer.nack(self.ssrc, *number as u16, 0).await.unwrap();
        }
        let oldest = self.missing.values().map(|(since, _)| *since).min();
        let hopeless = oldest.is_some_and(|since| now - since > Duration::from_millis(500));
        if hopeless && self.key_asked.is_none_or(|at| now - at > Duration::from_secs(1)) {
            self.key_asked = Some(now);
            self.keys_asked += 1;
            self.viewer.pli(self.ssrc).await.unwrap();
        }
        if hopeless {
            // It goes on at the newest key frame that is there, if there is a newer one.
            let mut keys = self.waiting.iter().rev();
            if let Some((key, _)) = keys.find(|(_, packet)| begins_key_frame(&packet.payload)) {
                let key = *key;
                self.next = Some(key);
                self.waiting = self.waiting.split_off(&key);
                self.missing = self.missing.split_off(&key);
            }
        }
    }

    fn show(&mut self) {
        while let Some(packet) = self.next.and_then(|next| self.waiting.remove(&next)) {
            self.next = Some(packet.sequence + 1);
            for nal in self.unpacker.push(packet.sequence as u16, &packet.payload) {
                match self.screen.show(&nal) {
                    Some(Shown::Mark(mark)) => self.shown.push((Instant::now(), mark)),
                    Some(shown) => panic!("{shown:?} after {} pictures", self.shown.len()),
                    None => {}
                }
            }
        }
    }
}

/// Watches a camera of four-second groups by a line of twice its bitrate.
async fn narrow() -> (camsim::Cameras, House, Hub, Middle, Browser) {
    let cameras = camera::start(&[("a", Arc::new(Clip::marked(7, 25, GOP)))]).await;
    let house = House::start().await;
    let camera = house.camera_like(&cameras.url("a"), |camera| camera.pull = Pull::Always).await;
    let client = house.sign_in_as(Role::Patrol).await;
    // What the stream has, as it arrives where nothing is in its way.
    let mut free = Browser::new(whep::watch(&client, &camera).await);
    free.watch(Duration::from_secs(5)).await;
    let pictures = u64::from(free.shown.last().unwrap().1.frame - free.shown[0].1.frame + 1);
    let rate = free.bytes * 25 / pictures;
    let Opened { offer, answer, .. } = whep::try_open(&client, &camera).await.unwrap();
    let rate_of_line = u32::try_from(2 * rate).unwrap();
    let middle = Middle::start(answer.udp, Weather { rate: Some(rate_of_line), ..Weather::default() }).await;
    let viewer = Viewer::connect_at(offer, &answer, middle.address).await.unwrap();
    println!("a line of {rate_of_line} bytes a second");
    let hub = house.hub(&camera);
    (cameras, house, hub, middle, Browser::new(viewer))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_line_of_twice_the_bitrate_the_picture_is_back_a_second_after_it_was_disturbed() {
    let (_cameras, _house, hub, middle, mut browser) = narrow().await;
    // A busy machine may take a moment, but not the middle of five.
    let mut took = Vec::new();
    browser.watch(Duration::from_secs(4)).await;
    let joined = (browser.shown.len(), browser.keys_asked);
    for _ in 0..5 {
        middle.cut(true);
        browser.watch(Duration::from_millis(400)).await;
        middle.cut(false);
        let (back, before) = (Instant::now(), browser.shown.last().unwrap().1.frame);
        let newer = |browser: &Browser| browser.shown.last().unwrap().1.frame > before;
        browser.watch_until(back + Duration::from_secs(10), newer).await;
        assert!(newer(&browser), "the picture comes back");
        took.push(back.elapsed());
        browser.watch(Duration::from_secs(2)).await;
    }
    took.sort_unstable();
    let resent = Stats::get(&hub.stats().resent);
    println!(
        "joined with {} pictures and {} key frames asked for; {took:?} to a picture, \
         {resent} packets again, {} key frames asked for",
        joined.0, joined.1, browser.keys_asked
    );
    assert!(took[2] <= Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_key_frame_on_a_line_of_twice_the_bitrate_gets_a_picture_that_goes_on() {
    let (_cameras, _house, _hub, _middle, mut browser) = narrow().await;
    browser.watch(Duration::from_secs(4)).await;
    let mut took = Vec::new();
    for _ in 0..3 {
        // As after a decoder's error: what was there is of no use.
        let asked = Instant::now();
        let newest = browser.waiting.last_key_value().map(|(number, _)| *number).or(browser.next);
        browser.viewer.pli(browser.ssrc).await.unwrap();
        let (before, from) = (browser.shown.len(), newest.unwrap());
        let shown = |browser: &Browser| browser.shown.len() > before + 25 && browser.next > Some(from);
        browser.watch_until(asked + Duration::from_secs(20), shown).await;
        assert!(shown(&browser), "a second of pictures comes");
        took.push(asked.elapsed());
        browser.watch(Duration::from_secs(4)).await;
    }
    println!("{took:?} to a second of pictures, {} key frames asked for", browser.keys_asked);
    assert!(browser.keys_asked <= 6, "the replay itself does not break the picture: {}", browser.keys_asked);
}

/// How long it takes to be led to now through a group of four seconds.
#[tokio::test(flavor = "multi_thread")]
async fn who_joins_at_the_end_of_a_long_group_has_its_picture_at_once_and_is_at_now_soon() {
    let cameras = camera::start(&[("a", Arc::new(Clip::marked(7, 25, GOP)))]).await;
    let house = House::start().await;
    let camera = house.camera_like(&cameras.url("a"), |camera| camera.pull = Pull::Always).await;
    let client = house.sign_in_as(Role::Patrol).await;
    let hub = house.hub(&camera);
    let place = || Stats::get(&hub.stats().frames) % u64::from(GOP);
    crate::support::until_within(Duration::from_secs(20), || (85..95).contains(&place())).await;
    let began = Instant::now();
    let mut browser = Browser::new(whep::watch(&client, &camera).await);
    let connected = began.elapsed();
    browser.watch(Duration::from_secs(6)).await;
    // When each picture would have been shown by one who is at now all the time.
    let (at, last) = *browser.shown.last().unwrap();
    let live = |mark: &Mark| at - Duration::from_millis(40) * (last.frame - mark.frame);
    let late = |(at, mark): &(Instant, Mark)| at.saturating_duration_since(live(mark));
    let (first, begin) = (browser.shown[0].0 - began, late(&browser.shown[0]));
    let steady = browser.shown.iter().rposition(|shown| late(shown) > Duration::from_millis(200));
    let now = browser.shown[steady.map_or(0, |at| at + 1)].0 - began;
    println!("connected in {connected:?}, a picture after {first:?}, {begin:?} old; at now after {now:?}");
    assert!(begin > Duration::from_secs(2), "it joined late in the group: {begin:?}");
    assert_eq!(browser.keys_asked, 0);
    assert!(now < Duration::from_secs(5), "{now:?}");
}
