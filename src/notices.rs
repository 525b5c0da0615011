//! The outbox's bell: whoever waits for something new is woken.

use crate::lasting::Lasting;
use domain::repository::Repository;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

/// Between two rings: every page that is woken asks the database who may know.
const BREATH: Duration = Duration::from_millis(100);
/// After a failure it is asked again this soon.
const RETRY: Duration = Duration::from_millis(300);
/// Notices that are kept for pages that were away; what is older they read anew.
pub const KEPT: u32 = 50_000;

/// Rings whenever there is something new in the outbox, for ever: at once if `told`, and by the
/// `pulse` if another gateway at the same database has put it there.
pub async fn ring(
    repository: Arc<dyn Repository>,
    told: Arc<Notify>,
    mut pulse: watch::Receiver<()>,
    bell: watch::Sender<i64>,
) {
    let mut failing = Lasting::default();
    loop {
        pulse.mark_unchanged();
        match repository.last_notice().await {
            Ok(last) => {
                if failing.ends() {
                    info!("the outbox is read again");
                }
                if bell.send_if_modified(|before| std::mem::replace(before, last) != last) {
                    tokio::time::sleep(BREATH).await;
                }
            }
            Err(error) => {
                if failing.begins() {
                    warn!(%error, "the outbox cannot be read; pages are told later");
                }
                tokio::time::sleep(RETRY).await;
                continue;
            }
        }
        // Time passing is no news.
        tokio::select! {
            () = told.notified() => {}
            beat = pulse.changed() => if beat.is_err() { told.notified().await },
        }
    }
}
