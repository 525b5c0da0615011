//! A frame's payloads for WebRTC, without headers: every viewer has numbers, times
//! and keys of its own, so this is what can be built once for all of them.

use super::{HEADER, pack};
use crate::frame::Frame;
use crate::nal;
use crate::params::{Codec, Track, TrackParams};

/// The largest datagram we send to a WebRTC viewer: paths that shorten packets,
/// IPv6 and a tunnel among them, still carry it.
pub const MAX_DATAGRAM: usize = 1_200;
/// The longest tag that SRTP adds.
const TAG: usize = 16;
/// Bytes of payload in a packet.
const MAX_PAYLOAD: usize = MAX_DATAGRAM - HEADER - TAG;
/// RFC 6184 section 5.7.1: several NAL units in one packet.
const STAP_A: u8 = 24;

/// All payloads of one frame, one behind the other.
#[derive(Debug, Default)]
pub struct Payload {
    bytes: Vec<u8>,
    cuts: Vec<Cut>,
}

/// Where a payload ends.
#[derive(Clone, Copy, Debug)]
struct Cut {
    end: usize,
    marker: bool,
    shift: u32,
}

/// One packet's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// What follows the RTP header.
    pub bytes: &'a [u8],
    /// Whether the frame is complete with it.
    pub marker: bool,
    /// Ticks after the frame's own time.
    pub shift: u32,
}

impl Payload {
    /// Bytes of all payloads.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// How many packets it takes.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.cuts.len()
    }

    /// The payload of packet `n`.
    #[must_use]
    pub fn part(&self, n: usize) -> Option<Part<'_>> {
        let cut = self.cuts.get(n)?;
        let start = n.checked_sub(1).and_then(|before| self.cuts.get(before)).map_or(0, |before| before.end);
        Some(Part { bytes: self.bytes.get(start..cut.end)?, marker: cut.marker, shift: cut.shift })
    }

    /// The payloads in order.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        (0..self.cuts.len()).filter_map(|n| self.part(n))
    }

    fn push(&mut self, marker: bool, shift: u32, slices: &[&[u8]]) {
        for slice in slices {
            self.bytes.extend_from_slice(slice);
        }
        self.cuts.push(Cut { end: self.bytes.len(), marker, shift });
    }

    /// Puts small NAL units into one packet: parameter sets and SEI would each cost
    /// every viewer a packet of its own.
    fn push_small(&mut self, small: &mut Vec<&[u8]>, marker: bool) {
        match small.as_slice() {
            [] => return,
            [one] => self.push(marker, 0, &[one]),
            several => {
                let importance = several.iter().map(|nal| nal.first().map_or(0, |b| b & 0x60)).max();
                self.bytes.push(importance.unwrap_or(0) | STAP_A);
                for nal in several {
                    self.bytes.extend_from_slice(&u16::try_from(nal.len()).unwrap_or(u16::MAX).to_be_bytes());
                    self.bytes.extend_from_slice(nal);
                }
                self.cuts.push(Cut { end: self.bytes.len(), marker, shift: 0 });
            }
        }
        small.clear();
    }
}

/// Cuts a frame into payloads.
pub(crate) fn build(frame: &Frame) -> Payload {
    let mut payload = Payload::default();
    let Some(track) = frame.track_params() else { return payload };
    payload.bytes.reserve_exact(frame.data.len() + frame.data.len() / 64 + 64);
    let joins = frame.track == Track::Video && matches!(track.codec, Codec::H264(_));
    let (mut small, mut size): (Vec<&[u8]>, usize) = (Vec::new(), 1);
    let wanted = |nal: &[u8]| !is_padding(track, nal);
    pack::pieces(track, frame.key, &frame.data, MAX_PAYLOAD, wanted, |piece| {
        if joins && piece.header().is_empty() {
            if size + 2 + piece.body.len() > MAX_PAYLOAD {
                payload.push_small(&mut small, false);
                size = 1;
            }
            small.push(piece.body);
            size += 2 + piece.body.len();
            if piece.marker {
                payload.push_small(&mut small, true);
            }
            return;
        }
        payload.push_small(&mut small, false);
        size = 1;
        payload.push(piece.marker, piece.shift, &[piece.header(), piece.body]);
    });
    payload
}

/// Delimiters and filler: where an access unit ends is what the marker says, and a line
/// that is slow enough to need a constant bitrate is not the camera's.
fn is_padding(track: &TrackParams, nal: &[u8]) -> bool {
    match track.codec {
        Codec::H264(_) => matches!(nal::h264_type(nal), 9 | 12),
        Codec::H265(_) => matches!(nal::h265_type(nal), 35 | 38),
        _ => false,
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
