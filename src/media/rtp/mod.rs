//! RTP: how a frame becomes packets (RFC 3550, 6184, 7798, 3640, 3551),
//! what readers say back (RFC 4585), and how both are sealed for WebRTC (RFC 3711, 7714).

pub mod feedback;
pub mod pack;
pub mod payload;
pub mod report;
pub mod srtp;

use crate::params::{Track, TrackParams};
use crate::time::Ticks;

/// The largest RTP packet we make, header included: it fits any path that
/// carries Ethernet frames, tunnels included.
pub const MAX_PACKET: usize = 1_400;
/// An RTP header without extensions (RFC 3550 section 5.1).
pub const HEADER: usize = 12;

/// Where a frame stands in its track's packet sequence. It is given when the
/// frame is pushed, so the packets can be built later, or never, and still be
/// the same for every reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbering {
    /// Synchronisation source of the track.
    pub ssrc: u32,
    /// Sequence number of the frame's first packet.
    pub sequence: u16,
    /// RTP timestamp: presentation time plus the track's random offset.
    pub timestamp: u32,
    /// Packets the frame takes.
    pub packets: u16,
}

/// Hands out packet numbers for one track of one stream.
#[derive(Debug)]
pub struct Sequencer {
    ssrc: u32,
    sequence: u16,
    timestamp_offset: u32,
}

impl Sequencer {
    /// A sequence whose start is taken from 12 random bytes (RFC 3550 section 5.1).
    #[must_use]
    pub fn new(random: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, ..] = random;
        Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            timestamp_offset: u32::from_be_bytes([e, f, g, h]),
            sequence: u16::from_be_bytes([i, j]),
        }
    }

    /// Numbers the packets of a frame.
    pub fn number(&mut self, track: &TrackParams, key: bool, data: &[u8], pts: Ticks) -> Numbering {
        let packets = pack::count(track, key, data);
        let numbering = Numbering {
            ssrc: self.ssrc,
            sequence: self.sequence,
            timestamp: self.timestamp_offset.wrapping_add(wrap(pts)),
            packets,
        };
        self.sequence = self.sequence.wrapping_add(packets);
        numbering
    }
}

/// The low 32 bits, as RTP timestamps wrap (RFC 3550 section 5.1).
fn wrap(pts: Ticks) -> u32 {
    let [.., a, b, c, d] = pts.0.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The payload type we announce: dynamic for what has no static one (RFC 3551 section 6).
#[must_use]
pub fn payload_type(track: &TrackParams) -> u8 {
    use crate::params::Codec;
    match track.codec {
        Codec::H264(_) | Codec::H265(_) => 96,
        Codec::Aac(_) => 97,
        Codec::Pcmu if track.clock_rate == 8_000 && track.channels == 1 => 0,
        Codec::Pcma if track.clock_rate == 8_000 && track.channels == 1 => 8,
        Codec::Pcmu | Codec::Pcma => 98,
        Codec::Opus => 99,
    }
}

/// The interleaved channel a track's RTP goes on in a shared image; its RTCP
/// goes on the next one.
#[must_use]
pub fn channel(track: Track) -> u8 {
    match track {
        Track::Video => 0,
        Track::Audio => 2,
    }
}
