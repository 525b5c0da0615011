//! Room on the database's disk: watched, told of before it is used up, and held back for
//! what must be written, which is events, alarms and the registers.
//!
//! Below the floor nothing is kept any more that can be done without, and those who look
//! after the house are told. When next to nothing is left the reserve, a file beside the
//! database, is given up; a last quarter of it is for alarms and the registers alone. When
//! there is room again, the reserve is made again and everything goes on.

pub mod gauge;
pub mod reserve;

use domain::audit::Entry;
use domain::health::{Room, Trouble};
use domain::repository::Repository;
use domain::{Clock, Timestamp};
use gauge::{Act, Gauge, Seen};
use reserve::Reserve;
use serde_json::json;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use web::health::Health;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);
/// How often while there is plenty, and how many times the floor that is.
const SELDOM: Duration = Duration::from_secs(3);
const PLENTY: u64 = 16;
/// How often while there is little room, so that the last of it is still seen to go.
const OFTEN: Duration = Duration::from_millis(100);
/// How often something is made durable on a disk that seems well and that nobody doubts:
/// memory cards wear by it.
const PROBE: Duration = Duration::from_secs(60);
/// A disk that does not answer within this cannot be asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long noting it in the audit chain may take.
const NOTE: Duration = Duration::from_secs(2);

/// Changes that are remembered until they can be noted; further ones are not.
const UNNOTED: usize = 16;

/// How much is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the reserve; none without.
    pub reserve: u64,
    /// Bytes that should be free.
    pub floor: u64,
}

/// A reason to look whether the disk still takes what is written: somebody could not write to the
/// database. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Doubt(Arc<AtomicBool>);

impl Doubt {
    /// There is one.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether there was one since the last look.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Who watches the disk.
pub struct Watcher {
    reserve: Reserve,
    limits: Limits,
    gauge: Gauge,
    room: watch::Sender<Room>,
    health: Health,
    clock: Arc<dyn Clock>,
    doubt: Doubt,
    /// Whether the disk took nothing, or did not answer, when it was looked last.
    failing: bool,
    /// What could not be done with the reserve last, so that it is said once.
    failed: Option<(Act, String)>,
    /// A look that has not come back.
    looking: Option<JoinHandle<Look>>,
    /// What the audit chain does not say yet; at most [`UNNOTED`], the oldest.
    unnoted: VecDeque<Entry>,
}

/// What a look has found.
struct Look {
    free: io::Result<u64>,
    probe: io::Result<()>,
    /// Whether it has not come back.
    hangs: bool,
}

/// Where the reserve is: beside the database, or where it is on another machine, beside
/// the file in which events wait for it.
#[must_use]
pub fn place(database: &str, event_spool: Option<&Path>) -> Option<PathBuf> {
    let beside = database.strip_prefix("sqlite:").map(PathBuf::from);
    let beside = beside.or_else(|| event_spool.map(Path::to_path_buf))?;
    let mut name = beside.into_os_string();
    name.push(".reserve");
    Some(name.into())
}

impl Watcher {
    /// A watcher of the disk that `path`, the reserve's file, is on. Looks once.
    #[must_use]
    pub fn new(
        path: PathBuf,
        limits: Limits,
        room: watch::Sender<Room>,
        health: Health,
        clock: Arc<dyn Clock>,
        doubt: Doubt,
    ) -> Self {
        let reserve = Reserve::new(path, limits.reserve);
        let gauge = Gauge::new(limits.reserve, limits.floor, reserve.is_held());
        let mut watcher = Self {
            reserve,
            limits,
            gauge,
            room,
            health,
            clock,
            doubt,
            failing: false,
            failed: None,
            looking: None,
            unnoted: VecDeque::new(),
        };
        let look = look(&watcher.reserve, true);
        let act = watcher.gauge.handle(look.seen());
        let done = perform(&watcher.reserve, act);
        watcher.settle(&look, act, done);
        watcher
    }

    /// Watches for ever.
    pub async fn run(mut self, repository: Arc<dyn Repository>) {
        let (mut probed, mut plenty) = (Instant::now(), false);
        loop {
            tokio::time::sleep(match self.gauge.room() {
                Room::Ample if plenty => SELDOM,
                Room::Ample => EVERY,
                _ => OFTEN,
            })
            .await;
            let durable = self.doubt.take() || self.failing || probed.elapsed() >= PROBE;
            if durable {
                probed = Instant::now();
            }
            let look = self.look(durable).await;
            plenty = look.free.as_ref().is_ok_and(|free| *free / PLENTY >= self.limits.floor);
            let act = self.gauge.handle(look.seen());
            let done = match act {
                Act::Nothing => Ok(()),
                // Making room durable may take its time.
                act => {
                    let reserve = self.reserve.clone();
                    let done = tokio::task::spawn_blocking(move || perform(&reserve, act)).await;
                    done.unwrap_or_else(|error| Err(io::Error::other(error)))
                }
            };
            self.settle(&look, act, done);
            self.note(&*repository).await;
        }
    }

