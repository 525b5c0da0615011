//! One frame as `moof` + `mdat`, in the message that takes it to a browser.

use crate::frame::Frame;
use crate::params::Track;
use crate::time::Ticks;
use crate::websocket;
use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples};

/// ISO 14496-12 section 8.8.3.1: depends on no other, is a sync sample.
pub(super) const SYNC: u32 = 0x0200_0000;
/// Depends on others, is no sync sample.
pub(super) const NON_SYNC: u32 = 0x0101_0000;

/// Builds the message; empty if the frame's codec has no place in MP4.
pub(crate) fn message(frame: &Frame) -> Bytes {
    if frame.track_params().is_none_or(|track| track.rfc6381().is_none()) {
        return Bytes::new();
    }
    let mut head = Vec::with_capacity(160);
    if moof(frame, 0).encode(&mut head).is_err() {
        return Bytes::new();
    }
    // The sample starts after `moof` and the eight bytes of the `mdat` header.
    let offset = i32::try_from(head.len() + 8).unwrap_or(i32::MAX);
    head.clear();
    if moof(frame, offset).encode(&mut head).is_err() {
        return Bytes::new();
    }
    let length = head.len() + 8 + frame.data.len();
    let mut out = BytesMut::with_capacity(websocket::LONGEST_HEAD + length);
    websocket::put_head(&mut out, length);
    out.put_slice(&head);
    out.put_u32(u32::try_from(frame.data.len() + 8).unwrap_or(u32::MAX));
    out.put_slice(b"mdat");
    out.put_slice(&frame.data);
    out.freeze()
}

/// A picture's duration as the browser is told. Chromium takes a distance of more
/// than twice the declared duration for a break and then drops everything up to
/// the next key frame, so an unsteady camera must not be declared as steady.
fn declared(frame: &Frame) -> Ticks {
    match (frame.track, frame.track_params()) {
        (Track::Video, Some(track)) => frame.longest.max(Ticks(i64::from(track.clock_rate) / 10)),
        _ => frame.duration,
    }
}

fn moof(frame: &Frame, data_offset: i32) -> Moof {
    let sync = frame.key || frame.track == Track::Audio;
    let shift = frame.pts.0 - frame.dts.0;
    let sample = TrunEntry {
        duration: Some(u32::try_from(declared(frame).0).unwrap_or(u32::MAX)),
        size: Some(u32::try_from(frame.data.len()).unwrap_or(u32::MAX)),
        flags: Some(if sync { SYNC } else { NON_SYNC }),
        cts: (shift != 0).then_some(shift),
    };
    Moof {
        mfhd: Mfhd { sequence_number: frame.fragment_number },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: super::track_id(frame.track),
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: u64::try_from(frame.dts.0).unwrap_or(0) }),
            trun: vec![Trun { data_offset: Some(data_offset), samples: TrunSamples::Explicit(vec![sample]) }],
            ..Traf::default()
        }],
    }
}
