//! ICE-lite (RFC 8445 section 2.5): the viewer connects, we answer. Whoever proves
//! to know the session's password from some address is reachable there, and has
//! consented to be sent to for a while (RFC 7675).

use super::sdp::Credentials;
use is::stun::{StunMessage, TransId};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Without a check for this long the viewer has gone (RFC 7675 section 5.1).
pub(super) const CONSENT: Duration = Duration::from_secs(30);
/// Addresses of one session that packets are taken from.
const MAX_ROUTES: usize = 8;
/// Between two questions to an address whether the viewer is there.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// What our questions say for themselves: a candidate that was learnt (RFC 8445 section
/// 5.1.2.1), and the number by which a conflict of roles would be decided.
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;
const TIE_BREAKER: u64 = 1;

/// A way to the viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) peer: SocketAddr,
    /// Our own address on it, where we have several.
    pub(super) local: Option<IpAddr>,
    /// The number of its connection, if it is one of TCP.
    pub(super) tcp: Option<u64>,
}

/// What a check has done.
pub(super) struct Checked {
    /// The answer.
    pub(super) reply: Vec<u8>,
    /// Packets from there belong to this session. Said again until the address is proven: another
    /// session may have had its place and be gone.
    pub(super) learnt: bool,
    /// An address that was known and is not any more.
    pub(super) forgotten: Option<Route>,
}

/// An address where a check came from.
struct Known {
    route: Route,
    /// When last.
    heard: Instant,
    /// Whether what we send there arrives: whoever knows the password can write any sender
    /// on a check, but reads only what comes to them.
    proven: bool,
    /// Bytes that came from there and went there, until it is proven.
    came: usize,
    went: usize,
    /// What the question to it must be answered with.
    question: TransId,
    asked: Option<Instant>,
}

impl Known {
    fn new(route: Route, now: Instant) -> Option<Self> {
        // Who connected by TCP has answered already.
        let proven = route.tcp.is_some();
        Some(Self { route, heard: now, proven, came: 0, went: 0, question: question_id()?, asked: None })
    }

    /// Whether so many bytes may go there: not more than `times` what came.
    fn may_take(&mut self, bytes: usize, times: usize) -> bool {
        let may = self.proven || self.went + bytes <= times * self.came;
        self.went += if may { bytes } else { 0 };
        may
    }
}

/// A number that cannot be guessed, which those of the library are not made for. It is only
/// to be had out of a message: an indication needs nothing but its header.
fn question_id() -> Option<TransId> {
    let header = [&[0, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42], &crate::random::<12>()[..]].concat();
    StunMessage::parse(&header).ok().map(|message| message.trans_id())
}

/// The lite agent of one session.
pub(super) struct Lite {
    local: Credentials,
    remote: Credentials,
    /// Oldest first.
    routes: Vec<Known>,
    /// What the viewer wants media to go to, and where it goes: the same once it is proven.
    nominated: Option<Route>,
    selected: Option<Route>,
    /// From when on there is no way to the viewer.
    since: Instant,
}

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = ring::hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 20];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    out
}

/// Whom a check is for: the first half of its user name.
pub(super) fn ufrag_of(packet: &[u8]) -> Option<String> {
    let message = StunMessage::parse(packet).ok().filter(StunMessage::is_binding_request)?;
    message.split_username().map(|(local, _)| local.to_owned())
}

/// Whether it is a check, and not the answer to one of ours.
pub(super) fn is_check(packet: &[u8]) -> bool {
    matches!(packet, [0, 1, ..])
}

impl Lite {
    pub(super) fn new(local: Credentials, remote: Credentials, now: Instant) -> Self {
        Self { local, remote, routes: Vec::new(), nominated: None, selected: None, since: now }
    }

    /// New credentials on both sides. Media stays on the way it has until the viewer
    /// chooses another one.
    pub(super) fn restart(&mut self, local: Credentials, remote: Credentials) {
        self.local = local;
        self.remote = remote;
    }

    /// Where media goes, once the viewer has said so and has proven to be there.
    pub(super) fn selected(&self) -> Option<Route> {
        self.selected
    }

    /// Where the viewer has said that it wants media.
    pub(super) fn nominated(&self) -> Option<Route> {
        self.nominated
    }

    /// Whether somebody who knows the password wrote this address on a check.
    pub(super) fn knows(&self, route: &Route) -> bool {
        self.routes.iter().any(|known| known.route == *route)
    }

    fn known(&mut self, route: &Route) -> Option<&mut Known> {
        self.routes.iter_mut().find(|known| known.route == *route)
    }

    /// So many bytes came from there.
    pub(super) fn heard(&mut self, from: &Route, bytes: usize) {
        if let Some(known) = self.known(from) {
            known.came += bytes;
        }
    }

