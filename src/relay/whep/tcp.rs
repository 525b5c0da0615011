//! Viewers whom UDP does not reach: the same packets over TCP, each behind its length
//! (RFC 6544, RFC 4571).

use super::ice::{self, Route};
use super::mux::Shared;
use super::outlet::Datagrams;
use crate::seats::Seats;
use crate::socket::reset_on_close;
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, warn};

/// Connections in all, and from one address.
const MOST: usize = 1_000;
const PER_ADDRESS: usize = 100;
/// How long a connection may take to say whose it is.
const FIRST_CHECK: Duration = Duration::from_secs(10);
/// The longest packet that is read.
const LONGEST: usize = 2_048;
/// Frames, or pieces of large ones (`outlet::PIECE`), that may wait for a connection: with
/// the one that is being written and the one that is sealed that is 1.5 MiB. When it is
/// full the viewer stands still at its place in the stream, and what is not media is lost.
const WAITING: usize = 4;

/// The connections that are open, by number.
#[derive(Default)]
pub(super) struct Connections {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Sender>>,
    most_waiting: Arc<AtomicUsize>,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Sender>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way into a connection, if it is still open.
    pub(super) fn get(&self, number: u64) -> Option<Sender> {
        self.lock().get(&number).cloned()
    }

    /// Bytes that have waited for one connection at the most.
    pub(super) fn most_waiting(&self) -> usize {
        self.most_waiting.load(Ordering::Relaxed)
    }

    fn open(&self) -> (u64, mpsc::Receiver<Bytes>, Arc<AtomicUsize>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (queue, receiver) = mpsc::channel(WAITING);
        let waiting = Arc::<AtomicUsize>::default();
        let sender =
            Sender { queue, waiting: Arc::clone(&waiting), most_waiting: Arc::clone(&self.most_waiting) };
        self.lock().insert(number, sender);
        (number, receiver, waiting)
    }
}

/// The way into a connection.
#[derive(Clone)]
pub(super) struct Sender {
    queue: mpsc::Sender<Bytes>,
    /// Bytes that have not been written.
    waiting: Arc<AtomicUsize>,
    most_waiting: Arc<AtomicUsize>,
}

impl Sender {
    /// Waits for a place beside one that is left for answers: without them a browser on a slow
    /// line takes the connection for dead. False if it is gone.
    pub(super) async fn has_place(&self) -> bool {
        self.queue.reserve_many(2).await.is_ok()
    }

    /// Takes a place. False if there is none, and then the bytes are lost.
    pub(super) fn send(&self, bytes: Bytes) -> bool {
        let Ok(place) = self.queue.try_reserve() else { return false };
        let waiting = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
        self.most_waiting.fetch_max(waiting, Ordering::Relaxed);
        place.send(bytes);
        true
    }
}

/// All packets behind their lengths, one buffer.
pub(super) fn framed(datagrams: &Datagrams) -> Bytes {
    let mut out = Vec::with_capacity(datagrams.bytes.len() + 2 * datagrams.ends.len());
    let mut start = 0;
    for end in &datagrams.ends {
        frame(datagrams.bytes.get(start..*end).unwrap_or_default(), &mut out);
        start = *end;
    }
    out.into()
}

