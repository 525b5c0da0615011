//! The one home of wall time.

use domain::{Clock, Timestamp};
use relay::WallClock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads wall time")]
fn since_epoch() -> Duration {
    // A clock before 1970 is not set; zero says so in every log line.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_epoch(since_epoch())
    }
}

/// The same clock as the media plane sees it.
#[must_use]
pub fn wall() -> WallClock {
    WallClock::new(since_epoch)
}
