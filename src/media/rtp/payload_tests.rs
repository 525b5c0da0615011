//! What leaves is what came, in packets that fit.

use super::*;
use crate::params::Params;
use crate::rtp::Numbering;
use crate::time::{Stamp, Ticks};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn h264() -> TrackParams {
    let record = [1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 5, 0x67, 0x4d, 0x40, 0x1f, 9, 1, 0, 2, 0x68, 0xee];
    TrackParams::h264(&record, 768, 576).unwrap()
}

fn h265() -> TrackParams {
    let mut record = vec![1u8; 23];
    (record[21], record[22]) = (0x0f, 1);
    record.extend([0x80 | 32, 0, 1, 0, 3, 0x40, 1, 7]);
    TrackParams::h265(&record, 768, 576).unwrap()
}

fn frame(key: bool, nals: &[Vec<u8>]) -> Frame {
    frame_of(h264(), key, nals)
}

fn frame_of(track: TrackParams, key: bool, nals: &[Vec<u8>]) -> Frame {
    Frame::new(crate::frame::Parts {
        track: Track::Video,
        key,
        stamp: Stamp { pts: Ticks(7), dts: Ticks(7), duration: Ticks(1), longest: Ticks(1) },
        arrival: Duration::ZERO,
        data: nal::join(nals.iter().map(Vec::as_slice)).into(),
        params: Arc::new(Params { video: Some(Arc::new(track)), audio: None }),
        rtp: Numbering::default(),
        fragment_number: 1,
    })
}

/// RFC 6184 sections 5.6 to 5.8, the other way.
fn unpack(payload: &Payload) -> Vec<Vec<u8>> {
    let mut nals: Vec<Vec<u8>> = Vec::new();
    for part in payload.parts() {
        assert!(part.bytes.len() <= MAX_PAYLOAD);
        match part.bytes[0] & 0x1f {
            24 => {
                let mut rest = &part.bytes[1..];
                while let [high, low, more @ ..] = rest {
                    let (nal, after) = more.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                    nals.push(nal.to_vec());
                    rest = after;
                }
            }
            28 => {
                if part.bytes[1] & 0x80 != 0 {
                    nals.push(vec![part.bytes[0] & 0xe0 | part.bytes[1] & 0x1f]);
                }
                nals.last_mut().unwrap().extend(&part.bytes[2..]);
            }
            _ => nals.push(part.bytes.to_vec()),
        }
    }
    nals
}

#[test]
fn parameter_sets_and_sei_share_one_packet() {
    let frame = frame(true, &[vec![9, 0x10], vec![6, 1, 2], vec![0x65; 3_000]]);
    let payload = frame.rtp_payload(|_| ());
    assert_eq!(payload.part(0).unwrap().bytes[0], 0x60 | STAP_A);
    assert_eq!(payload.packets(), 1 + 3);
    let kinds: Vec<u8> = unpack(payload).iter().map(|nal| nal[0] & 0x1f).collect();
    assert_eq!(kinds, [7, 8, 6, 5], "the delimiter is left out");
}

#[test]
fn the_fragments_of_a_picture_are_of_one_size_but_the_last() {
    let frame = frame(false, &[vec![0x41; 10_000]]);
    let sizes: Vec<usize> = frame.rtp_payload(|_| ()).parts().map(|part| part.bytes.len()).collect();
    let (last, others) = sizes.split_last().unwrap();
    assert!(others.iter().all(|size| *size == MAX_PAYLOAD) && *last <= MAX_PAYLOAD, "{sizes:?}");
}

/// NAL units of these kinds, which are told apart by what fills them.
fn nals(kinds: &[(u8, usize)]) -> Vec<Vec<u8>> {
    let nal = |(n, (kind, size)): (usize, &(u8, usize))| {
        let mut nal: Vec<u8> = (0..*size).map(|at| (at * 7 + n) as u8).collect();
        nal[0] = *kind;
        nal
    };
    kinds.iter().enumerate().map(nal).collect()
}

/// RFC 6184 section 5.1: the marker is on the last packet of the access unit, and on no
/// other.
fn ends_with_its_marker(payload: &Payload) -> bool {
    let markers: Vec<bool> = payload.parts().map(|part| part.marker).collect();
    markers.split_last().is_none_or(|(last, others)| *last && others.iter().all(|marker| !marker))
}

proptest! {
    #[test]
    fn a_frame_comes_out_as_it_went_in_but_for_what_pads_it(
        kinds in prop::collection::vec((prop::sample::select(vec![0x65u8, 0x41, 9, 12]), 1usize..4_000), 1..8),
        key: bool,
    ) {
        let nals = nals(&kinds);
        let frame = frame(key, &nals);
        let payload = frame.rtp_payload(|_| ());
        let mut out = unpack(payload);
        if key {
            prop_assert_eq!(out.remove(0)[0], 0x67);
            prop_assert_eq!(out.remove(0)[0], 0x68);
        }
        let picture: Vec<Vec<u8>> = nals.into_iter().filter(|nal| nal[0] > 12).collect();
        prop_assert_eq!(out, picture);
        prop_assert!(ends_with_its_marker(payload));
    }

    #[test]
    fn a_frame_of_h265_ends_with_its_marker_whatever_pads_it(
        kinds in prop::collection::vec((prop::sample::select(vec![1u8 << 1, 19 << 1, 35 << 1, 38 << 1]), 3usize..4_000), 1..8),
        key: bool,
    ) {
        let frame = frame_of(h265(), key, &nals(&kinds));
        let payload = frame.rtp_payload(|_| ());
        let picture = kinds.iter().filter(|(kind, _)| kind >> 1 < 32).count();
        let units = payload.parts().filter(|part| match part.bytes[0] >> 1 {
            49 => part.bytes[2] & 0x80 != 0,
            kind => kind < 32,
        });
        prop_assert_eq!(units.count(), picture);
        prop_assert!(payload.parts().all(|part| !matches!(part.bytes[0] >> 1, 35 | 38)));
        prop_assert!(ends_with_its_marker(payload));
    }
}
