//! The writing end of a stream.

use super::{Shared, State, Stats, Status};
use crate::WallClock;
use bytes::Bytes;
use media::frame::Parts;
use media::rtp::Sequencer;
use media::time::{Stamp, Timeline};
use media::{Frame, Params, Ticks, Track};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Sound waits this long for a picture to ride with.
const AUDIO_RIDES: Duration = Duration::from_millis(40);

/// One access unit as a source delivers it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Which track.
    pub track: Track,
    /// Whether a decoder can start here.
    pub key: bool,
    /// The source's time since its session began, in the track's ticks.
    pub time: Ticks,
    /// The bytes, as [`Frame::data`] wants them.
    pub data: Bytes,
}

/// The only writer of a stream. Dropping it ends the stream.
pub struct Publisher {
    shared: Arc<Shared>,
    clock: WallClock,
    video: Line,
    audio: Line,
    fragment_number: u32,
    params: Arc<Params>,
    /// Where the stream comes from, once that was said.
    origin: Option<Box<str>>,
    /// Pictures are dropped until the first that a decoder can start at.
    needs_key: bool,
    /// Arrival of the oldest sound no viewer has been woken for.
    unannounced: Option<Duration>,
}

/// A track's place in packet numbers and time.
struct Line {
    sequencer: Sequencer,
    timeline: Timeline,
    rate: u32,
}

impl Line {
    fn new(rate: u32) -> Self {
        Self { sequencer: Sequencer::new(crate::random()), timeline: Timeline::new(rate), rate }
    }
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>, clock: WallClock) -> Self {
        Self {
            shared,
            clock,
            video: Line::new(90_000),
            audio: Line::new(8_000),
            fragment_number: 0,
            params: Arc::default(),
            origin: None,
            needs_key: true,
            unannounced: None,
        }
    }

    /// The source has a new session with clocks of its own; its first pictures may
    /// refer to ones that nobody has.
    pub fn restart(&mut self) {
        self.needs_key = true;
        self.shared.lock().ring.cut();
        self.video.timeline.restart();
        self.audio.timeline.restart();
    }

    /// Says where the stream comes from. If that is elsewhere than before, nothing that
    /// came from there is shown again: it is another place.
    pub fn set_origin(&mut self, origin: &str) {
        if self.origin.as_deref() == Some(origin) {
            return;
        }
        if self.origin.replace(origin.into()).is_none() {
            return;
        }
        self.forget();
        self.restart();
        self.shared.lock().source_since = Instant::now();
        self.shared.wake();
    }

    /// Nobody watches and nothing is pulled: what is held is no longer now.
    pub fn forget(&mut self) {
        self.params = Arc::default();
        let mut inner = self.shared.lock();
        inner.ring.clear();
        inner.params = None;
    }

    /// What the stream carries from here on. Viewers are told when it differs.
    pub fn set_params(&mut self, params: Params) {
        if *self.params == params && self.shared.lock().params.is_some() {
            return;
        }
        if let Some(audio) = params.audio.as_ref().filter(|audio| audio.clock_rate != self.audio.rate) {
            self.audio = Line::new(audio.clock_rate);
        }
        self.params = Arc::new(params);
        self.shared.lock().params = Some(Arc::clone(&self.params));
        self.shared.wake();
    }

    /// The parameters in force.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Appends an access unit. Never waits for a viewer. Samples of a track that
    /// the parameters do not name are dropped.
    pub fn push(&mut self, sample: Sample) {
        let Sample { track, key, time, data } = sample;
        if self.params.track(track).is_none() {
            return;
        }
        let arrival = self.shared.epoch.elapsed();
        let stamp = self.line(track).timeline.place(time, arrival);
        self.append(track, key, stamp, data);
    }

    fn line(&mut self, track: Track) -> &mut Line {
        match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        }
    }

    /// Appends an access unit at a time that is known: for a stream that is made of
    /// another one. The decode times of a track must increase.
    pub(crate) fn append(&mut self, track: Track, key: bool, stamp: Stamp, data: Bytes) {
        let Some(track_params) = self.params.track(track).cloned() else { return };
        let arrival = self.shared.epoch.elapsed();
        let key = if track == Track::Audio { self.params.video.is_none() } else { key };
        if self.needs_key && track == Track::Video {
            if !key {
                return;
            }
            self.needs_key = false;
        }
        let rtp = self.line(track).sequencer.number(&track_params, key, &data, stamp.pts);
        self.fragment_number = self.fragment_number.wrapping_add(1);
        let frame = Arc::new(Frame::new(Parts {
            track,
            key,
            stamp,
            arrival,
            data,
            params: Arc::clone(&self.params),
            rtp,
            fragment_number: self.fragment_number,
        }));
        self.shared.lock().ring.push(frame);
        Stats::add(&self.shared.stats.frames, 1);

        // Sound rides with the next picture: 50 packets of it a second, sent
        // alone, would cost as much as the picture does.
        let oldest = *self.unannounced.get_or_insert(arrival);
        let alone = self.params.video.is_none();
        if track == Track::Video || alone || arrival.saturating_sub(oldest) >= AUDIO_RIDES {
            self.unannounced = None;
            self.shared.wake();
        }
    }

    /// Says how many bytes the source's session holds.
    pub fn set_held(&self, bytes: usize) {
        self.shared.stats.held_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Says how the stream is. Saying the same again changes nothing.
    pub fn set_state(&self, state: State, detail: &str) {
        {
            let mut inner = self.shared.lock();
            if inner.status.state == state && *inner.status.detail == *detail {
                return;
            }
            inner.status = Status { state, since: self.clock.now(), detail: detail.into() };
            inner.status_number += 1;
        }
        self.shared.wake();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.wake();
    }
}
