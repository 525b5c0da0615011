//! Fragmented MP4 (ISO 14496-12): an init segment per set of parameters, one
//! fragment per frame, or one part for several (LL-HLS).

pub mod fragment;
pub mod init;
pub mod part;

use crate::params::Track;

/// The track id in the init segment and in every fragment.
#[must_use]
pub fn track_id(track: Track) -> u32 {
    match track {
        Track::Video => 1,
        Track::Audio => 2,
    }
}
