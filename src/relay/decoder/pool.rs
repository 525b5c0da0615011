//! How many decode processes there are, and the one that is started ahead.

use super::child::{Child, Trouble, Work};
use super::{Counters, Limits};
use media::job::{Answer, Failure, Order};
use std::collections::HashSet;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// How long a still picture may take. A large one takes a tenth of this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who waits for a place beyond this many is refused.
const QUEUE: usize = 64;
/// How long a process that was started ahead waits for work.
const AHEAD: Duration = Duration::from_secs(30);

/// Why there is no process for it.
pub(super) enum NoProcess {
    /// Too many wait already.
    Busy,
    /// It was tried.
    Trouble(Trouble),
}

impl From<Trouble> for NoProcess {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

pub(super) struct Pool {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    pub(super) counters: Arc<Counters>,
    closing: CancellationToken,
    stills: Semaphore,
    /// Waiting or at work: the queue and its bound.
    places: Semaphore,
    conversions: Arc<Semaphore>,
}

struct Shared {
    program: Option<PathBuf>,
    ahead: Mutex<Option<Running>>,
    ids: Mutex<HashSet<u32>>,
    counters: Arc<Counters>,
}

/// One of the places for streams that are converted. Dropping it frees it.
pub(crate) struct Place(#[expect(dead_code, reason = "it is held")] Option<OwnedSemaphorePermit>);

/// A child that is counted while it runs.
pub(crate) struct Running {
    child: Child,
    id: Option<u32>,
    shared: Arc<Shared>,
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.ids().remove(&id);
        }
    }
}

impl Shared {
    fn ids(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ahead(&self) -> MutexGuard<'_, Option<Running>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(self: &Arc<Self>, work: Work) -> Result<Running, Trouble> {
        let program = self.program.as_ref().ok_or(Trouble::NotThere)?;
        Counters::add(&self.counters.started);
        let child = Child::start(program, work).await?;
        let id = child.id();
        self.ids().extend(id);
        Ok(Running { child, id, shared: Arc::clone(self) })
    }
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Self {
        let counters = Arc::<Counters>::default();
        let shared = Shared {
            program: limits.program,
            ahead: Mutex::default(),
            ids: Mutex::default(),
            counters: Arc::clone(&counters),
        };
        Self {
            shared: Arc::new(shared),
            tasks: TaskTracker::new(),
            counters,
            closing: CancellationToken::new(),
            stills: Semaphore::new(limits.stills),
            places: Semaphore::new(limits.stills + QUEUE),
            conversions: Arc::new(Semaphore::new(limits.conversions)),
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.shared.program.is_some()
    }

    pub(super) fn processes(&self) -> Vec<u32> {
        self.shared.ids().iter().copied().collect()
    }

    pub(super) fn has_place(&self) -> bool {
        self.conversions.available_permits() > 0
    }

    pub(super) async fn place(&self) -> Place {
        Place(Arc::clone(&self.conversions).acquire_owned().await.ok())
    }

    pub(super) async fn convert(&self, _place: &Place) -> Result<Running, Trouble> {
        self.shared.start(Work::Convert).await
    }

    /// Decodes one picture. A process that fails on it is replaced once: it may have been
    /// killed by somebody else.
    pub(super) async fn still(&self, order: &Order) -> Result<bytes::Bytes, NoProcess> {
        let Ok(_place) = self.places.try_acquire() else { return Err(NoProcess::Busy) };
        let _turn = self.stills.acquire().await;
        let mut result = Err(Trouble::Died);
        for _ in 0..2 {
            result =
                tokio::time::timeout(PATIENCE, self.attempt(order)).await.unwrap_or(Err(Trouble::Overrun));
            match &result {
                Ok(_) | Err(Trouble::NotThere | Trouble::Failed(_)) => break,
                Err(trouble) => {
                    Counters::add(&self.counters.failed);
                    warn!(%trouble, "a still picture was not made");
                    // What takes too long once does so again.
                    if *trouble == Trouble::Overrun {
                        break;
                    }
                }
            }
        }
        if result != Err(Trouble::NotThere) {
            self.start_ahead();
        }
        Ok(result?)
    }

    async fn attempt(&self, order: &Order) -> Result<bytes::Bytes, Trouble> {
        let ahead = self.shared.ahead().take();
        let mut child = match ahead {
            Some(child) => child,
            None => self.shared.start(Work::Still).await?,
        };
        child.order(order);
        match child.work().await? {
            // JPEG begins like this; a browser is told that it is one.
            Answer::Still(jpeg) if jpeg.starts_with(&[0xff, 0xd8, 0xff]) => Ok(jpeg),
            Answer::Failed(failure @ (Failure::NotAPicture | Failure::Unsupported)) => {
                Err(Trouble::Failed(failure))
            }
            _ => Err(Trouble::Malformed),
        }
    }

    /// Starts a process for the next picture, unless one waits.
    fn start_ahead(&self) {
        if self.closing.is_cancelled() || self.shared.ahead().is_some() {
            return;
        }
        let (shared, closing) = (Arc::clone(&self.shared), self.closing.clone());
        let ahead = async move {
            let Ok(child) = shared.start(Work::Still).await else { return };
            let id = child.id;
            // Two pictures at once start two: the second one goes at once.
            let second = shared.ahead().replace(child);
            drop(second);
            tokio::time::sleep(AHEAD).await;
            let mut waiting = shared.ahead();
            if waiting.as_ref().is_some_and(|child| child.id == id) {
                *waiting = None;
            }
        };
        self.tasks.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = ahead => {}
            }
        });
    }

    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        // Not before: one may have been starting just then.
        *self.shared.ahead() = None;
    }
}
