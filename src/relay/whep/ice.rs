//! ICE-lite (RFC 8445 section 2.5): the viewer connects, we answer. Whoever proves
//! to know the session's password from some address is reachable there, and has
//! consented to be sent to for a while (RFC 7675).

use super::sdp::Credentials;
use is::stun::StunMessage;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Without a check for this long the viewer has gone (RFC 7675 section 5.1).
pub(super) const CONSENT: Duration = Duration::from_secs(30);
/// Addresses of one session that packets are taken from.
const MAX_ROUTES: usize = 8;

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
    /// The address is new: packets from it belong to this session.
    pub(super) new: bool,
    /// An address that was known and is not any more.
    pub(super) forgotten: Option<Route>,
}

/// The lite agent of one session.
pub(super) struct Lite {
    local: Credentials,
    remote_ufrag: String,
    /// Where checks came from, oldest first, and when last.
    routes: Vec<(Route, Instant)>,
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

impl Lite {
    pub(super) fn new(local: Credentials, remote_ufrag: String, now: Instant) -> Self {
        Self { local, remote_ufrag, routes: Vec::new(), selected: None, since: now }
    }

    /// New credentials on both sides. Media stays on the way it has until the viewer
    /// chooses another one.
    pub(super) fn restart(&mut self, local: Credentials, remote_ufrag: String) {
        self.local = local;
        self.remote_ufrag = remote_ufrag;
    }

    /// Where media goes, once the viewer has said so.
    pub(super) fn selected(&self) -> Option<Route> {
        self.selected
    }

    /// Whether the viewer has proven to be at this address.
    pub(super) fn knows(&self, route: &Route) -> bool {
        self.routes.iter().any(|(known, _)| known == route)
    }

    /// Whether the viewer still agrees to be sent to where media goes. Checks from
    /// elsewhere are no consent of whoever is there.
    pub(super) fn has_consent(&self, now: Instant) -> bool {
        let heard = self.routes.iter().find(|(route, _)| Some(*route) == self.selected);
        now.saturating_duration_since(heard.map_or(self.since, |(_, at)| *at)) < CONSENT
    }

    /// A connection is gone. The viewer may come back by another one for as long as
    /// its consent would have lasted.
    pub(super) fn lost(&mut self, tcp: u64, now: Instant) {
        self.routes.retain(|(route, _)| route.tcp != Some(tcp));
        if self.selected.is_some_and(|route| route.tcp == Some(tcp)) {
            (self.selected, self.since) = (None, now);
        }
    }

    /// Answers a check. Nothing is said to whoever does not know the password.
    pub(super) fn check(&mut self, packet: &[u8], from: Route, now: Instant) -> Option<Checked> {
        let message = StunMessage::parse(packet).ok().filter(StunMessage::is_binding_request)?;
        let (local, remote) = message.split_username()?;
        if local != self.local.ufrag
            || remote != self.remote_ufrag
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
            return Some(Checked { reply, new: false, forgotten: None });
        }
        let known = self.routes.iter_mut().find(|(route, _)| *route == from);
        let new = known.is_none();
        let mut forgotten = None;
        if let Some((_, heard)) = known {
            *heard = now;
        } else {
            if self.routes.len() >= MAX_ROUTES {
                let oldest = self.routes.iter().position(|(route, _)| Some(*route) != self.selected);
                forgotten = oldest.map(|at| self.routes.remove(at).0);
            }
            self.routes.push((from, now));
        }
        if message.use_candidate() {
            self.selected = Some(from);
        }
        Some(Checked { reply, new, forgotten })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use is::stun::TransId;
    use proptest::prelude::*;

    fn route(port: u16) -> Route {
        Route { peer: SocketAddr::from(([192, 0, 2, 1], port)), local: None, tcp: None }
    }

    fn request(username: &str, password: &str, nominate: bool) -> Vec<u8> {
        let message = StunMessage::binding_request(username, TransId::new(), true, 7, 1, nominate);
        let mut buffer = [0; 512];
        let length = message.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).unwrap();
        buffer[..length].to_vec()
    }

    fn lite(now: Instant) -> Lite {
        let local = Credentials { ufrag: "ours".into(), password: "secret".into() };
        Lite::new(local, "theirs".into(), now)
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn only_who_knows_the_password_is_answered_and_with_less_than_was_asked() {
        let mut ice = lite(now());
        for (username, password) in
            [("ours:theirs", "wrong"), ("ours:others", "secret"), ("other:theirs", "secret")]
        {
            assert!(ice.check(&request(username, password, true), route(1), now()).is_none());
        }
        assert!(ice.selected().is_none() && !ice.knows(&route(1)));
        let asked = request("ours:theirs", "secret", true);
        let checked = ice.check(&asked, route(1), now()).unwrap();
        assert!(checked.new && checked.reply.len() <= asked.len());
        assert_eq!(ice.selected(), Some(route(1)));
    }

    #[test]
    fn a_viewer_with_many_addresses_is_bounded_and_keeps_the_one_it_uses() {
        let mut ice = lite(now());
        ice.check(&request("ours:theirs", "secret", true), route(1), now());
        for port in 2..100 {
            ice.check(&request("ours:theirs", "secret", false), route(port), now());
        }
        assert_eq!(ice.routes.len(), MAX_ROUTES);
        assert_eq!(ice.selected(), Some(route(1)));
        assert!(ice.knows(&route(1)));
    }

    #[test]
    fn consent_ends_when_checks_end() {
        let (begin, mut ice) = (now(), lite(now()));
        ice.check(&request("ours:theirs", "secret", true), route(1), begin);
        assert!(ice.has_consent(begin + Duration::from_secs(29)));
        // From elsewhere somebody else may be asking.
        ice.check(&request("ours:theirs", "secret", false), route(2), begin + Duration::from_secs(20));
        assert!(!ice.has_consent(begin + CONSENT));
    }

    #[test]
    fn after_a_restart_the_old_password_is_worth_nothing() {
        let mut ice = lite(now());
        ice.check(&request("ours:theirs", "secret", true), route(1), now());
        ice.restart(Credentials { ufrag: "new".into(), password: "newer".into() }, "theirs2".into());
        assert!(ice.check(&request("ours:theirs", "secret", true), route(2), now()).is_none());
        assert_eq!(ice.selected(), Some(route(1)), "media goes on meanwhile");
        assert!(ice.check(&request("new:theirs2", "newer", true), route(2), now()).is_some());
        assert_eq!(ice.selected(), Some(route(2)));
    }

    proptest! {
        #[test]
        fn bytes_that_mean_nothing_teach_nothing(packet in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut ice = lite(now());
            let _ = ufrag_of(&packet);
            prop_assert!(ice.check(&packet, route(1), now()).is_none());
            prop_assert!(ice.selected().is_none() && !ice.knows(&route(1)));
        }

        #[test]
        fn a_check_that_was_changed_on_its_way_teaches_nothing(
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
            cut in any::<Option<prop::sample::Index>>(),
        ) {
            let mut packet = request("ours:theirs", "secret", true);
            // The last eight bytes are the fingerprint, which tells STUN from other
            // packets; the password vouches for all before.
            let vouched = packet.len() - 8;
            let at = at.index(vouched);
            packet[at] ^= 1 << bit;
            packet.truncate(cut.map_or(packet.len(), |cut| cut.index(packet.len())));
            let _ = ufrag_of(&packet);
            let mut ice = lite(now());
            prop_assert!(ice.check(&packet, route(1), now()).is_none(), "byte {at}");
            prop_assert!(!ice.knows(&route(1)));
        }
    }
}
