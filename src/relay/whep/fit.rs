//! Whether a viewer can play a stream as it is, decided from the stream's parameters
//! and the viewer's offer. The one place that knows.

use super::sdp::{Format, Kind, Offer, Section};
use crate::rendition::{Audio, Rendition, Video};
use media::{Codec, Params, Track, TrackParams};
use std::sync::Arc;

/// One track as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub(super) track: Track,
    /// The section's place in the offer.
    pub(super) section: usize,
    pub(super) format: Format,
}

/// How stream and offer go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The stream is sent as it is. Sound that the viewer cannot play, or did not ask
    /// for, is left out.
    AsItIs(Vec<Chosen>),
    /// The picture would have to be in another codec: H.264, as every browser reads it.
    NeedsH264 {
        /// What the picture is in.
        have: &'static str,
    },
    /// The picture is H.264, and the offer takes none that is cut into packets.
    NeedsFragments,
    /// The offer has no section in which this stream could be sent.
    NothingAsked,
}

/// What of a stream has to be converted for this viewer: a picture that the offer does
/// not take, and AAC, which WebRTC does not know.
#[must_use]
pub fn rendition(params: &Params, offer: &Offer) -> Rendition {
    let unfit = |track: &Option<Arc<TrackParams>>, kind| {
        let (track, (_, asked)) = (track.as_ref()?, wanted(offer, kind)?);
        best(track, asked).is_none().then_some((track.codec.clone(), asked))
    };
    let video = match unfit(&params.video, Kind::Video) {
        Some((_, asked)) if h264(asked).next().is_some() => Video::H264,
        // It would not be taken, either.
        _ => Video::Keep,
    };
    let takes_opus = |asked: &Section| asked.formats.iter().any(|format| format.encoding == "opus");
    let audio = match unfit(&params.audio, Kind::Audio) {
        Some((Codec::Aac(_), asked)) if takes_opus(asked) => Audio::Opus,
        _ => Audio::Keep,
    };
    Rendition { video, audio }
}

/// Decides.
#[must_use]
pub fn fit(params: &Params, offer: &Offer) -> Fit {
    let mut chosen: Vec<Chosen> = Vec::new();
    if let Some(video) = &params.video {
        let Some((section, asked)) = wanted(offer, Kind::Video) else { return Fit::NothingAsked };
        match best(video, asked) {
            Some(format) => chosen.push(Chosen { track: Track::Video, section, format }),
            None if matches!(video.codec, Codec::H264(_)) => return Fit::NeedsFragments,
            None => return Fit::NeedsH264 { have: video.name() },
        }
    }
    if let Some(audio) = &params.audio
        && let Some((section, asked)) = wanted(offer, Kind::Audio)
        && chosen.first().is_none_or(|video| offer.share(video.section, section))
        && let Some(format) = best(audio, asked)
    {
        chosen.push(Chosen { track: Track::Audio, section, format });
    }
    if chosen.is_empty() { Fit::NothingAsked } else { Fit::AsItIs(chosen) }
}

fn wanted(offer: &Offer, kind: Kind) -> Option<(usize, &Section)> {
    offer.sections.iter().enumerate().find(|(_, section)| section.kind == kind && section.receives)
}

/// What the section takes of H.264 as we send it: cut into packets (RFC 6184 section 6.3).
fn h264(section: &Section) -> impl Iterator<Item = &Format> {
    let named = section.formats.iter().filter(|f| f.encoding == "h264" && f.clock_rate == 90_000);
    named.filter(|f| f.parameter("packetization-mode") == Some("1"))
}

/// The payload type that says best what the track is.
fn best(track: &TrackParams, section: &Section) -> Option<Format> {
    let named = |encoding: &'static str, rate: u32| {
        section.formats.iter().filter(move |f| f.encoding == encoding && f.clock_rate == rate)
    };
    let mono = track.clock_rate == 8_000 && track.channels == 1;
    match &track.codec {
        Codec::H264(avcc) => {
            let ours = [avcc.avc_profile_indication, avcc.profile_compatibility];
            let format = h264(section).min_by_key(|format| distance(ours, format))?;
            let level = format.parameter("profile-level-id").unwrap_or("42e01f");
            // RFC 6184 section 8.2.2: the profile is the offer's. What the stream is in
            // the SPS says, which is all that browsers' decoders look at.
            let parameters =
                format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={level}");
            Some(Format { parameters, ..format.clone() })
        }
        Codec::Pcmu if mono => named("pcmu", 8_000).next().cloned(),
        Codec::Pcma if mono => named("pcma", 8_000).next().cloned(),
        Codec::Opus => named("opus", 48_000).next().cloned(),
        Codec::H265(_) | Codec::Aac(_) | Codec::Pcmu | Codec::Pcma => None,
    }
}

