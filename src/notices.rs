//! The outbox's bell: whoever waits for something new is woken.

use domain::repository::Repository;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tracing::warn;

/// How often it is asked whether there is something new, though nobody of this process has
/// said so: another gateway at the same database may have put it there.
const LISTEN: Duration = Duration::from_millis(300);
/// Between two rings: every page that is woken asks the database who may know.
const BREATH: Duration = Duration::from_millis(100);
/// Notices that are kept for pages that were away; what is older they read anew.
pub const KEPT: u32 = 50_000;

/// Rings whenever there is something new in the outbox, for ever; at once if `told`.
pub async fn ring(repository: Arc<dyn Repository>, told: Arc<Notify>, bell: watch::Sender<i64>) {
    loop {
        match repository.last_notice().await {
            Ok(last) => {
                if bell.send_if_modified(|before| std::mem::replace(before, last) != last) {
                    tokio::time::sleep(BREATH).await;
                }
            }
            Err(error) => warn!(%error, "the outbox cannot be read; pages are told later"),
        }
        // Time passing is no news.
        let _ = tokio::time::timeout(LISTEN, told.notified()).await;
    }
}
