//! What segmenter, window and playlist promise together.

use super::*;
use crate::frame::Parts;
use crate::rtp::Numbering;
use crate::time::Stamp;
use crate::{Codec, Frame, Params, Ticks, Track, TrackParams};
use bytes::Bytes;
use mp4_atom::{Atom as _, Buf as _, Decode as _, Header, Moof};
use playlist::Extent;
use proptest::prelude::*;
use std::sync::Arc;

fn params(width: u16) -> Arc<Params> {
    let record = [1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 5, 0x67, 0x4d, 0x40, 0x1f, 9, 1, 0, 2, 0x68, 0xee];
    let video = TrackParams::h264(&record, width, 576).unwrap();
    let audio = TrackParams::audio(Codec::Aac(Bytes::from_static(&[0x14, 0x08])), 16_000, 1);
    Arc::new(Params { video: Some(Arc::new(video)), audio: Some(Arc::new(audio)) })
}

/// A camera whose pictures each hold their own number.
struct Camera {
    params: Arc<Params>,
    number: u32,
    at: i64,
}

impl Camera {
    fn new() -> Self {
        Self { params: params(768), number: 0, at: 90_000 * 10 }
    }

    /// A picture that lasts for `ticks`.
    fn picture(&mut self, key: bool, ticks: i64) -> Arc<Frame> {
        let frame = self.frame(Track::Video, key, Ticks(self.at), ticks);
        self.at += ticks;
        frame
    }

    fn sound(&mut self) -> Arc<Frame> {
        let at = Ticks(self.at * 16_000 / 90_000);
        self.frame(Track::Audio, false, at, 1_024)
    }

    fn frame(&mut self, track: Track, key: bool, at: Ticks, ticks: i64) -> Arc<Frame> {
        self.number += 1;
        Arc::new(Frame::new(Parts {
            track,
            key,
            stamp: Stamp { pts: at, dts: at, duration: Ticks(ticks), longest: Ticks(ticks) },
            arrival: Duration::ZERO,
            data: Bytes::copy_from_slice(&self.number.to_be_bytes()),
            params: Arc::clone(&self.params),
            rtp: Numbering::default(),
            fragment_number: self.number,
        }))
    }
}

/// A packager without the task.
struct Packager {
    segmenter: Segmenter,
    window: Window,
    segments: Vec<Segment>,
}

impl Packager {
    fn new(gop: Option<Duration>) -> Self {
        let born = Duration::from_millis(1_700_000_000_000);
        Self { segmenter: Segmenter::new(gop), window: Window::new(100, born), segments: Vec::new() }
    }

    fn push(&mut self, frame: Arc<Frame>) {
        self.segmenter.push(frame);
        self.collect();
    }

    fn cut(&mut self) {
        self.segmenter.cut();
        self.collect();
    }

    fn collect(&mut self) {
        for made in self.segmenter.take() {
            let ended = matches!(made, Made::End);
            self.window.add(made);
            if ended {
                self.segments.push((**self.window.listed().last().unwrap()).clone());
            }
        }
    }

    fn text(&self, extent: Extent) -> String {
        playlist::media(&self.window, extent, "")
    }
}

/// `seconds` of a camera with `fps` pictures a second and a key frame every `gop`.
fn film(packager: &mut Packager, camera: &mut Camera, fps: i64, gop: u32, seconds: i64) {
    for n in 0..u32::try_from(fps * seconds).unwrap() {
        packager.push(camera.picture(n % gop == 0, 90_000 / fps));
    }
}

/// Numbers of the frames in a part, and its decode time and length in ticks by track.
fn read(bytes: &Bytes) -> (Vec<u32>, Vec<(u32, u64, u64)>) {
    let mut rest = &bytes[..];
    let header = Header::decode(&mut rest).unwrap();
    assert_eq!(header.kind, Moof::KIND);
    let size = header.size.unwrap();
    let moof = Moof::decode_body(&mut &rest[..size]).unwrap();
    rest.advance(size);
    let mdat = Header::decode(&mut rest).unwrap();
    assert_eq!(mdat.size, Some(rest.len()));
    let mut numbers = Vec::new();
    let mut runs = Vec::new();
    for traf in &moof.traf {
        let trun = &traf.trun[0];
        let mut offset = usize::try_from(trun.data_offset.unwrap()).unwrap();
        let mut length = 0;
        for sample in trun.samples.iter() {
            assert_eq!(sample.size, Some(4));
            numbers.push(u32::from_be_bytes(bytes[offset..offset + 4].try_into().unwrap()));
            offset += 4;
            length += u64::from(sample.duration.unwrap());
        }
        runs.push((traf.tfhd.track_id, traf.tfdt.as_ref().unwrap().base_media_decode_time, length));
    }
    (numbers, runs)
}

