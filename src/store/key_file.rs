//! The file of the sealing key: made once, held while it is used, replaced whole.
//!
//! Whoever uses the key holds a shared lock on its file, so a change of key, which
//! wants it alone, is refused while a gateway runs. A file system does not forget a
//! lock when a process is killed: it is gone with the process.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The bytes of a key.
pub(crate) type Bytes = [u8; 32];

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
    /// A gateway, or another command, uses it.
    #[error("the key in {0} is in use; stop the gateway and try again")]
    InUse(String),
    /// It is being changed.
    #[error("the key in {0} is being changed; try again in a moment")]
    Changing(String),
}

/// How a key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// With others.
    Shared,
    /// By nobody else: it is about to change.
    Alone,
}

/// How often a file that is held is tried again, and how soon: a program that is just being
/// started holds for a moment what its parent held, also when the parent has let go of it.
const TRIES: u32 = 20;
const AGAIN: Duration = Duration::from_millis(25);

fn lock(file: &File, hold: Hold) -> Result<(), TryLockError> {
    let once = || match hold {
        Hold::Shared => file.try_lock_shared(),
        Hold::Alone => file.try_lock(),
    };
    for _ in 1..TRIES {
        match once() {
            #[expect(clippy::disallowed_methods, reason = "half a second at most, before anything else runs")]
            Err(TryLockError::WouldBlock) => std::thread::sleep(AGAIN),
            done => return done,
        }
    }
    once()
}

/// A key's file, held.
pub(crate) struct KeyFile {
    path: PathBuf,
    hold: Hold,
    _locked: File,
}

impl KeyFile {
    /// Opens the file, or makes it (mode 0400) with what `fresh` gives when there is none.
    pub(crate) fn open(
        path: &Path,
        hold: Hold,
        fresh: impl Fn() -> Bytes,
    ) -> Result<(Self, Bytes), KeyError> {
        let name = || path.display().to_string();
        let io = |error| KeyError::Io(name(), error);
        loop {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    write(path, &fresh()).map_err(io)?;
                    continue;
                }
                other => other.map_err(io)?,
            };
            let meta = file.metadata().map_err(io)?;
            if meta.mode() & 0o077 != 0 {
                return Err(KeyError::Open(name()));
            }
            match lock(&file, hold) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(match hold {
                        Hold::Shared => KeyError::Changing(name()),
                        Hold::Alone => KeyError::InUse(name()),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
            // Between opening and locking it may have been replaced.
            if fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (meta.dev(), meta.ino())) {
                let mut bytes = Vec::new();
                (&file).take(33).read_to_end(&mut bytes).map_err(io)?;
                let bytes = bytes.try_into().map_err(|_| KeyError::Size(name()))?;
                return Ok((Self { path: path.to_owned(), hold, _locked: file }, bytes));
            }
        }
    }

    fn next_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        name.into()
    }

    fn failed(&self, error: io::Error) -> KeyError {
        KeyError::Io(self.next_path().display().to_string(), error)
    }

    /// The key that a change was to bring, if it was written whole.
    pub(crate) fn next(&self) -> Option<Bytes> {
        fs::read(self.next_path()).ok()?.try_into().ok()
    }

    /// Writes the key that a change brings beside the one in force.
    pub(crate) fn write_next(&self, key: &Bytes) -> Result<(), KeyError> {
        self.drop_next().and_then(|()| write(&self.next_path(), key)).map_err(|error| self.failed(error))
    }

    /// Forgets a change that was begun: nothing is sealed with its key.
    pub(crate) fn drop_next(&self) -> io::Result<()> {
        match fs::remove_file(self.next_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts the next key in the place of this one, in one step, and holds it.
    pub(crate) fn adopt_next(&self) -> Result<(Self, Bytes), KeyError> {
        match fs::rename(self.next_path(), &self.path) {
            // Another process that starts at the same moment was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(|error| self.failed(error))?,
        }
        sync_folder(&self.path).map_err(|error| self.failed(error))?;
        let none = || unreachable!("it was put there a moment ago");
        Self::open(&self.path, self.hold, none)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a new file that only we can read; when this returns it survives a power cut.
fn write(path: &Path, key: &Bytes) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(key)?;
    file.sync_all()?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
