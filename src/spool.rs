//! Break-glass: while the register cannot be written, the patrol still sees, and
//! every viewing goes to a file outside the database instead, durable before the
//! picture. When the register takes writes again, the file is sealed into the chain.
//!
//! Only for those whose work is to watch; everybody else is refused meanwhile.

use domain::audit::Entry;
use domain::camera::StreamKind;
use domain::repository::{Error, Registers, Repository, Result};
use domain::role::Role;
use domain::viewing::{Purpose, Viewing, ViewingTransport};
use domain::{CameraId, PersonId, SiteId, Timestamp, ViewingId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tracing::{info, warn};

/// The chain's word for a viewing that was begun while the register was away.
const BROKEN: &str = "viewing.break_glass";
/// How large the file may become; then nobody is admitted any more. A viewing
/// takes about 400 bytes.
const MOST: u64 = 16 << 20;
/// How often the register is tried again while there is something to write.
const RETRY: Duration = Duration::from_secs(2);

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
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

/// The file, and the viewings whose beginning is in it.
#[derive(Debug)]
pub struct Spool {
    path: Option<PathBuf>,
    waiting: Mutex<HashSet<ViewingId>>,
}

/// Whether this role's work is to watch, so that a broken register must not blind it.
#[must_use]
pub fn is_on_duty(role: Role) -> bool {
    matches!(role, Role::Patrol | Role::DutyOperator)
}

impl Spool {
    /// A spool in this file; without one there is no break-glass.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, waiting: Mutex::default() }
    }

    /// Writes down that a viewing begins; durable when it answers.
    pub async fn begin(&self, viewing: &Viewing, site: &SiteId) -> io::Result<()> {
        let mut waiting = self.waiting.lock().await;
        self.append(&Line::Begin {
            id: viewing.id.to_string(),
            person: viewing.person_id.to_string(),
            role: viewing.role,
            camera: viewing.camera_id.to_string(),
            stream: viewing.stream,
            transport: viewing.transport,
            purpose: viewing.purpose,
            at: viewing.started_at.0,
            site: site.to_string(),
        })?;
        waiting.insert(viewing.id.clone());
        Ok(())
    }

    /// Writes down that a viewing has ended, if its beginning waits here or the
    /// register does not take it. Where neither does, the row is closed at the next start.
    pub async fn end(&self, registers: &dyn Repository, id: &ViewingId, at: Timestamp, bytes: u64) {
        let begun_here = self.waiting.lock().await.contains(id);
        if !begun_here {
            match registers.end_viewing(id, at, bytes).await {
                Ok(()) => return,
                Err(error) => warn!(%error, viewing = %id, "the register does not take the end of a viewing"),
            }
        }
        let _one_at_a_time = self.waiting.lock().await;
        if let Err(error) = self.append(&Line::End { id: id.to_string(), at: at.0, bytes }) {
            warn!(%error, viewing = %id, "the end of a viewing could not be written");
        }
    }

    fn append(&self, line: &Line) -> io::Result<()> {
        let path = self.path.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        if file.metadata()?.len() >= MOST {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }

    /// Seals what waits into the chain and empties the file. Done twice, it does no harm.
    pub async fn recover(&self, registers: &dyn Registers) -> Result<u64> {
        let mut waiting = self.waiting.lock().await;
        let Some(path) = &self.path else { return Ok(0) };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(unreadable(&error)),
        };
        let mut sealed = 0;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| unreadable(&error))?;
            match serde_json::from_str(&line) {
                Ok(line) => sealed += u64::from(seal(registers, line).await?),
                // The last line of a gateway that lost its power while it wrote.
                Err(error) => warn!(%error, "a line of the spool cannot be read and is left out"),
            }
        }
        fs::remove_file(path).map_err(|error| unreadable(&error))?;
        waiting.clear();
        Ok(sealed)
    }

    /// Recovers whenever there is something to recover, for ever.
    pub async fn run(self: Arc<Self>, registers: Arc<dyn Repository>) {
        loop {
            tokio::time::sleep(RETRY).await;
            if !self.path.as_ref().is_some_and(|path| path.exists()) {
                continue;
            }
            match self.recover(&*registers).await {
                Ok(sealed) => info!(viewings = sealed, "the register is written again; the spool is sealed"),
                Err(error) => warn!(%error, "the register cannot be written; viewings wait in the spool"),
            }
        }
    }
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
                // It was sealed before the gateway stopped in the middle.
                Err(Error::Exists) => return Ok(false),
                done => done?,
            }
            let entry = Entry {
                at: viewing.started_at,
                actor: Some(viewing.person_id),
                site_id: Some(site),
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
