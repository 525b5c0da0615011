//! The key that push services know the gateway by (VAPID, RFC 8292): made once, kept in a
//! file that nobody else can read. Browsers are bound to its public half.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Why there is no key; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or made.
    #[error("push.key_file {0}: {1}")]
    Io(String, io::Error),
    /// Others can read it.
    #[error("push.key_file {0} can be read by others; make it yours alone: chmod 0400 {0}")]
    Open(String),
    /// It is no key.
    #[error(
        "push.key_file {0} does not hold a key; restore it from your backup, or remove it to have a new one"
    )]
    Content(String),
}

/// The key.
pub struct PushKey(EcdsaKeyPair);

impl PushKey {
    /// Reads the key, or makes one when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        let name = || path.display().to_string();
        let io = |error| Error::Io(name(), error);
        let document = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made =
                    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
                let made = made.map_err(|_| io(io::Error::other("there is no randomness")))?;
                write(path, made.as_ref()).map_err(io)?;
                made.as_ref().to_vec()
            }
            read => read.map_err(io)?,
        };
        if fs::metadata(path).map_err(io)?.permissions().mode() & 0o077 != 0 {
            return Err(Error::Open(name()));
        }
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document, &SystemRandom::new());
        Ok(Self(key.map_err(|_| Error::Content(name()))?))
    }

    /// The public half, as browsers and push services take it.
    #[must_use]
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key())
    }

    /// Says to the push service at `audience` who sends (RFC 8292, 2): a token that is good until
    /// `expires`, seconds since the Unix epoch. Nothing if there is no randomness.
    #[must_use]
    pub fn token(&self, audience: &str, contact: &str, expires: i64) -> Option<String> {
        let claims = serde_json::json!({ "aud": audience, "exp": expires, "sub": contact });
        let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Writes a new file that only we can read; when this returns it survives a power cut.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::File::open(folder)?.sync_all()
}
