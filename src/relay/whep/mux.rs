//! All sessions behind the two ports: who they belong to, and which packet is whose.

use super::dtls::{self, Handshake};
use super::fit::Chosen;
use super::ice::{self, Lite, Route};
use super::outlet::Outlet;
use super::sdp::{self, Credentials, Line, Malformed, Offer, Ours};
use super::session::Session;
use super::tcp::{self, Connections};
use super::udp::{Buffers, Udp};
use super::{Certificate, Ports, task};
use crate::admission::Admission;
use crate::hub::Hub;
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Whoever watches reports more often than this.
const SILENT: Duration = Duration::from_secs(5);
/// Packets that may wait for one session. When it is full more are lost, as UDP may.
const INBOX: usize = 64;

/// How many sessions there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub sessions: usize,
    /// Of one person.
    pub per_person: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 1_000, per_person: 128 }
    }
}

/// Why no session is made, or none is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The ports are not open (yet).
    NotListening,
    /// There are as many sessions as there may be.
    Full,
    /// The session is not what the request thinks it is.
    Changed,
    /// What was sent cannot be read.
    Malformed(Malformed),
}

/// What a trickled fragment leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It was about the session as it is: nothing to say.
    Same,
    /// ICE begins anew: our side of it, and the session's new mark.
    Anew {
        /// The fragment for the viewer.
        fragment: String,
        /// The entity tag from now on, without quotes.
        mark: String,
    },
}

/// What comes to a session from outside.
pub(super) enum Incoming {
    Packet(Route, Bytes),
    /// Ours and theirs from now on.
    Restart(Credentials, Credentials),
    Lost(u64),
}

/// The way to a session.
#[derive(Clone)]
pub(super) struct Inbox {
    number: u64,
    sender: mpsc::Sender<Incoming>,
}

impl Inbox {
    /// Hands a packet over; it is lost if too many wait.
    pub(super) fn packet(&self, route: Route, bytes: &[u8]) {
        // RTP from a viewer is of no interest: only what RFC 5761 section 4 calls RTCP.
        let rtp = matches!(bytes, [128..=191, kind, ..] if !(192..=223).contains(kind));
        if !rtp && let Ok(place) = self.sender.try_reserve() {
            place.send(Incoming::Packet(route, Bytes::copy_from_slice(bytes)));
        }
    }

    pub(super) async fn lost(&self, tcp: u64) {
        let _ = self.sender.send(Incoming::Lost(tcp)).await;
    }

    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// A session as those see it who change it by HTTP.
struct Entry {
    owner: Arc<str>,
    person: Arc<str>,
    path: Arc<str>,
    inbox: Inbox,
    remote: Credentials,
    /// The section that the others are bundled with, as a fragment names it.
    tag: Arc<str>,
    /// Our user name fragment: it is the entity tag, too.
    ufrag: String,
    end: CancellationToken,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<String, Entry>,
    by_ufrag: HashMap<String, Inbox>,
    by_route: HashMap<(SocketAddr, Option<IpAddr>), Held>,
    next: u64,
}

/// An address that packets are taken from, for a session.
struct Held {
    inbox: Inbox,
    /// When it was last heard from there.
    heard: Instant,
}

struct Sockets {
    udp: Udp,
    ports: Ports,
    addresses: Vec<IpAddr>,
}

/// What sessions and sockets share.
pub(super) struct Shared {
    certificate: Arc<Certificate>,
    dtls: Arc<dimpl::Config>,
    limits: Limits,
    sockets: OnceLock<Sockets>,
    table: Mutex<Table>,
    pub(super) connections: Connections,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// The server. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}

/// A session that somebody wants.
pub struct Wanted<'a> {
    /// Who may change it later: opaque here.
    pub owner: &'a str,
    /// Whose sessions are counted.
    pub person: &'a str,
    /// What it shows: opaque here.
    pub path: &'a str,
}

/// A session that was made.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its name: 128 random bits.
    pub id: String,
    /// The answer for the viewer.
    pub answer: String,
    /// The entity tag of its ICE session, without quotes.
    pub mark: String,
}