fn frame(packet: &[u8], out: &mut Vec<u8>) {
    out.extend(u16::try_from(packet.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(packet);
}

/// One packet behind its length.
pub(super) fn framed_one(packet: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(packet.len() + 2);
    frame(packet, &mut out);
    out.into()
}

/// Accepts connections until the task is dropped.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let (seats, mut connections) = (Seats::default(), JoinSet::new());
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if connections.len() >= MOST {
                        debug!(%peer, "ice-tcp connection refused: there are too many");
                        continue;
                    }
                    let Some(seat) = seats.take(peer.ip(), PER_ADDRESS) else {
                        debug!(%peer, "ice-tcp connection refused: too many from one address");
                        continue;
                    };
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        let _seat = seat;
                        serve(stream, peer, &shared).await;
                    });
                }
                Err(error) => {
                    warn!(%error, "ice-tcp accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    if crate::tune(&stream).is_err() {
        return;
    }
    let local = stream.local_addr().ok().map(|address| address.ip());
    // However a session ends, what the kernel still holds for a viewer that does not
    // take it is thrown away: the right to it has ended, or may do so meanwhile.
    if reset_on_close(&stream).is_err() {
        return;
    }
    let (mut read, write) = stream.into_split();
    let mut packet = vec![0; LONGEST];
    let first = tokio::time::timeout(FIRST_CHECK, next(&mut read, &mut packet)).await;
    let Ok(Some(length)) = first else { return };
    // A connection belongs to the session that its first check names.
    let Some(inbox) = packet.get(..length).and_then(ice::ufrag_of).and_then(|ufrag| shared.inbox(&ufrag))
    else {
        return;
    };
    let (number, receiver, waiting) = shared.connections.open();
    let route = Route { peer, local, tcp: Some(number) };
    let reading = async {
        let mut length = length;
        loop {
            inbox.packet(route, packet.get(..length).unwrap_or_default());
            match next(&mut read, &mut packet).await {
                Some(more) => length = more,
                None => break,
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing(write, receiver, &waiting) => {}
        () = inbox.closed() => {}
    }
    shared.connections.lock().remove(&number);
    inbox.lost(number).await;
}

/// Reads a packet into `packet`; how long it is. Nothing when the connection ends, and
/// for one that is empty or longer than that: where the next begins is not known then.
async fn next(read: &mut (impl AsyncRead + Unpin), packet: &mut [u8]) -> Option<usize> {
    let mut length = [0; 2];
    read.read_exact(&mut length).await.ok()?;
    let length = usize::from(u16::from_be_bytes(length));
    read.read_exact(packet.get_mut(..length).filter(|_| length > 0)?).await.ok()?;
    Some(length)
}

async fn writing(
    mut write: impl AsyncWrite + Unpin,
    mut receiver: mpsc::Receiver<Bytes>,
    waiting: &AtomicUsize,
) {
    while let Some(bytes) = receiver.recv().await {
        if write.write_all(&bytes).await.is_err() {
            return;
        }
        waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
}

/// For the fuzz target: what a connection brings, to its end.
pub(super) fn fuzz(mut bytes: &[u8]) {
    let mut packet = vec![0; LONGEST];
    // The bytes are there, so nothing is waited for.
    while let Some(length) = futures_util::FutureExt::now_or_never(next(&mut bytes, &mut packet)).flatten() {
        let _ = packet.get(..length).and_then(ice::ufrag_of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::runtime::Builder;

    /// All packets until the end, from a connection that gives `at_once` bytes at once.
    fn read_all(bytes: &[u8], at_once: usize) -> Vec<Vec<u8>> {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut wire, mut other) = tokio::io::duplex(at_once);
            let sending = async {
                // It fails when the reader gives up before the end.
                let _ = other.write_all(bytes).await;
                drop(other);
            };
            let reading = async {
                let (mut packet, mut packets) = (vec![0; LONGEST], Vec::new());
                while let Some(length) = next(&mut wire, &mut packet).await {
                    packets.push(packet[..length].to_vec());
                }
                drop(wire);
                packets
            };
            tokio::join!(sending, reading).1
        })
    }

    proptest! {
        #[test]
        fn packets_come_out_as_they_went_in_however_the_line_cuts_them(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..LONGEST), 0..8),
            at_once in 1_usize..3_000,
        ) {
            let mut datagrams = Datagrams::default();
            for packet in &packets {
                datagrams.bytes.extend(packet);
                datagrams.ends.push(datagrams.bytes.len());
            }
            let wire = framed(&datagrams);
            let one_by_one: Vec<u8> = packets.iter().flat_map(|packet| framed_one(packet)).collect();
            prop_assert_eq!(&wire, &one_by_one);
            prop_assert_eq!(read_all(&wire, at_once), packets);
        }

        #[test]
        fn any_bytes_are_read_as_what_they_say_and_no_further(
            bytes in prop::collection::vec(any::<u8>(), 0..6_000),
            at_once in 1_usize..3_000,
        ) {
            let mut rest = &bytes[..];
            for packet in read_all(&bytes, at_once) {
                prop_assert!((1..=LONGEST).contains(&packet.len()));
                let framed = framed_one(&packet);
                prop_assert!(rest.starts_with(&framed));
                rest = &rest[framed.len()..];
            }
            // What is left is no whole packet that may be.
            let declared = rest.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
            prop_assert!(declared.is_none_or(|n| n == 0 || n > LONGEST || rest.len() < 2 + n));
        }
    }
}
