//! How much one person may watch, over whatever transport: so many views at once, and
//! so many opened in a while. Counted before a view is written into the register.

use domain::PersonId;
use domain::role::Role;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use web::bucket::{Buckets, Rate};

/// How much is how much.
#[derive(Clone, Copy, Debug)]
struct Limit {
    at_once: u32,
    opened: Rate,
}

/// Every camera of a home page as a picture, twice: before the old views of a page that
/// was loaded again are noticed to be gone, the new ones are open.
const RESIDENT: Limit = Limit { at_once: 64, opened: Rate { burst: 240, every: Duration::from_millis(250) } };

/// A wall of 16 tiles in several windows; all of them opened again every second for a
/// while, as on a network that comes and goes.
const STAFF: Limit = Limit { at_once: 256, opened: Rate { burst: 1_200, every: Duration::from_millis(50) } };

/// How long somebody waits who has as many views open as they may: one that is gone
/// without a word is noticed within a minute, and one that was closed at once.
const CLOSE: Duration = Duration::from_secs(10);

/// The open views of everybody. An entry goes with its last view.
type Open = Arc<Mutex<HashMap<PersonId, u32>>>;

fn lock(open: &Open) -> MutexGuard<'_, HashMap<PersonId, u32>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts views.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    open: Open,
    opened: Buckets<PersonId>,
}

/// The place of one view; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    open: Open,
    person: PersonId,
}

impl Quota {
    /// Takes a place for one view; without one, says how long to wait.
    pub(crate) fn take(&self, person: &PersonId, role: Role) -> Result<Place, Duration> {
        let limit = if role == Role::Resident { RESIDENT } else { STAFF };
        let mut open = lock(&self.open);
        if open.get(person).is_some_and(|count| *count >= limit.at_once) {
            return Err(CLOSE);
        }
        self.opened.take(person, limit.opened)?;
        *open.entry(person.clone()).or_default() += 1;
        Ok(Place { open: Arc::clone(&self.open), person: person.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        if let Some(count) = open.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(n: u8) -> PersonId {
        PersonId::from_random([n; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn views_at_once_are_limited_and_a_closed_one_makes_room() {
        let quota = Quota::default();
        let mut places: Vec<_> =
            (0..64).filter_map(|_| quota.take(&person(1), Role::Resident).ok()).collect();
        assert_eq!(places.len(), 64);
        assert_eq!(quota.take(&person(1), Role::Resident).err(), Some(CLOSE));
        assert!(quota.take(&person(2), Role::Resident).is_ok(), "everybody has their own");
        assert!(quota.take(&person(1), Role::Patrol).is_ok(), "on duty one may more");
        places.pop();
        assert!(quota.take(&person(1), Role::Resident).is_ok());
        drop(places);
        assert!(lock(&quota.open).is_empty(), "nobody is remembered who watches nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_that_opens_again_every_second_is_not_hindered() {
        let quota = Quota::default();
        for _ in 0..60 {
            let wall: Vec<_> = (0..16).filter_map(|_| quota.take(&person(1), Role::Patrol).ok()).collect();
            assert_eq!(wall.len(), 16);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn opening_and_closing_without_end_is_slowed_down() {
        let quota = Quota::default();
        let opened = (0..1_000).filter(|_| quota.take(&person(1), Role::Resident).is_ok()).count();
        assert_eq!(opened, 240);
        let wait = quota.take(&person(1), Role::Resident).unwrap_err();
        tokio::time::advance(wait).await;
        assert!(quota.take(&person(1), Role::Resident).is_ok());
    }
}
