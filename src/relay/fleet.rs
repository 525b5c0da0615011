//! All streams of the gateway: which are pulled, and the hub of each.

use crate::WallClock;
use crate::hub::{self, Hub, Status};
use crate::ingest::{self, Source, address::Policy};
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
    source: watch::Sender<Source>,
    stop: CancellationToken,
}

/// The streams and their ingest tasks.
pub struct Fleet {
    entries: Mutex<HashMap<StreamId, Entry>>,
    tasks: TaskTracker,
    context: ingest::Context,
    budget: Budget,
    clock: WallClock,
}

/// Cameras that are being opened at the same moment.
const ATTEMPTS: usize = 16;

impl Fleet {
    /// A fleet without streams.
    #[must_use]
    pub fn new(policy: Policy, budget: Budget, clock: WallClock) -> Self {
        Self {
            entries: Mutex::default(),
            tasks: TaskTracker::new(),
            context: ingest::Context::new(policy, ATTEMPTS),
            budget,
            clock,
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
        if let Some(entry) = entries.get(id) {
            entry.source.send_if_modified(|now| {
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
        entries.insert(id.clone(), Entry { hub, source: sender, stop });
    }

    /// Removes a stream: its viewers see it end.
    pub fn remove(&self, id: &StreamId) {
        if let Some(entry) = self.lock().remove(id) {
            entry.stop.cancel();
        }
    }

    /// The hub of a stream.
    #[must_use]
    pub fn hub(&self, id: &StreamId) -> Option<Hub> {
        self.lock().get(id).map(|entry| entry.hub.clone())
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
            entry.stop.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}
