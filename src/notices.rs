//! The outbox's bell: whoever waits for something new is woken.

use domain::repository::Repository;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::warn;

/// How often it is asked whether there is something new. Anything of the house, and any
/// other gateway at the same database, may have put it there.
const LISTEN: Duration = Duration::from_millis(300);
/// Notices that are kept for pages that were away; what is older they read anew.
pub const KEPT: u32 = 50_000;

/// Rings whenever there is something new in the outbox, for ever.
pub async fn ring(repository: Arc<dyn Repository>, bell: watch::Sender<i64>) {
    let mut tick = tokio::time::interval(LISTEN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match repository.last_notice().await {
            Ok(last) => {
                bell.send_if_modified(|before| std::mem::replace(before, last) != last);
            }
            Err(error) => warn!(%error, "the outbox cannot be read; pages are told later"),
        }
    }
}
