//! Removes what is over: at the start, and every hour.

use crate::notices;
use crate::settings::Settings;
use domain::audit::Entry;
use domain::health::Trouble;
use domain::incident::repository::{Incidents as _, Outbox as _};
use domain::message::repository::Messages as _;
use domain::registration::KEPT;
use domain::repository::{Devices as _, Joining as _, Persons as _, Registers as _, Result};
use domain::retention::{Refused, Watch, allowed, cutoff};
use domain::{Clock, Timestamp};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::time::Instant;
use tracing::{info, warn};
use web::health::Health;

/// How often.
const EVERY: Duration = Duration::from_secs(3_600);
/// How long an answer is given again to whoever asks again.
const KEYS: Duration = Duration::from_secs(24 * 3_600);
/// How long it is kept what was sent to whom by which way.
const MESSAGES: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Sweeps for ever. Events are kept for `events`; nothing keeps them for ever.
/// What is not removed although it should be, `health` says.
pub async fn run(store: Arc<Store>, clock: Arc<dyn Clock>, events: Option<Duration>, health: Health) {
    let (begun, mut watch) = (Instant::now(), Watch::default());
    let mut hour = tokio::time::interval(EVERY);
    loop {
        hour.tick().await;
        let now = clock.now();
        if let Err(error) = store.remove_ended_sessions(now).await {
            warn!(%error, "ended sessions could not be removed");
        }
        if let Err(error) = store.forget_keys(now.before(KEYS)).await {
            warn!(%error, "old keys of requests could not be removed");
        }
        if let Err(error) = store.trim_outbox(notices::KEPT).await {
            warn!(%error, "old notices could not be removed");
        }
        match store.remove_old_registrations(now.before(KEPT), now).await {
            Ok(0) => {}
            Ok(registrations) => info!(registrations, "old registrations are removed"),
            Err(error) => warn!(%error, "old registrations could not be removed"),
        }
        // What a wrong clock would remove for good waits for one that is believed.
        let believed = watch.look(now, begun.elapsed());
        if believed.is_ok()
            && let Err(error) = store.remove_old_messages(now.before(MESSAGES)).await
        {
            warn!(%error, "old messages could not be removed");
        }
        let Some(kept) = events else { continue };
        let removed = match believed {
            Ok(()) => old_events(&store, now, kept, false).await,
            Err(why) => Ok(Err(why)),
        };
        match removed {
            Ok(Ok(events)) => {
                health.set(Trouble::EventsKept, None, now);
                if events > 0 {
                    info!(events, "old events are removed");
                }
            }
            Ok(Err(why)) => {
                warn!(%why, "old events are not removed");
                health.set(Trouble::EventsKept, Some(format!("old events are not removed: {why}")), now);
            }
            Err(error) => warn!(%error, "old events could not be removed"),
        }
    }
}

/// Removes events that are older than `kept`; all of them if somebody says so, else not too
/// many at once. Answers how many, which are in the audit log, or why none.
async fn old_events(
    store: &Store,
    now: Timestamp,
    kept: Duration,
    all: bool,
) -> Result<std::result::Result<u64, Refused>> {
    let Some(newest) = store.newest_event().await? else { return Ok(Ok(0)) };
    let before = if all { now.before(kept) } else { cutoff(now, newest, kept) };
    if let Err(why) = allowed(store.event_rows(before).await?)
        && !all
    {
        return Ok(Err(why));
    }
    let removed = store.remove_old_events(before).await?;
    if removed > 0 {
        let entry = Entry {
            at: now,
            actor: None,
            site_id: None,
            action: "events.expire".to_owned(),
            object: "events".to_owned(),
            detail: json!({ "before": before, "removed": removed }).to_string(),
        };
        store.record(&entry).await?;
    }
    Ok(Ok(removed))
}

/// Removes all events that are older than the settings say, however many.
pub async fn remove_old_events(store: &Store, settings: &Settings, now: Timestamp) -> Result<u64> {
    match settings.keep_events {
        Some(kept) => Ok(old_events(store, now, kept, true).await?.unwrap_or_default()),
        None => Ok(0),
    }
}
