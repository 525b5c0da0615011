//! Pictures: decoding H.264 and H.265, scaling, encoding H.264.

use ffmpeg_next::codec::{self, Context, Id};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::picture::Type;
use ffmpeg_next::software::scaling;
use ffmpeg_next::{Dictionary, Error, Packet, frame};
use media::job::{Answer, Coding, Failure, Picture, Unit};
use media::{Track, nal};

/// The most pixels of a picture that is decoded: 8192 × 4352, the largest of H.265
/// level 6. More is nobody's camera.
const MOST_PIXELS: &str = "35651584";
/// The widest picture that is encoded, in pixels: what a phone shows, and what one
/// core keeps up with.
const WIDEST: u32 = 1280;
/// Ticks between two key pictures: 2 s.
const GOP: i64 = 180_000;
/// Bits a second for each pixel of the picture, at most.
const BITS_PER_PIXEL: u32 = 3;
/// Bits a second that even a small picture may have.
const LEAST_BITS: u32 = 400_000;

/// A decoder with one thread: where nothing can be started, nothing need be.
pub struct Decoder(codec::decoder::Video);

impl Decoder {
    /// Opens one. Parameter sets come with the access units.
    pub fn open(coding: Coding) -> Result<Self, Failure> {
        let id = match coding {
            Coding::H264 => Id::H264,
            Coding::H265 => Id::HEVC,
        };
        let codec = codec::decoder::find(id).ok_or(Failure::Unsupported)?;
        let options: Dictionary<'_> = [("threads", "1"), ("max_pixels", MOST_PIXELS)].into_iter().collect();
        let opened = Context::new_with_codec(codec).decoder().open_as_with(codec, options);
        Ok(Self(opened.and_then(codec::decoder::Opened::video).map_err(|_| Failure::Unsupported)?))
    }

    /// Hands over an access unit with the parameter sets in front of it, if any.
    pub fn send(&mut self, sets: &[u8], data: &[u8], pts: i64) -> Result<(), Error> {
        let mut bytes = nal::annex_b(sets);
        bytes.extend(nal::annex_b(data));
        if bytes.is_empty() {
            return Err(Error::InvalidData);
        }
        let mut packet = Packet::copy(&bytes);
        packet.set_pts(Some(pts));
        packet.set_dts(Some(pts));
        self.0.send_packet(&packet)
    }

    /// Nothing more comes; what is held back is given out.
    pub fn finish(&mut self) {
        let _ = self.0.send_eof();
    }

    /// The next picture, if there is one.
    pub fn receive(&mut self) -> Option<frame::Video> {
        let mut decoded = frame::Video::empty();
        self.0.receive_frame(&mut decoded).ok()?;
        // Four bytes a pixel at most, so every product below fits.
        let right = (1..=16_384).contains(&decoded.width()) && (1..=16_384).contains(&decoded.height());
        right.then_some(decoded)
    }
}

/// The size that fits into `width`, even in both directions, never larger than the picture.
pub fn fit(picture: &frame::Video, width: u32) -> (u32, u32) {
    let wide = picture.width().min(width).max(2) & !1;
    let high = picture.height() * wide / picture.width();
    (wide, high.max(2) & !1)
}

/// The picture in another size and layout.
pub fn scale(
    picture: &frame::Video,
    layout: Pixel,
    width: u32,
    height: u32,
) -> Result<frame::Video, Failure> {
    let broken = |_| Failure::NotAPicture;
    let mut scaler = scaling::Context::get(
        picture.format(),
        picture.width(),
        picture.height(),
        layout,
        width,
        height,
        // Averages when it makes smaller; needs no code that is made at run time.
        scaling::Flags::AREA,
    )
    .map_err(broken)?;
    let mut scaled = frame::Video::empty();
    scaler.run(picture, &mut scaled).map_err(broken)?;
    Ok(scaled)
}

/// Any video to H.264 that every browser plays: Constrained Baseline, no picture waits
/// for a later one, a key picture every two seconds.
pub struct Converter {
    sets: Vec<u8>,
    decoder: Decoder,
    encoder: Option<Encoder>,
    after: i64,
}

impl Converter {
    /// A converter of `picture`; what is shown up to `after` is not written.
    pub fn new(picture: &Picture, after: Option<i64>) -> Result<Self, Failure> {
        let decoder = Decoder::open(picture.coding)?;
        Ok(Self { sets: picture.sets.to_vec(), decoder, encoder: None, after: after.unwrap_or(i64::MIN) })
    }

