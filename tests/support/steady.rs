//! Viewers who read on all the time and notice if anything was left out.

use super::House;
use super::client::Client;
use super::hls::Player;
use super::live::{Heard, Live};
use super::whep;
use camsim::viewers::Viewer;
use domain::CameraId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// All of them.
pub struct Steady {
    viewers: JoinSet<()>,
    enough: CancellationToken,
    seen: Vec<(&'static str, Arc<AtomicU64>)>,
}

impl Default for Steady {
    fn default() -> Self {
        Self { viewers: JoinSet::new(), enough: CancellationToken::new(), seen: Vec::new() }
    }
}

impl Steady {
    /// Reads on until it is enough; `watching` counts what came in order and panics at a gap.
    fn add<W: Future<Output = ()> + Send + 'static>(
        &mut self,
        way: &'static str,
        watching: impl FnOnce(Arc<AtomicU64>) -> W,
    ) {
        let seen = Arc::<AtomicU64>::default();
        self.seen.push((way, Arc::clone(&seen)));
        let enough = self.enough.clone();
        let watching = watching(seen);
        self.viewers.spawn(async move {
            tokio::select! {
                () = watching => {}
                () = enough.cancelled() => {}
            }
        });
    }

    pub async fn websocket(&mut self, client: &Client, camera: &CameraId) {
        let mut live = Live::open(client, camera).await;
        self.add("websocket", async move |seen| {
            let mut last = None;
            loop {
                match live.next().await {
                    Heard::Binary(bytes) if &bytes[4..8] == b"moof" => {
                        // moof, mfhd, version and flags, sequence number (ISO 14496-12, 8.8.5).
                        let number = u32::from_be_bytes(bytes[20..24].try_into().unwrap());
                        follows("websocket", &mut last, number, number.wrapping_sub(1));
                        seen.fetch_add(1, Ordering::Relaxed);
                    }
                    Heard::Binary(_) => {}
                    Heard::Text(text) => assert_ne!(text["type"], "lagged"),
                    Heard::Closed(code) => panic!("websocket: closed with {code:?}"),
                }
            }
        });
    }

    pub async fn rtsp(&mut self, house: &House, client: &Client, camera: &CameraId) {
        let key = client.key().await;
        let login = Some((key.login.as_str(), key.key.as_str()));
        let mut viewer = Viewer::play(house.rtsp, &format!("{camera}/main"), login).await.unwrap();
        self.add("rtsp", async move |seen| {
            let mut last = None;
            loop {
                let packet = viewer.packet().await.expect("rtsp: it stays connected");
                if packet.channel == 0 {
                    let number = u16::from_be_bytes([packet.bytes[2], packet.bytes[3]]);
                    follows("rtsp", &mut last, number, number.wrapping_sub(1));
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }

    pub async fn whep(&mut self, client: &Client, camera: &CameraId) {
        let mut viewer = whep::watch(client, camera).await;
        self.add("whep", async move |seen| {
            let video = viewer.answer().tracks[0].ssrc;
            let mut last = None;
            loop {
                let packet = viewer.packet().await.expect("whep: it stays connected");
                if packet.ssrc == video {
                    follows("whep", &mut last, packet.sequence, packet.sequence.wrapping_sub(1));
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }

    pub async fn hls(&mut self, client: &Client, camera: &CameraId) {
        let mut player = Player::open(client, camera).await;
        self.add("hls", async move |seen| {
            let mut ends: Option<u64> = None;
            loop {
                let (part, bytes) = player.part().await.expect("hls: the next part is there");
                // Version 1: version and flags, baseMediaDecodeTime (ISO 14496-12, 8.8.12).
                let tfdt = bytes.windows(4).position(|name| name == b"tfdt").unwrap() + 8;
                let begins = u64::from_be_bytes(bytes[tfdt..tfdt + 8].try_into().unwrap());
                let gap = ends.map_or(0, |ends| ends.abs_diff(begins));
                assert!(gap < 900, "hls: {gap} ticks are missing before {}", part.uri);
                ends = Some(begins + (part.seconds * 90_000.0) as u64);
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// How many pieces each has seen so far.
    pub fn seen(&self) -> Vec<(&'static str, u64)> {
        self.seen.iter().map(|(way, seen)| (*way, seen.load(Ordering::Relaxed))).collect()
    }

    /// Waits until each has seen so many pieces more.
    pub async fn see(&mut self, more: u64) {
        let before = self.seen();
        super::until_within(std::time::Duration::from_secs(60), || {
            if let Some(ended) = self.viewers.try_join_next() {
                ended.expect("a viewer goes on");
            }
            self.seen().iter().zip(&before).all(|(now, before)| now.1 >= before.1 + more)
        })
        .await;
    }

    /// It was enough: none of them has missed anything.
    pub async fn end(mut self) -> Vec<(&'static str, u64)> {
        self.enough.cancel();
        while let Some(ended) = self.viewers.join_next().await {
            ended.expect("nothing was left out");
        }
        self.seen()
    }
}

fn follows<N: Copy + PartialEq + std::fmt::Debug>(way: &str, last: &mut Option<N>, number: N, before: N) {
    assert!(last.as_ref().is_none_or(|last| *last == before), "{way}: {last:?} and then {number:?}");
    *last = Some(number);
}