/// How far an offered H.264 profile is from ours. Any will do, because decoders read
/// what is there, but some choose one by it.
fn distance(ours: [u8; 2], format: &Format) -> u8 {
    let profile = format.parameter("profile-level-id").unwrap_or("42e01f");
    let byte = |at: usize| profile.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let (Some(theirs), Some(constraints)) = (byte(0), byte(2)) else { return u8::MAX };
    // Baseline, Main, High: a later one reads an earlier one.
    let rank = |profile: u8| match profile {
        66 | 88 => 0,
        77 => 1,
        _ => 2,
    };
    match (rank(theirs), rank(ours[0])) {
        (a, b) if a == b => u8::from(constraints & 0x40 != ours[1] & 0x40),
        (a, b) if a > b => 2 + a - b,
        (a, b) => 8 + b - a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn offer(video: &str, audio: &str) -> Offer {
        let text = format!(
            "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\na=mid:0\r\na=recvonly\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n\
             a=fingerprint:sha-256 {}\r\na=rtpmap:111 opus/48000/2\r\n{audio}\
             m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100\r\na=mid:1\r\na=recvonly\r\n{video}",
            ["AB"; 32].join(":")
        );
        Offer::parse(&text).unwrap()
    }

    fn h264(profile: u8, constraints: u8) -> Arc<TrackParams> {
        let record = [
            1,
            profile,
            constraints,
            0x1f,
            0xff,
            0xe1,
            0,
            5,
            0x67,
            profile,
            constraints,
            0x1f,
            9,
            1,
            0,
            2,
            0x68,
            0xee,
        ];
        Arc::new(TrackParams::h264(&record, 768, 576).unwrap())
    }

    const CHROME: &str = "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\n\
        a=fmtp:97 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=640c1f\r\n\
        a=rtpmap:98 H264/90000\r\na=fmtp:98 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:99 H264/90000\r\na=fmtp:99 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f\r\n\
        a=rtpmap:100 H264/90000\r\na=fmtp:100 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f\r\n";

    fn video_pt(params: &Params, offer: &Offer) -> Option<u8> {
        match fit(params, offer) {
            Fit::AsItIs(chosen) => chosen.first().map(|chosen| chosen.format.payload_type),
            _ => None,
        }
    }

    #[test]
    fn the_profile_that_is_nearest_is_chosen_and_never_one_packet_a_nal_unit() {
        let of = |video| Params { video: Some(video), audio: None };
        for (profile, constraints, expected) in
            [(0x42, 0xe0, 98), (0x4d, 0x00, 99), (0x64, 0x00, 100), (0x64, 0x0c, 100)]
        {
            assert_eq!(video_pt(&of(h264(profile, constraints)), &offer(CHROME, "")), Some(expected));
        }
        let one = "a=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=1;profile-level-id=42e01f\r\n";
        assert_eq!(video_pt(&of(h264(0x64, 0)), &offer(one, "")), Some(98), "better than no picture");
        let none = "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 packetization-mode=0\r\n";
        assert_eq!(fit(&of(h264(0x42, 0xe0)), &offer(none, "")), Fit::NeedsFragments);
        assert_eq!(
            rendition(&of(h264(0x42, 0xe0)), &offer(none, "")).video,
            Video::Keep,
            "it would not help"
        );
    }

    #[test]
    fn sound_goes_as_it_is_or_is_left_out() {
        let with = |codec, rate| Params {
            video: Some(h264(0x42, 0xe0)),
            audio: Some(Arc::new(TrackParams::audio(codec, rate, 1))),
        };
        let audio_pt = |params: &Params| match fit(params, &offer(CHROME, "")) {
            Fit::AsItIs(chosen) => chosen.get(1).map(|chosen| chosen.format.payload_type),
            _ => None,
        };
        assert_eq!(audio_pt(&with(Codec::Pcmu, 8_000)), Some(0));
        let mut apart = offer(CHROME, "");
        assert!(apart.share(0, 1));
        apart.sections[0].mid.clear();
        let fit = fit(&with(Codec::Pcmu, 8_000), &apart);
        assert!(
            matches!(fit, Fit::AsItIs(chosen) if chosen.len() == 1),
            "sound goes the picture's way or not at all"
        );
        assert_eq!(audio_pt(&with(Codec::Pcma, 8_000)), Some(8));
        assert_eq!(audio_pt(&with(Codec::Opus, 48_000)), Some(111));
        assert_eq!(audio_pt(&with(Codec::Pcma, 16_000)), None);
        assert_eq!(audio_pt(&with(Codec::Aac(vec![0x12, 0x10].into()), 44_100)), None);
    }
}
