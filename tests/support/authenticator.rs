//! A device with one passkey, and the browser around it (WebAuthn Level 3).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use web::token::random;

/// Flags of authenticator data: somebody was there, and unlocked it.
pub const PRESENT: u8 = 1;
pub const VERIFIED: u8 = 4;
/// A new credential follows.
const ATTESTED: u8 = 0x40;

#[derive(Clone)]
pub struct Authenticator {
    pub key: SigningKey,
    pub id: Vec<u8>,
    pub user: Vec<u8>,
    pub origin: String,
    pub rp: String,
    pub counter: u32,
    pub flags: u8,
}

fn client_data(kind: &str, challenge: &Value, origin: &str) -> Vec<u8> {
    json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false }).to_string().into()
}

impl Authenticator {
    /// Makes a passkey as it is asked for at `origin`, and the answer that registers it.
    pub fn register(origin: &str, options: &Value) -> (Self, Value) {
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        let device = Self {
            key: SigningKey::from_slice(&random::<32>()).unwrap(),
            id: random::<32>().to_vec(),
            user: BASE64.decode(options["user"]["id"].as_str().unwrap()).unwrap(),
            origin: origin.to_owned(),
            rp: options["rp"]["id"].as_str().unwrap().to_owned(),
            counter: 1,
            flags: PRESENT | VERIFIED,
        };
        let point = device.key.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let mut data = device.data(ATTESTED);
        data.extend([0; 16]);
        data.extend(u16::try_from(device.id.len()).unwrap().to_be_bytes());
        data.extend(&device.id);
        // The public key as COSE: EC2, ES256, P-256, x, y.
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(x);
        data.extend([0x22, 0x58, 32]);
        data.extend(y);
        // {"fmt": "none", "attStmt": {}, "authData": …}
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(u8::try_from(data.len()).unwrap());
        attestation.extend(data);
        let client = client_data("webauthn.create", &options["challenge"], origin);
        let answer = json!({
            "id": BASE64.encode(&device.id), "rawId": BASE64.encode(&device.id), "type": "public-key",
            "response": { "attestationObject": BASE64.encode(attestation), "clientDataJSON": BASE64.encode(client) },
            "clientExtensionResults": {}, "authenticatorAttachment": "platform",
        });
        (device, answer)
    }

    fn data(&self, more: u8) -> Vec<u8> {
        let mut data = Sha256::digest(self.rp.as_bytes()).to_vec();
        data.push(self.flags | more);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Answers what is asked at a sign-in, and counts.
    pub fn answer(&mut self, options: &Value) -> Value {
        self.counter += 1;
        let data = self.data(0);
        let client = client_data("webauthn.get", &options["challenge"], &self.origin);
        let signed = [&data[..], &Sha256::digest(&client)[..]].concat();
        let signature: Signature = self.key.sign(&signed);
        json!({
            "id": BASE64.encode(&self.id), "rawId": BASE64.encode(&self.id), "type": "public-key",
            "response": {
                "authenticatorData": BASE64.encode(data), "clientDataJSON": BASE64.encode(client),
                "signature": BASE64.encode(signature.to_der().as_bytes()), "userHandle": BASE64.encode(&self.user),
            },
            "clientExtensionResults": {}, "authenticatorAttachment": "platform",
        })
    }
}