#[test]
fn ten_pictures_a_second_make_parts_of_exactly_half_a_second() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    film(&mut packager, &mut camera, 10, 20, 13);
    let parts: Vec<_> = packager.segments.iter().flat_map(|s| &s.parts).map(|p| p.duration).collect();
    assert_eq!(parts, [Duration::from_millis(500); 24]);
    let segments: Vec<_> = packager.segments.iter().map(Segment::duration).collect();
    assert_eq!(segments, [Duration::from_secs(2); 6]);
}

#[test]
fn segments_follow_the_groups_of_pictures() {
    let lengths = |fps: i64, gop: u32, known: Option<u64>| {
        let (mut packager, mut camera) = (Packager::new(known.map(Duration::from_secs)), Camera::new());
        film(&mut packager, &mut camera, fps, gop, 32);
        let lengths: Vec<_> = packager.segments.iter().map(|s| s.duration().as_secs_f64()).collect();
        (packager.window.targets().segment, lengths)
    };
    assert_eq!(lengths(10, 5, None), (4, vec![2.0; 15]), "half a second");
    assert_eq!(lengths(10, 15, None), (4, vec![3.0; 10]), "one and a half");
    assert_eq!(lengths(10, 40, None), (4, vec![4.0; 7]));
    assert_eq!(lengths(10, 100, Some(10)), (10, vec![10.0; 3]), "a long one that is known");
    // One that is not: what does not fit is cut, and the target is kept.
    let (target, cut) = lengths(10, 100, None);
    assert_eq!(target, 4);
    assert!(cut.iter().all(|length| *length < 4.5), "{cut:?}");
    assert!((cut.iter().take(3).sum::<f64>() - 10.0).abs() < 1e-9, "and the key frame begins one: {cut:?}");
}

#[test]
fn the_playlist_while_it_grows() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    film(&mut packager, &mut camera, 10, 20, 3);
    packager.push(camera.picture(false, 9_000));
    let expected = "#EXTM3U\n\
        #EXT-X-VERSION:9\n\
        #EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=24.0\n\
        #EXT-X-PART-INF:PART-TARGET=0.5\n\
        #EXT-X-MEDIA-SEQUENCE:100\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
        #EXT-X-MAP:URI=\"init-100.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:30.000Z\n\
        #EXT-X-PART:DURATION=0.5,URI=\"part-100-0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.5,URI=\"part-100-1.m4s\"\n\
        #EXT-X-PART:DURATION=0.5,URI=\"part-100-2.m4s\"\n\
        #EXT-X-PART:DURATION=0.5,URI=\"part-100-3.m4s\"\n\
        #EXTINF:2.0,\n\
        segment-100.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:32.000Z\n\
        #EXT-X-PART:DURATION=0.5,URI=\"part-101-0.m4s\",INDEPENDENT=YES\n\
        #EXT-X-PART:DURATION=0.5,URI=\"part-101-1.m4s\"\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-101-2.m4s\"\n";
    assert_eq!(packager.text(Extent::Full), expected);
    assert_eq!(packager.text(Extent::Delta), expected, "there is nothing to skip yet");
    let with_query = playlist::media(&packager.window, Extent::Full, "?video=h264");
    assert_eq!(with_query.matches("?video=h264\"").count(), 8);
    assert_eq!(with_query.matches("segment-100.m4s?video=h264\n").count(), 1);
}

#[test]
fn a_delta_skips_what_is_older_than_the_boundary() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    film(&mut packager, &mut camera, 10, 20, 90);
    let (full, delta) = (packager.text(Extent::Full), packager.text(Extent::Delta));
    let count = |text: &str, what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    let skipped: usize =
        delta.split("SKIPPED-SEGMENTS=").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert!(skipped >= 2, "{delta}");
    assert_eq!(count(&full, "#EXTINF"), count(&delta, "#EXTINF") + skipped);
    // The rest of it is the same.
    let tail = delta.split_once("SKIPPED-SEGMENTS=").unwrap().1.split_once('\n').unwrap().1;
    assert!(full.ends_with(tail));
    assert_eq!(count(&full, "#EXT-X-PART:"), 4 * 6 + 3, "parts of three target durations");
    assert!(packager.window.listed().len() <= 15, "{full}");
    let first = packager.window.first();
    assert!(full.contains(&format!("#EXT-X-MEDIA-SEQUENCE:{first}\n")) && first > 100);
    // What has just left the playlist can still be had; what left long ago cannot.
    assert!(matches!(packager.window.find(Name::Segment(first - 1)), Found::Here(_)));
    assert_eq!(packager.window.find(Name::Segment(100)), Found::Nothing);
}

