//! What devices tell while the database is away: durable in a file before the device is
//! told so, and kept in the database when it is back, with the alarms that it raises. A
//! line that was kept already is kept once.
//!
//! While something waits, what comes goes behind it, so that the order stays. The last few
//! lines are kept while nobody may write: after them nothing waits, and what comes goes to
//! the database again, however much comes all the time.

use crate::desk::Desk;
use crate::disk::Doubt;
use crate::journal::{self, Journal};
use crate::lasting::Lasting;
use crate::pictures::WAITING;
use async_trait::async_trait;
use domain::event::device::{DeviceEvent, DeviceEventKind};
use domain::event::door::{DoorEvent, DoorEventKind, Quality, Recorded};
use domain::event::{Event, Taken};
use domain::incident::Timings;
use domain::repository::{Error, Repository, Result};
use domain::site::SiteKind;
use domain::{Clock, DeviceEventId, DeviceId, DoorEventId, IncidentId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tracing::{debug, info, warn};

/// How often the database is tried again while something waits.
const RETRY: Duration = Duration::from_secs(1);
/// How long it may take for one group of events.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the file that only calls for help are written to.
const RESERVE: u64 = 1 << 20;
/// Events that are kept in one go.
const GROUP: usize = 200;
/// Bytes that are few enough to be kept while nobody may write: a group or two.
const FEW: usize = 64 << 10;
/// How long that may take; who writes waits meanwhile.
const HANDOVER: Duration = Duration::from_secs(2);
/// How long the disk may take, and those who write before, until events are refused.
const HANGS: Duration = Duration::from_secs(5);
/// An event that has waited for longer gets no picture: the stream has none of it any more.
const PICTURED: Duration = Duration::from_secs(60);

/// A line of the file: an event as it is kept.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    source: String,
    event: String,
    device: String,
    site: String,
    place: String,
    kind: String,
    quality: Quality,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    staff_only: bool,
    at: i64,
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Self {
        match event {
            Event::Door(event) => Self {
                id: event.id.to_string(),
                source: event.source.clone(),
                event: event.event_id.clone(),
                device: event.device_id.to_string(),
                site: event.site_id.to_string(),
                place: event.place_id.to_string(),
                kind: event.kind.word().to_owned(),
                quality: event.quality,
                direction: event.direction.clone(),
                method: event.method.clone(),
                reason: event.reason.clone(),
                time: event.device_time.map(|at| at.0),
                staff_only: event.staff_only,
                at: event.received_at.0,
            },
            Event::Device(event) => Self {
                id: event.id.to_string(),
                source: event.source.clone(),
                event: event.event_id.clone(),
                device: event.device_id.to_string(),
                site: event.site_id.to_string(),
                place: event.place_id.to_string(),
                kind: event.kind.word().to_owned(),
                quality: event.quality,
                direction: None,
                method: None,
                reason: None,
                time: event.device_time.map(|at| at.0),
                staff_only: false,
                at: event.received_at.0,
            },
        }
    }
}

impl Line {
    /// The event; nothing if the line is none.
    fn event(self) -> Option<Event> {
        let device_id = DeviceId::parse(&self.device)?;
        let (site_id, place_id) = (SiteId::parse(&self.site)?, PlaceId::parse(&self.place)?);
        let (device_time, received_at) = (self.time.map(Timestamp), Timestamp(self.at));
        Some(match DoorEventKind::from_word(&self.kind) {
            Some(kind) => Event::Door(DoorEvent {
                id: DoorEventId::parse(&self.id)?,
                source: self.source,
                event_id: self.event,
                device_id,
                site_id,
                place_id,
                staff_only: self.staff_only,
                kind,
                quality: self.quality,
                direction: self.direction,
                method: self.method,
                reason: self.reason,
                device_time,
                received_at,
            }),
            None => Event::Device(DeviceEvent {
                id: DeviceEventId::parse(&self.id)?,
                source: self.source,
                event_id: self.event,
                device_id,
                site_id,
                place_id,
                kind: DeviceEventKind::from_word(&self.kind)?,
                quality: self.quality,
                device_time,
                received_at,
            }),
        })
    }
}

/// What makes an event one: whether it is of a door, device, source and id.
type Name = (bool, DeviceId, String, String);

fn name(event: &Event) -> Name {
    match event {
        Event::Door(event) => (true, event.device_id.clone(), event.source.clone(), event.event_id.clone()),
        Event::Device(event) => {
            (false, event.device_id.clone(), event.source.clone(), event.event_id.clone())
        }
    }
}

