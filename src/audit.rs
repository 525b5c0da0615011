//! `sharp-eyes audit verify`: walks along the chain of the registers and compares
//! the viewing register with it. And the anchor: the chain's head, noted again and
//! again in a file outside the database, so that a cut or a rewriting shows.

use domain::audit::{Broken, Head, Verifier};
use domain::repository::{self, Registers};
use domain::viewing::Viewing;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tracing::warn;

/// Entries that are read at a time.
const PAGE: u32 = 1_000;
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

/// Checks everything. `published` are heads that were noted elsewhere.
pub async fn verify(registers: &dyn Registers, published: Vec<Head>) -> Result<Head, Finding> {
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
            match link.entry.action.as_str() {
                Viewing::BEGAN => drop(began.insert(link.entry.object, link.entry.detail)),
                Viewing::ENDED => drop(ended.insert(link.entry.object, link.entry.detail)),
                _ => {}
            }
        }
    }
    // The head in the database must be the chain's end, too.
    let end = verifier.finish()?;
    let head = registers.head().await?;
    if head != end {
        return Err(Broken::Cut(end.seq, head.seq).into());
    }
    for viewing in registers.all_viewings().await? {
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let head = |line: &str| {
        let (seq, hash) = line.split_once(' ')?;
        let pair = |at: usize| u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok();
        let bytes: Vec<u8> = (0..hash.trim().len() / 2).map(pair).collect::<Option<_>>()?;
        Some(Head { seq: seq.parse().ok()?, hash: bytes.try_into().ok()? })
    };
    text.lines()
        .map(|line| head(line).ok_or_else(|| wrong(format!("{line:?} is no head of a chain"))))
        .collect()
}

/// A head as it is written down.
#[must_use]
pub fn line(head: &Head) -> String {
    format!("{} {}", head.seq, web::token::hex(&head.hash))
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
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        match file.and_then(|mut file| writeln!(file, "{}", line(&head)).and_then(|()| file.sync_data())) {
            Ok(()) => noted = Some(head),
            Err(error) => warn!(path = %path.display(), %error, "the audit chain's head cannot be noted"),
        }
    }
}