fn hex<const N: usize>() -> String {
    crate::random::<N>().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn credentials() -> Credentials {
    Credentials { ufrag: hex::<8>(), password: hex::<16>() }
}

impl Server {
    /// A server whose sessions are `tasks` and end when `closing` says so.
    #[must_use]
    pub fn new(
        certificate: Certificate,
        limits: Limits,
        closing: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Shared {
            certificate: Arc::new(certificate),
            dtls: dtls::config(),
            limits,
            sockets: OnceLock::new(),
            table: Mutex::default(),
            connections: Connections::default(),
            closing,
            tasks,
        }))
    }

    /// Listens at the sockets until `shutdown`. Viewers are told that we are at
    /// `addresses`. Only the first call counts.
    pub async fn serve(
        &self,
        udp: UdpSocket,
        tcp: Option<TcpListener>,
        addresses: Vec<IpAddr>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let tcp_port = tcp.as_ref().map(TcpListener::local_addr).transpose()?.map(|address| address.port());
        let udp = Udp::new(udp)?;
        let ports = Ports { udp: udp.local_addr()?.port(), tcp: tcp_port };
        let sockets = self.0.sockets.get_or_init(|| Sockets { udp, ports, addresses });
        let accepting = async {
            match tcp {
                Some(listener) => tcp::accept(listener, Arc::clone(&self.0)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = self.receive(&sockets.udp) => {}
            () = accepting => {}
        }
        Ok(())
    }

    async fn receive(&self, udp: &Udp) {
        let mut buffers = Buffers::default();
        loop {
            let received = udp.receive(&mut buffers, |peer, local, packet| {
                if let Some(inbox) = self.0.whose(peer, local, packet) {
                    inbox.packet(Route { peer, local, tcp: None }, packet);
                }
            });
            if let Err(error) = received.await {
                warn!(%error, "webrtc packets cannot be received");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Bytes that have waited for one TCP connection at the most.
    #[must_use]
    pub fn most_waiting(&self) -> usize {
        self.0.connections.most_waiting()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.lock().by_id.len()
    }

    /// Whether one more may be made for this person.
    pub fn has_room(&self, person: &str) -> Result<(), Refused> {
        if self.0.sockets.get().is_none() {
            return Err(Refused::NotListening);
        }
        self.0.room(&self.0.lock(), person)
    }

    /// Makes a session that shows `hub` as `chosen` says, to whoever holds `pass`.
    pub fn open(
        &self,
        wanted: &Wanted,
        offer: &Offer,
        chosen: &[Chosen],
        pass: Admission,
        hub: Hub,
    ) -> Result<Opened, Refused> {
        let sockets = self.0.sockets.get().ok_or(Refused::NotListening)?;
        let (ours, now) = (credentials(), Instant::now().into_std());
        let mut ssrcs: Vec<u32> = Vec::new();
        let line = |chosen: &Chosen| {
            let ssrc = u32::from_be_bytes(crate::random()) | 1;
            ssrcs.push(ssrc);
            Line { section: chosen.section, format: chosen.format.clone(), ssrc }
        };
        let lines: Vec<Line> = chosen.iter().map(line).collect();
        let outlets = chosen.iter().zip(&lines).map(|(chosen, line)| {
            Outlet::new(chosen.track, chosen.format.payload_type, line.ssrc, crate::random())
        });
        let handshake =
            Handshake::new(Arc::clone(&self.0.certificate), Arc::clone(&self.0.dtls), offer.fingerprint);
        let ice = Lite::new(ours.clone(), offer.ice.clone(), now);
        let session = Session::new(ice, handshake, outlets.collect(), now);
        let (id, end) = (hex::<16>(), self.0.closing.child_token());
        let (sender, incoming) = mpsc::channel(INBOX);
        {
            let mut table = self.0.lock();
            self.0.room(&table, wanted.person)?;
            table.next += 1;
            let inbox = Inbox { number: table.next, sender };
            table.by_ufrag.insert(ours.ufrag.clone(), inbox.clone());
            let entry = Entry {
                owner: wanted.owner.into(),
                person: wanted.person.into(),
                path: wanted.path.into(),
                inbox,
                remote: offer.ice.clone(),
                tag: sdp::tag(offer, &lines).into(),
                ufrag: ours.ufrag.clone(),
                end: end.clone(),
            };
            table.by_id.insert(id.clone(), entry);
        }
        let viewer = task::Viewer { id: id.clone(), session, incoming, end, closing: self.0.closing.clone() };
        self.0.tasks.spawn(task::run(viewer, pass, hub, Arc::clone(&self.0)));
        let answer = sdp::answer(offer, &lines, &sockets.ours(&ours, &self.0.certificate));
        Ok(Opened { id, answer, mark: ours.ufrag })
    }

    /// Ends a session. False if this owner has none of that name.
    #[must_use]
    pub fn end(&self, id: &str, owner: &str, path: &str) -> bool {
        let table = self.0.lock();
        let entry = table.by_id.get(id).filter(|entry| entry.is_of(owner, path));
        entry.inspect(|entry| entry.end.cancel()).is_some()
    }

    /// The entity tag of a session, if this owner has it.
    #[must_use]
    pub fn mark(&self, id: &str, owner: &str, path: &str) -> Option<String> {
        let table = self.0.lock();
        table.by_id.get(id).filter(|entry| entry.is_of(owner, path)).map(|entry| entry.ufrag.clone())
    }

    /// Takes a trickled fragment for the session as it was marked (nothing: whatever it
    /// is). Nothing if this owner has none of that name.
    pub async fn trickle(
        &self,
        id: &str,
        owner: &str,
        path: &str,
        marked: Option<&str>,
        fragment: &str,
    ) -> Option<Result<Restart, Refused>> {
        let sockets = self.0.sockets.get()?;
        let theirs = sdp::fragment(fragment);
        let (ours, (inbox, theirs, tag)) = {
            let mut table = self.0.lock();
            let entry = table.by_id.get_mut(id).filter(|entry| entry.is_of(owner, path))?;
            let theirs = match theirs {
                Ok(theirs) => theirs,
                Err(malformed) => return Some(Err(Refused::Malformed(malformed))),
            };
            if marked.is_some_and(|marked| marked != entry.ufrag) {
                return Some(Err(Refused::Changed));
            }
            // We answer checks wherever they come from: candidates tell us nothing.
            if theirs == entry.remote {
                return Some(Ok(Restart::Same));
            }
            // Only half of it new, or a restart of a session that is not named so.
            if theirs.ufrag == entry.remote.ufrag || theirs.password == entry.remote.password {
                return Some(Err(Refused::Malformed(Malformed("ice-ufrag and ice-pwd change together"))));
            }
            let ours = credentials();
            let before = std::mem::replace(&mut entry.ufrag, ours.ufrag.clone());
            entry.remote = theirs.clone();
            let (inbox, tag) = (entry.inbox.clone(), Arc::clone(&entry.tag));
            table.by_ufrag.remove(&before);
            table.by_ufrag.insert(ours.ufrag.clone(), inbox.clone());
            (ours, (inbox, theirs, tag))
        };
        let _ = inbox.sender.send(Incoming::Restart(ours.clone(), theirs)).await;
        let fragment = sdp::restarted(&tag, &sockets.ours(&ours, &self.0.certificate));
        Some(Ok(Restart::Anew { fragment, mark: ours.ufrag }))
    }
}

impl Entry {
    fn is_of(&self, owner: &str, path: &str) -> bool {
        *self.owner == *owner && *self.path == *path
    }
}

impl Sockets {
    fn ours<'a>(&'a self, ice: &'a Credentials, certificate: &'a Certificate) -> Ours<'a> {
        Ours {
            id: u64::from_be_bytes(crate::random()) >> 2,
            ice,
            fingerprint: &certificate.fingerprint,
            addresses: &self.addresses,
            ports: self.ports,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, table: &Table, person: &str) -> Result<(), Refused> {
        let of_person = table.by_id.values().filter(|entry| *entry.person == *person).count();
        let full = table.by_id.len() >= self.limits.sessions || of_person >= self.limits.per_person;
        if full { Err(Refused::Full) } else { Ok(()) }
    }

    /// The session with this user name fragment.
    pub(super) fn inbox(&self, ufrag: &str) -> Option<Inbox> {
        self.lock().by_ufrag.get(ufrag).cloned()
    }

    /// Whose a datagram is: a check names its session, anything else is taken only from
    /// where a check has proven somebody to be.
    fn whose(&self, peer: SocketAddr, local: Option<IpAddr>, packet: &[u8]) -> Option<Inbox> {
        match packet.first()? {
            0..=3 if ice::is_check(packet) => self.inbox(&ice::ufrag_of(packet)?),
            _ => {
                let mut table = self.lock();
                let held = table.by_route.get_mut(&(peer, local))?;
                held.heard = Instant::now();
                Some(held.inbox.clone())
            }
        }
    }

    pub(super) fn udp(&self) -> Option<&Udp> {
        self.sockets.get().map(|sockets| &sockets.udp)
    }

    /// A session has learnt where its viewer is, and where it is not any more.
    pub(super) fn learn(&self, id: &str, learnt: &[Route], forgotten: &[Route]) {
        let mut table = self.lock();
        let Some(inbox) = table.by_id.get(id).map(|entry| entry.inbox.clone()) else { return };
        for route in forgotten.iter().filter(|route| route.tcp.is_none()) {
            table.forget(route, inbox.number);
        }
        let now = Instant::now();
        for route in learnt.iter().filter(|route| route.tcp.is_none()) {
            let held = table.by_route.entry((route.peer, route.local));
            let held = held.or_insert_with(|| Held { inbox: inbox.clone(), heard: now });
            // Who is there stays: a check with a forged sender takes nobody's place. Who has left
            // without a word says nothing there, and a NAT gives their port to somebody else.
            if held.inbox.number != inbox.number && now.duration_since(held.heard) >= SILENT {
                *held = Held { inbox: inbox.clone(), heard: now };
            }
        }
    }

    /// A session is over.
    pub(super) fn leave(&self, id: &str, why: &str) {
        let mut table = self.lock();
        let Some(entry) = table.by_id.remove(id) else { return };
        debug!(path = %entry.path, why, "a webrtc session has ended");
        table.by_ufrag.remove(&entry.ufrag);
        table.by_route.retain(|_, held| held.inbox.number != entry.inbox.number);
    }
}

impl Table {
    fn forget(&mut self, route: &Route, number: u64) {
        let key = (route.peer, route.local);
        if self.by_route.get(&key).is_some_and(|held| held.inbox.number == number) {
            self.by_route.remove(&key);
        }
    }
}