    /// Whether so many bytes may go there: while nothing is proven, not more than `times`
    /// what came from there.
    pub(super) fn may_send(&mut self, to: &Route, bytes: usize, times: usize) -> bool {
        self.known(to).is_some_and(|known| known.may_take(bytes, times))
    }

    /// Whether the viewer still agrees to be sent to where media goes. Checks from
    /// elsewhere are no consent of whoever is there.
    pub(super) fn has_consent(&self, now: Instant) -> bool {
        let heard = self.routes.iter().find(|known| Some(known.route) == self.selected);
        now.saturating_duration_since(heard.map_or(self.since, |known| known.heard)) < CONSENT
    }

    /// A connection is gone. The viewer may come back by another one for as long as
    /// its consent would have lasted.
    pub(super) fn lost(&mut self, tcp: u64, now: Instant) {
        let is_lost = |route: Route| route.tcp == Some(tcp);
        self.routes.retain(|known| !is_lost(known.route));
        self.nominated = self.nominated.filter(|route| !is_lost(*route));
        if self.selected.is_some_and(is_lost) {
            (self.selected, self.since) = (None, now);
        }
    }

    /// Answers a check. Nothing is said to whoever does not know the password.
    pub(super) fn check(&mut self, packet: &[u8], from: Route, now: Instant) -> Option<Checked> {
        let message = StunMessage::parse(packet).ok().filter(StunMessage::is_binding_request)?;
        let (local, remote) = message.split_username()?;
        if local != self.local.ufrag
            || remote != self.remote.ufrag
            || !message.verify(self.local.password.as_bytes(), hmac)
        {
            return None;
        }
        let conflict = message.ice_controlled().is_some();
        let peer = SocketAddr::new(from.peer.ip().to_canonical(), from.peer.port());
        let reply = if conflict {
            StunMessage::binding_role_conflict_reply(message.trans_id())
        } else {
            StunMessage::binding_reply(message.trans_id(), peer)
        };
        let mut buffer = [0; 256];
        let length = reply.to_bytes(Some(self.local.password.as_bytes()), &mut buffer, hmac).ok()?;
        let reply = buffer.get(..length)?.to_vec();
        if conflict {
            return Some(Checked { reply, learnt: false, forgotten: None });
        }
        let new = !self.knows(&from);
        let mut forgotten = None;
        if new {
            let wanted = [self.selected, self.nominated];
            if self.routes.len() >= MAX_ROUTES {
                let oldest = self.routes.iter().position(|known| !wanted.contains(&Some(known.route)));
                forgotten = oldest.map(|at| self.routes.remove(at).route);
            }
            self.routes.push(Known { came: packet.len(), ..Known::new(from, now)? });
        }
        let known = self.known(&from)?;
        known.heard = now;
        known.went += reply.len();
        let proven = known.proven;
        if message.use_candidate() {
            self.nominated = Some(from);
            self.selected = if proven { Some(from) } else { self.selected };
        }
        Some(Checked { reply, learnt: new || !proven, forgotten })
    }

    /// What is to be asked where the viewer wants media: media would go to anybody whose
    /// address it wrote on a check. Lite as we are, only this is asked of it.
    pub(super) fn question(&mut self, now: Instant) -> Option<(Route, Vec<u8>)> {
        let route = self.nominated.filter(|route| Some(*route) != self.selected)?;
        let username = format!("{}:{}", self.remote.ufrag, self.local.ufrag);
        let password = self.remote.password.clone();
        let known = self.known(&route)?;
        if known.asked.is_some_and(|at| now.saturating_duration_since(at) < ASK_EVERY) {
            return None;
        }
        let message =
            StunMessage::binding_request(&username, known.question, false, TIE_BREAKER, PRIORITY, false);
        let mut buffer = [0; 1_024];
        let length = message.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).ok()?;
        if !known.may_take(length, 1) {
            return None;
        }
        known.asked = Some(now);
        Some((route, buffer.get(..length)?.to_vec()))
    }

    /// Takes the answer to a question: the viewer has read it, so it is there.
    pub(super) fn answered(&mut self, packet: &[u8], from: Route) {
        let Ok(message) = StunMessage::parse(packet) else { return };
        let is_theirs =
            message.is_successful_binding_response() && message.verify(self.remote.password.as_bytes(), hmac);
        let Some(known) = self
            .known(&from)
            .filter(|known| is_theirs && known.asked.is_some() && known.question == message.trans_id())
        else {
            return;
        };
        known.proven = true;
        if self.nominated == Some(from) {
            self.selected = Some(from);
        }
    }
}

#[cfg(test)]
#[path = "ice_tests.rs"]
mod tests;
