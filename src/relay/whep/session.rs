//! One viewer's session as a state machine without sockets: packets, frames and time
//! go in, packets come out.

use super::dtls::{Event, Handshake};
use super::ice::{Lite, Route};
use super::outlet::{Datagrams, Outlet};
use super::sdp::Credentials;
use crate::hub::{Hub, Stats};
use media::Frame;
use media::rtp::feedback::{self, Feedback};
use media::rtp::srtp::{self, Opener, Profile, Sealer};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A viewer that has not connected by then does not come any more.
pub(super) const CONNECT: Duration = Duration::from_secs(15);

/// Packets that may wait to be sent again. More are asked for again.
const WANTED: usize = 256;
/// Of them, so many leave at once.
const AT_ONCE: usize = 16;
/// While it is not known that the viewer is where its handshake comes from, so much more
/// is said to there than was heard (RFC 9000 section 8.1 has the same number).
const BEFORE_KEYS: usize = 3;

/// What is to be sent, and what has been learnt.
#[derive(Default)]
pub(super) struct Out {
    /// Each to its own address.
    pub(super) control: Vec<(Route, Vec<u8>)>,
    /// Media, to the selected address.
    pub(super) media: Datagrams,
    /// Addresses whose packets are this session's from now on.
    pub(super) learnt: Vec<Route>,
    /// And such that are not any more.
    pub(super) forgotten: Vec<Route>,
}

/// What a viewer's packet asks for beyond an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    /// Its picture cannot go on without a key frame.
    pub(super) key_frame: bool,
}

struct Keys {
    sealer: Sealer,
    opener: Opener,
}

impl Keys {
    /// Ours are the server's. Nothing if the material has another length than it should.
    fn new(profile: Profile, material: &[u8]) -> Option<Self> {
        let (client, server) = srtp::split(profile, material)?;
        Some(Self { sealer: Sealer::new(server)?, opener: Opener::new(client)? })
    }
}

/// A viewer's session.
pub(super) struct Session {
    ice: Lite,
    handshake: Handshake,
    keys: Option<Keys>,
    outlets: Vec<Outlet>,
    /// Source and number of packets that the viewer has lost.
    wanted: VecDeque<(u32, u16)>,
    began: Instant,
    over: Option<&'static str>,
}

impl Session {
    pub(super) fn new(ice: Lite, handshake: Handshake, outlets: Vec<Outlet>, now: Instant) -> Self {
        Self { ice, handshake, keys: None, outlets, wanted: VecDeque::new(), began: now, over: None }
    }

