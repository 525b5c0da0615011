//! Streams in another codec: H.264 and Opus for viewers that cannot play what a camera
//! sends.
//!
//! A rendition is a hub like any other, whose writer is not a camera but a task that
//! reads the camera's hub. What the viewer can play goes through as it is; the rest
//! goes through a decode process, one for all viewers of the rendition. Times are the
//! camera's.

mod line;
mod task;

pub(crate) use task::{Making, run};

use media::job::{Conversion, Picture, Sound};
use media::{Codec, Params};

/// What a viewer wants of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rendition {
    /// The picture.
    pub video: Video,
    /// The sound.
    pub audio: Audio,
}

/// How the picture is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Video {
    /// As the camera sends it.
    #[default]
    Keep,
    /// As H.264, no wider than 1280 pixels if it has to be converted.
    H264,
}

/// How the sound is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Audio {
    /// As the camera sends it.
    #[default]
    Keep,
    /// AAC as Opus; G.711 as it is, which WebRTC plays.
    Opus,
}

impl Rendition {
    /// Whether everything is wanted as the camera sends it.
    #[must_use]
    pub fn is_as_sent(self) -> bool {
        self == Self::default()
    }

    /// Whether a stream of these parameters must be converted for it.
    #[must_use]
    pub fn converts(self, params: &Params) -> bool {
        self.conversion(params, None).is_some()
    }

    /// What is to be converted of a stream of these parameters; nothing if all of it is
    /// as wanted. Pictures up to `after` are not wanted again.
    fn conversion(self, params: &Params, after: Option<i64>) -> Option<Conversion> {
        let video = params
            .video
            .as_ref()
            .filter(|video| self.video == Video::H264 && !matches!(video.codec, Codec::H264(_)));
        let audio = params.audio.as_ref().filter(|_| self.audio == Audio::Opus);
        let video = video.and_then(|video| Picture::of(video));
        let audio = audio.and_then(|audio| Sound::of(audio));
        (video.is_some() || audio.is_some()).then_some(Conversion { video, audio, after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::TrackParams;
    use std::sync::Arc;

    #[test]
    fn only_what_cannot_be_played_is_converted() {
        let sound =
            |codec| Params { video: None, audio: Some(Arc::new(TrackParams::audio(codec, 16_000, 1))) };
        let aac = sound(Codec::Aac(Bytes::from_static(&[0x14, 0x08])));
        let opus = Rendition { video: Video::H264, audio: Audio::Opus };
        assert!(opus.converts(&aac) && !opus.converts(&sound(Codec::Pcma)));
        assert!(!opus.converts(&Params::default()));
        let h264 = Rendition { video: Video::H264, audio: Audio::Keep };
        assert!(!h264.converts(&aac) && !h264.is_as_sent());
        assert!(Rendition::default().is_as_sent());
    }
}