    /// A disk that hangs must hang nobody who could say so.
    async fn look(&mut self, durable: bool) -> Look {
        let reserve = self.reserve.clone();
        let look = move || look(&reserve, durable);
        let looking = self.looking.get_or_insert_with(|| tokio::task::spawn_blocking(look));
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(found) => {
                self.looking = None;
                let failed = |error: tokio::task::JoinError| Look {
                    free: Err(io::Error::other(error)),
                    probe: Ok(()),
                    hangs: false,
                };
                found.unwrap_or_else(failed)
            }
            Err(_) => Look { free: Err(io::ErrorKind::TimedOut.into()), probe: Ok(()), hangs: true },
        }
    }

    /// Tells what was found and what was done about it.
    fn settle(&mut self, look: &Look, act: Act, done: io::Result<()>) {
        let (now, before) = (self.clock.now(), *self.room.borrow());
        let free = look.free.as_ref().ok().copied();
        let failed = done.as_ref().err().map(|error| (act, error.to_string()));
        let is_new = failed != self.failed;
        self.failed = failed;
        match (act, done) {
            (Act::Nothing, _) => {}
            (Act::GiveUp, Ok(())) => {
                warn!("the disk is full; the reserve is given up for what must be written");
            }
            (Act::GiveUp, Err(error)) => {
                self.gauge.kept();
                if is_new {
                    error!(%error, "the disk is full, and the reserve cannot be given up; it is tried again");
                }
            }
            (Act::Rebuild, Ok(())) => self.gauge.rebuilt(),
            (Act::Rebuild, Err(error)) => {
                if is_new {
                    warn!(%error, "the reserve cannot be made again; it is tried again");
                }
            }
        }
        let room = self.gauge.room();
        self.room.send_if_modified(|before| std::mem::replace(before, room) != room);
        let read_only = look.probe.as_ref().err().map(|error| {
            format!(
                "the disk of the database takes nothing ({error}): nobody new can watch and what devices tell \
                 stays with them; look at the disk and make it writable again"
            )
        });
        let hangs = look.hangs.then(|| {
            "the disk of the database does not answer: open pictures go on, nobody new can watch, and what \
             devices tell stays with them; look at the disk and its connection"
                .to_owned()
        });
        self.failing = look.hangs || read_only.is_some();
        let full = (room != Room::Ample && !self.failing).then(|| self.shortage(&look.free));
        if (room == Room::Ample) != (before == Room::Ample) {
            self.changed(room, full.as_ref().or(read_only.as_ref()).or(hangs.as_ref()), free, now);
        }
        self.health.set(Trouble::DiskHangs, hangs, now);
        self.health.set(Trouble::DiskReadOnly, read_only, now);
        self.health.set(Trouble::DiskFull, full, now);
    }

    fn shortage(&self, free: &io::Result<u64>) -> String {
        let floor = self.limits.floor >> 20;
        let free = match free {
            // Rounded, so that it is not told anew all the time.
            Ok(free) if *free < self.limits.floor => format!("less than {floor} MiB are free"),
            Ok(_) => format!("hardly more than {floor} MiB are free"),
            Err(error) => format!("it cannot be said how much is free ({error})"),
        };
        let rest = match (self.gauge.is_held(), self.gauge.room()) {
            (true, _) => "door pictures are not kept",
            (false, Room::Last) => "only alarms and registers are kept, from what is left of the reserve",
            (false, _) => "events and registers are kept from the reserve, door pictures are not",
        };
        format!("{free} on the disk of the database: {rest}; make room on it")
    }

    /// Says that it begins or ends, and has it noted.
    fn changed(&mut self, room: Room, detail: Option<&String>, free: Option<u64>, at: Timestamp) {
        match detail {
            Some(detail) => error!("{detail}"),
            None => info!("there is room on the disk again"),
        }
        let action = if room == Room::Ample { "disk.room" } else { "disk.full" };
        if self.unnoted.len() >= UNNOTED {
            return;
        }
        self.unnoted.push_back(Entry {
            at,
            actor: None,
            site_id: None,
            action: action.to_owned(),
            object: "disk".to_owned(),
            detail: json!({ "free": free, "floor": self.limits.floor, "reserve_held": self.gauge.is_held() })
                .to_string(),
        });
    }

    async fn note(&mut self, registers: &dyn Repository) {
        while let Some(entry) = self.unnoted.front() {
            match tokio::time::timeout(NOTE, registers.record(entry)).await {
                Ok(Ok(_)) => drop(self.unnoted.pop_front()),
                Ok(Err(error)) => return debug!(%error, "how full the disk is cannot be noted yet"),
                // It may be noted all the same, and is then noted twice.
                Err(_) => return debug!("how full the disk is cannot be noted yet"),
            }
        }
    }
}

impl Look {
    fn seen(&self) -> Seen {
        Seen { free: self.free.as_ref().ok().copied(), writable: self.probe.is_ok() && !self.hangs }
    }
}

fn perform(reserve: &Reserve, act: Act) -> io::Result<()> {
    match act {
        Act::Nothing => Ok(()),
        // What is not durable of it yet is given up all the same.
        Act::GiveUp => reserve.give_up().or_else(|error| if reserve.is_held() { Err(error) } else { Ok(()) }),
        Act::Rebuild => reserve.build(),
    }
}

fn look(reserve: &Reserve, durable: bool) -> Look {
    let probe = if durable { reserve.probe() } else { reserve.touch() };
    Look { free: reserve.free(), probe, hangs: false }
}
