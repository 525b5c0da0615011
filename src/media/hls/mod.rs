//! Low-latency HLS (RFC 8216bis), pure: how frames become parts and segments, which
//! of them are kept, and the playlists that name them.
//!
//! [`Segmenter`] cuts, [`Window`] keeps, `playlist` writes. Nothing here waits or
//! knows who asks; the task around it is `relay::hls`.

mod name;
pub mod playlist;
mod rhythm;
mod segmenter;
#[cfg(test)]
mod tests;
mod window;

pub use name::Name;
pub use segmenter::{Made, Segmenter};
pub use window::{Found, Part, Position, Segment, Window};

use std::time::Duration;

/// What no part and no segment of a playlist is longer than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// The longest part; all but the last of a segment have at least 85 % of it.
    pub part: Duration,
    /// The longest segment in whole seconds, to which a segment's own is rounded.
    pub segment: u32,
}

impl Targets {
    /// The longest segment.
    #[must_use]
    pub fn segment(&self) -> Duration {
        Duration::from_secs(u64::from(self.segment))
    }
}
