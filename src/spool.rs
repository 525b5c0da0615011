//! Break-glass: while the register cannot be written, the patrol still sees, and
//! every viewing goes to a file outside the database instead, durable before the
//! picture. When the register takes writes again, the file is sealed into the chain.
//!
//! Only for those whose work is to watch; everybody else is refused meanwhile. A viewing
//! takes about 400 bytes.

use crate::desk::Desk;
use crate::disk::Doubt;
use crate::journal::{self, Journal};
use crate::lasting::Lasting;
use domain::audit::Entry;
use domain::camera::StreamKind;
use domain::repository::{Error, Registers, Repository, Result};
use domain::role::Role;
use domain::viewing::{Purpose, Viewing, ViewingTransport};
use domain::{CameraId, PersonId, SiteId, Timestamp, ViewingId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// The chain's word for a viewing that was begun while the register was away.
const BROKEN: &str = "viewing.break_glass";
/// How long the register may take for one line.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the disk may take until somebody is refused.
const HANGS: Duration = Duration::from_secs(2);
/// How often the register is tried again while there is something to write.
const RETRY: Duration = Duration::from_secs(2);

/// A line of the file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Begin {
        id: String,
        person: String,
        role: Role,
        camera: String,
        stream: StreamKind,
        transport: ViewingTransport,
        /// Nothing in lines of an older gateway.
        #[serde(default)]
        purpose: Option<Purpose>,
        at: i64,
        site: String,
    },
    End {
        id: String,
        at: i64,
        bytes: u64,
    },
}

/// The lines of a file, each as it is and as it is read.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], serde_json::Result<Line>)> {
    journal::lines(bytes).map(|line| (line, serde_json::from_slice(line)))
}

impl Line {
    /// As it is written.
    fn text(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// The viewing that begins with it.
    fn begins(&self) -> Option<ViewingId> {
        match self {
            Self::Begin { id, .. } => ViewingId::parse(id),
            Self::End { .. } => None,
        }
    }
}

/// The file, and the viewings whose beginning is in it.
#[derive(Debug)]
struct Book {
    journal: Journal,
    waiting: HashSet<ViewingId>,
}

impl Book {
    fn append(&self, line: &Line) -> io::Result<()> {
        self.journal.append(&line.text()?, 0)
    }

    /// Puts the file aside and reads it; nothing if there is none.
    fn take(&self) -> io::Result<Option<Vec<u8>>> {
        self.journal.close_for_reading()?.then(|| self.journal.read()).transpose()
    }

    /// What was put aside is in the register, but for what never can be.
    fn done(&mut self, begun: &[ViewingId], aside: &[(Vec<u8>, String)]) -> io::Result<()> {
        for (line, why) in aside {
            self.journal.keep_unreadable(line, why)?;
        }
        self.journal.done()?;
        for id in begun {
            self.waiting.remove(id);
        }
        Ok(())
    }
}

/// The way to the file.
#[derive(Debug)]
pub struct Spool {
    book: Desk<Book>,
    holds: watch::Receiver<bool>,
    doubt: Doubt,
}

impl Spool {
    /// A spool in this file; without one there is no break-glass. Whoever writes into it has
    /// reason to `doubt` the disk.
    #[must_use]
    pub fn new(path: Option<PathBuf>, doubt: Doubt) -> Self {
        let journal = Journal::new(path);
        let holds = journal.holds();
        Self { book: Desk::new("spool", Book { journal, waiting: HashSet::new() }), holds, doubt }
    }

