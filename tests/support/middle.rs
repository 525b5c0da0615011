//! Something between a viewer and the gateway: it loses, delays and forges datagrams.
//! The kernel's own means are often not there, so it is a program.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What it does with datagrams from the gateway.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Of a hundred, so many are lost.
    pub loss_percent: u32,
    /// They come up to this much later, one before the other.
    pub jitter: Duration,
    /// Bytes a second that get through. What waits longer than a line lets it is lost.
    pub rate: Option<u32>,
}

/// How long datagrams wait for their turn on a line that is full.
const QUEUE: Duration = Duration::from_millis(200);

pub struct Middle {
    /// Where the viewer connects.
    pub address: SocketAddr,
    outside: Arc<UdpSocket>,
    gateway: SocketAddr,
    to_gateway: Arc<AtomicU64>,
    from_gateway: Arc<AtomicU64>,
    /// Sent to the gateway right before the viewer's first DTLS packet. What the gateway
    /// answers is for the one who forged, who is elsewhere.
    ambush: Arc<Mutex<Vec<Vec<u8>>>>,
    cut: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

/// A steady sequence that looks like chance: a failure can be played again.
fn chance(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as u32
}

impl Middle {
    pub async fn start(gateway: SocketAddr, weather: Weather) -> Self {
        let inside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let outside = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let viewer: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
        let (to_gateway, from_gateway) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let ambush: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (swallowing, cut) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let mut tasks = JoinSet::new();
        // As many as the longest queue holds of the smallest packets.
        let (line, mut arriving) = mpsc::channel::<(Instant, SocketAddr, Vec<u8>)>(1 << 16);
        tasks.spawn({
            let inside = Arc::clone(&inside);
            async move {
                while let Some((at, viewer, packet)) = arriving.recv().await {
                    tokio::time::sleep_until(at).await;
                    let _ = inside.send_to(&packet, viewer).await;
                }
            }
        });
        tasks.spawn({
            let (inside, outside, viewer) = (Arc::clone(&inside), Arc::clone(&outside), Arc::clone(&viewer));
            let (count, ambush) = (Arc::clone(&to_gateway), Arc::clone(&ambush));
            let swallowing = Arc::clone(&swallowing);
            async move {
                let mut buffer = [0; 2_048];
                while let Ok((length, from)) = inside.recv_from(&mut buffer).await {
                    *viewer.lock().unwrap() = Some(from);
                    let packet = &buffer[..length];
                    if (20..64).contains(&packet[0]) {
                        let forged = std::mem::take(&mut *ambush.lock().unwrap());
                        if !forged.is_empty() {
                            swallowing.store(true, Ordering::Relaxed);
                            for forged in forged {
                                let _ = outside.send_to(&forged, gateway).await;
                            }
                            tokio::time::sleep(Duration::from_millis(300)).await;
                            swallowing.store(false, Ordering::Relaxed);
                        }
                    }
                    count.fetch_add(length as u64, Ordering::Relaxed);
                    let _ = outside.send_to(packet, gateway).await;
                }
            }
        });
        tasks.spawn({
            let (inside, outside) = (Arc::clone(&inside), Arc::clone(&outside));
            let (count, cut) = (Arc::clone(&from_gateway), Arc::clone(&cut));
            async move {
                let (mut buffer, mut dice, mut late) = ([0; 2_048], 7, JoinSet::new());
                let mut free_at = Instant::now();
                while let Ok((length, _)) = outside.recv_from(&mut buffer).await {
                    count.fetch_add(length as u64, Ordering::Relaxed);
                    let Some(viewer) = *viewer.lock().unwrap() else { continue };
                    if swallowing.load(Ordering::Relaxed) {
                        continue;
                    }
                    let media = (128..192).contains(&buffer[0]);
                    if media && chance(&mut dice) % 100 < weather.loss_percent {
                        continue;
                    }
                    if cut.load(Ordering::Relaxed) {
                        continue;
                    }
                    if let Some(rate) = weather.rate {
                        let now = Instant::now();
                        let turn = free_at.max(now);
                        if turn <= now + QUEUE {
                            free_at = turn + Duration::from_secs_f64(length as f64 / f64::from(rate));
                            let _ = line.try_send((free_at, viewer, buffer[..length].to_vec()));
                        }
                        continue;
                    }
                    let delay = weather.jitter.mul_f64(f64::from(chance(&mut dice) % 1_000) / 1_000.0);
                    if delay.is_zero() {
                        let _ = inside.send_to(&buffer[..length], viewer).await;
                        continue;
                    }
                    let (inside, packet) = (Arc::clone(&inside), buffer[..length].to_vec());
                    late.spawn(async move {
                        tokio::time::sleep(delay).await;
                        let _ = inside.send_to(&packet, viewer).await;
                    });
                    while late.try_join_next().is_some() {}
                }
            }
        });
        let address = inside.local_addr().unwrap();
        Self { address, outside, gateway, to_gateway, from_gateway, ambush, cut, _tasks: tasks }
    }

    /// Sends this to the gateway as if it came from the viewer.
    pub async fn forge(&self, packet: &[u8]) {
        let _ = self.outside.send_to(packet, self.gateway).await;
    }

    /// Lies in wait for the viewer's first DTLS packet.
    pub fn lie_in_wait(&self, forged: Vec<Vec<u8>>) {
        *self.ambush.lock().unwrap() = forged;
    }

    /// Nothing gets through to the viewer, or everything does again.
    pub fn cut(&self, on: bool) {
        self.cut.store(on, Ordering::Relaxed);
    }

    /// Bytes to the gateway and from it.
    pub fn bytes(&self) -> (u64, u64) {
        (self.to_gateway.load(Ordering::Relaxed), self.from_gateway.load(Ordering::Relaxed))
    }
}
