//! What was asked of a browser and not answered yet: kept here and not with the
//! asker, limited in number and time, and good for one answer.

use crate::Problem;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer may take.
pub(crate) const LIFE: Duration = Duration::from_secs(5 * 60);
/// Ceremonies at the same time; beyond it new ones must wait.
const MOST: usize = 10_000;

/// Ceremonies of one kind, each under the name of who began it.
pub(crate) struct Ceremonies<S>(Mutex<HashMap<String, (S, Instant)>>);

impl<S> Default for Ceremonies<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Ceremonies<S> {
    /// Begins a ceremony; one that `asker` has begun before is forgotten.
    pub(crate) fn begin(&self, asker: &str, state: S) -> Result<(), Problem> {
        let now = Instant::now();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MOST {
            held.retain(|_, (_, until)| now < *until);
        }
        if held.len() >= MOST && !held.contains_key(asker) {
            return Err(Problem::TooMany(LIFE));
        }
        held.insert(asker.to_owned(), (state, now + LIFE));
        Ok(())
    }

    /// Ends the ceremony that `asker` has begun: it cannot be answered twice.
    pub(crate) fn take(&self, asker: &str) -> Option<S> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(asker).filter(|(_, until)| Instant::now() < *until).map(|(state, _)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ceremony_is_good_for_five_minutes_one_answer_and_who_began_it() {
        let ceremonies = Ceremonies::default();
        ceremonies.begin("li", 1).unwrap();
        assert_eq!(ceremonies.take("wang"), None);
        assert_eq!(ceremonies.take("li"), Some(1));
        assert_eq!(ceremonies.take("li"), None, "it was answered");
        ceremonies.begin("li", 2).unwrap();
        ceremonies.begin("li", 3).unwrap();
        tokio::time::advance(LIFE - Duration::from_secs(1)).await;
        assert_eq!(ceremonies.take("li"), Some(3), "the last one counts");
        ceremonies.begin("li", 4).unwrap();
        tokio::time::advance(LIFE).await;
        assert_eq!(ceremonies.take("li"), None, "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_only_so_many() {
        let ceremonies = Ceremonies::default();
        for n in 0..MOST {
            ceremonies.begin(&n.to_string(), n).unwrap();
        }
        assert_eq!(ceremonies.begin("one more", 0), Err(Problem::TooMany(LIFE)));
        assert_eq!(ceremonies.begin("7", 0), Ok(()), "it takes the place of its own");
        tokio::time::advance(LIFE).await;
        assert_eq!(ceremonies.begin("one more", 0), Ok(()));
        assert_eq!(ceremonies.0.lock().unwrap().len(), 1);
    }
}
