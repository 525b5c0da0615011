//! Browsers that are closed, by their push services (RFC 8030). A message is encrypted for
//! the browser (RFC 8291, RFC 8188), so its service learns that there is one and no more.
//!
//! Browsers say where their service is, so a request may go wherever a person wants it to:
//! only to public addresses, by TLS, with nothing of ours in it but what is encrypted.

use super::outgoing::{Outgoing, Request};
use super::push_key::PushKey;
use super::{Adapter, Envelope, Failed, To};
use async_trait::async_trait;
use domain::Clock;
use domain::message::contact::Subscription;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a push service keeps a message for a browser that is away: then the chain has called others.
const KEPT: Duration = Duration::from_secs(600);
/// How long a token is good; a day at most.
const TOKEN: i64 = 12 * 3_600;
/// The size of a record, which is the whole message: push services take 4,096 bytes.
const RECORD: u32 = 4_096;
/// The most bytes of a text that fit, with all that is before and after it.
const MOST: usize = 3_000;

pub(super) struct WebPush {
    http: Outgoing,
    clock: Arc<dyn Clock>,
    key: Arc<PushKey>,
    contact: String,
}

impl WebPush {
    pub(super) fn new(http: Outgoing, clock: Arc<dyn Clock>, key: Arc<PushKey>, contact: String) -> Self {
        Self { http, clock, key, contact }
    }
}

/// A length of key material.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256 of `N` bytes.
fn derive<const N: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut out = [0; N];
    Salt::new(HKDF_SHA256, salt).extract(secret).expand(info, Length(N))?.fill(&mut out)?;
    Ok(out)
}

/// Encrypts `text` for a browser: one record with its header.
pub fn encrypt(text: &[u8], subscription: &Subscription) -> Result<Vec<u8>, Unspecified> {
    let random = SystemRandom::new();
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &random)?;
    let public = own.compute_public_key()?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &subscription.key);
    let mut salt = [0; 16];
    random.fill(&mut salt)?;
    let secret: [u8; 32] = agree_ephemeral(own, &theirs, |shared| {
        derive(&subscription.auth, shared, &[b"WebPush: info\0", &subscription.key, public.as_ref()])
    })??;
    let key: [u8; 16] = derive(&salt, &secret, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derive(&salt, &secret, &[b"Content-Encoding: nonce\0"])?;
    // 2 says that this record is the last.
    let mut record = [text, &[2]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)?;
    let length = u8::try_from(public.as_ref().len()).map_err(|_| Unspecified)?;
    Ok([&salt[..], &RECORD.to_be_bytes(), &[length], public.as_ref(), &record].concat())
}

/// What the page's worker reads.
fn document(envelope: &Envelope) -> Vec<u8> {
    let document = |body: &str| {
        json!({
            "id": envelope.id, "incident_id": envelope.incident_id, "kind": envelope.kind, "urgent": envelope.urgent,
            "title": envelope.text.title, "body": body, "locale": envelope.locale, "link": envelope.link,
        })
        .to_string()
        .into_bytes()
    };
    let whole = document(&envelope.text.body);
    // Names of places may be long; what is asked for then is in the app.
    if whole.len() <= MOST { whole } else { document("").into_iter().take(MOST).collect() }
}

#[async_trait]
impl Adapter for WebPush {
    async fn send(&self, envelope: &Envelope) -> Result<(), Failed> {
        let To::Browser(subscription) = &envelope.to else { return Err(Failed::Gone) };
        let url = Url::parse(&subscription.endpoint).map_err(|_| Failed::Gone)?;
        // What cannot be encrypted for is no browser's key.
        let body = encrypt(&document(envelope), subscription).map_err(|_| Failed::Gone)?;
        let expires = self.clock.now().0 / 1_000_000 + TOKEN;
        let token = self.key.token(&url.origin().ascii_serialization(), &self.contact, expires);
        let token = token.ok_or_else(|| Failed::Later("there is no randomness".to_owned()))?;
        let headers = [
            (AUTHORIZATION, format!("vapid t={token}, k={}", self.key.public())),
            (CONTENT_ENCODING, "aes128gcm".to_owned()),
            (CONTENT_TYPE, "application/octet-stream".to_owned()),
            (HeaderName::from_static("ttl"), KEPT.as_secs().to_string()),
            (HeaderName::from_static("urgency"), if envelope.urgent { "high" } else { "normal" }.to_owned()),
            // Sent again, it takes the place of what still waits there: an id has 32 characters, as a topic may.
            (HeaderName::from_static("topic"), envelope.id.to_string()),
        ];
        let header = |(name, value): (HeaderName, String)| {
            let mut value = HeaderValue::from_str(&value).map_err(|_| Failed::Gone)?;
            value.set_sensitive(name == AUTHORIZATION);
            Ok((name, value))
        };
        let headers = headers.into_iter().map(header).collect::<Result<_, Failed>>()?;
        let answer = self.http.send(Request { method: Method::POST, url, headers, body }).await?;
        match answer.status.as_u16() {
            404 | 410 => Err(Failed::Gone),
            _ => answer.taken(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_of_a_browser_is_not_encrypted_for() {
        let subscription = |key: Vec<u8>| Subscription {
            id: domain::SubscriptionId::from_random([1; 16]),
            person_id: domain::PersonId::from_random([1; 16]),
            session_id: domain::SessionId::from_random([1; 16]),
            endpoint: String::new(),
            key,
            auth: vec![1; 16],
            created_at: domain::Timestamp(0),
        };
        for bad in [Vec::new(), vec![4; 65], vec![0; 65], vec![2; 33]] {
            assert!(encrypt(b"x", &subscription(bad)).is_err());
        }
    }
}
