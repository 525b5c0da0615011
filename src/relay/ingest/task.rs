//! The task of one stream: the only place that decides when to connect.

use super::address::Policy;
use super::backoff::{Backoff, Outcome, Refusals};
use super::{Account, OpenError, Pull, Source, opener, pump};
use crate::hub::{Hub, Publisher, State};
use futures_util::FutureExt as _;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

/// How long a stream is still pulled after its last viewer has gone.
const LINGER: Duration = Duration::from_secs(15);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// What all streams share.
#[derive(Clone, Debug)]
pub struct Context {
    /// Which addresses are connected to.
    pub policy: Arc<Policy>,
    /// Attempts at the same time: 200 cameras that return together are spread out.
    pub attempts: Arc<Semaphore>,
    pub(crate) refusals: Arc<Mutex<Refusals<Account>>>,
    /// What the times of refusals are counted from.
    pub(crate) epoch: Instant,
}

impl Context {
    /// What streams under this policy share; `attempts` at most are made at once.
    #[must_use]
    pub fn new(policy: Policy, attempts: usize) -> Self {
        Self {
            policy: Arc::new(policy),
            attempts: Arc::new(Semaphore::new(attempts)),
            refusals: Arc::default(),
            epoch: Instant::now(),
        }
    }

    fn refusals(&self) -> MutexGuard<'_, Refusals<Account>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long an account must not be tried.
    fn wait(&self, source: &Source) -> Duration {
        self.refusals().wait(&source.account(), self.epoch.elapsed())
    }
}

/// After a panic the stream is tried again this much later.
const AFTER_PANIC: Duration = Duration::from_secs(5);

/// Pulls a stream until `stop`. `name` is the stream's name in logs.
pub async fn run(
    name: String,
    mut source: watch::Receiver<Source>,
    mut publisher: Publisher,
    hub: Hub,
    context: Context,
    stop: CancellationToken,
) {
    let work = async {
        loop {
            // A panic on one camera's bytes is said aloud and hurts that stream alone.
            let pulling = pull_while_wanted(&name, &mut source, &mut publisher, &hub, &context);
            let _ = std::panic::AssertUnwindSafe(pulling).catch_unwind().await;
            error!(stream = name, "ingest panicked; the stream is tried again");
            publisher.set_state(State::Offline, "the gateway failed on what the camera sent");
            tokio::time::sleep(AFTER_PANIC).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => debug!(stream = name, "ingest stopped"),
        () = work => {}
    }
}

/// Pulls whenever the stream is wanted, for ever.
async fn pull_while_wanted(
    name: &str,
    source: &mut watch::Receiver<Source>,
    publisher: &mut Publisher,
    hub: &Hub,
    context: &Context,
) -> Infallible {
    let mut interest = hub.interest();
    loop {
        publisher.set_state(State::Idle, "");
        publisher.forget();
        wanted(source, publisher, &mut interest).await;
        pull(name, source, publisher, &mut interest, context).await;
    }
}

/// Waits until the stream is to be pulled.
async fn wanted(
    source: &mut watch::Receiver<Source>,
    publisher: &mut Publisher,
    interest: &mut watch::Receiver<usize>,
) {
    while look(source, publisher).pull == Pull::OnDemand && *interest.borrow_and_update() == 0 {
        tokio::select! {
            _ = source.changed() => {}
            _ = interest.changed() => {}
        }
    }
}

/// What the source is now. The publisher learns where the stream comes from.
fn look(source: &mut watch::Receiver<Source>, publisher: &mut Publisher) -> Source {
    let now = source.borrow_and_update().clone();
    publisher.set_origin(now.url.as_str());
    now
}

/// Completes when nobody has wanted an on-demand stream for the linger time.
pub(crate) async fn abandoned(pull: Pull, mut interest: watch::Receiver<usize>) {
    if pull == Pull::Always {
        std::future::pending::<()>().await;
    }
    loop {
        let _ = interest.wait_for(|n| *n == 0).await;
        let back = tokio::time::timeout(LINGER, interest.wait_for(|n| *n > 0)).await.is_ok();
        if !back {
            return;
        }
    }
}

/// Connects and pumps, again and again, until the stream is no longer wanted.
async fn pull(
    name: &str,
    source: &mut watch::Receiver<Source>,
    publisher: &mut Publisher,
    interest: &mut watch::Receiver<usize>,
    context: &Context,
) {
    let began = Instant::now();
    let mut backoff = Backoff::default();
    let mut now = look(source, publisher);
    // One timer for all attempts: a camera that is offline is given up like any other.
    let mut gone = Box::pin(abandoned(now.pull, interest.clone()));
    publisher.set_state(State::Connecting, "");
    loop {
        if source.has_changed().unwrap_or(false) {
            info!(stream = name, "source changed, connecting anew");
            now = look(source, publisher);
            gone = Box::pin(abandoned(now.pull, interest.clone()));
            backoff = Backoff::default();
        }
        let wait = context.wait(&now);
        if !wait.is_zero() {
            // Also after the stream was left and is wanted again.
            publisher.set_state(State::Refused, &context.refusals().why(&now.account()));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = &mut gone => return,
                () = differs(source) => continue,
            }
        }
        let watched = *interest.borrow_and_update() > 0;
        let outcome = tokio::select! {
            outcome = attempt(name, &now, publisher, context, watched) => outcome,
            () = &mut gone => return,
            () = differs(source) => continue,
        };
        let watched = *interest.borrow_and_update() > 0;
        let delay = backoff.delay(outcome, began.elapsed(), watched, jitter());
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = &mut gone => return,
            () = differs(source) => {}
            // A viewer who comes while the camera is tried rarely should not wait for that.
            () = first_viewer(interest, watched), if outcome == Outcome::Failed => {}
        }
    }
}

