//! `sharp-eyes audit verify`: walks along the chain of the registers and compares
//! the viewing register with it. And the anchor: the chain's head, noted again and
//! again in a file outside the database, so that a cut or a rewriting shows.

use domain::audit::{Broken, Head, Verifier};
use domain::repository::{self, Registers};
use domain::viewing::Viewing;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::warn;

/// Entries that are read at a time.
const PAGE: u32 = 1_000;
/// More than a line of an anchor file takes.
const LINE: u64 = 256;
/// How often the head is noted.
const EVERY: Duration = Duration::from_secs(60);

/// What is wrong with the registers.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// The chain itself.
    #[error(transparent)]
    Chain(#[from] Broken),
    /// A row of the viewing register.
    #[error("viewing {0} is not what the chain says: it was changed, put in or taken out")]
    Viewing(String),
    /// The registers cannot be read.
    #[error("the registers cannot be read: {0}")]
    Unreadable(#[from] repository::Error),
    /// The anchor cannot be read.
    #[error("{0}: {1}")]
    Anchor(String, String),
}

/// Checks everything, also while others write. `published` are heads that were noted
/// elsewhere. Answers the end of the chain that the viewings were compared with.
pub async fn verify(registers: &dyn Registers, mut published: Vec<Head>) -> Result<Head, Finding> {
    let (viewings, end) = registers.viewings_and_head().await?;
    // The head in the database must be in the chain, too.
    if end.seq > 0 {
        published.push(end);
    }
    let mut verifier = Verifier::new(published);
    let mut began: HashMap<String, String> = HashMap::new();
    let mut ended: HashMap<String, String> = HashMap::new();
    let mut after = 0;
    loop {
        let page = registers.chain(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for link in page {
            verifier.next(&link)?;
            // What came since is in the chain only.
            if link.seq > end.seq {
                continue;
            }
            match link.entry.action.as_str() {
                Viewing::BEGAN => drop(began.insert(link.entry.object, link.entry.detail)),
                Viewing::ENDED => drop(ended.insert(link.entry.object, link.entry.detail)),
                _ => {}
            }
        }
    }
    let last = verifier.finish()?;
    // And no entry is beyond it.
    let head = registers.head().await?;
    if head.seq < last.seq {
        return Err(Broken::Gap(head.seq, last.seq).into());
    }
    for viewing in viewings {
        let id = viewing.id.to_string();
        let end = viewing.ended_at.map(|at| Viewing::end_detail(at, viewing.bytes));
        let same = began.remove(&id) == Some(viewing.begin_detail()) && ended.remove(&id) == end;
        if !same {
            return Err(Finding::Viewing(id));
        }
    }
    match began.into_keys().chain(ended.into_keys()).next() {
        Some(missing) => Err(Finding::Viewing(missing)),
        None => Ok(end),
    }
}

/// The heads noted in an anchor file, a line each: number and hash.
pub fn read_anchor(path: &Path) -> Result<Vec<Head>, Finding> {
    let wrong = |why: String| Finding::Anchor(path.display().to_string(), why);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let head = |line: &str| {
        let (seq, hash) = line.split_once(' ')?;
        let pair = |at: usize| u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok();
        let bytes: Vec<u8> = (0..hash.trim().len() / 2).map(pair).collect::<Option<_>>()?;
        Some(Head { seq: seq.parse().ok()?, hash: bytes.try_into().ok()? })
    };
    // Without its end a line was being written when the power went.
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    whole
        .lines()
        .map(|line| head(line).ok_or_else(|| wrong(format!("{line:?} is no head of a chain"))))
        .collect()
}

/// A head as it is written down.
#[must_use]
pub fn line(head: &Head) -> String {
    format!("{} {}", head.seq, web::token::hex(&head.hash))
}

/// Appends a head to an anchor file, after taking off the part of a line that a power
/// cut left at its end.
pub fn note(path: &Path, head: &Head) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let whole = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None if from == 0 => 0,
        // What is this?
        None => return Err(io::ErrorKind::InvalidData.into()),
    };
    if whole < end.len() {
        file.set_len(from + whole as u64)?;
    }
    writeln!(file, "{}", line(head))?;
    file.sync_data()
}

/// Notes the head in `path` every minute if it has moved, for ever.
pub async fn anchor(registers: std::sync::Arc<dyn Registers>, path: PathBuf) {
    let mut noted = None;
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let head = match registers.head().await {
            Ok(head) => head,
            Err(error) => {
                warn!(%error, "the audit chain's head cannot be read");
                continue;
            }
        };
        if head.seq == 0 || noted == Some(head) {
            continue;
        }
        let file = path.clone();
        // A disk that hangs stops nobody else.
        let done = tokio::task::spawn_blocking(move || note(&file, &head)).await;
        match done.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => noted = Some(head),
            Err(error) => warn!(path = %path.display(), %error, "the audit chain's head cannot be noted"),
        }
    }
}