/// What is in the file, and in the one that is being emptied. They bound it: the files do
/// not become larger than a journal may.
#[derive(Debug, Default)]
struct Waiting {
    open: HashSet<Name>,
    closed: HashSet<Name>,
}

impl Waiting {
    fn has(&self, name: &Name) -> bool {
        self.open.contains(name) || self.closed.contains(name)
    }

    /// The file was put aside, behind what was aside already.
    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.closed.extend(open);
    }
}

/// What became of what has waited.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Events that were new.
    pub kept: usize,
    /// Whether one of them may have opened an incident.
    pub raised: bool,
    /// Door events that have not waited long: they may still get their picture.
    pub pictured: Vec<DoorEvent>,
}

/// The file, with what waits in it.
struct Book {
    journal: Journal,
    waiting: Waiting,
}

impl Book {
    /// Puts the file aside, behind what is aside already, and reads it; nothing if nothing waits.
    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        let unfinished = self.journal.is_being_read();
        if !self.journal.close_for_reading()? {
            return Ok(None);
        }
        if !unfinished {
            self.waiting.close();
        }
        self.journal.read().map(Some)
    }

    /// What was put aside is in the database, but for what never can be.
    fn done(&mut self, aside: &[(Vec<u8>, String)]) -> io::Result<()> {
        for (line, why) in aside {
            self.journal.keep_unreadable(line, why)?;
        }
        self.journal.done()?;
        self.waiting.closed.clear();
        Ok(())
    }

    /// Appends those that do not wait already. Answers what became of each. Where only the
    /// reserve is left, calls for help are kept and the answer is that there is no room: sent
    /// again, they are not kept twice.
    fn append(&mut self, events: &[Event]) -> io::Result<Vec<Recorded>> {
        match self.append_to(events, RESERVE) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let pressing: Vec<Event> =
                    events.iter().filter(|event| event.is_pressing()).cloned().collect();
                let recorded = self.append_to(&pressing, 0)?;
                if pressing.len() == events.len() { Ok(recorded) } else { Err(error) }
            }
            done => done,
        }
    }

    /// The same; `reserve` bytes of the file stay free.
    fn append_to(&mut self, events: &[Event], reserve: u64) -> io::Result<Vec<Recorded>> {
        let (mut text, mut recorded, mut new) = (String::new(), Vec::new(), HashSet::new());
        for event in events {
            let name = name(event);
            if self.waiting.has(&name) || !new.insert(name) {
                recorded.push(Recorded::Duplicate);
                continue;
            }
            text += &serde_json::to_string(&Line::from(event))?;
            text.push('\n');
            recorded.push(Recorded::Accepted);
        }
        if !text.is_empty() {
            self.journal.append(&text, reserve)?;
        }
        self.waiting.open.extend(new);
        Ok(recorded)
    }
}

/// The way to the file.
pub struct EventSpool {
    book: Desk<Book>,
    holds: watch::Receiver<bool>,
    clock: Arc<dyn Clock>,
    doubt: Doubt,
    /// Who writes holds it, and who hands over to the database.
    turn: Mutex<()>,
}

impl EventSpool {
    /// A spool in this file; without one events are refused while the database is away. Whoever
    /// writes into it has reason to `doubt` the disk.
    #[must_use]
    pub fn new(path: Option<PathBuf>, clock: Arc<dyn Clock>, doubt: Doubt) -> Self {
        let journal = Journal::new(path);
        let holds = journal.holds();
        let book = Desk::new("event-spool", Book { journal, waiting: Waiting::default() });
        Self { book, holds, clock, doubt, turn: Mutex::default() }
    }

    /// Keeps what waits in the database, until nothing does. Done twice, it does no harm.
    /// `all` says what became of it, also where it comes to no end.
    pub async fn recover(&self, repository: &dyn Repository, all: &mut Recovered) -> Result<()> {
        loop {
            let turn = self.turn.lock().await;
            let taken = self.book.ask(|book| book.take()).await;
            let Some(bytes) = taken.map_err(|error| unreadable(&error))? else { return Ok(()) };
            if bytes.len() > FEW {
                // Who sends meanwhile does not wait for all that.
                drop(turn);
                self.drain(repository, &bytes, all).await?;
                continue;
            }
            let drained = tokio::time::timeout(HANDOVER, self.drain(repository, &bytes, all)).await;
            if let Ok(drained) = drained {
                drained?;
            } else {
                // What was on its way may be kept all the same, and an alarm among it.
                all.raised = true;
                return Err(Error::Unavailable("the database takes too long".to_owned()));
            }
        }
    }