    /// Why it is over, if it is.
    pub(super) fn over(&self) -> Option<&'static str> {
        self.over
    }

    /// Where media goes, once the viewer is connected.
    pub(super) fn route(&self) -> Option<Route> {
        self.ice.selected().filter(|_| self.keys.is_some())
    }

    /// New ICE credentials.
    pub(super) fn restart(&mut self, local: Credentials, remote: Credentials) {
        self.ice.restart(local, remote);
    }

    /// A TCP connection is gone.
    pub(super) fn lost(&mut self, tcp: u64, now: Instant) {
        self.ice.lost(tcp, now);
    }

    /// Takes a packet (RFC 7983 says which kind it is).
    pub(super) fn receive(&mut self, packet: &[u8], from: Route, now: Instant, out: &mut Out) -> Asks {
        let mut asks = Asks::default();
        self.ice.heard(&from, packet.len());
        match packet.first() {
            Some(0..=3) => {
                if let Some(checked) = self.ice.check(packet, from, now) {
                    out.control.push((from, checked.reply));
                    out.learnt.extend(checked.learnt.then_some(from));
                    out.forgotten.extend(checked.forgotten);
                } else {
                    self.ice.answered(packet, from);
                }
            }
            // Nobody is listened to who has not proven to be there.
            Some(20..=63) if self.ice.knows(&from) => {
                let mut packets = Vec::new();
                let event = self.handshake.receive(packet, now, &mut packets);
                self.say(from, packets, out);
                self.event(event);
            }
            Some(128..=191) if self.ice.knows(&from) => self.feedback(packet, &mut asks),
            _ => {}
        }
        out.control.extend(self.ice.question(now));
        asks
    }

    /// Sends what the handshake says, as far as it may go there.
    fn say(&mut self, to: Route, packets: Vec<Vec<u8>>, out: &mut Out) {
        let times = if self.keys.is_some() { 1 } else { BEFORE_KEYS };
        let may = packets.into_iter().filter(|packet| self.ice.may_send(&to, packet.len(), times));
        out.control.extend(may.map(|packet| (to, packet)));
    }

    fn event(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Keys(profile, material)) => self.keys = Keys::new(profile, &material),
            Some(Event::Closed) => self.over = Some("the viewer has closed it"),
            None => {}
        }
    }

    fn feedback(&mut self, packet: &[u8], asks: &mut Asks) {
        let Self { keys: Some(keys), outlets, wanted, over, .. } = self else { return };
        let Some(plain) = keys.opener.rtcp(packet) else { return };
        feedback::read(&plain, |feedback| match feedback {
            Feedback::Lost { ssrc, sequence } => {
                if wanted.len() < WANTED && !wanted.contains(&(ssrc, sequence)) {
                    wanted.push_back((ssrc, sequence));
                }
            }
            Feedback::KeyFrame { ssrc } => asks.key_frame |= outlets.iter().any(|outlet| outlet.ssrc == ssrc),
            Feedback::Bye => *over = Some("the viewer has left"),
        });
    }

    /// Whether the viewer has lost packets that it may get again.
    pub(super) fn has_lost(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Seals some of the packets again that the viewer has lost.
    pub(super) fn again(&mut self, stats: &Stats, out: &mut Out) {
        let Self { keys: Some(keys), outlets, wanted, .. } = self else { return };
        for (ssrc, sequence) in wanted.drain(..wanted.len().min(AT_ONCE)) {
            if let Some(outlet) = outlets.iter_mut().find(|outlet| outlet.ssrc == ssrc) {
                outlet.again(sequence, &keys.sealer, stats, &mut out.media);
            }
        }
    }

    /// The viewer begins, or begins anew, with frames that are there already.
    pub(super) fn begin(&mut self, backlog: &[Arc<Frame>]) {
        // What was lost before is of no use to it any more.
        self.wanted.clear();
        for outlet in &mut self.outlets {
            outlet.begin(backlog);
        }
    }

    /// Seals a frame for the viewer.
    pub(super) fn put(&mut self, frame: &Arc<Frame>, hub: &Hub, now: Instant, out: &mut Out) {
        let Some(route) = self.route() else { return };
        let Some(keys) = &mut self.keys else { return };
        let Some(outlet) = self.outlets.iter_mut().find(|outlet| outlet.track == frame.track) else { return };
        outlet.put(frame, &keys.sealer, now, hub.stats(), &mut out.media);
        let report = outlet.report(frame, hub, now).and_then(|report| keys.sealer.rtcp(&report));
        out.control.extend(report.map(|report| (route, report)));
    }

    /// Whether a frame has been begun that is to be gone on with before the next.
    pub(super) fn is_midway(&self) -> bool {
        self.outlets.iter().any(Outlet::is_midway)
    }

    /// Seals the next piece of a frame that has been begun.
    pub(super) fn go_on(&mut self, out: &mut Out) {
        let Some(keys) = &self.keys else { return };
        if let Some(outlet) = self.outlets.iter_mut().find(|outlet| outlet.is_midway()) {
            outlet.go_on(&keys.sealer, &mut out.media);
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Out) {
        let mut packets = Vec::new();
        let event = self.handshake.tick(now, &mut packets);
        self.event(event);
        if let Some(route) = self.ice.selected().or(self.ice.nominated()) {
            self.say(route, packets, out);
        }
        out.control.extend(self.ice.question(now));
        if self.route().is_none()
            && now.saturating_duration_since(self.began) > CONNECT
            && self.keys.is_none()
        {
            self.over = Some("the viewer did not connect");
        } else if !self.ice.has_consent(now) {
            self.over = Some("the viewer is gone without a word");
        }
    }

    /// Says goodbye: media ends here.
    pub(super) fn close(&mut self, out: &mut Out) {
        out.media.clear();
        out.control.clear();
        let Some(route) = self.route() else { return };
        if let Some(keys) = &mut self.keys {
            let byes: Vec<u8> = self.outlets.iter().flat_map(|outlet| feedback::bye(outlet.ssrc)).collect();
            let first = self.outlets.first().map_or(0, |outlet| outlet.ssrc);
            let bye = keys.sealer.rtcp(&[feedback::empty_report(first), byes].concat());
            out.control.extend(bye.map(|bye| (route, bye)));
        }
        let mut packets = Vec::new();
        self.handshake.close(&mut packets);
        out.control.extend(packets.into_iter().map(|packet| (route, packet)));
    }
}
