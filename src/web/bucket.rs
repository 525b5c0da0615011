//! How often one person may do something: a bucket each, which fills again by itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many at once, and then one every so often.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// What a full bucket holds.
    pub burst: u32,
    /// How long it takes until there is room for one more.
    pub every: Duration,
}

/// Buckets that are remembered. Only those who are signed in have one; should there be
/// more, those that are full again are forgotten, which changes nothing for them.
const MOST: usize = 50_000;

/// A bucket for each key.
#[derive(Debug)]
pub struct Buckets<K> {
    /// When each bucket will be full again.
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self { full_at: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// Takes one out of `key`'s bucket; if it is empty, says how long to wait.
    pub fn take(&self, key: &K, rate: Rate) -> Result<(), Duration> {
        self.take_some(key, rate, 1)
    }

    /// Takes `some` at once, or none.
    pub fn take_some(&self, key: &K, rate: Rate, some: u32) -> Result<(), Duration> {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= MOST {
            full_at.retain(|_, full| *full > now);
        }
        let full = full_at.get(key).map_or(now, |full| (*full).max(now)) + rate.every * some;
        let behind = full.duration_since(now);
        let most = rate.every * rate.burst;
        if behind > most {
            return Err(behind.saturating_sub(most));
        }
        full_at.insert(key.clone(), full);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(2) };

    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_emptied_at_once_and_fills_one_by_one() {
        let buckets = Buckets::default();
        for _ in 0..3 {
            assert_eq!(buckets.take(&"li", RATE), Ok(()));
        }
        assert_eq!(buckets.take(&"li", RATE), Err(Duration::from_secs(2)));
        assert_eq!(buckets.take(&"wang", RATE), Ok(()), "everybody has their own");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(buckets.take(&"li", RATE), Err(Duration::from_secs(1)), "asking does not cost");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(buckets.take(&"li", RATE), Ok(()));
        assert!(buckets.take(&"li", RATE).is_err());
        tokio::time::advance(Duration::from_secs(600)).await;
        for _ in 0..3 {
            assert_eq!(buckets.take(&"li", RATE), Ok(()), "it holds no more than it did");
        }
        assert!(buckets.take(&"li", RATE).is_err());
    }
}
