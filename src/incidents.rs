//! Time limits of incidents: whoever is not answered in time is not waited for. And of tests of
//! buttons: a press that has not arrived by then has not.
//!
//! They are rows, so they outlast a restart, and several gateways may look at the same
//! ones: a time limit runs out by a change of the incident at the version that set it,
//! so one of them makes it and the others find it made. See `domain::incident::Watch`
//! for what a clock that jumps does to them.

use crate::lasting::Lasting;
use domain::Clock;
use domain::IncidentId;
use domain::incident::repository::{Kept, Trials};
use domain::incident::{Actor, Command, Due, Refused, Timings, Watch};
use domain::repository::{Error, Repository, Result};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, info, trace, warn};

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(500);

/// Lets time limits run out, for ever, and says so to `posted`. While there are none it is not
/// asked for any until there was a `pulse`.
pub async fn run(
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    posted: Arc<Notify>,
    mut pulse: watch::Receiver<()>,
) {
    let (begun, mut watch) = (Instant::now(), Watch::default());
    let mut unreadable = HashSet::<IncidentId>::new();
    let (mut timeless, mut untried) = (Lasting::default(), Lasting::default());
    let mut quiet = false;
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // It beats soon after a time limit is set: until then there was none.
        if quiet && pulse.changed().await.is_ok() {
            watch.handle(Vec::new(), clock.now(), begun.elapsed());
        }
        pulse.mark_unchanged();
        quiet = false;
        let kept = match repository.timers().await {
            Ok(kept) => kept,
            Err(error) => {
                if timeless.begins() {
                    warn!(%error, "time limits of incidents cannot be read; nobody else is called meanwhile");
                }
                continue;
            }
        };
        if timeless.ends() {
            info!("time limits of incidents are read again");
        }
        match repository.end_trials(clock.now()).await {
            Ok(Trials { ended, open }) => {
                quiet = kept.is_empty() && open == 0;
                if untried.ends() {
                    info!("tests of buttons are ended again");
                }
                if ended > 0 {
                    info!(ended, "buttons were tried, and no press has arrived");
                }
            }
            Err(error) => {
                if untried.begins() {
                    warn!(%error, "tests of buttons cannot be ended; a press is one as long as they go on");
                }
            }
        }
        for due in watch.handle(kept, clock.now(), begun.elapsed()) {
            // One incident that cannot be changed keeps nobody else waiting; it is tried again.
            match expire(&*repository, &*clock, &due).await {
                Ok(()) => posted.notify_one(),
                // As long as it is so, which is said once; as many as there are time limits.
                Err(Error::Corrupt(why)) if !unreadable.insert(due.incident_id.clone()) => {
                    trace!(incident = %due.incident_id, why, "a time limit has passed of what cannot be read");
                }
                Err(error) => {
                    warn!(
                        incident = %due.incident_id, %error,
                        "a time limit has passed and cannot be noted; if it cannot be understood, correct its rows"
                    );
                }
            }
        }
    }
}

async fn expire(repository: &dyn Repository, clock: &dyn Clock, due: &Due) -> Result<()> {
    let Some(incident) = repository.incident(&due.incident_id).await? else { return Ok(()) };
    let Some(site) = repository.site(&incident.site_id).await? else { return Ok(()) };
    let (command, timings) = (Command::Expire(due.timer), Timings::of(site.kind));
    let change = match incident.apply(&command, None, &Actor::house(), &timings, clock.now()) {
        Ok(change) => change,
        Err(Refused::NoTimer) => return Ok(()),
        Err(why) => {
            warn!(incident = %incident.id, %why, "a time limit does not fit its incident");
            return Ok(());
        }
    };
    match repository.change(&change, None, "").await? {
        Kept::Done(()) => {
            let (kind, step) = (due.timer.kind.word(), change.incident.step.word());
            info!(incident = %incident.id, kind, step, "a time limit has passed");
        }
        _ => debug!(incident = %incident.id, "somebody was faster than a time limit"),
    }
    Ok(())
}
