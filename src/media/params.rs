//! What a receiver must know before the first frame: codecs and their set-up bytes.

use bytes::Bytes;
use mp4_atom::{Atom, Avcc, Hvcc};
use std::sync::Arc;

/// Which of a stream's tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// The picture.
    Video,
    /// The sound.
    Audio,
}

/// A codec with the out-of-band bytes its decoder starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Codec {
    /// H.264: the `AVCDecoderConfigurationRecord`.
    H264(Avcc),
    /// H.265: the `HEVCDecoderConfigurationRecord`.
    H265(Hvcc),
    /// AAC: the `AudioSpecificConfig` (ISO 14496-3).
    Aac(Bytes),
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Opus (RFC 6716), one packet a frame; its clock is 48,000 whatever it carries.
    Opus,
}

/// One track's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackParams {
    /// Codec and set-up bytes.
    pub codec: Codec,
    /// Ticks per second of the track's timestamps: 90,000 for video, the sample rate for audio.
    pub clock_rate: u32,
    /// Picture width in pixels; 0 for audio.
    pub width: u16,
    /// Picture height in pixels; 0 for audio.
    pub height: u16,
    /// Channels of sound; 0 for video.
    pub channels: u16,
}

/// A stream's tracks. Shared by all frames that were made under it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params {
    /// The picture, if the stream has one.
    pub video: Option<Arc<TrackParams>>,
    /// The sound, if the stream has one and the camera's audio is enabled.
    pub audio: Option<Arc<TrackParams>>,
}

/// Set-up bytes that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the camera's {0} set-up bytes cannot be read")]
pub struct BadParams(pub &'static str);

impl TrackParams {
    /// H.264 video from an `AVCDecoderConfigurationRecord`.
    pub fn h264(record: &[u8], width: u16, height: u16) -> Result<Self, BadParams> {
        let mut record = record;
        let avcc = Avcc::decode_body(&mut record).map_err(|_| BadParams("H.264"))?;
        if avcc.length_size != 4
            || avcc.sequence_parameter_sets.iter().all(|sps| sps.len() < 4)
            || avcc.picture_parameter_sets.is_empty()
        {
            return Err(BadParams("H.264"));
        }
        Ok(Self::video(Codec::H264(avcc), width, height))
    }

    /// H.265 video from an `HEVCDecoderConfigurationRecord`.
    pub fn h265(record: &[u8], width: u16, height: u16) -> Result<Self, BadParams> {
        let mut record = record;
        let hvcc = Hvcc::decode_body(&mut record).map_err(|_| BadParams("H.265"))?;
        if hvcc.length_size_minus_one != 3 || hvcc.arrays.is_empty() {
            return Err(BadParams("H.265"));
        }
        Ok(Self::video(Codec::H265(hvcc), width, height))
    }

    fn video(codec: Codec, width: u16, height: u16) -> Self {
        Self { codec, clock_rate: 90_000, width, height, channels: 0 }
    }

    /// Sound in `codec` at `clock_rate` samples per second.
    #[must_use]
    pub fn audio(codec: Codec, clock_rate: u32, channels: u16) -> Self {
        Self { codec, clock_rate, width: 0, height: 0, channels }
    }

    /// The NAL units that must come before a key frame: VPS, SPS and PPS.
    pub fn parameter_sets(&self) -> impl Iterator<Item = &[u8]> {
        let (avc, hevc) = match &self.codec {
            Codec::H264(avcc) => (Some(avcc), None),
            Codec::H265(hvcc) => (None, Some(hvcc)),
            _ => (None, None),
        };
        let avc = avc
            .into_iter()
            .flat_map(|avcc| avcc.sequence_parameter_sets.iter().chain(&avcc.picture_parameter_sets));
        // VPS 32, SPS 33, PPS 34; the record may also hold SEI, which is not a parameter set.
        let hevc = hevc.into_iter().flat_map(|hvcc| {
            [32, 33, 34].into_iter().flat_map(|kind| {
                hvcc.arrays.iter().filter(move |a| a.nal_unit_type == kind).flat_map(|a| &a.nalus)
            })
        });
        avc.chain(hevc).map(Vec::as_slice)
    }

    /// Whether `nal` is a parameter set of this codec.
    #[must_use]
    pub fn is_parameter_set(&self, nal: &[u8]) -> bool {
        match self.codec {
            Codec::H264(_) => matches!(crate::nal::h264_type(nal), 7 | 8),
            Codec::H265(_) => matches!(crate::nal::h265_type(nal), 32..=34),
            _ => false,
        }
    }

    /// Whether a decoder can start at this access unit: an IDR picture, and in
    /// H.265 any IRAP picture (types 16 to 23). Cameras and encoders with open
    /// GOPs send one IDR and then only CRA pictures.
    #[must_use]
    pub fn is_key(&self, access_unit: &[u8]) -> bool {
        let mut nals = crate::nal::split(access_unit);
        match self.codec {
            Codec::H264(_) => nals.any(|nal| crate::nal::h264_type(nal) == 5),
            Codec::H265(_) => nals.any(|nal| matches!(crate::nal::h265_type(nal), 16..=23)),
            Codec::Aac(_) | Codec::Pcmu | Codec::Pcma | Codec::Opus => true,
        }
    }

    /// The short name people know: `H.264`, `H.265`, `AAC`, `G.711`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.codec {
            Codec::H264(_) => "H.264",
            Codec::H265(_) => "H.265",
            Codec::Aac(_) => "AAC",
            Codec::Pcmu | Codec::Pcma => "G.711",
            Codec::Opus => "Opus",
        }
    }

    /// The codec string of RFC 6381, where the codec can be carried in MP4 for a browser.
    #[must_use]
    pub fn rfc6381(&self) -> Option<String> {
        match &self.codec {
            Codec::H264(avcc) => Some(format!(
                "avc1.{:02x}{:02x}{:02x}",
                avcc.avc_profile_indication, avcc.profile_compatibility, avcc.avc_level_indication
            )),
            Codec::H265(hvcc) => Some(h265_codec_string(hvcc)),
            Codec::Aac(config) => {
                let object_type = config.first().map_or(2, |b| b >> 3);
                Some(format!("mp4a.40.{object_type}"))
            }
            Codec::Opus => Some("opus".to_owned()),
            Codec::Pcmu | Codec::Pcma => None,
        }
    }
}

/// ISO 14496-15 annex E.3: profile space and id, reversed compatibility flags,
/// tier and level, then the constraint bytes without trailing zeros.
fn h265_codec_string(hvcc: &Hvcc) -> String {
    let space = ["", "A", "B", "C"].get(usize::from(hvcc.general_profile_space)).unwrap_or(&"");
    let compatibility = u32::from_be_bytes(hvcc.general_profile_compatibility_flags).reverse_bits();
    let tier = if hvcc.general_tier_flag { 'H' } else { 'L' };
    let mut text = format!(
        "hvc1.{space}{}.{compatibility:X}.{tier}{}",
        hvcc.general_profile_idc, hvcc.general_level_idc
    );
    let constraints = hvcc.general_constraint_indicator_flags;
    let used = constraints.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    for byte in constraints.iter().take(used) {
        text.push_str(&format!(".{byte:X}"));
    }
    text
}

impl Params {
    /// The parameters of `track`.
    #[must_use]
    pub fn track(&self, track: Track) -> Option<&Arc<TrackParams>> {
        match track {
            Track::Video => self.video.as_ref(),
            Track::Audio => self.audio.as_ref(),
        }
    }
}
