//! What needs decoding: still pictures, and streams in another codec. The decoding
//! itself is done by `sharp-eyes-decode`, a locked-in process; here it is started,
//! bounded and ended. Without it everything else works.
//!
//! One process lives for one still picture or one stream: a camera whose bytes break
//! into it meets no other camera's picture there. A process that is started ahead
//! waits for the next still picture, so that it does not wait for the libraries.

mod child;
mod pool;
mod stills;

pub use child::Trouble;
pub(crate) use pool::{Place, Running};
pub use stills::{NoStill, Still, WIDTHS, Width};

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much decoding there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The program; nothing if it is not installed.
    pub program: Option<PathBuf>,
    /// Still pictures at the same time.
    pub stills: usize,
    /// Streams in another codec at the same time.
    pub conversions: usize,
}

/// What was counted. Tests rest on these, and so will the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Processes started.
    pub started: AtomicU64,
    /// Still pictures decoded.
    pub decoded: AtomicU64,
    /// Still pictures that were there already.
    pub cached: AtomicU64,
    /// Processes that failed: crashed, overran, or answered with something else.
    pub failed: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The decoding of a gateway.
pub struct Decoder {
    pool: pool::Pool,
    stills: stills::Stills,
}

impl Decoder {
    /// A decoder within these limits. Nothing is started yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { pool: pool::Pool::new(limits), stills: stills::Stills::default() }
    }

    /// Whether there is a decode process to start at all.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.pool.is_there()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.pool.counters
    }

    /// The ids of the processes that wait or work now.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.pool.processes()
    }

    /// Whether a further stream can be converted now.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.pool.has_place()
    }

    /// A place for a stream that is to be converted, as soon as there is one.
    pub(crate) async fn place(&self) -> Place {
        self.pool.place().await
    }

    /// A process for a stream that has its place.
    pub(crate) async fn convert(&self, place: &Place) -> Result<Running, Trouble> {
        self.pool.convert(place).await
    }

    /// Says that a conversion has failed.
    pub(crate) fn failed(&self) {
        Counters::add(&self.counters().failed);
    }

    /// Ends what waits and waits for what works.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
