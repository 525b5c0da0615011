//! The init segment: `ftyp` + `moov` without samples.

use crate::params::{Codec, Params, Track, TrackParams};
use bytes::Bytes;
use mp4_atom::{
    Audio, Avc1, Dinf, Dref, DrefEntry, Encode, Esds, FourCC, Ftyp, Hdlr, Hvc1, Mdhd, Mdia, Minf, Moov, Mp4a,
    Mvex, Mvhd, Smhd, Stbl, Stco, Stsd, Stsz, Tkhd, Trak, Trex, Url, Visual, Vmhd, esds,
};

/// An init segment and what to tell the browser about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// For `MediaSource.isTypeSupported` and `addSourceBuffer`.
    pub mime: String,
    /// `ftyp` + `moov`.
    pub segment: Bytes,
}

/// The init segment of a stream; nothing if it has no picture that MP4 can
/// carry. Sound that MP4 cannot carry (G.711) is left out.
#[must_use]
pub fn build(params: &Params) -> Option<Init> {
    let tracks: Vec<(Track, &TrackParams, String)> = [Track::Video, Track::Audio]
        .into_iter()
        .filter_map(|kind| {
            let track = params.track(kind)?;
            Some((kind, track.as_ref(), track.rfc6381()?))
        })
        .collect();
    if !tracks.iter().any(|(kind, ..)| *kind == Track::Video) {
        return None;
    }
    let codecs: Vec<&str> = tracks.iter().map(|(_, _, codec)| codec.as_str()).collect();
    let mime = format!("video/mp4; codecs=\"{}\"", codecs.join(", "));

    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: vec![FourCC::new(b"iso6"), FourCC::new(b"mp41")],
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1_000,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: 3,
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            mehd: None,
            trex: tracks
                .iter()
                .map(|(kind, ..)| Trex {
                    track_id: super::track_id(*kind),
                    default_sample_description_index: 1,
                    ..Trex::default()
                })
                .collect(),
        }),
        trak: tracks.iter().map(|(kind, track, _)| trak(*kind, track)).collect::<Option<_>>()?,
        ..Moov::default()
    };
    let mut out = Vec::with_capacity(1_024);
    ftyp.encode(&mut out).ok()?;
    moov.encode(&mut out).ok()?;
    Some(Init { mime, segment: out.into() })
}

fn trak(kind: Track, track: &TrackParams) -> Option<Trak> {
    let video = kind == Track::Video;
    Some(Trak {
        tkhd: Tkhd {
            track_id: super::track_id(kind),
            enabled: true,
            in_movie: true,
            volume: u8::from(!video).into(),
            width: track.width.into(),
            height: track.height.into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale: track.clock_rate, language: "und".into(), ..Mdhd::default() },
            hdlr: Hdlr { handler: FourCC::new(if video { b"vide" } else { b"soun" }), name: String::new() },
            minf: Minf {
                vmhd: video.then(Vmhd::default),
                smhd: (!video).then(Smhd::default),
                dinf: Dinf { dref: Dref { entries: vec![DrefEntry::Url(Url::default())] } },
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![sample_entry(track)?] },
                    stsz: Stsz::default(),
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    })
}

fn sample_entry(track: &TrackParams) -> Option<mp4_atom::Codec> {
    let visual =
        Visual { data_reference_index: 1, width: track.width, height: track.height, ..Visual::default() };
    Some(match &track.codec {
        Codec::H264(avcc) => Avc1 {
            visual,
            avcc: avcc.clone(),
            btrt: None,
            colr: None,
            pasp: None,
            taic: None,
            fiel: None,
            spatial: None,
        }
        .into(),
        Codec::H265(hvcc) => Hvc1 { visual, hvcc: hvcc.clone(), ..Hvc1::default() }.into(),
        Codec::Aac(config) => mp4a(track, config)?.into(),
        // RFC 7587 gives Opus 2 channels in RTP; the encoder's pre-skip is 6.5 ms.
        Codec::Opus => mp4_atom::Opus {
            audio: Audio {
                data_reference_index: 1,
                channel_count: track.channels,
                sample_size: 16,
                sample_rate: 48_000u16.into(),
            },
            dops: mp4_atom::Dops {
                output_channel_count: u8::try_from(track.channels).ok()?,
                pre_skip: 312,
                input_sample_rate: 48_000,
                output_gain: 0,
                channel_mapping: None,
            },
            btrt: None,
        }
        .into(),
        Codec::Pcmu | Codec::Pcma => return None,
    })
}

/// ISO 14496-3 section 1.6.2.1: the first 13 bits of the `AudioSpecificConfig`
/// are object type (5), frequency index (4), channel configuration (4).
fn mp4a(track: &TrackParams, config: &Bytes) -> Option<Mp4a> {
    let (first, second) = (*config.first()?, *config.get(1)?);
    Some(Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: track.channels,
            sample_size: 16,
            sample_rate: u16::try_from(track.clock_rate).ok()?.into(),
        },
        esds: Esds {
            es_desc: esds::EsDescriptor {
                es_id: 1,
                dec_config: esds::DecoderConfig {
                    object_type_indication: 0x40, // audio ISO 14496-3
                    stream_type: 5,               // audio stream
                    dec_specific: Some(esds::DecoderSpecific {
                        profile: first >> 3,
                        freq_index: ((first & 7) << 1) | (second >> 7),
                        chan_conf: (second >> 3) & 0x0f,
                        raw: config.to_vec(),
                    }),
                    ..esds::DecoderConfig::default()
                },
                ..esds::EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    })
}
