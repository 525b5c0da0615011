//! Devices that do not send what they tell: their alerts are fetched, one task for each device
//! that is registered with an address. The task is the only one that tries again.

mod parts;
mod request;

use bytes::Bytes;
use domain::device::{Device, Pull};
use domain::repository::Repository;
use domain::{DeviceId, repository};
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt as _, StreamExt as _};
use parts::Parts;
use relay::Fleet;
use relay::ingest::Password;
use relay::ingest::backoff::{Backoff, Outcome, Refusals};
use request::Failed;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::ClientConfig;
use tracing::{debug, error, info, warn};
use web::Problem;
use web::intake::Counters;
use web::intake::alert_stream::{ALERT, receive};

/// Devices say every ten to thirty seconds that they are there. One that is silent for so
/// long is not.
const SILENCE: Duration = Duration::from_secs(60);
/// A stream that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// How long the database may take to say which devices there are.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure of the database it is tried again this soon.
const RETRY: Duration = Duration::from_secs(2);

/// An account of a device, with the password that is tried.
type Account = (String, String, Password);

/// What all tasks share.
struct Context {
    app: web::App,
    fleet: Arc<Fleet>,
    tls: Arc<ClientConfig>,
    refusals: Mutex<Refusals<Account>>,
    /// What times of refusals are counted from.
    epoch: Instant,
}

