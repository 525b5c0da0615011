//! What leaves is what came, in packets that fit.

use super::*;
use crate::params::Params;
use crate::params::TrackParams;
use crate::rtp::Numbering;
use crate::time::{Stamp, Ticks};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn frame(key: bool, nals: &[Vec<u8>]) -> Frame {
    let record = [1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 5, 0x67, 0x4d, 0x40, 0x1f, 9, 1, 0, 2, 0x68, 0xee];
    let track = Arc::new(TrackParams::h264(&record, 768, 576).unwrap());
    Frame::new(crate::frame::Parts {
        track: Track::Video,
        key,
        stamp: Stamp { pts: Ticks(7), dts: Ticks(7), duration: Ticks(1), longest: Ticks(1) },
        arrival: Duration::ZERO,
        data: nal::join(nals.iter().map(Vec::as_slice)).into(),
        params: Arc::new(Params { video: Some(track), audio: None }),
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

proptest! {
    #[test]
    fn a_frame_comes_out_as_it_went_in(sizes in prop::collection::vec(1usize..4_000, 1..8), key: bool) {
        let nals: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| {
                let mut nal: Vec<u8> = (0..*size).map(|at| (at * 7 + n) as u8).collect();
                nal[0] = if key { 0x65 } else { 0x41 };
                nal
            })
            .collect();
        let frame = frame(key, &nals);
        let payload = frame.rtp_payload(|_| ());
        let mut out = unpack(payload);
        if key {
            prop_assert_eq!(out.remove(0)[0], 0x67);
            prop_assert_eq!(out.remove(0)[0], 0x68);
        }
        prop_assert_eq!(out, nals);
        let markers: Vec<bool> = payload.parts().map(|part| part.marker).collect();
        prop_assert!(markers.iter().rev().skip(1).all(|marker| !marker) && *markers.last().unwrap());
    }
}
