//! What the fuzz targets call (`sharp_eyes::fuzz` of the root package lists them).

use super::ice::{Lite, Route, ufrag_of};
use super::sdp::{Credentials, fragment};
use super::{Offer, tcp};
use std::time::Duration;

/// An offer, and the fragment of a PATCH.
pub fn sdp(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(offer) = Offer::parse(&text) {
        let _ = super::fit(&media::Params::default(), &offer);
    }
    let _ = fragment(&text);
}

/// A packet before there are keys: STUN, as it finds its session and as the session reads it.
pub fn stun(bytes: &[u8]) {
    // So that most of what is tried gets past the first look.
    let credentials = || Credentials { ufrag: "local".into(), password: "password-of-the-session".into() };
    let _ = ufrag_of(bytes);
    let Ok(peer) = "192.0.2.1:5000".parse() else { return };
    let theirs = Credentials { ufrag: "remote".into(), ..credentials() };
    let now = tokio::time::Instant::now().into_std();
    let mut agent = Lite::new(credentials(), theirs, now);
    let checked = agent.check(bytes, Route { peer, local: None, tcp: None }, now + Duration::from_secs(1));
    let _ = super::ice::is_check(bytes);
    assert!(checked.is_none() || ufrag_of(bytes).is_some());
}

/// Packets of a TCP connection, each behind its length (RFC 4571).
pub fn framing(bytes: &[u8]) {
    tcp::fuzz(bytes);
}
