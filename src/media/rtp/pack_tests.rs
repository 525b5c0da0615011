//! Pack, unpack with a depacketiser written from the RFCs alone, compare.

use super::*;
use crate::params::Params;
use crate::rtp::Sequencer;
use crate::time::{Stamp, Ticks};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn h264() -> TrackParams {
    TrackParams::h264(
        &[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 5, 0x67, 0x4d, 0x40, 0x1f, 9, 1, 0, 2, 0x68, 0xee],
        768,
        576,
    )
    .unwrap()
}

fn h265() -> TrackParams {
    let mut record = vec![1u8; 23];
    record[21] = 0x0f;
    record[22] = 3;
    for (kind, first) in [(32u8, 0x40u8), (33, 0x42), (34, 0x44)] {
        record.extend([0x80 | kind, 0, 1, 0, 3, first, 1, 7]);
    }
    TrackParams::h265(&record, 768, 576).unwrap()
}

fn frame(track: TrackParams, key: bool, data: Vec<u8>) -> Frame {
    let kind = if track.width > 0 { Track::Video } else { Track::Audio };
    let track = Arc::new(track);
    let rtp = Sequencer::new([0xff; 12]).number(&track, key, &data, Ticks(77));
    let params = match kind {
        Track::Video => Params { video: Some(track), audio: None },
        Track::Audio => Params { video: None, audio: Some(track) },
    };
    Frame::new(crate::frame::Parts {
        track: kind,
        key,
        stamp: Stamp { pts: Ticks(77), dts: Ticks(77), duration: Ticks(1), longest: Ticks(1) },
        arrival: Duration::ZERO,
        data: data.into(),
        params: Arc::new(params),
        rtp,
        fragment_number: 1,
    })
}

/// Checks what every packet must have and returns payloads with their markers.
fn payloads(frame: &Frame) -> Vec<(Vec<u8>, bool)> {
    let image = frame.rtsp_image(|_| ());
    let packets: Vec<_> = packets(&image).collect();
    assert_eq!(packets.len(), usize::from(frame.rtp.packets));
    assert_eq!(packets.iter().map(|p| p.len() + 4).sum::<usize>(), image.len());
    let mut out = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        assert!(packet.len() <= MAX_PACKET);
        assert_eq!(packet[0], 0x80);
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        assert_eq!(sequence, frame.rtp.sequence.wrapping_add(n as u16));
        assert_eq!(packet[8..12], frame.rtp.ssrc.to_be_bytes());
        out.push((packet[12..].to_vec(), packet[1] & 0x80 != 0));
    }
    out
}

fn unpack_video(frame: &Frame, hevc: bool) -> Vec<Vec<u8>> {
    let payloads = payloads(frame);
    let (_, body) = payloads.split_last().unwrap();
    assert!(payloads.last().unwrap().1 && body.iter().all(|(_, marker)| !marker));
    let mut nals: Vec<Vec<u8>> = Vec::new();
    for (payload, _) in payloads {
        let kind = if hevc { (payload[0] >> 1) & 0x3f } else { payload[0] & 0x1f };
        if (hevc && kind == 49) || (!hevc && kind == 28) {
            let (head, fu) = if hevc { (3, payload[2]) } else { (2, payload[1]) };
            if fu & 0x80 != 0 {
                nals.push(if hevc {
                    vec![(payload[0] & 0x81) | ((fu & 0x3f) << 1), payload[1]]
                } else {
                    vec![(payload[0] & 0xe0) | (fu & 0x1f)]
                });
            }
            nals.last_mut().unwrap().extend(&payload[head..]);
        } else {
            nals.push(payload);
        }
    }
    nals
}

