//! Secrets at rest: XChaCha20-Poly1305 under a key from a file only we can read.
//!
//! The row and the field a secret belongs to are authenticated with it, so a
//! sealed password cannot be moved to another camera.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::Secret;
use domain::repository::{Error, Result};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const NONCE: usize = 24;

/// The key all secrets are sealed with. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct SealingKey(XChaCha20Poly1305);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

/// Why there is no key; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("the key file {0}: {1}")]
    Io(String, io::Error),
    /// Others can read it.
    #[error("the key file {0} can be read by others; make it yours alone: chmod 0400 {0}")]
    Open(String),
    /// It is no key.
    #[error("the key file {0} does not hold 32 bytes; restore it from your backup")]
    Size(String),
}

impl SealingKey {
    /// A key of 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&bytes.into()))
    }

    /// Reads the key file, or makes it (mode 0400) when there is none yet.
    pub fn load_or_create(path: &Path) -> std::result::Result<Self, KeyError> {
        let name = path.display().to_string();
        let io = |error| KeyError::Io(name.clone(), error);
        match fs::metadata(path) {
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => return Err(KeyError::Open(name)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut file =
                    fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).map_err(io)?;
                file.write_all(&random::<32>()).map_err(io)?;
                file.sync_all().map_err(io)?;
            }
            Err(error) => return Err(io(error)),
        }
        let bytes = fs::read(path).map_err(io)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Size(name.clone()))?;
        Ok(Self::new(bytes))
    }

    /// Seals `secret` for one field of one row.
    pub(crate) fn seal(&self, secret: &Secret, row: &str, field: &str) -> Result<Vec<u8>> {
        let nonce = random::<NONCE>();
        let aad = format!("{row}/{field}");
        let payload = Payload { msg: secret.expose().as_bytes(), aad: aad.as_bytes() };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::Corrupt("a secret is too long to seal".to_owned()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what [`Self::seal`] made for the same field of the same row.
    pub(crate) fn open(&self, sealed: &[u8], row: &str, field: &str) -> Result<Secret> {
        let corrupt = || {
            Error::Corrupt(format!("{field} was sealed with another key; is the right key file in place?"))
        };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(corrupt)?;
        let aad = format!("{row}/{field}");
        let payload = Payload { msg: sealed, aad: aad.as_bytes() };
        let text = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| corrupt())?;
        String::from_utf8(text).map(Secret::new).map_err(|_| corrupt())
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_where_it_was_sealed_for() {
        let key = SealingKey::new([7; 32]);
        let sealed = key.seal(&Secret::new("hunter2"), "cam-1", "password").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(key.open(&sealed, "cam-1", "password").unwrap().expose(), "hunter2");
        assert!(key.open(&sealed, "cam-2", "password").is_err(), "another row");
        assert!(key.open(&sealed, "cam-1", "username").is_err(), "another field");
        assert!(SealingKey::new([8; 32]).open(&sealed, "cam-1", "password").is_err(), "another key");
        assert!(key.open(&sealed[..10], "cam-1", "password").is_err(), "cut");
    }

    #[test]
    fn the_key_file_is_made_once_and_is_ours_alone() {
        let folder = std::env::temp_dir().join(format!("sharp-eyes-seal-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        let sealed = SealingKey::load_or_create(&path).unwrap().seal(&Secret::new("a"), "r", "f").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert!(SealingKey::load_or_create(&path).unwrap().open(&sealed, "r", "f").is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(SealingKey::load_or_create(&path), Err(KeyError::Open(_))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
