//! A browser that has asked its push service: it decrypts what comes (RFC 8291), and checks
//! who sends it (RFC 8292). Written apart from the gateway's part, and tested with the
//! example of the standard.

use super::fake::Seen;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::message::contact::Subscription;
use domain::message::repository::Contacts as _;
use domain::person::Person;
use domain::repository::Persons as _;
use domain::{Clock as _, SubscriptionId};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use serde_json::Value;
use web::token::random;

pub struct Browser {
    secret: SecretKey,
    public: Vec<u8>,
    auth: Vec<u8>,
}

/// HMAC-SHA256: both halves of HKDF for up to 32 bytes are one of it each.
fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

impl Browser {
    pub fn new() -> Self {
        Self::with(&random::<32>(), random::<16>().to_vec())
    }

    fn with(secret: &[u8], auth: Vec<u8>) -> Self {
        let secret = SecretKey::from_slice(secret).unwrap();
        let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Self { secret, public, auth }
    }

    pub fn keys(&self) -> (String, String) {
        (URL_SAFE_NO_PAD.encode(&self.public), URL_SAFE_NO_PAD.encode(&self.auth))
    }

    /// Has itself told at `endpoint`, in the newest session of somebody.
    pub async fn subscribe(&self, house: &super::House, person: &Person, endpoint: &str) -> SubscriptionId {
        let session = house.store.sessions(&person.id).await.unwrap().remove(0);
        let subscription = Subscription {
            id: SubscriptionId::from_random(random()),
            person_id: person.id.clone(),
            session_id: session.id,
            endpoint: endpoint.to_owned(),
            key: self.public.clone(),
            auth: self.auth.clone(),
            created_at: house.clock.now(),
        };
        house.store.subscribe(&subscription).await.unwrap();
        subscription.id
    }

    pub fn decrypt(&self, body: &[u8]) -> Vec<u8> {
        let (salt, rest) = body.split_at(16);
        let (size, rest) = rest.split_at(4);
        assert!(u32::from_be_bytes(size.try_into().unwrap()) as usize >= rest.len() - 66, "one record");
        let (public, record) = rest[1..].split_at(usize::from(rest[0]));
        let theirs = PublicKey::from_sec1_bytes(public).unwrap();
        let shared = p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), theirs.as_affine());
        let info = [b"WebPush: info\0", &self.public[..], public, &[1]].concat();
        let secret = mac(&mac(&self.auth, shared.raw_secret_bytes()), &info);
        let prk = mac(salt, &secret);
        let key = &mac(&prk, b"Content-Encoding: aes128gcm\0\x01")[..16];
        let nonce = &mac(&prk, b"Content-Encoding: nonce\0\x01")[..12];
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        let mut record = record.to_vec();
        let text = key.open_in_place(nonce, Aad::empty(), &mut record).expect("it is meant for this browser");
        let end = text.iter().rposition(|byte| *byte != 0).unwrap();
        assert_eq!(text[end], 2, "the last record");
        text[..end].to_vec()
    }

    pub fn read(&self, seen: &Seen) -> Value {
        assert_eq!(seen.header("content-encoding"), "aes128gcm");
        serde_json::from_slice(&self.decrypt(&seen.body)).unwrap()
    }
}

/// Checks the proof of who sends, and answers its claims.
pub fn sender(seen: &Seen, public: &str) -> Value {
    let proof = seen.header("authorization").strip_prefix("vapid t=").unwrap();
    let (token, key) = proof.split_once(", k=").unwrap();
    assert_eq!(key, public);
    let key = VerifyingKey::from_sec1_bytes(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    key.verify(signed.as_bytes(), &signature).expect("it is signed with that key");
    let (head, claims) = signed.split_once('.').unwrap();
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    assert_eq!(part(head)["alg"], "ES256");
    part(claims)
}

#[test]
fn the_browser_of_the_tests_reads_the_example_of_the_standard() {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let secret = bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94");
    let browser = Browser::with(&secret, bytes("BTBZMqHH6r4Tts7J_aSIgg"));
    let message = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w\
                   EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
    assert_eq!(browser.decrypt(&bytes(message)), b"When I grow up, I want to be a watermelon");
}
