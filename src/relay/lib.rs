//! The path of a frame through the gateway: camera → hub → viewer.
//!
//! What belongs here: pulling cameras (`ingest`), one hub per stream (`hub`),
//! the outputs (`rtsp`, `live_fmp4`, `hls`, `whep`), what needs decoding (`decoder`,
//! which runs the decode process; `rendition`, streams in another codec), and the fleet
//! that holds them together.
//! What does not: people, roles, databases. The relay knows that a viewer holds
//! an [`Admission`]; who got it and why is decided in the root package's
//! `admit.rs`. Who may depend on it: `web`, `camsim`, the root package.

pub mod admission;
pub mod decoder;
pub mod fleet;
pub mod hls;
pub mod hub;
pub mod ingest;
pub mod live_fmp4;
pub mod rendition;
pub mod rtsp;
pub mod seats;
mod socket;
pub mod whep;

pub use admission::Admission;
pub use decoder::Decoder;
pub use fleet::{Fleet, StreamId};
pub use socket::{reset_on_close, tune};

use std::sync::Arc;
use std::time::Duration;

/// Wall time since the Unix epoch, for what leaves the house with a date on it
/// (sender reports, `since` of a state). Everything else runs on monotonic time.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl WallClock {
    /// A clock that reads from `now`.
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now, since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl std::fmt::Debug for WallClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WallClock")
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