    /// Takes the next access unit; `say` gets what it becomes. Broken ones become nothing.
    pub fn take(&mut self, unit: &Unit, say: &mut impl FnMut(Answer)) -> Result<(), Failure> {
        let sets = if unit.key { &self.sets[..] } else { &[] };
        if self.decoder.send(sets, &unit.data, unit.pts).is_err() {
            return Ok(());
        }
        while let Some(picture) = self.decoder.receive() {
            let pts = picture.timestamp().unwrap_or(unit.pts);
            if pts <= self.after {
                continue;
            }
            self.after = pts;
            let (width, height) = fit(&picture, WIDEST);
            let same = self.encoder.as_ref().is_some_and(|encoder| encoder.size == (width, height));
            if !same {
                self.encoder = Some(Encoder::open(width, height).map_err(|_| Failure::Unsupported)?);
            }
            let Some(encoder) = &mut self.encoder else { continue };
            let mut picture = scale(&picture, Pixel::YUV420P, width, height)?;
            encoder.encode(&mut picture, pts, say).map_err(|_| Failure::Unsupported)?;
        }
        Ok(())
    }
}

struct Encoder {
    encoder: codec::encoder::video::Encoder,
    size: (u32, u32),
    last_key: Option<i64>,
    announced: Vec<u8>,
}

impl Encoder {
    fn open(width: u32, height: u32) -> Result<Self, Error> {
        let codec = codec::encoder::find_by_name("libx264").ok_or(Error::EncoderNotFound)?;
        let mut encoder = Context::new_with_codec(codec).encoder().video()?;
        encoder.set_width(width);
        encoder.set_height(height);
        encoder.set_format(Pixel::YUV420P);
        encoder.set_time_base((1, 90_000));
        // For the rate only; pictures come when they come.
        encoder.set_frame_rate(Some((25, 1)));
        encoder.set_max_b_frames(0);
        let most = (width * height * BITS_PER_PIXEL).max(LEAST_BITS).to_string();
        let options: Dictionary<'_> = [
            ("preset", "superfast"),
            ("tune", "zerolatency"),
            ("profile", "baseline"),
            ("crf", "25"),
            ("maxrate", &most),
            ("bufsize", &most),
            // Key pictures are asked for by time; this is for a camera without one.
            ("g", "600"),
            ("forced-idr", "1"),
            ("threads", "1"),
        ]
        .into_iter()
        .collect();
        let encoder = encoder.open_as_with(codec, options)?;
        Ok(Self { encoder, size: (width, height), last_key: None, announced: Vec::new() })
    }

    fn encode(
        &mut self,
        picture: &mut frame::Video,
        pts: i64,
        say: &mut impl FnMut(Answer),
    ) -> Result<(), Error> {
        let due = self.last_key.is_none_or(|last| pts.saturating_sub(last) >= GOP);
        picture.set_kind(if due { Type::I } else { Type::None });
        if due {
            self.last_key = Some(pts);
        }
        picture.set_pts(Some(pts));
        self.encoder.send_frame(picture)?;
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            self.say(&packet, say);
        }
        Ok(())
    }

    /// Splits a packet into what a stream is (parameter sets) and what is in it.
    fn say(&mut self, packet: &Packet, say: &mut impl FnMut(Answer)) {
        let nals: Vec<&[u8]> = nal::split_annex_b(packet.data().unwrap_or_default()).collect();
        let of = |kind| nals.iter().copied().find(move |nal| nal::h264_type(nal) == kind);
        if let (Some(sps), Some(pps)) = (of(7), of(8)) {
            let record = record(sps, pps);
            if self.announced != record {
                self.announced.clone_from(&record);
                let (width, height) = self.size;
                let size = |n| u16::try_from(n).unwrap_or(u16::MAX);
                say(Answer::Video { record: record.into(), width: size(width), height: size(height) });
            }
        }
        // Slices only: the encoder's signature and parameter sets are not sent again.
        let data = nal::join(nals.into_iter().filter(|nal| matches!(nal::h264_type(nal), 1..=5)));
        let pts = packet.pts().unwrap_or_default();
        say(Answer::Unit(Unit { track: Track::Video, key: packet.is_key(), pts, data: data.into() }));
    }
}

/// The `AVCDecoderConfigurationRecord` (ISO 14496-15, 5.3.3.1) of a Baseline stream.
fn record(sps: &[u8], pps: &[u8]) -> Vec<u8> {
    let mut record = vec![1];
    record.extend(sps.get(1..4).unwrap_or(&[66, 0, 31]));
    // Lengths of four bytes, one SPS.
    record.extend([0xff, 0xe1]);
    for (n, set) in [sps, pps].into_iter().enumerate() {
        if n > 0 {
            record.push(1);
        }
        record.extend(u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
        record.extend_from_slice(set);
    }
    record
}
