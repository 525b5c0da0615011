//! Another program is told, with a signature. Written as the Standard Webhooks
//! specification says, so that receivers find a library for it: the headers
//! `webhook-id`, `webhook-timestamp` and `webhook-signature`, which is `v1,` and the
//! HMAC-SHA256 over id, timestamp and body with dots between them, in base64.
//!
//! A receiver compares the signature in constant time, refuses timestamps that are more
//! than [`WINDOW`] away, and remembers ids for that long: one that it has had is answered
//! well and done nothing about. [`Verifier`] does so.

use super::outgoing::{Outgoing, Request};
use super::{Adapter, Envelope, Failed};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Clock, Secret};
use reqwest::header::{HeaderName, HeaderValue};
use ring::hmac;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How far a timestamp may be away from the receiver's clock.
pub const WINDOW: Duration = Duration::from_secs(300);
/// The most ids that a verifier remembers.
const IDS: usize = 10_000;

/// The key of a secret: `whsec_` and 24 to 64 bytes in base64. Nothing for any other text.
#[must_use]
pub fn key(secret: &Secret) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.expose().strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

/// The signature of a message.
#[must_use]
pub fn sign(key: &hmac::Key, id: &str, timestamp: &str, body: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed(id, timestamp, body))))
}

/// Tells one program.
pub(super) struct Webhook {
    http: Arc<Outgoing>,
    clock: Arc<dyn Clock>,
    url: Url,
    key: Option<hmac::Key>,
}

impl Webhook {
    pub(super) fn new(http: Arc<Outgoing>, clock: Arc<dyn Clock>, url: Url, secret: &Secret) -> Self {
        Self { http, clock, url, key: key(secret) }
    }
}

/// What is told. An incident has a kind, a point and a time, and nobody's name.
fn document(envelope: &Envelope) -> Value {
    json!({
        "type": "sharpeyes.incident.call",
        "id": envelope.id,
        "incident_id": envelope.incident_id,
        "site_id": envelope.site_id,
        "kind": envelope.kind,
        "urgent": envelope.urgent,
        "point": envelope.point,
        "time": envelope.time,
        "title": envelope.text.title,
        "text": envelope.text.body,
        "link": envelope.link,
    })
}

#[async_trait]
impl Adapter for Webhook {
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed> {
        let Some(key) = &self.key else { return Err(Failed::Refused("its key is none".to_owned())) };
        let mut request = Request::json(self.url.clone(), &document(envelope));
        let timestamp = (self.clock.now().0 / 1_000_000).to_string();
        let signature = sign(key, envelope.id.as_str(), &timestamp, &request.body);
        for (name, value) in [
            ("webhook-id", envelope.id.as_str()),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
        ] {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Failed::Refused("it cannot be signed".to_owned()))?;
            request.headers.push((HeaderName::from_static(name), value));
        }
        self.http.send(request).await?.taken()
    }
}

/// What a receiver finds in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is ours, and new.
    New,
    /// It is ours, and was there before: answer well, and do nothing.
    Again,
    /// Its time is too far away, or is none.
    Old,
    /// It is not ours, or was changed.
    Forged,
}

/// A receiver's part: signature, time, and ids that were there before.
pub struct Verifier {
    key: hmac::Key,
    seen: HashMap<String, i64>,
}

impl Verifier {
    /// For messages that are signed with this key.
    #[must_use]
    pub fn new(key: hmac::Key) -> Self {
        Self { key, seen: HashMap::new() }
    }

    /// Judges a message at `now`, seconds since the Unix epoch.
    pub fn check(&mut self, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: i64) -> Found {
        let signed = signed(id, timestamp, body);
        let is_ours = |signature: &str| {
            let tag = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
            tag.is_some_and(|tag| hmac::verify(&self.key, &signed, &tag).is_ok())
        };
        // Several while a key is changed.
        if !signatures.split(' ').any(is_ours) {
            return Found::Forged;
        }
        let window = i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX);
        let Ok(at) = timestamp.parse::<i64>() else { return Found::Old };
        if now.abs_diff(at) > window.unsigned_abs() {
            return Found::Old;
        }
        // As long as a timestamp that was good then can still be good.
        self.seen.retain(|_, at| now.abs_diff(*at) <= window.unsigned_abs());
        if self.seen.contains_key(id) {
            return Found::Again;
        }
        if self.seen.len() >= IDS {
            // Rather one that is taken twice than one that is not taken.
            self.seen.clear();
        }
        self.seen.insert(id.to_owned(), at);
        Found::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard_key() -> hmac::Key {
        key(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap()
    }

    #[test]
    fn it_is_signed_as_the_standard_says() {
        // The example of the specification.
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        let signature = sign(&standard_key(), id, at, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn c40_what_is_forged_old_or_was_there_before_is_not_taken() {
        let (sign_key, mut verifier) = (standard_key(), Verifier::new(standard_key()));
        let now = 1_800_000_000_i64;
        let signed = |id: &str, at: i64, body: &[u8]| sign(&sign_key, id, &at.to_string(), body);
        let good = signed("a", now, b"{}");
        assert_eq!(verifier.check("a", &now.to_string(), &good, b"{}", now), Found::New);
        for later in [0, 1, 299, 300] {
            assert_eq!(
                verifier.check("a", &now.to_string(), &good, b"{}", now + later),
                Found::Again,
                "{later}"
            );
        }
        assert_eq!(verifier.check("a", &now.to_string(), &good, b"{}", now + 301), Found::Old);
        // Every part is covered.
        for (id, at, body) in
            [("b", now, &b"{}"[..]), ("a", now + 1, b"{}"), ("a", now, b"{ }"), ("a", now, b"")]
        {
            assert_eq!(verifier.check(id, &at.to_string(), &good, body, now), Found::Forged, "{id} {at}");
        }
        let other = key(&Secret::new(format!("whsec_{}", STANDARD.encode([7; 32])))).unwrap();
        let forged = sign(&other, "c", &now.to_string(), b"{}");
        for signature in ["", "v1,", "v1,!", "v2,g0hM9SsE", &forged, &good[..good.len() - 4]] {
            assert_eq!(verifier.check("c", &now.to_string(), signature, b"{}", now), Found::Forged);
        }
        // Signed with the old key and the new one while it is changed.
        let both = format!("{forged} {}", signed("c", now, b"{}"));
        assert_eq!(verifier.check("c", &now.to_string(), &both, b"{}", now), Found::New);
        for (at, found) in [
            (now - 301, Found::Old),
            (now - 300, Found::New),
            (now + 300, Found::New),
            (now + 301, Found::Old),
        ] {
            let (id, signature) = (at.to_string(), signed(&at.to_string(), at, b"{}"));
            assert_eq!(verifier.check(&id, &at.to_string(), &signature, b"{}", now), found, "{at}");
        }
        // One that came from the future is remembered until its time is over.
        let ahead = now + 300;
        assert_eq!(
            verifier.check(
                &ahead.to_string(),
                &ahead.to_string(),
                &signed(&ahead.to_string(), ahead, b"{}"),
                b"{}",
                now + 600
            ),
            Found::Again
        );
        let word = signed_text(&sign_key, "d", "soon");
        assert_eq!(verifier.check("d", "soon", &word, b"{}", now), Found::Old);
    }

    fn signed_text(key: &hmac::Key, id: &str, at: &str) -> String {
        sign(key, id, at, b"{}")
    }

    #[test]
    fn a_key_is_long_enough_and_nothing_else_is_one() {
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"] {
            assert!(key(&Secret::new(bad)).is_none(), "{bad}");
        }
    }
}
