//! What a decode process answers on its way into a stream, checked: it may have been
//! taken over by what it reads. It gets no more into the stream than was given to it,
//! and no other times.

use crate::decoder::Trouble;
use media::job::{Answer, Conversion, Unit};
use media::time::Stamp;
use media::{Frame, Params, Ticks, Track, TrackParams};
use std::sync::Arc;

/// Opus packets that one AAC frame may become: 2,048 samples at 8 kHz are 13.
const PACKETS: u32 = 16;
/// Answers that may come late.
const MOST: u32 = 1_024;
/// Ticks of 48 kHz by which a packet may be ahead of what was given: the encoder's.
const AHEAD: i64 = 48_000;
/// Ticks of an Opus packet.
const PACKET: Ticks = Ticks(960);
/// Units without an answer after which it is behind. Decoders hold back a few.
const OWED: u32 = 32;

/// What goes into the stream.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    /// What it carries from here on.
    Params(Params),
    /// An access unit.
    Unit { track: Track, key: bool, stamp: Stamp, data: bytes::Bytes },
}

/// The last decode time of each track, which outlives the process.
#[derive(Debug, Default)]
pub(super) struct Clock {
    video: Option<i64>,
    audio: Option<i64>,
}

impl Clock {
    fn last(&mut self, track: Track) -> &mut Option<i64> {
        match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        }
    }

    /// The time of the last picture.
    pub(super) fn picture(&self) -> Option<i64> {
        self.video
    }

    /// Where a frame goes that goes through as it is; nothing if it was there already.
    pub(super) fn pass(&mut self, frame: &Frame) -> Option<Stamp> {
        let Frame { track, pts, dts, duration, longest, .. } = frame;
        let last = self.last(*track);
        if last.is_some_and(|last| dts.0 <= last) {
            return None;
        }
        *last = Some(dts.0);
        Some(Stamp { pts: *pts, dts: *dts, duration: *duration, longest: *longest })
    }
}

/// One conversion under way.
#[derive(Debug)]
pub(super) struct Line {
    conversion: Conversion,
    /// What the stream carries: the picture is known once the process has said it.
    params: Params,
    /// The newest time that was given, in ticks of what comes back.
    newest_video: i64,
    newest_audio: i64,
    pictures: u32,
    packets: u32,
    owed: u32,
    duration: Ticks,
    longest: Ticks,
}

impl Line {
    /// A line for what becomes of a stream of `source`.
    pub(super) fn new(conversion: Conversion, source: &Params) -> Self {
        let video = if conversion.video.is_some() { None } else { source.video.clone() };
        let audio = match &conversion.audio {
            Some(sound) => Some(Arc::new(sound.opus())),
            None => source.audio.clone(),
        };
        Self {
            conversion,
            params: Params { video, audio },
            newest_video: i64::MIN,
            newest_audio: i64::MIN,
            pictures: 0,
            packets: 0,
            owed: 0,
            duration: Ticks(3_600),
            longest: Ticks(3_600),
        }
    }

    /// Something else is converted from here on; what was given may still be answered.
    pub(super) fn go_on_as(&mut self, new: Self) {
        if new.conversion.video.is_none() || self.conversion.video.is_none() {
            self.params.video = new.params.video;
        }
        self.params.audio = new.params.audio;
        self.conversion = new.conversion;
    }

    /// What the stream carries, if all of it is known.
    pub(super) fn params(&self) -> Option<&Params> {
        let known = self.conversion.video.is_none() || self.params.video.is_some();
        known.then_some(&self.params)
    }

    /// A frame for the process; nothing if it goes through as it is.
    pub(super) fn give(&mut self, frame: &Frame) -> Option<Unit> {
        let pts = frame.pts.0;
        match frame.track {
            Track::Video => {
                self.conversion.video.as_ref()?;
                self.newest_video = self.newest_video.max(pts);
                self.pictures = (self.pictures + 1).min(MOST);
                (self.duration, self.longest) = (frame.duration, frame.longest);
            }
            Track::Audio => {
                let sound = self.conversion.audio.as_ref()?;
                let ticks = pts.saturating_mul(48_000) / i64::from(sound.rate.max(1));
                self.newest_audio = self.newest_audio.max(ticks);
                self.packets = (self.packets + PACKETS).min(MOST);
            }
        }
        self.owed = self.owed.saturating_add(1);
        Some(Unit { track: frame.track, key: frame.key, pts, data: frame.data.clone() })
    }

    /// Whether an answer is due.
    pub(super) fn is_owed(&self) -> bool {
        self.owed >= OWED
    }

    /// An answer of the process; nothing if it was there already.
    pub(super) fn take(&mut self, answer: Answer, clock: &mut Clock) -> Result<Option<Written>, Trouble> {
        self.owed = 0;
        match answer {
            Answer::Video { record, width, height } => {
                if self.conversion.video.is_none() || self.pictures == 0 {
                    return Err(Trouble::Malformed);
                }
                let video = TrackParams::h264(&record, width, height).map_err(|_| Trouble::Malformed)?;
                self.params.video = Some(Arc::new(video));
                Ok(Some(Written::Params(self.params.clone())))
            }
            Answer::Unit(unit) => self.unit(unit, clock),
            Answer::Failed(failure) => Err(Trouble::Failed(failure)),
            Answer::Ready(_) | Answer::Still(_) => Err(Trouble::Malformed),
        }
    }

