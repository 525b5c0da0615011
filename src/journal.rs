//! A file of lines that is durable line by line: what cannot be kept in the database
//! waits in it. All of it waits for the disk: it belongs to a [`crate::desk::Desk`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use tokio::sync::watch;
use tracing::warn;

/// How large the file may become, in bytes; then nothing is taken any more.
const MOST: u64 = 16 << 20;

/// The file, and beside it the one that is being emptied.
#[derive(Debug)]
pub struct Journal {
    path: Option<PathBuf>,
    /// Whether there is something to be read: known to those who do not wait for the disk.
    holds: watch::Sender<bool>,
}

/// The lines of a file.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Whether a file ends with the end of a line. Where a part of one could not be taken off
/// again, the next must not become the rest of it.
fn is_whole(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(true) };
    let mut end = [0];
    file.read_exact_at(&mut end, last)?;
    Ok(end == *b"\n")
}

impl Journal {
    /// A journal in this file; without one nothing is taken.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        let journal = Self { path, holds: watch::Sender::new(false) };
        journal.look();
        journal
    }

    /// Whether there is something to be read, now and later.
    #[must_use]
    pub fn holds(&self) -> watch::Receiver<bool> {
        self.holds.subscribe()
    }

    /// Looks whether there is something to be read.
    fn look(&self) -> bool {
        let exists = |path: Option<PathBuf>| path.is_some_and(|path| path.exists());
        let holds = exists(self.path.clone()) || exists(self.closed());
        self.holds.send_if_modified(|before| std::mem::replace(before, holds) != holds);
        holds
    }

    /// Appends whole lines; durable when it answers. `reserve` bytes stay free for others.
    pub fn append(&self, text: &str, reserve: u64) -> io::Result<()> {
        let written = self.write(text, reserve);
        self.look();
        written
    }

    fn write(&self, text: &str, reserve: u64) -> io::Result<()> {
        let path = self.path.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let new = !path.exists();
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        let length = file.metadata()?.len();
        if length >= MOST - reserve.min(MOST) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let text = if is_whole(&file, length)? { text.to_owned() } else { format!("\n{text}") };
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Half a line would spoil the next one, and a whole one would tell of what
            // is refused now.
            if let Err(error) = file.set_len(length) {
                warn!(%error, file = %path.display(), "a line is kept in half");
            }
            return Err(error);
        }
        match path.parent().filter(|folder| new && !folder.as_os_str().is_empty()) {
            // So that the file's name survives a power cut, too.
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// A file whose name is this one's and something more: two journals share none.
    fn beside(&self, what: &str) -> Option<PathBuf> {
        let path = self.path.as_ref()?;
        let mut name = path.clone().into_os_string();
        name.push(".");
        name.push(what);
        Some(name.into())
    }

    fn closed(&self) -> Option<PathBuf> {
        self.beside("sealing")
    }

    /// Whether there is something to be read.
    #[must_use]
    pub fn holds_something(&self) -> bool {
        self.look()
    }

    /// Whether a file is aside that was not read to its end.
    #[must_use]
    pub fn is_being_read(&self) -> bool {
        self.closed().is_some_and(|path| path.exists())
    }

    /// Puts the file aside for reading; what comes meanwhile goes into a new one. Answers
    /// whether there is something. One that is aside already was not finished: it comes first.
    pub fn close_for_reading(&self) -> io::Result<bool> {
        let (Some(path), Some(closed)) = (&self.path, self.closed()) else { return Ok(false) };
        if closed.exists() {
            return Ok(true);
        }
        match fs::rename(path, closed) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.look();
                Ok(false)
            }
            renamed => renamed.map(|()| true),
        }
    }

    /// What was put aside.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        self.closed().map_or(Ok(Vec::new()), fs::read)
    }

    /// All that waits, without touching it.
    pub fn peek(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        for path in self.closed().iter().chain(&self.path) {
            match fs::read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                read => all.extend(read?),
            }
        }
        Ok(all)
    }

    /// What was put aside is in the database.
    pub fn done(&self) -> io::Result<()> {
        let removed = self.closed().map_or(Ok(()), fs::remove_file);
        self.look();
        removed
    }

    /// Keeps a line that cannot be read for people to look at, or it would be tried for
    /// ever; a gateway that lost its power may leave one.
    pub fn keep_unreadable(&self, line: &[u8], why: &str) -> io::Result<()> {
        let Some(kept) = self.beside("unreadable") else { return Ok(()) };
        warn!(why, kept = %kept.display(), "a line that waited cannot be read; it is kept beside the others");
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(kept)?;
        file.write_all(&[line, b"\n"].concat())?;
        // What is set aside is nowhere else afterwards.
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_also_behind_half_a_one() {
        let path = std::env::temp_dir().join(web::token::new());
        let journal = Journal::new(Some(path.clone()));
        journal.append("one\n", 0).unwrap();
        fs::write(&path, "one\ntw").unwrap();
        journal.append("three\n", 0).unwrap();
        journal.append("four\n", 0).unwrap();
        let kept = fs::read(&path).unwrap();
        assert_eq!(lines(&kept).collect::<Vec<_>>(), [&b"one"[..], b"tw", b"three", b"four"]);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn two_journals_share_no_file_though_their_names_differ_in_the_ending_alone() {
        let journal = |name: &str| Journal::new(Some(name.into()));
        assert_ne!(journal("data/a.events").closed(), journal("data/a.viewings").closed());
    }
}
