//! Group commit: while one transaction is being made durable, the next requests
//! gather; they then share one transaction and one wait for the disk.

use crate::at_home::at_home;
use crate::{audit, button_test, device_event, door_event, failed, incident, outbox};
use domain::event::door::{DoorEvent, Quality, Recorded};
use domain::event::{Event, Taken};
use domain::notice::{Notice, Topic};
use domain::repository::{Error, Result};
use sqlx::AnyPool;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::warn;

/// Requests that may wait. When it is full, senders wait: the device's own
/// request stays open and nothing is acknowledged early.
const WAITING: usize = 1_024;
/// Events in one transaction: PostgreSQL allows 65,535 parameters.
const GROUP: usize = 500;

/// How long a group may take.
const PATIENCE: Duration = Duration::from_secs(10);

struct Request {
    events: Vec<Taken>,
    answer: oneshot::Sender<Result<Vec<Recorded>>>,
}

/// The one writer of events.
#[derive(Debug)]
pub(crate) struct Intake {
    queue: Mutex<Option<mpsc::Sender<Request>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({} events)", self.events.len())
    }
}

impl Intake {
    pub(crate) fn start(pool: AnyPool) -> Self {
        let (queue, requests) = mpsc::channel(WAITING);
        #[expect(clippy::disallowed_methods, reason = "the handle is kept and awaited in close()")]
        let task = tokio::spawn(run(pool, requests));
        Self { queue: Mutex::new(Some(queue)), task: Mutex::new(Some(task)) }
    }

    /// Records events; answers when they are durable.
    pub(crate) async fn record(&self, events: Vec<Taken>) -> Result<Vec<Recorded>> {
        let closed = || Error::Unavailable("the gateway is stopping".to_owned());
        let queue = self.queue.lock().await.clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        queue.send(Request { events, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Takes no more and waits until what was taken is durable.
    pub(crate) async fn close(&self) {
        self.queue.lock().await.take();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }
}

/// The same, for a while: a connection that hangs must not stop the one writer. What was
/// kept all the same is a duplicate afterwards.
async fn commit_in_time(pool: &AnyPool, group: &[Request]) -> Result<Vec<Vec<Recorded>>> {
    let slow = |_| Err(Error::Unavailable("the database takes too long".to_owned()));
    tokio::time::timeout(PATIENCE, commit(pool, group)).await.unwrap_or_else(slow)
}

async fn run(pool: AnyPool, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.recv().await {
        let mut size = first.events.len();
        let mut group = vec![first];
        while size < GROUP {
            let Ok(next) = requests.try_recv() else { break };
            size += next.events.len();
            group.push(next);
        }
        match commit_in_time(&pool, &group).await {
            Ok(answers) => {
                for (request, recorded) in group.into_iter().zip(answers) {
                    let _ = request.answer.send(Ok(recorded));
                }
            }
            // One request of a group may be at fault: each is tried by itself.
            Err(error) if group.len() > 1 => {
                warn!(%error, requests = group.len(), "a group of events failed; trying them one by one");
                for request in group {
                    let answer = commit_in_time(&pool, std::slice::from_ref(&request)).await;
                    let _ = request.answer.send(answer.map(|mut answers| answers.pop().unwrap_or_default()));
                }
            }
            Err(error) => {
                for request in group {
                    let _ = request.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

fn notice(event: &DoorEvent) -> Notice {
    Notice {
        at: event.received_at,
        topic: Topic::DoorEvent,
        site_id: event.site_id.clone(),
        place_id: Some(event.place_id.clone()),
        object: event.id.to_string(),
        word: event.kind.word().to_owned(),
        drill: event.quality == Quality::Drill,
    }
}

/// That an alarm is in the operators' list.
fn listed(event: &Event) -> Notice {
    let (_, site, place) = event.origin();
    Notice {
        at: event.received_at(),
        topic: Topic::DeviceEvent,
        site_id: site.clone(),
        place_id: Some(place.clone()),
        object: event.id().to_owned(),
        word: event.word().to_owned(),
        drill: false,
    }
}

/// Commits a group in one transaction; one answer per request. An alarm is raised by
/// the event that is new: sent again, it raises nothing.
async fn commit(pool: &AnyPool, group: &[Request]) -> Result<Vec<Vec<Recorded>>> {
    let taken = || group.iter().flat_map(|request| &request.events);
    let mut tx = pool.begin().await.map_err(failed)?;
    if taken().any(|taken| taken.raises.is_some()) {
        audit::lock(&mut tx).await?;
    }
    let (mut doors, mut others) = (Vec::new(), Vec::new());
    for taken in taken() {
        match &taken.event {
            Event::Door(event) => doors.push(event),
            Event::Device(event) => others.push(event),
        }
    }
    let mut new = HashSet::new();
    for chunk in doors.chunks(GROUP) {
        new.extend(door_event::insert(&mut tx, chunk).await?);
    }
    for chunk in others.chunks(GROUP) {
        new.extend(device_event::insert(&mut tx, chunk).await?);
    }
    // One that was given up and is tried again may be here twice under one id.
    let mut first = |taken: &Taken| match new.remove(taken.event.id()) {
        true => Recorded::Accepted,
        false => Recorded::Duplicate,
    };
    let answers: Vec<Vec<Recorded>> =
        group.iter().map(|request| request.events.iter().map(&mut first).collect()).collect();
    let accepted = taken().zip(answers.iter().flatten()).filter(|(_, is)| **is == Recorded::Accepted);
    let mut notices = Vec::new();
    for (taken, _) in accepted {
        if let Some(raises) = &taken.raises
            && !button_test::takes(&mut tx, &raises.alarm).await?
        {
            let (raises, reach) = at_home(&mut tx, raises).await?;
            incident::raise(&mut tx, &raises.alarm, &raises.opened, &reach).await?;
        }
        if let Event::Door(event) = &taken.event {
            notices.push(notice(event));
        }
        if taken.is_listed() {
            notices.push(listed(&taken.event));
        }
    }
    outbox::post(&mut tx, &notices).await?;
    tx.commit().await.map_err(failed)?;
    Ok(answers)
}
