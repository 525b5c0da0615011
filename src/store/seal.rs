//! Secrets at rest: XChaCha20-Poly1305 under a key from a file only we can read.
//!
//! The row and the field a secret belongs to are authenticated with it, so a
//! sealed password cannot be moved to another camera.

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::Secret;
use domain::repository::{Error, Result};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tracing::warn;

use crate::key_file::KeyFile;
pub use crate::key_file::{Hold, KeyError};

const NONCE: usize = 24;

/// The key all secrets are sealed with. `Debug` shows nothing of it. As long as it
/// lives, its file is held.
#[derive(Clone)]
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
    /// Where it is kept; a key of no file cannot be changed.
    file: Option<Arc<KeyFile>>,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

impl SealingKey {
    /// A key of 32 bytes, kept in no file.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&bytes.into()), file: None }
    }

    /// Reads the key file, or makes it (mode 0400) when there is none yet.
    pub fn load_or_create(path: &Path, hold: Hold) -> std::result::Result<Self, KeyError> {
        KeyFile::open(path, hold, random).map(Self::of_file)
    }

    fn of_file((file, bytes): (KeyFile, [u8; 32])) -> Self {
        Self { file: Some(Arc::new(file)), ..Self::new(bytes) }
    }

    /// Where it is kept, for people.
    pub(crate) fn name(&self) -> String {
        self.file.as_ref().map_or_else(|| "memory".to_owned(), |file| file.path().display().to_string())
    }

    /// The key that a change was to bring.
    pub(crate) fn next(&self) -> Option<Self> {
        self.file.as_ref().and_then(|file| file.next()).map(Self::new)
    }

    /// Makes the key that a change brings and writes it beside this one.
    pub(crate) fn write_next(&self) -> std::result::Result<Self, KeyError> {
        let bytes = random();
        self.held()?.write_next(&bytes)?;
        Ok(Self::new(bytes))
    }

    /// Forgets the key of a change that did not come to be.
    pub(crate) fn drop_next(&self) {
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.drop_next()) {
            warn!(%error, "the key of an interrupted change cannot be removed; it opens nothing");
        }
    }

    /// The key of a change in the place of this one.
    pub(crate) fn adopt_next(&self) -> std::result::Result<Self, KeyError> {
        self.held()?.adopt_next().map(Self::of_file)
    }

    fn held(&self) -> std::result::Result<&KeyFile, KeyError> {
        let none = || KeyError::Io(self.name(), io::ErrorKind::NotFound.into());
        self.file.as_deref().ok_or_else(none)
    }

    /// Seals `secret` for one field of one row.
    pub(crate) fn seal(&self, secret: &Secret, row: &str, field: &str) -> Result<Vec<u8>> {
        let nonce = random::<NONCE>();
        let aad = format!("{row}/{field}");
        let payload = Payload { msg: secret.expose().as_bytes(), aad: aad.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
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
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| corrupt())?;
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

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
        let load = |hold| SealingKey::load_or_create(&path, hold);
        let sealed = load(Hold::Shared).unwrap().seal(&Secret::new("a"), "r", "f").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert!(load(Hold::Shared).unwrap().open(&sealed, "r", "f").is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(load(Hold::Shared), Err(KeyError::Open(_))));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(load(Hold::Shared), Err(KeyError::Size(_))));
        fs::write(&path, [1; 33]).unwrap();
        assert!(matches!(load(Hold::Shared), Err(KeyError::Size(_))));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_key_that_is_used_is_not_changed_and_the_other_way_round() {
        let folder = std::env::temp_dir().join(format!("sharp-eyes-hold-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key");
        let load = |hold| SealingKey::load_or_create(&path, hold);
        let (one, two) = (load(Hold::Shared).unwrap(), load(Hold::Shared).unwrap());
        assert!(matches!(load(Hold::Alone), Err(KeyError::InUse(_))));
        drop((one, two));
        let alone = load(Hold::Alone).unwrap();
        assert!(matches!(load(Hold::Shared), Err(KeyError::Changing(_))));
        // The file that takes its place is held as well.
        alone.write_next().unwrap();
        let next = alone.adopt_next().unwrap();
        drop(alone);
        assert!(matches!(load(Hold::Shared), Err(KeyError::Changing(_))));
        drop(next);
        assert!(load(Hold::Shared).is_ok());
        fs::remove_dir_all(&folder).unwrap();
    }
}