/// Completes when the source has changed, and leaves it marked as changed.
async fn differs(source: &mut watch::Receiver<Source>) {
    if source.changed().await.is_err() {
        // The stream is being removed; `stop` ends the task.
        std::future::pending::<()>().await;
    }
    source.mark_changed();
}

async fn first_viewer(interest: &mut watch::Receiver<usize>, watched: bool) {
    if watched {
        std::future::pending::<()>().await;
    }
    let _ = interest.wait_for(|n| *n > 0).await;
}

/// One connection, from the first packet to the last.
async fn attempt(
    name: &str,
    source: &Source,
    publisher: &mut Publisher,
    context: &Context,
    watched: bool,
) -> Outcome {
    let opened = {
        // Somebody who watches does not queue behind cameras that nobody sees.
        let _permit = if watched { None } else { context.attempts.acquire().await.ok() };
        tokio::time::timeout(ATTEMPT, opener::open(source, &context.policy)).await
    };
    let session = match opened.unwrap_or(Err(OpenError::TimedOut)) {
        Ok(session) => session,
        Err(error) => {
            debug!(stream = name, %error, "camera not opened");
            let refused = error.is_refusal();
            if refused {
                let why = error.to_string();
                context.refusals().note(source.account(), context.epoch.elapsed(), &why);
            }
            publisher.set_state(if refused { State::Refused } else { State::Offline }, &error.to_string());
            return if refused { Outcome::Refused } else { Outcome::Failed };
        }
    };
    context.refusals().clear(&source.account());
    let ended = match pump::adopt(&session, publisher) {
        Ok(()) => pump::run(session, publisher).await,
        Err(reason) => pump::Ended { reason, outcome: Outcome::Failed },
    };
    info!(stream = name, reason = ended.reason, "camera session ended");
    publisher.set_state(State::Offline, &ended.reason);
    ended.outcome
}

fn jitter() -> f64 {
    f64::from(u16::from_be_bytes(crate::random())) / f64::from(u16::MAX)
}
