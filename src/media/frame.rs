//! The frame: one access unit, immutable, with its wire forms built once.

use crate::params::{Params, Track, TrackParams};
use crate::rtp::Numbering;
use crate::time::Ticks;
use crate::{fmp4, rtp};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One access unit of one track. Video is length-prefixed NAL units
/// ([`crate::nal`]); AAC is one raw access unit; G.711 is samples.
///
/// The wire forms are filled by the first viewer that needs them and shared by
/// all others: frame bytes are copied per stream, never per viewer.
#[derive(Debug)]
pub struct Frame {
    /// The track it belongs to.
    pub track: Track,
    /// A receiver can start here: IDR or IRAP for video; every frame of a stream without video.
    pub key: bool,
    /// When it is shown, in ticks of the track's clock.
    pub pts: Ticks,
    /// When it is decoded, in ticks of the track's clock.
    pub dts: Ticks,
    /// How long it is expected to last, in ticks of the track's clock.
    pub duration: Ticks,
    /// How long it may last, in ticks of the track's clock.
    pub longest: Ticks,
    /// When it reached the gateway, since the stream was created.
    pub arrival: Duration,
    /// The bytes.
    pub data: Bytes,
    /// The parameters it was made under.
    pub params: Arc<Params>,
    /// Its place in the RTP packet sequence that all RTSP readers share.
    pub rtp: Numbering,
    /// Its place among the stream's fMP4 fragments.
    pub fragment_number: u32,
    image: OnceLock<Bytes>,
    message: OnceLock<Bytes>,
    payload: OnceLock<rtp::payload::Payload>,
}

/// What [`Frame::new`] needs.
#[derive(Debug)]
pub struct Parts {
    /// See [`Frame::track`].
    pub track: Track,
    /// See [`Frame::key`].
    pub key: bool,
    /// Presentation, decode time and duration.
    pub stamp: crate::time::Stamp,
    /// See [`Frame::arrival`].
    pub arrival: Duration,
    /// See [`Frame::data`].
    pub data: Bytes,
    /// See [`Frame::params`].
    pub params: Arc<Params>,
    /// See [`Frame::rtp`].
    pub rtp: Numbering,
    /// See [`Frame::fragment_number`].
    pub fragment_number: u32,
}

impl Frame {
    /// Puts a frame together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { track, key, stamp, arrival, data, params, rtp, fragment_number } = parts;
        Self {
            track,
            key,
            pts: stamp.pts,
            dts: stamp.dts,
            duration: stamp.duration,
            longest: stamp.longest,
            arrival,
            data,
            params,
            rtp,
            fragment_number,
            image: OnceLock::new(),
            message: OnceLock::new(),
            payload: OnceLock::new(),
        }
    }

    /// The parameters of this frame's own track, if the stream has told them.
    #[must_use]
    pub fn track_params(&self) -> Option<&TrackParams> {
        self.params.track(self.track).map(AsRef::as_ref)
    }

    /// All RTP packets of the frame as RTSP interleaves them, one contiguous
    /// buffer: `$`, channel (0 video, 2 audio), length, packet, and so on.
    /// `built` runs if this call was the one that built it.
    pub fn rtsp_image(&self, built: impl FnOnce(usize)) -> Bytes {
        self.image
            .get_or_init(|| {
                let image = rtp::pack::image(self);
                built(image.len());
                image
            })
            .clone()
    }

    /// The frame as one WebSocket message with one fMP4 fragment (`moof` + `mdat`),
    /// empty if its codec has no place in MP4. `built` runs if this call was the one
    /// that built it.
    pub fn message(&self, built: impl FnOnce(usize)) -> Bytes {
        self.message
            .get_or_init(|| {
                let message = fmp4::fragment::message(self);
                built(message.len());
                message
            })
            .clone()
    }

    /// The frame's payload pieces as WebRTC sends them. `built` runs if this call was
    /// the one that built them.
    pub fn rtp_payload(&self, built: impl FnOnce(usize)) -> &rtp::payload::Payload {
        self.payload.get_or_init(|| {
            let payload = rtp::payload::build(self);
            built(payload.len());
            payload
        })
    }
}