#[test]
fn a_break_is_a_discontinuity_that_begins_at_a_key_frame() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    film(&mut packager, &mut camera, 10, 20, 3);
    // The camera's session is a new one.
    packager.cut();
    film(&mut packager, &mut camera, 10, 20, 3);
    // Three seconds are missing, up to the middle of a group of pictures.
    camera.at += 270_000;
    packager.push(camera.picture(false, 9_000));
    packager.push(camera.picture(false, 9_000));
    film(&mut packager, &mut camera, 10, 20, 3);
    // Another picture size.
    camera.params = params(384);
    film(&mut packager, &mut camera, 10, 20, 3);
    let text = packager.text(Extent::Full);
    let tags: Vec<&str> = text
        .lines()
        .filter(|line| {
            ["#EXT-X-DISCONTINUITY", "#EXT-X-MAP", "segment"].iter().any(|tag| line.starts_with(tag))
        })
        .filter(|line| !line.contains("SEQUENCE"))
        .collect();
    assert_eq!(
        tags,
        [
            "#EXT-X-MAP:URI=\"init-100.mp4\"",
            "segment-100.m4s",
            "segment-101.m4s",
            "#EXT-X-DISCONTINUITY",
            "segment-102.m4s",
            "segment-103.m4s",
            "#EXT-X-DISCONTINUITY",
            "segment-104.m4s",
            "segment-105.m4s",
            "#EXT-X-DISCONTINUITY",
            "#EXT-X-MAP:URI=\"init-106.mp4\"",
            "segment-106.m4s",
        ],
        "{text}"
    );
    let first = |number: usize| read(&packager.segments[number].parts[0].bytes).0[0];
    assert_eq!(first(4), 63, "the two without a key frame are not shown");
    assert!(matches!(packager.window.find(Name::Init(100)), Found::Here(_)));
    // The tags stay counted when they leave the playlist.
    film(&mut packager, &mut camera, 10, 20, 60);
    assert!(packager.text(Extent::Full).contains("#EXT-X-DISCONTINUITY-SEQUENCE:3\n"));
}

#[test]
fn parts_grow_with_a_camera_that_gets_slower() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    film(&mut packager, &mut camera, 25, 50, 6);
    film(&mut packager, &mut camera, 1, 2, 12);
    let text = packager.text(Extent::Full);
    assert!(text.contains("PART-TARGET=1.0\n") && !text.contains("#EXT-X-DISCONTINUITY\n"), "{text}");
    let frames: usize = packager.segments.iter().flat_map(|s| &s.parts).map(|p| read(&p.bytes).0.len()).sum();
    assert!(frames >= 6 * 25 + 8);
}

#[test]
fn positions_and_names_are_found() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    assert_eq!(packager.window.position(100, Some(0)), Position::Ahead);
    assert_eq!(packager.window.find(Name::Part(100, 0)), Found::Soon, "the very first part");
    film(&mut packager, &mut camera, 10, 20, 3);
    packager.push(camera.picture(false, 9_000));
    let window = &packager.window;
    // Segment 100 is complete, 101 has two parts.
    assert_eq!(window.position(100, None), Position::Here);
    assert_eq!(window.position(101, None), Position::Ahead);
    assert_eq!(window.position(102, None), Position::Ahead);
    assert_eq!(window.position(103, None), Position::TooFar);
    assert_eq!(window.position(101, Some(1)), Position::Here);
    assert_eq!(window.position(101, Some(2)), Position::Ahead);
    assert_eq!(window.position(101, Some(7)), Position::Ahead);
    assert_eq!(window.position(101, Some(8)), Position::TooFar, "six parts are three seconds");
    assert_eq!(window.position(100, Some(9)), Position::Here, "the first part of the next segment");
    assert_eq!(window.position(7, Some(9)), Position::Here);
    assert_eq!(window.find(Name::Part(101, 2)), Found::Soon);
    for nothing in [Name::Part(101, 3), Name::Segment(101), Name::Init(101), Name::Segment(7)] {
        assert_eq!(window.find(nothing), Found::Nothing, "{nothing}");
    }
    let Found::Here(parts) = window.find(Name::Segment(100)) else { panic!("it is there") };
    let numbers: Vec<u32> = parts.iter().flat_map(|part| read(part).0).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

#[test]
fn memory_comes_before_the_playlist() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    for n in 0..400 {
        let mut frame = camera.picture(n % 20 == 0, 9_000);
        Arc::get_mut(&mut frame).unwrap().data = Bytes::from(vec![0; 1 << 20]);
        packager.push(frame);
        let kept: usize = packager.window.listed().map(|segment| segment.size()).sum();
        assert!(kept <= 64 << 20, "{kept}");
    }
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    for _ in 0..2_000 {
        packager.push(camera.picture(true, 9_000));
        packager.cut();
    }
    assert!(packager.window.listed().len() <= 65);
}

