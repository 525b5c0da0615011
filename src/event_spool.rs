//! What devices tell while the database is away: durable in a file before the device is
//! told so, and kept in the database when it is back, with the alarms that it raises. A
//! line that was kept already is kept once.

use crate::journal::{self, Journal};
use async_trait::async_trait;
use domain::event::device::{DeviceEvent, DeviceEventKind};
use domain::event::door::{DoorEvent, DoorEventKind, Quality, Recorded};
use domain::event::{Event, Taken};
use domain::incident::Timings;
use domain::repository::{Error, Repository, Result};
use domain::{DeviceEventId, DeviceId, DoorEventId, IncidentId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, watch};
use tracing::{info, warn};

/// How often the database is tried again while something waits.
const RETRY: Duration = Duration::from_secs(1);
/// How long it may take for one group of events.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the file that only alarms are written to.
const RESERVE: u64 = 1 << 20;
/// Events that are kept in one go.
const GROUP: usize = 200;

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

/// The file.
#[derive(Debug)]
pub struct EventSpool {
    journal: Journal,
    one_at_a_time: Mutex<()>,
}

impl EventSpool {
    /// A spool in this file; without one events are refused while the database is away.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { journal: Journal::new(path), one_at_a_time: Mutex::default() }
    }

    /// Keeps what waits in the database and empties the file. Done twice, it does no harm.
    /// Answers how many were new, and whether an incident was opened.
    pub async fn recover(&self, repository: &dyn Repository) -> Result<(usize, bool)> {
        {
            let _nobody_writes = self.one_at_a_time.lock().await;
            if !self.journal.close_for_reading().map_err(|error| unreadable(&error))? {
                return Ok((0, false));
            }
        }
        let bytes = self.journal.read().map_err(|error| unreadable(&error))?;
        let (mut events, mut timings, mut aside) = (Vec::new(), HashMap::new(), Vec::new());
        for line in journal::lines(&bytes) {
            let read = serde_json::from_slice::<Line>(line).map_err(|error| error.to_string());
            match read.and_then(|line| line.event().ok_or_else(|| "it is no event".to_owned())) {
                Ok(event) => events.push((line, event)),
                Err(why) => aside.push((line, why)),
            }
        }
        for site in repository.sites().await? {
            timings.insert(site.id, Timings::of(site.kind));
        }
        let (mut kept, mut raised) = (0, false);
        for group in events.chunks(GROUP) {
            let mut taken = Vec::new();
            for (line, event) in group {
                match timings.get(event.site()) {
                    Some(timings) => {
                        let id = IncidentId::from_random(web::token::random());
                        taken.push((*line, event.clone().taken(id, timings)));
                    }
                    None => aside.push((*line, "its site is not there".to_owned())),
                }
            }
            let (new, opened) = keep_group(repository, taken, &mut aside).await?;
            kept += new;
            raised |= opened;
        }
        // Only now, or each further try would set them aside again.
        for (line, why) in aside {
            self.journal.keep_unreadable(line, &why).map_err(|error| unreadable(&error))?;
        }
        self.journal.done().map_err(|error| unreadable(&error))?;
        Ok((kept, raised))
    }

    /// Recovers whenever there is something to recover, for ever. Says through `posted` that
    /// there is something to tell, and through `changes` that an incident was opened.
    pub async fn run(
        self: Arc<Self>,
        repository: Arc<dyn Repository>,
        posted: Arc<Notify>,
        changes: watch::Sender<u64>,
    ) {
        let mut pause = RETRY;
        loop {
            tokio::time::sleep(std::mem::replace(&mut pause, RETRY)).await;
            if !self.journal.holds_something() {
                continue;
            }
            match self.recover(&*repository).await {
                Ok((events, raised)) => {
                    info!(events, "the database is back; what devices have told is kept");
                    posted.notify_one();
                    // More has come meanwhile: nobody waits longer than the database takes.
                    pause = Duration::ZERO;
                    if raised {
                        changes.send_modify(|n| *n = n.wrapping_add(1));
                    }
                }
                Err(error) => warn!(%error, "the database is away; what devices tell waits in the spool"),
            }
        }
    }
}

/// Keeps a group; if one of it is at fault, each by itself.
async fn keep_group<'l>(
    repository: &dyn Repository,
    group: Vec<(&'l [u8], Taken)>,
    aside: &mut Vec<(&'l [u8], String)>,
) -> Result<(usize, bool)> {
    let (lines, taken): (Vec<&'l [u8]>, Vec<Taken>) = group.into_iter().unzip();
    let outcome = |taken: &[Taken], recorded: &[Recorded]| {
        let new = || taken.iter().zip(recorded).filter(|(_, recorded)| **recorded == Recorded::Accepted);
        (new().count(), new().any(|(taken, _)| taken.raises.is_some()))
    };
    match record(repository, taken.clone()).await {
        Ok(recorded) => Ok(outcome(&taken, &recorded)),
        Err(error @ Error::Unavailable(_)) => Err(error),
        Err(_) => {
            let (mut kept, mut raised) = (0, false);
            for (line, taken) in lines.into_iter().zip(taken) {
                match record(repository, vec![taken.clone()]).await {
                    Ok(recorded) => {
                        let (new, opened) = outcome(&[taken], &recorded);
                        kept += new;
                        raised |= opened;
                    }
                    Err(error @ Error::Unavailable(_)) => return Err(error),
                    // Its device was removed meanwhile.
                    Err(error) => aside.push((line, error.to_string())),
                }
            }
            Ok((kept, raised))
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
        self.journal.holds_something()
    }

    async fn keep(&self, events: &[Event]) -> io::Result<()> {
        let mut text = String::new();
        for event in events {
            text += &serde_json::to_string(&Line::from(event))?;
            text.push('\n');
        }
        let reserve = if events.iter().any(|event| event.alarm().is_some()) { 0 } else { RESERVE };
        let _one_at_a_time = self.one_at_a_time.lock().await;
        self.journal.append(&text, reserve)
    }
}

fn unreadable(error: &io::Error) -> Error {
    Error::Unavailable(format!("the spool of events: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Words as _;
    use proptest::prelude::*;
    use proptest::sample::select;

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
                at,
            })
            .prop_map(|line| line.event().unwrap())
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
