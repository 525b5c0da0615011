//! All streams of the gateway: which are pulled, and the hub of each.

use crate::WallClock;
use crate::decoder::Decoder;
use crate::hub::{self, Hub, Publisher, State, Status};
use crate::ingest::{self, Source, address::Policy};
use crate::rendition::{self, Rendition};
use media::gop::Budget;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A stream's name: the camera's id and which of its feeds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The camera's id, opaque here.
    pub camera: Arc<str>,
    /// `main` or `sub`.
    pub feed: &'static str,
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.camera, self.feed)
    }
}

struct Entry {
    hub: Hub,
    /// The same in other codecs, as they were asked for.
    renditions: HashMap<Rendition, Made>,
    pulled: Pulled,
}

/// A stream that is made of another one.
struct Made {
    hub: Hub,
    stop: CancellationToken,
}

enum Pulled {
    /// By a task of its own.
    From { source: watch::Sender<Source>, stop: CancellationToken },
    /// Not at all: there is no task that could connect. The writer only says why.
    Refused(Box<Publisher>),
}

impl Entry {
    fn new(hub: Hub, pulled: Pulled) -> Self {
        Self { hub, renditions: HashMap::new(), pulled }
    }

    fn stop(&self) {
        if let Pulled::From { stop, .. } = &self.pulled {
            stop.cancel();
        }
        for made in self.renditions.values() {
            made.stop.cancel();
        }
    }
}

/// The streams and their ingest tasks.
pub struct Fleet {
    entries: Mutex<HashMap<StreamId, Entry>>,
    tasks: TaskTracker,
    context: ingest::Context,
    budget: Budget,
    clock: WallClock,
    decoder: Arc<Decoder>,
}

/// Cameras that are being opened at the same moment.
const ATTEMPTS: usize = 16;

impl Fleet {
    /// A fleet without streams.
    #[must_use]
    pub fn new(policy: Policy, budget: Budget, clock: WallClock, decoder: Arc<Decoder>) -> Self {
        Self {
            entries: Mutex::default(),
            tasks: TaskTracker::new(),
            context: ingest::Context::new(policy, ATTEMPTS),
            budget,
            clock,
            decoder,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which addresses cameras may have.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.context.policy
    }

    /// Adds a stream, or changes where it comes from. Its viewers stay.
    pub fn set(&self, id: &StreamId, source: Source) {
        let mut entries = self.lock();
        if let Some(Pulled::From { source: sender, .. }) = entries.get(id).map(|entry| &entry.pulled) {
            sender.send_if_modified(|now| {
                let differs = *now != source;
                *now = source;
                differs
            });
            return;
        }
        let (publisher, hub) = hub::hub(self.budget, &self.clock);
        let (sender, receiver) = watch::channel(source);
        let stop = CancellationToken::new();
        let name = format!("ingest/{id}");
        let context = self.context.clone();
        self.tasks.spawn(ingest::run(name, receiver, publisher, hub.clone(), context, stop.clone()));
        entries.insert(id.clone(), Entry::new(hub, Pulled::From { source: sender, stop }));
    }

    /// Shows a stream that must not be connected to, with the reason. True if that
    /// was not known before.
    pub fn refuse(&self, id: &StreamId, why: &str) -> bool {
        let mut entries = self.lock();
        if let Some(Pulled::Refused(publisher)) = entries.get(id).map(|entry| &entry.pulled) {
            publisher.set_state(State::Refused, why);
            return false;
        }
        let (publisher, hub) = hub::hub(self.budget, &self.clock);
        publisher.set_state(State::Refused, why);
        let before = entries.insert(id.clone(), Entry::new(hub, Pulled::Refused(Box::new(publisher))));
        if let Some(before) = before {
            before.stop();
        }
        true
    }

    /// Removes a stream: its viewers see it end.
    pub fn remove(&self, id: &StreamId) {
        if let Some(entry) = self.lock().remove(id) {
            entry.stop();
        }
        self.decoder.forget(id);
    }

    /// The hub of a stream.
    #[must_use]
    pub fn hub(&self, id: &StreamId) -> Option<Hub> {
        self.lock().get(id).map(|entry| entry.hub.clone())
    }

    /// The hub of a stream in another codec, as far as the camera does not send it so
    /// anyway. It is made by one decode process for all its viewers, while it has any.
    #[must_use]
    pub fn rendition(&self, id: &StreamId, rendition: Rendition) -> Option<Hub> {
        let mut entries = self.lock();
        let entry = entries.get_mut(id)?;
        if rendition.is_as_sent() {
            return Some(entry.hub.clone());
        }
        if let Some(made) = entry.renditions.get(&rendition).filter(|made| !made.hub.has_ended()) {
            return Some(made.hub.clone());
        }
        let (publisher, hub) = entry.hub.derive(self.budget, &self.clock);
        let stop = CancellationToken::new();
        self.tasks.spawn(rendition::run(
            rendition::Making {
                name: format!("rendition/{id}"),
                rendition,
                source: entry.hub.clone(),
                interest: hub.interest(),
                decoder: Arc::clone(&self.decoder),
            },
            publisher,
            stop.clone(),
        ));
        entry.renditions.insert(rendition, Made { hub: hub.clone(), stop });
        Some(hub)
    }

    /// How a stream is.
    #[must_use]
    pub fn status(&self, id: &StreamId) -> Option<Status> {
        self.hub(id).map(|hub| hub.status())
    }

    /// All streams.
    #[must_use]
    pub fn ids(&self) -> Vec<StreamId> {
        self.lock().keys().cloned().collect()
    }

    /// Ends all streams and waits for their tasks.
    pub async fn close(&self) {
        for (_, entry) in self.lock().drain() {
            entry.stop();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}