impl Context {
    fn refusals(&self) -> MutexGuard<'_, Refusals<Account>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches from every device that is to be fetched from, for ever. `changes` says that they
/// may be others.
pub async fn run(
    app: web::App,
    repository: Arc<dyn Repository>,
    fleet: Arc<Fleet>,
    mut changes: watch::Receiver<u64>,
) {
    let context = Arc::new(Context {
        app,
        fleet,
        tls: request::trusted(),
        refusals: Mutex::default(),
        epoch: Instant::now(),
    });
    // A device that has changed is another one: its task begins anew.
    let (mut tasks, mut running) = (JoinSet::new(), HashMap::<DeviceId, (Device, AbortHandle)>::new());
    loop {
        changes.mark_unchanged();
        match devices(&*repository).await {
            Ok(wanted) => {
                running.retain(|id, (device, task)| {
                    let stays = wanted.get(id) == Some(device);
                    if !stays {
                        task.abort();
                    }
                    stays
                });
                for (id, device) in wanted {
                    running.entry(id).or_insert_with(|| {
                        let pulling = pull(device.clone(), Arc::clone(&context));
                        (device, tasks.spawn(pulling))
                    });
                }
            }
            Err(error) => {
                warn!(%error, "it is not known which devices are fetched from");
                changes.mark_changed();
                tokio::time::sleep(RETRY).await;
            }
        }
        // Tasks end only when they are aborted; what is left of them is taken away.
        while tasks.try_join_next().is_some() {}
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The devices that are fetched from.
async fn devices(repository: &dyn Repository) -> repository::Result<HashMap<DeviceId, Device>> {
    let slow = |_| repository::Error::Unavailable("it takes too long".to_owned());
    let all = timeout(PATIENCE, repository.devices()).await.map_err(slow)??;
    Ok(all
        .into_iter()
        .filter(|device| device.pull.is_some())
        .map(|device| (device.id.clone(), device))
        .collect())
}

/// Fetches from one device, for ever.
async fn pull(device: Device, context: Arc<Context>) {
    let Some(pull) = &device.pull else { return };
    let account = (pull.url.clone(), pull.username.clone(), Password(Arc::from(pull.password.expose())));
    let (mut backoff, mut said) = (Backoff::default(), None);
    loop {
        let wait = context.refusals().wait(&account, context.epoch.elapsed());
        tokio::time::sleep(wait).await;
        let began = Instant::now();
        let ended = AssertUnwindSafe(fetch(&device, pull, &context, &account)).catch_unwind().await;
        let why = ended.unwrap_or_else(|_| {
            error!(device = %device.id, "the gateway failed on what the device sent");
            Failed::Other("the gateway failed on what the device sent".to_owned())
        });
        let outcome = match &why {
            Failed::Refused(why) => {
                context.refusals().note(account.clone(), context.epoch.elapsed(), why);
                Outcome::Refused
            }
            Failed::Other(_) if began.elapsed() >= GOOD => Outcome::Lost,
            Failed::Other(_) => Outcome::Failed,
        };
        if outcome == Outcome::Lost || said.as_ref() != Some(&why) {
            warn!(device = %device.id, %why, "alerts of a device are not fetched; it is tried again");
            said = Some(why);
        }
        let delay = backoff.delay(outcome, context.epoch.elapsed(), false, jitter());
        tokio::time::sleep(delay).await;
    }
}

/// One stream, from its beginning until it breaks; why it did.
async fn fetch(device: &Device, pull: &Pull, context: &Context, account: &Account) -> Failed {
    let opened = request::open(pull, context.fleet.policy(), &context.tls).await;
    let (response, boundary) = match opened {
        Ok(opened) => opened,
        Err(failed) => return failed,
    };
    context.refusals().clear(account);
    Counters::add(&context.app.intake().alert_streams, 1);
    info!(device = %device.id, "alerts of a device are fetched");
    let chunks = stream::try_unfold(response, async |mut response| {
        let bytes = response.chunk().await?;
        Ok::<_, reqwest::Error>(bytes.map(|bytes| (bytes, response)))
    });
    let (mut chunks, mut parts) = (Box::pin(chunks), Parts::new(&boundary, ALERT));
    loop {
        match part(&mut chunks, &mut parts).await {
            Ok(part) => keep(device, context, &part).await,
            Err(gone) => {
                if matches!(gone, Gone::Bad(_)) {
                    Counters::add(&context.app.intake().malformed, 1);
                }
                return Failed::Other(gone.to_string());
            }
        }
    }
}

/// Why nothing more comes of a stream.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Gone {
    #[error(transparent)]
    Bad(#[from] parts::Bad),
    #[error("it has ended the answer")]
    Ended,
    #[error("the connection broke")]
    Broke,
    #[error("it has been silent for a minute")]
    Silent,
}

/// The next part of an answer that comes in chunks.
async fn part<E>(
    chunks: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    parts: &mut Parts,
) -> Result<Vec<u8>, Gone> {
    loop {
        if let Some(part) = parts.next()? {
            return Ok(part);
        }
        match timeout(SILENCE, chunks.next()).await {
            Ok(Some(Ok(bytes))) => parts.push(&bytes),
            Ok(Some(Err(_))) => return Err(Gone::Broke),
            Ok(None) => return Err(Gone::Ended),
            Err(_) => return Err(Gone::Silent),
        }
    }
}

/// Keeps what an alert tells. The device does not tell it again: as long as it can be kept
/// nowhere, nothing more is read.
async fn keep(device: &Device, context: &Context, alert: &[u8]) {
    loop {
        match receive(&context.app, device, alert).await {
            Ok(()) => return,
            Err(problem @ (Problem::Malformed(_) | Problem::NotJson(_) | Problem::TooLarge(_))) => {
                debug!(device = %device.id, ?problem, "an alert cannot be read");
                return;
            }
            Err(problem) => debug!(device = %device.id, ?problem, "an alert is not kept yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn jitter() -> f64 {
    f64::from(u16::from_be_bytes(web::token::random())) / f64::from(u16::MAX)
}

/// For the fuzz target: what a device answers.
pub fn fuzz(bytes: &[u8]) {
    parts::fuzz(bytes);
    let kind = std::str::from_utf8(bytes).ok().and_then(web::intake::alert_stream::boundary);
    assert!(kind.is_none_or(|boundary| (1..=70).contains(&boundary.len())));
}

/// For the fuzz target: what it answers to somebody who has not logged in.
pub fn fuzz_login(bytes: &[u8]) {
    request::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[tokio::test(start_paused = true)]
    async fn a_device_that_is_silent_for_a_minute_is_gone_and_one_that_beats_is_not() {
        let beat = Bytes::from_static(b"--b\r\nContent-Length: 2\r\n\r\n{}\r\n");
        let beats = stream::iter(0..3).then(move |_| {
            let beat = beat.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(50)).await;
                Ok::<_, Infallible>(beat)
            }
        });
        let (mut chunks, mut parts) = (Box::pin(beats.chain(stream::pending())), Parts::new("b", ALERT));
        let began = Instant::now();
        for _ in 0..3 {
            assert_eq!(part(&mut chunks, &mut parts).await, Ok(b"{}".to_vec()));
        }
        assert_eq!(part(&mut chunks, &mut parts).await, Err(Gone::Silent));
        assert_eq!(began.elapsed(), Duration::from_secs(150) + SILENCE);
    }
}
