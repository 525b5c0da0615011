//! Clips: MP4 files as camera footage, and synthetic ones of exact size and rate.

use crate::film::Film;
use bytes::Bytes;
use media::{Codec, Params, Ticks, Track, TrackParams};
use mp4_atom::{Atom as _, Decode as _, Header, Moov, Stbl, StszSamples, Trak};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A clip that is sent over and over.
#[derive(Debug)]
pub struct Clip {
    /// What it carries.
    pub params: Params,
    /// Its access units in decode order, tracks interleaved.
    pub samples: Vec<ClipSample>,
    /// How long one round takes.
    pub length: Duration,
    /// Whether the moment of sending is written into each frame, in front of all that
    /// follows its first byte: microseconds since the Unix epoch in sixteen digits.
    pub stamped: bool,
    /// Draws its pictures, if they are not the samples' own.
    pub(crate) film: Option<Film>,
}

/// One access unit of a clip.
#[derive(Clone, Debug)]
pub struct ClipSample {
    /// Which track.
    pub track: Track,
    /// Whether a decoder can start here.
    pub key: bool,
    /// Presentation time from the clip's beginning, in the track's ticks.
    pub present: Ticks,
    /// Decode time from the clip's beginning, in the track's ticks.
    pub decode: Ticks,
    /// The bytes.
    pub data: Bytes,
}

/// A file that is no clip we can send.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// It cannot be read.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// It is no MP4 with H.264 or H.265.
    #[error("not an MP4 with H.264 or H.265 video: {0}")]
    Format(&'static str),
}

impl From<mp4_atom::Error> for ClipError {
    fn from(_: mp4_atom::Error) -> Self {
        Self::Format("a box cannot be read")
    }
}

impl Clip {
    /// Reads an MP4 file.
    pub fn read(path: &Path) -> Result<Self, ClipError> {
        let bytes = std::fs::read(path).map_err(|error| ClipError::Io(path.display().to_string(), error))?;
        Self::parse(&bytes.into())
    }

    fn parse(file: &Bytes) -> Result<Self, ClipError> {
        let moov = find_moov(file)?;
        let (mut params, mut samples) = (Params::default(), Vec::new());
        let mut length = Duration::ZERO;
        for trak in &moov.trak {
            let Some((track, track_params)) = track_params(trak)? else { continue };
            let timescale = trak.mdia.mdhd.timescale.max(1);
            let mut own =
                track_samples(file, &trak.mdia.minf.stbl, track, timescale, track_params.clock_rate)?;
            if track == Track::Video {
                let stts = &trak.mdia.minf.stbl.stts.entries;
                let ticks: u64 =
                    stts.iter().map(|e| u64::from(e.sample_count) * u64::from(e.sample_delta)).sum();
                length = Duration::from_micros(ticks * 1_000_000 / u64::from(timescale));
                params.video = Some(Arc::new(track_params));
            } else {
                params.audio = Some(Arc::new(track_params));
            }
            samples.append(&mut own);
        }
        let mut clip = Self { params, samples, length, stamped: false, film: None };
        if clip.params.video.is_none() {
            return Err(ClipError::Format("it has no video track"));
        }
        let rates = (clip.rate(Track::Video), clip.rate(Track::Audio));
        let time =
            |s: &ClipSample| s.decode.to_duration(if s.track == Track::Video { rates.0 } else { rates.1 });
        // Sound that is longer than the picture would overlap the next round.
        clip.samples.retain(|sample| time(sample) < length);
        clip.samples.sort_by_key(time);
        Ok(clip)
    }

    /// A clip without a real picture: `fps` frames a second of `frame_bytes`
    /// each, a key frame every `gop` frames. For load, not for looking at.
    #[must_use]
    pub fn synthetic(fps: u32, gop: u32, frame_bytes: usize) -> Self {
        let video = TrackParams::h264(&synthetic_record(), 1_280, 720).ok().map(Arc::new);
        let samples = (0..gop)
            .map(|n| {
                let mut nal = vec![0x5a; frame_bytes.max(8)];
                if let Some(first) = nal.first_mut() {
                    *first = if n == 0 { 0x65 } else { 0x41 };
                }
                let at = Ticks(i64::from(n) * 90_000 / i64::from(fps.max(1)));
                ClipSample {
                    track: Track::Video,
                    key: n == 0,
                    present: at,
                    decode: at,
                    data: media::nal::join([nal.as_slice()]).into(),
                }
            })
            .collect();
        let length = Duration::from_secs(1) * gop / fps.max(1);
        Self { params: Params { video, audio: None }, samples, length, stamped: true, film: None }
    }

