//! Several frames as one `moof` + `mdat`: what a part of a segment is.

use super::fragment::{NON_SYNC, SYNC};
use crate::frame::Frame;
use crate::params::Track;
use crate::time::Ticks;
use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples};
use std::sync::Arc;

/// Builds the part from frames in decode order. `end` is the decode time of the
/// picture after the last. Frames whose codec has no place in MP4 are left out.
#[must_use]
pub fn build(sequence_number: u32, frames: &[Arc<Frame>], end: Ticks) -> Bytes {
    let of = |track: Track| -> Vec<&Frame> {
        let playable = |frame: &&Frame| frame.track_params().is_some_and(|track| track.rfc6381().is_some());
        frames.iter().map(AsRef::as_ref).filter(|frame| frame.track == track).filter(playable).collect()
    };
    let runs = [(of(Track::Video), Some(end)), (of(Track::Audio), None)];
    let payload: usize = runs.iter().flat_map(|(frames, _)| frames).map(|frame| frame.data.len()).sum();
    let mut head = Vec::with_capacity(512);
    // Encoded twice: where the samples begin is only known when the head is.
    for _ in 0..2 {
        let begin = head.len() + 8;
        head.clear();
        if moof(sequence_number, &runs, begin).encode(&mut head).is_err() {
            return Bytes::new();
        }
    }
    let mut out = BytesMut::with_capacity(head.len() + 8 + payload);
    out.put_slice(&head);
    out.put_u32(u32::try_from(payload + 8).unwrap_or(u32::MAX));
    out.put_slice(b"mdat");
    for frame in runs.iter().flat_map(|(frames, _)| frames) {
        out.put_slice(&frame.data);
    }
    out.freeze()
}

/// One track's frames, and when the picture after them is decoded.
type Run<'a> = (Vec<&'a Frame>, Option<Ticks>);

fn moof(sequence_number: u32, runs: &[Run<'_>], begin: usize) -> Moof {
    let mut offset = begin;
    let mut traf = Vec::new();
    for (frames, end) in runs {
        let Some(first) = frames.first() else { continue };
        let ends = frames.iter().skip(1).map(|frame| Some(frame.dts)).chain([*end]);
        let samples = frames.iter().zip(ends).map(|(frame, end)| sample(frame, end)).collect();
        traf.push(Traf {
            tfhd: Tfhd {
                track_id: super::track_id(first.track),
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: u64::try_from(first.dts.0).unwrap_or(0) }),
            trun: vec![Trun {
                data_offset: Some(i32::try_from(offset).unwrap_or(i32::MAX)),
                samples: TrunSamples::Explicit(samples),
            }],
            ..Traf::default()
        });
        offset += frames.iter().map(|frame| frame.data.len()).sum::<usize>();
    }
    Moof { mfhd: Mfhd { sequence_number }, traf }
}

fn sample(frame: &Frame, end: Option<Ticks>) -> TrunEntry {
    let duration = end.map_or(frame.duration.0, |end| end.0 - frame.dts.0);
    TrunEntry {
        duration: Some(u32::try_from(duration).unwrap_or(0)),
        size: Some(u32::try_from(frame.data.len()).unwrap_or(u32::MAX)),
        flags: Some(if frame.key || frame.track == Track::Audio { SYNC } else { NON_SYNC }),
        cts: (frame.pts != frame.dts).then_some(frame.pts.0 - frame.dts.0),
    }
}