/// NAL bodies with a first byte that is no aggregate, fragment or parameter set.
fn nal(hevc: bool) -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![2usize..4, 1_380usize..1_400, 2_700usize..2_800, 2usize..20_000];
    (size, any::<u8>()).prop_map(move |(size, fill)| {
        let mut nal = vec![fill; size];
        nal[0] = if hevc { 1 << 1 } else { 0x41 };
        nal[1] = 1;
        nal
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn h264_frames_survive_packing(nals in prop::collection::vec(nal(false), 1..6), key: bool) {
        let au = crate::nal::join(nals.iter().map(Vec::as_slice));
        let track = h264();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        if key {
            expected.extend(track.parameter_sets().map(<[u8]>::to_vec));
        }
        expected.extend(nals);
        prop_assert_eq!(unpack_video(&frame(track, key, au), false), expected);
    }

    #[test]
    fn h265_frames_survive_packing(nals in prop::collection::vec(nal(true), 1..6), key: bool) {
        let au = crate::nal::join(nals.iter().map(Vec::as_slice));
        let track = h265();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        if key {
            expected.extend(track.parameter_sets().map(<[u8]>::to_vec));
        }
        expected.extend(nals);
        prop_assert_eq!(unpack_video(&frame(track, key, au), true), expected);
    }

    #[test]
    fn aac_frames_survive_packing(data in prop::collection::vec(any::<u8>(), 1..8_000)) {
        let track = TrackParams::audio(Codec::Aac(Bytes::from_static(&[0x14, 0x08])), 16_000, 1);
        let mut unpacked: Vec<u8> = Vec::new();
        for (payload, _) in payloads(&frame(track, true, data.clone())) {
            prop_assert_eq!(&payload[..2], &[0, 16]);
            prop_assert_eq!(usize::from(u16::from_be_bytes([payload[2], payload[3]]) >> 3), data.len());
            unpacked.extend(&payload[4..]);
        }
        prop_assert_eq!(unpacked, data);
    }

    #[test]
    fn g711_frames_survive_packing(data in prop::collection::vec(any::<u8>(), 1..5_000)) {
        let track = TrackParams::audio(Codec::Pcma, 8_000, 1);
        let unpacked: Vec<u8> = payloads(&frame(track, true, data.clone())).into_iter().flat_map(|(p, _)| p).collect();
        prop_assert_eq!(unpacked, data);
    }

    #[test]
    fn any_bytes_of_a_camera_pack_without_panic(data in prop::collection::vec(any::<u8>(), 0..3_000), key: bool) {
        for track in [h264(), h265()] {
            frame(track, key, data.clone()).rtsp_image(|_| ());
        }
    }
}

#[test]
fn the_smallest_and_the_largest_nal_survive() {
    for size in [1, 4 << 20] {
        let mut one = vec![0x41u8; size];
        one[size - 1] = 0x61;
        let frame = frame(h264(), false, crate::nal::join([one.as_slice()]));
        assert_eq!(unpack_video(&frame, false), [one]);
    }
}

#[test]
fn a_key_frame_that_brings_its_parameter_sets_gets_no_second_ones() {
    let au = crate::nal::join([&[0x67u8, 1, 2, 3][..], &[0x68, 1], &[0x65, 9]]);
    assert_eq!(unpack_video(&frame(h264(), true, au), false).len(), 3);
}

#[test]
fn long_g711_frames_advance_the_timestamp_inside() {
    let frame = frame(TrackParams::audio(Codec::Pcmu, 8_000, 1), true, vec![1; 2_000]);
    let image = frame.rtsp_image(|_| ());
    let stamps: Vec<_> = packets(&image).map(|p| u32::from_be_bytes([p[4], p[5], p[6], p[7]])).collect();
    assert_eq!(stamps[1].wrapping_sub(stamps[0]), 1_388);
}

#[test]
fn an_image_moves_to_other_channels() {
    let frame = frame(h264(), true, crate::nal::join([&[0x65u8; 3_000][..]]));
    let image = frame.rtsp_image(|_| ());
    let moved = on_channel(&image, 6);
    assert_eq!(moved.len(), image.len());
    assert!(packets(&moved).eq(packets(&image)));
    assert_eq!(moved[1], 6);
}