    /// Keeps these lines and removes the file that they are from.
    async fn drain(&self, repository: &dyn Repository, bytes: &[u8], all: &mut Recovered) -> Result<()> {
        let (mut events, mut timings, mut aside) = (Vec::new(), HashMap::new(), Vec::new());
        for line in journal::lines(bytes) {
            let read = serde_json::from_slice::<Line>(line).map_err(|error| error.to_string());
            match read.and_then(|line| line.event().ok_or_else(|| "it is no event".to_owned())) {
                Ok(event) => events.push((line, event)),
                Err(why) => aside.push((line, why)),
            }
        }
        for site in repository.sites().await? {
            timings.insert(site.id, Timings::of(site.kind));
        }
        let usual = Timings::of(SiteKind::Compound);
        for group in events.chunks(GROUP) {
            let (mut taken, now) = (Vec::new(), self.clock.now());
            for (line, event) in group {
                let id = IncidentId::from_random(web::token::random());
                // A site that cannot be read is one all the same; of one that is gone nothing is kept.
                let timings = timings.get(event.site()).unwrap_or(&usual);
                taken.push((*line, event.clone().taken(id, timings).kept_at(now)));
            }
            let outcomes = keep_group(repository, taken, &mut aside).await?;
            for (taken, recorded) in outcomes {
                all.kept += usize::from(recorded == Recorded::Accepted);
                // Also what is there already may be so by the try that took too long.
                all.raised |= taken.raises.is_some();
                let Event::Door(event) = taken.event else { continue };
                if event.received_at < now.before(PICTURED) || all.pictured.len() >= WAITING {
                    continue;
                }
                if recorded == Recorded::Accepted || repository.door_event(&event.id).await?.is_some() {
                    all.pictured.push(event);
                }
            }
        }
        // Only now, or each further try would set them aside again.
        let aside: Vec<(Vec<u8>, String)> =
            aside.into_iter().map(|(line, why)| (line.to_vec(), why)).collect();
        self.book.ask(move |book| book.done(&aside)).await.map_err(|error| unreadable(&error))
    }