    /// Writes down that a viewing begins; durable when it answers. If nobody waits for the
    /// answer any more it has ended.
    pub async fn begin(&self, viewing: &Viewing, site: &SiteId) -> io::Result<()> {
        self.doubt.raise();
        let line = Line::Begin {
            id: viewing.id.to_string(),
            person: viewing.person_id.to_string(),
            role: viewing.role,
            camera: viewing.camera_id.to_string(),
            stream: viewing.stream,
            transport: viewing.transport,
            purpose: viewing.purpose,
            at: viewing.started_at.0,
            site: site.to_string(),
        };
        let end = Line::End { id: viewing.id.to_string(), at: viewing.started_at.0, bytes: 0 };
        let id = viewing.id.clone();
        let begin = move |book: &mut Book| {
            book.append(&line)?;
            book.waiting.insert(id);
            Ok(())
        };
        let undo = move |book: &mut Book, ()| {
            if let Err(error) = book.append(&end) {
                warn!(%error, "a viewing that was not admitted may stay open in the register");
            }
        };
        let begun = tokio::time::timeout(HANGS, self.book.ask_or(begin, undo)).await;
        begun.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes down that a viewing has ended, if its beginning waits here or the
    /// register does not take it. Where neither does, the row is closed at the next start.
    pub async fn end(&self, registers: &dyn Repository, id: &ViewingId, at: Timestamp, bytes: u64) {
        let begun_here = *self.holds.borrow() && self.begun_here(id).await;
        if !begun_here {
            match registers.end_viewing(id, at, bytes).await {
                Ok(()) => return,
                Err(error) => warn!(%error, viewing = %id, "the register does not take the end of a viewing"),
            }
        }
        if let Err(error) = self.write_end(id, at, bytes).await {
            warn!(%error, viewing = %id, "the end of a viewing could not be written");
        }
    }

    /// Writes down the end of a viewing that may or may not have reached the register.
    pub async fn end_later(&self, id: &ViewingId, at: Timestamp) {
        if let Err(error) = self.write_end(id, at, 0).await {
            warn!(%error, viewing = %id, "a viewing that was not admitted may stay open in the register");
        }
    }

    async fn begun_here(&self, id: &ViewingId) -> bool {
        let id = id.clone();
        self.book.ask(move |book| Ok(book.waiting.contains(&id))).await.unwrap_or(true)
    }

    async fn write_end(&self, id: &ViewingId, at: Timestamp, bytes: u64) -> io::Result<()> {
        self.doubt.raise();
        let line = Line::End { id: id.to_string(), at: at.0, bytes };
        self.book.ask(move |book| book.append(&line)).await
    }

    /// Seals what waits into the chain and empties the file. Done twice, it does no
    /// harm. What comes meanwhile goes into a new file: nobody waits for the database.
    pub async fn recover(&self, registers: &dyn Registers) -> Result<u64> {
        let taken = self.book.ask(|book| book.take()).await;
        let Some(bytes) = taken.map_err(|error| unreadable(&error))? else { return Ok(0) };
        let (mut sealed, mut begun, mut aside) = (0, Vec::new(), Vec::new());
        for (line, read) in lines(&bytes) {
            let written = match read {
                Ok(line) => {
                    begun.extend(line.begins());
                    let slow = |_| Error::Unavailable("the register takes too long".to_owned());
                    tokio::time::timeout(PATIENCE, seal(registers, line)).await.map_err(slow)?
                }
                Err(error) => Err(Error::Corrupt(error.to_string())),
            };
            match written {
                Ok(new) => sealed += u64::from(new),
                Err(Error::Corrupt(why)) => aside.push((line.to_vec(), why)),
                Err(error) => return Err(error),
            }
        }
        let done = self.book.ask(move |book| book.done(&begun, &aside)).await;
        done.map_err(|error| unreadable(&error))?;
        Ok(sealed)
    }

    /// Recovers whenever there is something to recover, for ever; and closes what a crash has
    /// `left` open in the register and could not be closed yet.
    pub async fn run(self: Arc<Self>, registers: Arc<dyn Repository>, mut left: Option<LeftOpen>) {
        let (mut holds, mut away) = (self.holds.clone(), Lasting::default());
        loop {
            if left.is_none() && holds.wait_for(|holds| *holds).await.is_err() {
                // Without the thread that writes there is nothing to do.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(RETRY).await;
            match self.catch_up(&*registers, &mut left).await {
                Ok(sealed) => {
                    away.ends();
                    info!(viewings = sealed, "the register is written again; the spool is sealed");
                }
                Err(error) if away.begins() => {
                    warn!(%error, "the register cannot be written; viewings wait in the spool");
                }
                Err(error) => debug!(%error, "the register still cannot be written"),
            }
        }
    }

    /// What a crash has left open in the register, or in the file, and nobody has begun since; nothing
    /// if nothing. To be asked before anybody is admitted.
    pub async fn left_open(&self, registers: &dyn Registers, at: Timestamp) -> Result<Option<LeftOpen>> {
        let waiting = self.book.ask(|book| book.journal.peek()).await.map_err(|error| unreadable(&error))?;
        let begun = lines(&waiting).filter_map(|(_, read)| read.ok()?.begins());
        let viewings: Vec<ViewingId> = registers.open_viewings().await?.into_iter().chain(begun).collect();
        Ok((!viewings.is_empty()).then_some(LeftOpen { viewings, at }))
    }

    /// Seals what waits, and then closes what was `left` open: first the ends that are known.
    /// Answers how many viewings were sealed.
    pub async fn catch_up(&self, registers: &dyn Repository, left: &mut Option<LeftOpen>) -> Result<u64> {
        let sealed = self.recover(registers).await?;
        if let Some(LeftOpen { viewings, at }) = left {
            let ended = registers.end_viewings(viewings, *at).await?;
            if ended > 0 {
                info!(viewings = ended, "viewings that a crash left open are closed");
            }
            *left = None;
        }
        Ok(sealed)
    }
}

/// Viewings that a crash has left open in the register.
#[derive(Debug)]
pub struct LeftOpen {
    /// Which.
    pub viewings: Vec<ViewingId>,
    /// When they are held to have ended: when a gateway was there again.
    pub at: Timestamp,
}

/// Whether a viewing was begun in the register by this line.
async fn seal(registers: &dyn Registers, line: Line) -> Result<bool> {
    let corrupt = || Error::Corrupt("the spool holds what is no id".to_owned());
    match line {
        Line::End { id, at, bytes } => {
            let id = ViewingId::parse(&id).ok_or_else(corrupt)?;
            registers.end_viewing(&id, Timestamp(at), bytes).await?;
            Ok(false)
        }
        Line::Begin { id, person, role, camera, stream, transport, purpose, at, site } => {
            let viewing = Viewing {
                id: ViewingId::parse(&id).ok_or_else(corrupt)?,
                person_id: PersonId::parse(&person).ok_or_else(corrupt)?,
                role,
                camera_id: CameraId::parse(&camera).ok_or_else(corrupt)?,
                stream,
                transport,
                purpose,
                started_at: Timestamp(at),
                ended_at: None,
                bytes: 0,
            };
            let site = SiteId::parse(&site).ok_or_else(corrupt)?;
            match registers.begin_viewing(&viewing, &site).await {
                // It was sealed in an earlier try, which did not come to the end.
                Err(Error::Exists) => return Ok(false),
                done => done?,
            }
            let entry = Entry {
                at: viewing.started_at,
                actor: Some(viewing.person_id.clone()),
                site_id: Some(site.clone()),
                action: BROKEN.to_owned(),
                object: viewing.id.to_string(),
                detail: "{}".to_owned(),
            };
            registers.record(&entry).await?;
            Ok(true)
        }
    }
}

fn unreadable(error: &io::Error) -> Error {
    Error::Unavailable(format!("the spool: {error}"))
}

/// For the fuzz target: a file, and each of its lines as it is written again.
pub(crate) fn fuzz(bytes: &[u8]) {
    for (_, line) in lines(bytes) {
        let Ok(line) = line else { continue };
        let _ = line.begins();
        let again = line.text().ok().and_then(|text| serde_json::from_str(&text).ok());
        assert_eq!(again, Some(line), "it is kept as it was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Words as _;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn line() -> impl Strategy<Value = Line> {
        let role = select(Role::WORDS).prop_filter_map("a role", Role::from_word);
        let stream = select(StreamKind::WORDS).prop_filter_map("a stream", StreamKind::from_word);
        let transport =
            select(ViewingTransport::WORDS).prop_filter_map("a transport", ViewingTransport::from_word);
        let purpose = select(Purpose::WORDS).prop_map(Purpose::from_word);
        let purpose = prop_oneof![Just(None), purpose];
        let ids = (any::<String>(), any::<String>(), any::<String>(), any::<String>());
        let begin = (ids, role, stream, transport, purpose, any::<i64>());
        let begin = begin.prop_map(|((id, person, camera, site), role, stream, transport, purpose, at)| {
            Line::Begin { id, person, role, camera, stream, transport, purpose, at, site }
        });
        let end = (any::<String>(), any::<i64>(), any::<u64>());
        prop_oneof![begin, end.prop_map(|(id, at, bytes)| Line::End { id, at, bytes })]
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_is_read_or_refused(bytes: Vec<u8>) {
            for (line, _) in lines(&bytes) {
                prop_assert!(!line.is_empty() && !line.contains(&b'\n'));
            }
        }

        #[test]
        fn what_is_written_is_read_back_whatever_stands_between(
            written in prop::collection::vec(line(), 1..5),
            between in "[^\n]{0,40}",
        ) {
            let mut file = Vec::new();
            for line in &written {
                file.extend(line.text().unwrap().into_bytes());
                // Half a line that a power cut left, with something after it.
                file.extend(format!("{{{between}\n").into_bytes());
            }
            let read: Vec<_> = lines(&file).filter_map(|(_, line)| line.ok()).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn a_line_that_is_cut_short_is_none(line in line(), cut: prop::sample::Index) {
            let text = line.text().unwrap();
            let whole = text.trim_end().as_bytes();
            let part = &whole[..cut.index(whole.len())];
            prop_assert!(lines(part).all(|(_, read)| read.is_err()));
        }
    }
}
