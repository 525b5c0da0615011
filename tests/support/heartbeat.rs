//! How long the machine stands still at most, so that a test can tell its noise from what it measures.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A thread of its own, which no task of the gateway can keep from running.
pub struct Heartbeat(Arc<Mutex<Duration>>);

impl Heartbeat {
    pub fn start() -> Self {
        let worst = Arc::new(Mutex::new(Duration::ZERO));
        let weak = Arc::downgrade(&worst);
        std::thread::spawn(move || {
            let mut last = std::time::Instant::now();
            while let Some(worst) = weak.upgrade() {
                let mut worst = worst.lock().unwrap();
                *worst = worst.max(last.elapsed());
                drop(worst);
                last = std::time::Instant::now();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self(worst)
    }

    /// The longest since this was last asked.
    pub fn worst(&self) -> Duration {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
