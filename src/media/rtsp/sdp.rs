//! The session description a DESCRIBE answers with (RFC 4566, 2326 appendix C).

use crate::params::{Codec, Params, Track, TrackParams};
use crate::rtp::payload_type;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The `a=control` value of a track.
#[must_use]
pub fn control(track: Track) -> &'static str {
    match track {
        Track::Video => "track=video",
        Track::Audio => "track=audio",
    }
}

/// Writes the description of a live stream.
#[must_use]
pub fn describe(params: &Params) -> String {
    let mut sdp = String::from(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Sharp Eyes\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         a=control:*\r\na=range:npt=now-\r\n",
    );
    for kind in [Track::Video, Track::Audio] {
        if let Some(track) = params.track(kind) {
            media(&mut sdp, kind, track);
        }
    }
    sdp
}

fn media(sdp: &mut String, kind: Track, track: &TrackParams) {
    let pt = payload_type(track);
    let (name, encoding) = match (kind, &track.codec) {
        (Track::Video, Codec::H265(_)) => ("video", "H265/90000".to_owned()),
        (Track::Video, _) => ("video", "H264/90000".to_owned()),
        (Track::Audio, Codec::Pcmu) => ("audio", format!("PCMU/{}/{}", track.clock_rate, track.channels)),
        (Track::Audio, Codec::Pcma) => ("audio", format!("PCMA/{}/{}", track.clock_rate, track.channels)),
        // RFC 7587 section 7: always 48,000 and 2.
        (Track::Audio, Codec::Opus) => ("audio", "opus/48000/2".to_owned()),
        (Track::Audio, _) => ("audio", format!("mpeg4-generic/{}/{}", track.clock_rate, track.channels)),
    };
    sdp.push_str(&format!("m={name} 0 RTP/AVP {pt}\r\na=rtpmap:{pt} {encoding}\r\n"));
    if let Some(fmtp) = fmtp(track) {
        sdp.push_str(&format!("a=fmtp:{pt} {fmtp}\r\n"));
    }
    if kind == Track::Video && track.width > 0 {
        sdp.push_str(&format!("a=x-dimensions:{},{}\r\n", track.width, track.height));
    }
    sdp.push_str(&format!("a=control:{}\r\n", control(kind)));
}

fn fmtp(track: &TrackParams) -> Option<String> {
    match &track.codec {
        // RFC 6184 section 8.1.
        Codec::H264(avcc) => {
            let sets: Vec<String> = track.parameter_sets().map(|set| STANDARD.encode(set)).collect();
            Some(format!(
                "packetization-mode=1;profile-level-id={:02X}{:02X}{:02X};sprop-parameter-sets={}",
                avcc.avc_profile_indication,
                avcc.profile_compatibility,
                avcc.avc_level_indication,
                sets.join(",")
            ))
        }
        // RFC 7798 section 7.1.
        Codec::H265(hvcc) => {
            let of = |kind| {
                let sets = hvcc.arrays.iter().filter(|a| a.nal_unit_type == kind).flat_map(|a| &a.nalus);
                sets.map(|set| STANDARD.encode(set)).collect::<Vec<_>>().join(",")
            };
            Some(format!("sprop-vps={};sprop-sps={};sprop-pps={}", of(32), of(33), of(34)))
        }
        // RFC 3640 section 4.1, mode AAC-hbr.
        Codec::Aac(config) => {
            let config: String = config.iter().map(|b| format!("{b:02X}")).collect();
            Some(format!(
                "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
                 indexdeltalength=3;config={config}"
            ))
        }
        Codec::Pcmu | Codec::Pcma | Codec::Opus => None,
    }
}