#[test]
fn a_variant_says_what_it_carries() {
    let (mut packager, mut camera) = (Packager::new(None), Camera::new());
    assert_eq!(playlist::multivariant(&packager.window, "live.m3u8"), None);
    film(&mut packager, &mut camera, 10, 20, 3);
    let text = playlist::multivariant(&packager.window, "live.m3u8?purpose=patrol").unwrap();
    assert!(
        text.contains(",CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=768x576\nlive.m3u8?purpose=patrol\n"),
        "{text}"
    );
}

proptest! {
    /// Whatever a player asks for: what is there is there, and what comes next is waited for.
    #[test]
    fn positions_and_files_agree(pictures in 1u32..200, near in 95u64..130, far: u64, part in 0u64..12, far_part: u64) {
        let (mut packager, mut camera) = (Packager::new(None), Camera::new());
        for n in 0..pictures {
            packager.push(camera.picture(n % 20 == 0, 9_000));
        }
        let window = &packager.window;
        for (number, part) in [(near, part), (near, far_part), (far, part), (far, far_part)] {
            let position = window.position(number, Some(part));
            match window.find(Name::Part(number, part)) {
                Found::Here(bytes) => {
                    prop_assert!(!bytes.is_empty());
                    prop_assert_eq!(position, Position::Here);
                }
                Found::Soon => prop_assert_eq!(position, Position::Ahead),
                Found::Nothing => {}
            }
            if window.position(number, None) == Position::Here {
                prop_assert_ne!(position, Position::TooFar, "a segment that is there is not too far ahead");
            }
        }
    }

    #[test]
    fn every_frame_is_in_one_part_and_no_part_is_too_long(
        fps in 1i64..60,
        gop in 1u32..400,
        known in prop::bool::ANY,
        steps in prop::collection::vec((0u32..1_000, -20i64..=20, prop::bool::weighted(0.3)), 100..900),
    ) {
        let gop_length = Duration::from_millis(u64::from(gop) * 1_000 / u64::try_from(fps).unwrap());
        let mut packager = Packager::new(known.then_some(gop_length));
        let mut camera = Camera::new();
        let mut pushed = Vec::new();
        let mut cuts = 0;
        for (n, (chance, jitter, sound)) in steps.into_iter().enumerate() {
            // A steady camera, one that is not exact, and now and then a break.
            let ticks = 90_000 / fps;
            let ticks = if known { ticks } else { ticks + ticks * jitter / 100 };
            let key = u32::try_from(n).unwrap().is_multiple_of(gop);
            if chance == 0 && key {
                packager.cut();
                cuts += 1;
            }
            let frame = camera.picture(key, ticks);
            pushed.push(frame.fragment_number);
            packager.push(frame);
            if sound {
                let frame = camera.sound();
                pushed.push(frame.fragment_number);
                packager.push(frame);
            }
        }
        packager.cut();
        let targets = packager.window.targets();
        let mut seen = Vec::new();
        let mut end = None;
        for segment in &packager.segments {
            prop_assert!(!segment.parts.is_empty());
            let rounded = (segment.duration().as_secs_f64()).round();
            prop_assert!(rounded <= f64::from(targets.segment), "{rounded} > {}", targets.segment);
            let begins_with_key = segment.parts[0].independent;
            let fits = gop_length <= Duration::from_millis(if known { 10_000 } else { 3_400 });
            prop_assert!(begins_with_key || !fits, "segment {} begins in between", segment.number);
            if segment.discontinuity { end = None }
            for (n, part) in segment.parts.iter().enumerate() {
                prop_assert!(part.duration <= targets.part, "{:?} > {:?}", part.duration, targets.part);
                let last = n + 1 == segment.parts.len();
                let least = targets.part * 85 / 100;
                prop_assert!(last || !known || part.duration >= least, "{:?} < {least:?}", part.duration);
                let (numbers, runs) = read(&part.bytes);
                seen.extend(numbers);
                let (_, begin, length) = runs[0];
                prop_assert!(end.is_none_or(|end| end == begin), "pictures follow each other");
                end = Some(begin + length);
            }
        }
        // All but what could not be cut yet. A break may leave out what no decoder could use.
        seen.sort_unstable();
        let unique = seen.windows(2).all(|two| two[0] < two[1]);
        prop_assert!(unique, "a frame is in two parts");
        if cuts == 0 {
            prop_assert_eq!(seen, pushed);
        }
    }
}