    /// Recovers whenever there is something to recover, for ever. Says through `posted` that
    /// there is something to tell, through `changes` that an incident was opened, and through
    /// `happened` whose picture is to be taken.
    pub async fn run(
        self: Arc<Self>,
        repository: Arc<dyn Repository>,
        posted: Arc<Notify>,
        changes: watch::Sender<u64>,
        happened: mpsc::Sender<DoorEvent>,
    ) {
        let (mut holds, mut away) = (self.holds.clone(), Lasting::default());
        loop {
            if holds.wait_for(|holds| *holds).await.is_err() {
                // Without the thread that writes there is nothing to do.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(RETRY).await;
            let mut all = Recovered::default();
            match self.recover(&*repository, &mut all).await {
                Ok(()) => {
                    away.ends();
                    info!(events = all.kept, "the database is back; what devices have told is kept");
                }
                Err(error) if away.begins() => {
                    warn!(%error, "the database is away; what devices tell waits in the spool");
                }
                Err(error) => debug!(%error, "the database is still away"),
            }
            posted.notify_one();
            if all.raised {
                changes.send_modify(|n| *n = n.wrapping_add(1));
            }
            for event in all.pictured {
                if happened.try_send(event).is_err() {
                    debug!("door events stay without a picture: too many at once");
                    break;
                }
            }
        }
    }

    /// Has it written in its turn, or says that the disk hangs: then it may be written all the
    /// same, and sent again it is a duplicate.
    async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Book) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        self.doubt.raise();
        let writing = async {
            let _turn = self.turn.lock().await;
            self.book.ask(work).await
        };
        let written = tokio::time::timeout(HANGS, writing).await;
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Keeps a group; if one of it is at fault, each by itself. Answers what became of each.
async fn keep_group<'l>(
    repository: &dyn Repository,
    group: Vec<(&'l [u8], Taken)>,
    aside: &mut Vec<(&'l [u8], String)>,
) -> Result<Vec<(Taken, Recorded)>> {
    let (lines, taken): (Vec<&'l [u8]>, Vec<Taken>) = group.into_iter().unzip();
    match record(repository, taken.clone()).await {
        Ok(recorded) => Ok(taken.into_iter().zip(recorded).collect()),
        Err(error @ Error::Unavailable(_)) => Err(error),
        Err(_) => {
            let mut kept = Vec::new();
            for (line, taken) in lines.into_iter().zip(taken) {
                match record(repository, vec![taken.clone()]).await {
                    Ok(recorded) => {
                        kept.extend(recorded.into_iter().map(|recorded| (taken.clone(), recorded)));
                    }
                    Err(error @ Error::Unavailable(_)) => return Err(error),
                    // Its device was removed meanwhile.
                    Err(error) => aside.push((line, error.to_string())),
                }
            }
            Ok(kept)
        }
    }
}

async fn record(repository: &dyn Repository, taken: Vec<Taken>) -> Result<Vec<Recorded>> {
    let slow = |_| Error::Unavailable("the database takes too long".to_owned());
    tokio::time::timeout(PATIENCE, repository.record_events(taken)).await.map_err(slow)?
}

#[async_trait]
impl web::intake::Later for EventSpool {
    fn holds_something(&self) -> bool {
        *self.holds.borrow()
    }

    async fn keep(&self, events: &[Event]) -> io::Result<Vec<Recorded>> {
        let events = events.to_vec();
        self.write(move |book| book.append(&events)).await
    }

    async fn keep_behind(&self, events: &[Event]) -> io::Result<Option<Vec<Recorded>>> {
        let events = events.to_vec();
        self.write(move |book| {
            // All of it was kept while this one waited.
            if !book.journal.holds_something() {
                return Ok(None);
            }
            book.append(&events).map(Some)
        })
        .await
    }
}

fn unreadable(error: &io::Error) -> Error {
    Error::Unavailable(format!("the spool of events: {error}"))
}

/// For the fuzz target: a file, and each of its events as it is written again.
pub(crate) fn fuzz(bytes: &[u8]) {
    for line in crate::journal::lines(bytes) {
        let event = serde_json::from_slice::<Line>(line).ok().and_then(Line::event);
        if let Some(event) = event {
            assert_eq!(Line::from(&event).event(), Some(event), "it is kept as it was");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Words as _;
    use proptest::prelude::*;
    use proptest::sample::select;
    use web::intake::Later as _;

    fn event() -> impl Strategy<Value = Event> {
        let kinds: Vec<&str> = DoorEventKind::WORDS.iter().chain(DeviceEventKind::WORDS).copied().collect();
        let quality = select(Quality::WORDS).prop_filter_map("a quality", Quality::from_word);
        let text = || prop::option::of(any::<String>());
        let names = (any::<String>(), any::<String>(), text(), text(), text());
        (select(kinds), quality, names, any::<[u8; 16]>(), prop::option::of(any::<i64>()), any::<i64>())
            .prop_map(|(kind, quality, (source, event, direction, method, reason), id, time, at)| Line {
                id: DoorEventId::from_random(id).to_string(),
                source,
                event,
                device: DeviceId::from_random(id).to_string(),
                site: SiteId::from_random(id).to_string(),
                place: PlaceId::from_random(id).to_string(),
                kind: kind.to_owned(),
                quality,
                direction,
                method,
                reason,
                time,
                staff_only: at % 2 == 0,
                at,
            })
            .prop_map(|line| line.event().unwrap())
    }

    #[tokio::test]
    async fn where_only_the_reserve_is_left_a_call_for_help_is_kept_and_what_comes_with_it_is_not() {
        let path = std::env::temp_dir().join(web::token::new());
        std::fs::write(&path, vec![b'\n'; 15 << 20]).unwrap();
        let spool =
            EventSpool::new(Some(path.clone()), Arc::new(crate::clock::SystemClock), Doubt::default());
        let event = |n: u8, kind| {
            let event = DeviceEvent {
                id: DeviceEventId::from_random([n; 16]),
                source: "a".to_owned(),
                event_id: n.to_string(),
                device_id: DeviceId::from_random([0; 16]),
                site_id: SiteId::from_random([0; 16]),
                place_id: PlaceId::from_random([0; 16]),
                kind,
                quality: Quality::Live,
                device_time: None,
                received_at: Timestamp(0),
            };
            Event::Device(event)
        };
        let (plain, help) = (event(1, DeviceEventKind::Input), event(2, DeviceEventKind::Panic));
        let refused = spool.keep(&[plain.clone(), help.clone()]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            spool.keep(std::slice::from_ref(&help)).await.unwrap(),
            [Recorded::Duplicate],
            "it is kept"
        );
        assert!(spool.keep(&[plain]).await.is_err());
        let kept = std::fs::read(&path).unwrap();
        assert_eq!(journal::lines(&kept).count(), 1);
        std::fs::remove_file(path).unwrap();
    }

    proptest! {
        #[test]
        fn an_event_comes_back_as_it_was(event in event()) {
            let line = serde_json::to_string(&Line::from(&event)).unwrap();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<Line>(&line).unwrap().event(), Some(event));
        }

        #[test]
        fn whatever_is_in_the_file_is_an_event_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for line in journal::lines(&bytes) {
                let _ = serde_json::from_slice::<Line>(line).ok().and_then(Line::event);
            }
        }
    }
}