    /// A clip whose every picture says which camera and which frame it is, for
    /// [`crate::mark::read`]: 256 by 128, `fps` frames a second, a key frame every `gop`.
    /// The frames are counted over all rounds.
    #[must_use]
    pub fn marked(camera: u16, fps: u32, gop: u32) -> Self {
        let empty = Self::synthetic(fps, gop.max(1), 0);
        let video = Film::params().map(Arc::new);
        let params = Params { video, audio: None };
        Self { params, film: Some(Film { camera }), stamped: false, ..empty }
    }

    /// The same with G.711 beside the picture, twenty milliseconds a frame: its bytes count
    /// up, from 0 to 255 and again, over all rounds that last whole 32 milliseconds. No
    /// moments are written into it.
    #[must_use]
    pub fn with_g711(mut self, codec: Codec) -> Self {
        const FRAME: usize = 160;
        self.params.audio = Some(Arc::new(TrackParams::audio(codec, 8_000, 1)));
        self.stamped = false;
        let count = usize::try_from(self.length.as_millis() / 20).unwrap_or(0);
        let sound = (0..count).map(|n| {
            let at = Ticks(i64::try_from(n * FRAME).unwrap_or(0));
            let data: Vec<u8> = (n * FRAME..(n + 1) * FRAME).map(|at| (at & 0xff) as u8).collect();
            ClipSample { track: Track::Audio, key: false, present: at, decode: at, data: data.into() }
        });
        self.samples.extend(sound);
        let rate = self.rate(Track::Video);
        self.samples.sort_by_key(|sample| {
            sample.decode.to_duration(if sample.track == Track::Video { rate } else { 8_000 })
        });
        self
    }

    /// The same with key frames of another size.
    #[must_use]
    pub fn with_key_frames_of(mut self, bytes: usize) -> Self {
        let nal = [&[0x65][..], &vec![0x5a; bytes]].concat();
        for sample in self.samples.iter_mut().filter(|sample| sample.track == Track::Video && sample.key) {
            sample.data = media::nal::join([nal.as_slice()]).into();
        }
        self
    }

    /// The same from a camera at a constant bitrate: each picture is followed by filler
    /// (H.264 section 7.3.2.7).
    #[must_use]
    pub fn with_filler(mut self, bytes: usize) -> Self {
        let filler = [&[12][..], &vec![0xff; bytes], &[0x80]].concat();
        for sample in self.samples.iter_mut().filter(|sample| sample.track == Track::Video) {
            let padding = media::nal::join([filler.as_slice()]);
            sample.data = [&sample.data[..], &padding].concat().into();
        }
        self
    }

    /// Ticks per second of a track.
    #[must_use]
    pub fn rate(&self, track: Track) -> u32 {
        self.params.track(track).map_or(90_000, |track| track.clock_rate)
    }
}

/// The `AVCDecoderConfigurationRecord` of real 1280×720 Main profile video:
/// readers parse it, even if nobody decodes the frames.
fn synthetic_record() -> Vec<u8> {
    const SPS: &[u8] = &[
        0x67, 0x4d, 0x40, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
        0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x24, 0x80,
    ];
    const PPS: &[u8] = &[0x68, 0xeb, 0xc3, 0xcb, 0x20];
    let mut record = vec![1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 25];
    record.extend(SPS);
    record.extend([1, 0, 5]);
    record.extend(PPS);
    record
}

fn find_moov(file: &Bytes) -> Result<Moov, ClipError> {
    let mut rest: &[u8] = file;
    while !rest.is_empty() {
        let header = Header::decode(&mut rest)?;
        let size = header.size.unwrap_or(rest.len());
        let body = rest.get(..size).ok_or(ClipError::Format("a box is longer than the file"))?;
        if header.kind == Moov::KIND {
            let mut body = body;
            return Ok(Moov::decode_body(&mut body)?);
        }
        rest = rest.get(size..).unwrap_or_default();
    }
    Err(ClipError::Format("it has no moov box"))
}

/// The body of a configuration box, without its header.
fn record(atom: &impl mp4_atom::Encode) -> Result<Vec<u8>, ClipError> {
    let mut bytes = Vec::new();
    atom.encode(&mut bytes)?;
    Ok(bytes.split_off(8))
}