    fn unit(&mut self, unit: Unit, clock: &mut Clock) -> Result<Option<Written>, Trouble> {
        let Unit { track, pts, data, .. } = unit;
        let (credit, newest, converted) = match track {
            Track::Video => (&mut self.pictures, self.newest_video, self.conversion.video.is_some()),
            Track::Audio => {
                let newest = self.newest_audio.saturating_add(AHEAD);
                (&mut self.packets, newest, self.conversion.audio.is_some())
            }
        };
        let params = self.params.track(track);
        let (true, Some(params)) = (converted && *credit > 0 && pts <= newest, params) else {
            return Err(Trouble::Malformed);
        };
        *credit -= 1;
        // Sound is heard again after a process was replaced.
        let last = clock.last(track);
        if data.is_empty() || last.is_some_and(|last| pts <= last) {
            return Ok(None);
        }
        *last = Some(pts);
        // Whether a decoder can start there is seen, not believed.
        let key = params.is_key(&data);
        let (duration, longest) = match track {
            Track::Video => (self.duration, self.longest),
            Track::Audio => (PACKET, PACKET),
        };
        let stamp = Stamp { pts: Ticks(pts), dts: Ticks(pts), duration, longest };
        Ok(Some(Written::Unit { track, key, stamp, data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use media::frame::Parts;
    use media::job::{Coding, Picture};
    use media::rtp::Numbering;
    use proptest::prelude::*;

    fn frame(pts: i64) -> Frame {
        Frame::new(Parts {
            track: Track::Video,
            key: true,
            stamp: Stamp { pts: Ticks(pts), dts: Ticks(pts), duration: Ticks(9), longest: Ticks(9) },
            arrival: std::time::Duration::ZERO,
            data: Bytes::from_static(&[0, 0, 0, 1, 9]),
            params: Arc::default(),
            rtp: Numbering::default(),
            fragment_number: 0,
        })
    }

    fn line() -> Line {
        let video = Some(Picture { coding: Coding::H265, sets: Bytes::new() });
        Line::new(Conversion { video, audio: None, after: None }, &Params::default())
    }

    const RECORD: &[u8] = &[1, 66, 192, 31, 0xff, 0xe1, 0, 4, 0x67, 66, 192, 31, 1, 0, 2, 0x68, 0xce];

    fn announced() -> Answer {
        Answer::Video { record: Bytes::from_static(RECORD), width: 640, height: 360 }
    }

    fn picture(pts: i64, nal: u8) -> Answer {
        let data = Bytes::copy_from_slice(&[0, 0, 0, 2, nal, 1]);
        Answer::Unit(Unit { track: Track::Video, key: true, pts, data })
    }

    #[test]
    fn a_process_gets_in_what_it_was_given_and_no_more() {
        let (mut line, mut clock) = (line(), Clock::default());
        assert!(line.params().is_none());
        // Before anything was given to it, and before it has said what it is.
        assert_eq!(line.take(announced(), &mut clock), Err(Trouble::Malformed));
        assert!(line.give(&frame(100)).is_some());
        assert_eq!(line.take(picture(100, 0x65), &mut clock), Err(Trouble::Malformed));
        assert!(matches!(line.take(announced(), &mut clock), Ok(Some(Written::Params(_)))));
        assert!(line.params().is_some());
        let Ok(Some(Written::Unit { key, stamp, .. })) = line.take(picture(100, 0x65), &mut clock) else {
            panic!("not written")
        };
        assert!(key && stamp.pts == Ticks(100) && stamp.duration == Ticks(9));
        // A second one for the same.
        assert_eq!(line.take(picture(100, 0x65), &mut clock), Err(Trouble::Malformed));
        // From the future, and one that says it is a key.
        assert!(line.give(&frame(200)).is_some());
        assert_eq!(line.take(picture(201, 0x65), &mut clock), Err(Trouble::Malformed));
        let Ok(Some(Written::Unit { key, .. })) = line.take(picture(200, 0x41), &mut clock) else {
            panic!("not written")
        };
        assert!(!key);
        // Sound that nobody asked for, and other words.
        let sound = Unit { track: Track::Audio, key: true, pts: 0, data: Bytes::from_static(&[1]) };
        assert_eq!(line.take(Answer::Unit(sound), &mut clock), Err(Trouble::Malformed));
        assert_eq!(line.take(Answer::Still(Bytes::new()), &mut clock), Err(Trouble::Malformed));
    }

    #[test]
    fn what_was_there_already_is_not_written_again() {
        let mut clock = Clock::default();
        assert!(clock.pass(&frame(100)).is_some() && clock.pass(&frame(100)).is_none());
        assert_eq!(clock.picture(), Some(100));
        let mut line = line();
        line.give(&frame(100));
        line.take(announced(), &mut clock).unwrap();
        assert_eq!(line.take(picture(100, 0x65), &mut clock), Ok(None));
    }

    proptest! {
        #[test]
        fn whatever_it_answers_times_increase_and_nothing_panics(
            answers in prop::collection::vec((any::<i64>(), any::<bool>(), 0u8..4), 0..50)
        ) {
            let (mut line, mut clock) = (line(), Clock::default());
            let mut last = None;
            for (n, (pts, near, kind)) in answers.into_iter().enumerate() {
                let n = i64::try_from(n).unwrap();
                line.give(&frame(n * 10));
                let pts = if near { n * 10 - pts.rem_euclid(50) } else { pts };
                let answer = if kind == 0 { announced() } else { picture(pts, 0x65) };
                if let Ok(Some(Written::Unit { stamp, .. })) = line.take(answer, &mut clock) {
                    prop_assert!(last.is_none_or(|last| stamp.dts.0 > last) && stamp.pts.0 <= n * 10);
                    last = Some(stamp.dts.0);
                }
            }
        }
    }
}
