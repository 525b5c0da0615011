//! What was refused, for the audit log: a view, a sign-in, an act that a role does
//! not allow.
//!
//! Two things are different from what is done. A refusal is noted beside the answer
//! and not before it, so that the time it takes tells nobody whether a camera or a
//! login exists. And whoever is refused again and again must not fill the disk: per
//! account or address a few entries a minute, in all a few hundred, and the rest as
//! a number in one entry.

use crate::throttle::network;
use domain::audit::Entry;
use domain::repository::Repository;
use domain::{Clock, PersonId, SiteId, Timestamp};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The stretch of time that is counted in.
const WINDOW: Duration = Duration::from_secs(60);
/// Entries of one account or address within it.
const EACH: u32 = 10;
/// Entries of all together.
const ALL: u32 = 300;
/// Refusals that may wait to be written.
const QUEUE: usize = 1_024;

/// Who is refused: what is counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// Somebody who is signed in, or a player with a key.
    Person(PersonId),
    /// Somebody who is not.
    Address(IpAddr),
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// The account, if it is known.
    pub actor: Option<PersonId>,
    /// In which site, if in one.
    pub site: Option<SiteId>,
    /// What: `viewing.refused`, `session.refused`, `act.refused`, …
    pub action: &'static str,
    /// To what: an id, a route, a word.
    pub object: String,
    /// How.
    pub detail: Value,
}

/// Where refusals are told. Cheap to clone; telling never waits.
#[derive(Clone, Debug)]
pub struct Refusals {
    queue: mpsc::Sender<Refusal>,
    lost: Arc<AtomicU64>,
}

/// Writes them down.
#[derive(Debug)]
pub struct Clerk {
    queue: mpsc::Receiver<Refusal>,
    lost: Arc<AtomicU64>,
    ledger: Ledger,
}

/// A place to tell refusals, and who writes them down.
#[must_use]
pub fn channel() -> (Refusals, Clerk) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    (Refusals { queue: sender, lost: Arc::clone(&lost) }, Clerk { queue, lost, ledger: Ledger::default() })
}

impl Refusals {
    /// Tells one.
    pub fn tell(&self, refusal: Refusal) {
        if self.queue.try_send(refusal).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Clerk {
    /// Writes until `stop`, then what is left.
    pub async fn run(
        mut self,
        repository: Arc<dyn Repository>,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut minute = tokio::time::interval(WINDOW);
        minute.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = minute.tick() => self.turn(&*repository, clock.now()).await,
                refusal = self.queue.recv() => match refusal {
                    Some(refusal) => self.take(&*repository, refusal).await,
                    None => break,
                },
            }
        }
        self.queue.close();
        while let Ok(refusal) = self.queue.try_recv() {
            self.take(&*repository, refusal).await;
        }
        self.turn(&*repository, clock.now()).await;
    }

    async fn take(&mut self, repository: &dyn Repository, refusal: Refusal) {
        if !self.ledger.take(&refusal.by) {
            return;
        }
        let entry = Entry {
            at: refusal.at,
            actor: refusal.actor,
            site_id: refusal.site,
            action: refusal.action.to_owned(),
            object: refusal.object,
            detail: refusal.detail.to_string(),
        };
        self.record(repository, &entry, 1).await;
    }

    /// The minute is over: what was only counted is written as a number.
    async fn turn(&mut self, repository: &dyn Repository, now: Timestamp) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        for (by, count) in self.ledger.turn(lost) {
            let actor = match &by {
                Some(By::Person(person)) => Some(person.clone()),
                _ => None,
            };
            let object = match by {
                Some(By::Person(_)) => "account",
                Some(By::Address(_)) => "address",
                None => "all",
            };
            let entry = Entry {
                at: now,
                actor,
                site_id: None,
                action: "refusals.more".to_owned(),
                object: object.to_owned(),
                detail: json!({ "count": count }).to_string(),
            };
            self.record(repository, &entry, count).await;
        }
    }

    async fn record(&mut self, repository: &dyn Repository, entry: &Entry, stands_for: u64) {
        if let Err(error) = repository.record(entry).await {
            warn!(%error, action = entry.action, "a refusal could not be noted; it is counted");
            self.ledger.rest += stands_for;
        }
    }
}

/// What was noted and what was only counted in this minute.
#[derive(Debug, Default)]
struct Ledger {
    /// Entries, and what came after them. Never more keys than entries.
    each: HashMap<By, (u32, u64)>,
    noted: u32,
    /// What is counted under nobody's name.
    rest: u64,
}

impl Ledger {
    /// Whether this one is written; else it is counted.
    fn take(&mut self, by: &By) -> bool {
        let by = match by {
            By::Address(address) => By::Address(network(*address)),
            person @ By::Person(_) => person.clone(),
        };
        match self.each.get_mut(&by) {
            Some((noted, more)) if *noted >= EACH => *more += 1,
            _ if self.noted >= ALL => self.rest += 1,
            Some((noted, _)) => {
                (*noted, self.noted) = (*noted + 1, self.noted + 1);
                return true;
            }
            None => {
                self.noted += 1;
                self.each.insert(by, (1, 0));
                return true;
            }
        }
        false
    }

    /// Begins anew; answers what was only counted, by whom.
    fn turn(&mut self, lost: u64) -> Vec<(Option<By>, u64)> {
        let Self { each, rest, .. } = std::mem::take(self);
        let mut counted: Vec<(Option<By>, u64)> = each
            .into_iter()
            .filter(|(_, (_, more))| *more > 0)
            .map(|(by, (_, more))| (Some(by), more))
            .collect();
        if rest + lost > 0 {
            counted.push((None, rest + lost));
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> By {
        By::Address(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_few_of_each_are_written_and_the_rest_is_a_number() {
        let mut ledger = Ledger::default();
        let written = (0..1_000).filter(|_| ledger.take(&address(1))).count();
        assert_eq!(written, 10);
        assert!(ledger.take(&address(2)), "another address is not silenced by it");
        assert_eq!(ledger.turn(0), [(Some(address(1)), 990)]);
        assert!(ledger.take(&address(1)), "the next minute begins anew");
        assert_eq!(ledger.turn(3), [(None, 3)]);
        assert_eq!(ledger.turn(0), []);
    }

    #[test]
    fn a_thousand_addresses_fill_no_more_than_the_minutes_share() {
        let mut ledger = Ledger::default();
        let written = (0..10_000).filter(|n| ledger.take(&address(n % 1_000))).count();
        assert_eq!(written, 300);
        assert!(ledger.each.len() <= 300);
        let counted = ledger.turn(0);
        assert_eq!(counted.iter().map(|(_, count)| count).sum::<u64>(), 9_700);
        assert!(counted.len() <= 31, "{}", counted.len());
    }

    #[test]
    fn one_home_is_one_address_however_many_it_has() {
        let mut ledger = Ledger::default();
        let of = |n: u16| By::Address(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, n, 0, 0, 1).into());
        assert_eq!((0..100).filter(|n| ledger.take(&of(*n))).count(), 10);
    }
}