fn track_params(trak: &Trak) -> Result<Option<(Track, TrackParams)>, ClipError> {
    let bad = |_| ClipError::Format("its codec set-up cannot be read");
    let codec = trak.mdia.minf.stbl.stsd.codecs.first();
    Ok(match codec {
        Some(mp4_atom::Codec::Avc1(avc)) => {
            let params = TrackParams::h264(&record(&avc.avcc)?, avc.visual.width, avc.visual.height);
            Some((Track::Video, params.map_err(bad)?))
        }
        Some(mp4_atom::Codec::Hvc1(hevc)) => {
            let params = TrackParams::h265(&record(&hevc.hvcc)?, hevc.visual.width, hevc.visual.height);
            Some((Track::Video, params.map_err(bad)?))
        }
        Some(mp4_atom::Codec::Hev1(hevc)) => {
            let params = TrackParams::h265(&record(&hevc.hvcc)?, hevc.visual.width, hevc.visual.height);
            Some((Track::Video, params.map_err(bad)?))
        }
        Some(mp4_atom::Codec::Mp4a(mp4a)) => {
            let specific = mp4a.esds.es_desc.dec_config.dec_specific.as_ref();
            let config = specific.map(|s| Bytes::from(s.raw.clone())).unwrap_or_default();
            // The sample entry says two channels whatever there are (ISO 14496-14);
            // the codec's own set-up knows.
            let channels = specific.map_or(mp4a.audio.channel_count, |s| s.chan_conf.into());
            let rate = trak.mdia.mdhd.timescale;
            Some((Track::Audio, TrackParams::audio(Codec::Aac(config), rate, channels)))
        }
        _ => None,
    })
}

/// Sizes, chunks and times of ISO 14496-12 section 8.6 and 8.7, put together.
fn track_samples(
    file: &Bytes,
    stbl: &Stbl,
    track: Track,
    timescale: u32,
    rate: u32,
) -> Result<Vec<ClipSample>, ClipError> {
    let sizes: Vec<u32> = match &stbl.stsz.samples {
        StszSamples::Identical { count, size } => {
            vec![*size; usize::try_from(*count).unwrap_or(0).min(1 << 20)]
        }
        StszSamples::Different { sizes } => sizes.clone(),
    };
    let chunks: Vec<u64> = match (&stbl.stco, &stbl.co64) {
        (Some(stco), _) => stco.entries.iter().map(|e| u64::from(*e)).collect(),
        (None, Some(co64)) => co64.entries.clone(),
        (None, None) => return Err(ClipError::Format("a track has no chunks")),
    };
    let mut durations = stbl.stts.entries.iter().flat_map(|e| repeat(e.sample_delta, e.sample_count));
    let ctts = stbl.ctts.iter().flat_map(|ctts| &ctts.entries);
    let mut offsets = ctts.flat_map(|e| repeat(e.sample_offset, e.sample_count));
    let ticks = |t: i64| Ticks(t.saturating_mul(i64::from(rate)) / i64::from(timescale));

    let (mut samples, mut time) = (Vec::new(), 0i64);
    let mut sizes = sizes.into_iter().enumerate();
    for (number, chunk) in (1u32..).zip(chunks) {
        let per_chunk = stbl.stsc.entries.iter().rev().find(|e| e.first_chunk <= number);
        let mut at = usize::try_from(chunk).unwrap_or(usize::MAX);
        for _ in 0..per_chunk.map_or(0, |e| e.samples_per_chunk) {
            let Some((n, size)) = sizes.next() else { break };
            let end = at.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
            if end > file.len() {
                return Err(ClipError::Format("a sample is outside the file"));
            }
            let sample_number = u32::try_from(n + 1).unwrap_or(u32::MAX);
            samples.push(ClipSample {
                track,
                key: stbl.stss.as_ref().is_none_or(|stss| stss.entries.contains(&sample_number)),
                present: ticks(time + offsets.next().unwrap_or(0)),
                decode: ticks(time),
                data: file.slice(at..end),
            });
            at = end;
            time += i64::from(durations.next().unwrap_or(0));
        }
    }
    Ok(samples)
}

fn repeat<T: Copy>(value: T, count: u32) -> impl Iterator<Item = T> {
    std::iter::repeat_n(value, usize::try_from(count).unwrap_or(0))
}
