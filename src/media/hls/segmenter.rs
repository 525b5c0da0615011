//! From frames to parts and segments.

use super::rhythm::{self, Rhythm, SHORTEST_SEGMENT};
use super::{Part, Targets};
use crate::fmp4::part;
use crate::{Frame, Params, Ticks, Track};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What the next frames became, in order.
#[derive(Clone, Debug)]
pub enum Made {
    /// What parts and segments are not longer than from here on.
    Targets(Targets),
    /// A segment begins.
    Segment {
        /// It does not follow from the one before it.
        discontinuity: bool,
        /// What it carries.
        params: Arc<Params>,
        /// The decode time of its first picture, since the stream's time zero.
        begin: Duration,
    },
    /// The next part of the segment.
    Part(Part),
    /// The segment has had its last part.
    End,
}

/// Bytes of frames that become one part; more is no camera.
const MOST_BYTES: usize = 16 << 20;
/// Frames that become one part: sound may come without a picture for a while.
const MOST_FRAMES: usize = 2_000;
/// How much a segment may be longer than the target: it is rounded to whole seconds.
const ROUNDED_AWAY: Duration = Duration::from_millis(490);
/// Where a segment ends that no key frame has ended.
const FORCED: Duration = Duration::from_millis(250);

/// A picture that lasts longer than a part may, but no longer than this many parts and
/// no longer than [`LONGEST_PART`], makes parts longer from there on. Beyond it is a gap.
const GROWTH: u32 = 2;
const LONGEST_PART: Duration = Duration::from_secs(2);

/// Cuts frames into parts and segments.
///
/// A part is finished by the picture after it: then all durations are known, and so
/// is whether the segment ends with it. Whatever breaks the line of time (a new
/// session of the camera, other parameters, a gap that no part can cover) ends the
/// segment, and the next begins at a key frame with a discontinuity.
#[derive(Debug)]
pub struct Segmenter {
    /// The longest group of pictures that was seen.
    gop: Option<Duration>,
    targets: Option<Targets>,
    /// Frames that are looked at before the first of them is cut.
    learning: Vec<Arc<Frame>>,
    open: Option<Open>,
    /// The next segment does not follow from the one before it.
    broken: bool,
    params: Option<Arc<Params>>,
    sequence_number: u32,
    made: Vec<Made>,
}

/// The segment that is being made, and the part.
#[derive(Debug)]
struct Open {
    begin: Ticks,
    part_begin: Ticks,
    /// Begins with a picture.
    frames: Vec<Arc<Frame>>,
    bytes: usize,
    last_key: Ticks,
}

impl Open {
    fn at(frame: Arc<Frame>) -> Self {
        let (dts, bytes) = (frame.dts, frame.data.len());
        Self { begin: dts, part_begin: dts, frames: vec![frame], bytes, last_key: dts }
    }

    /// The last picture and its place.
    fn last_picture(&self) -> Option<(usize, &Arc<Frame>)> {
        self.frames.iter().enumerate().rev().find(|(_, frame)| frame.track == Track::Video)
    }
}

fn span(from: Ticks, until: Ticks) -> Duration {
    Ticks(until.0 - from.0).to_duration(VIDEO_RATE)
}

/// Pictures are on this clock.
const VIDEO_RATE: u32 = 90_000;

impl Segmenter {
    /// A segmenter for a stream whose longest group of pictures is known or not.
    #[must_use]
    pub fn new(gop: Option<Duration>) -> Self {
        Self {
            gop,
            targets: None,
            learning: Vec::new(),
            open: None,
            broken: false,
            params: None,
            sequence_number: 0,
            made: Vec::new(),
        }
    }

    /// Takes the next frame of the stream.
    pub fn push(&mut self, frame: Arc<Frame>) {
        let same = self
            .params
            .as_ref()
            .is_some_and(|params| Arc::ptr_eq(params, &frame.params) || **params == *frame.params);
        if !same {
            self.cut();
            self.params = Some(Arc::clone(&frame.params));
        }
        if self.open.is_some() {
            self.add(frame);
        } else {
            self.learn(frame);
        }
    }

    /// What comes next does not follow from what came.
    pub fn cut(&mut self) {
        // Of too few pictures to learn from, a part is made all the same.
        self.taught();
        let Some(open) = &self.open else { return };
        if let Some((_, last)) = open.last_picture() {
            let longest = self.targets.map_or(Duration::MAX, |targets| targets.part);
            let latest = open.part_begin.0 + Ticks::from_duration(longest, VIDEO_RATE).0;
            let end = Ticks((last.dts.0 + last.duration.0).clamp(last.dts.0 + 1, latest.max(last.dts.0 + 1)));
            self.finish_part(end);
        }
        self.open = None;
        self.broken = true;
        self.made.push(Made::End);
    }

    /// Everything that was made since this was asked last.
    pub fn take(&mut self) -> Vec<Made> {
        std::mem::take(&mut self.made)
    }

    /// Collects pictures from a key frame on until their rhythm is known.
    fn learn(&mut self, frame: Arc<Frame>) {
        let is_picture = frame.track == Track::Video;
        if self.learning.is_empty() && !(is_picture && frame.key) {
            return;
        }
        self.learning.push(frame);
        let bytes: usize = self.learning.iter().map(|frame| frame.data.len()).sum();
        if bytes > MOST_BYTES || self.learning.len() > MOST_FRAMES {
            self.learning.clear();
            return;
        }
        if !is_picture {
            return;
        }
        let pictures = || self.learning.iter().filter(|frame| frame.track == Track::Video);
        let (Some(first), Some(last)) = (pictures().next(), pictures().next_back()) else { return };
        let seen = span(first.dts, last.dts);
        if (seen >= Duration::from_millis(500) && pictures().count() >= 4) || seen >= Duration::from_secs(1) {
            self.taught();
        }
    }

    /// Chooses the targets and cuts what was collected.
    fn taught(&mut self) {
        let frames = std::mem::take(&mut self.learning);
        let pictures: Vec<_> = frames.iter().filter(|frame| frame.track == Track::Video).collect();
        let Some(last) = pictures.last() else { return };
        let mut distances: Vec<Duration> = pictures
            .windows(2)
            .filter_map(|two| match two {
                [a, b] => Some(span(a.dts, b.dts)),
                _ => None,
            })
            .collect();
        distances.sort_unstable();
        let single = last.duration.to_duration(VIDEO_RATE);
        let usual = distances.get(distances.len() / 2).copied().unwrap_or(single);
        // A break is no rhythm.
        let longest = distances.into_iter().rev().find(|distance| *distance <= usual * 2).unwrap_or(usual);
        let mut targets = rhythm::targets(&Rhythm { usual, longest, gop: self.gop });
        if let Some(before) = self.targets {
            // A playlist keeps its target duration. Its parts may only get longer.
            targets = Targets { part: targets.part.max(before.part), segment: before.segment };
        }
        if self.targets.replace(targets) != Some(targets) {
            self.made.push(Made::Targets(targets));
        }
        let mut frames = frames.into_iter();
        if let Some(first) = frames.next() {
            self.begin(Open::at(first));
        }
        for frame in frames {
            if self.open.is_some() { self.add(frame) } else { self.learn(frame) }
        }
    }

    fn begin(&mut self, open: Open) {
        let Some(params) = &self.params else { return };
        self.made.push(Made::Segment {
            discontinuity: std::mem::take(&mut self.broken),
            params: Arc::clone(params),
            begin: open.begin.to_duration(VIDEO_RATE),
        });
        self.open = Some(open);
    }

    fn add(&mut self, frame: Arc<Frame>) {
        if frame.track == Track::Video && !self.make_room(&frame) {
            return self.break_at(frame);
        }
        let Some(open) = &mut self.open else { return };
        open.bytes += frame.data.len();
        open.frames.push(frame);
        if open.bytes > MOST_BYTES || open.frames.len() > MOST_FRAMES {
            self.cut();
        }
    }

    /// A gap: nothing follows from what is there.
    fn break_at(&mut self, frame: Arc<Frame>) {
        self.cut();
        self.learn(frame);
    }

    /// Ends the part and the segment where they must, so that a picture can be added.
    /// False if the time up to it fits in no part.
    fn make_room(&mut self, next: &Arc<Frame>) -> bool {
        let (Some(mut targets), Some(open)) = (self.targets, &self.open) else { return false };
        let Some((_, last)) = open.last_picture() else {
            // The part has only just ended; this picture is what ended it.
            return true;
        };
        let last = last.dts;
        let lasted = span(last, next.dts);
        if lasted > targets.part {
            if lasted > targets.part * GROWTH || lasted > LONGEST_PART {
                return false;
            }
            // Night falls and the camera is slower: better that than to stop until a key frame.
            targets.part = rhythm::rounded(lasted);
            self.targets = Some(targets);
            self.made.push(Made::Targets(targets));
        }
        // The last picture has become longer than it was expected to be.
        if span(open.begin, next.dts) > targets.segment() + ROUNDED_AWAY {
            self.end_segment_before(last);
        } else if span(open.part_begin, next.dts) > targets.part {
            self.end_part_before(last);
        }
        let Some(open) = &mut self.open else { return false };
        let (whole, length) = (span(open.begin, next.dts), span(open.part_begin, next.dts));
        let expected = next.duration.to_duration(VIDEO_RATE);
        let mut ends = whole + expected > targets.segment() + FORCED;
        if next.key {
            let gop = span(open.last_key, next.dts);
            open.last_key = next.dts;
            self.gop = self.gop.max(Some(gop));
            // Also sooner than is aimed at, if the next one would come too late.
            ends |= whole >= SHORTEST_SEGMENT || whole + gop > targets.segment() + FORCED;
        }
        let last_key = open.last_key;
        if ends {
            self.finish_part(next.dts);
            self.made.push(Made::End);
            self.begin(Open {
                begin: next.dts,
                part_begin: next.dts,
                frames: Vec::new(),
                bytes: 0,
                last_key,
            });
        } else if length + expected > targets.part {
            self.finish_part(next.dts);
        }
        true
    }

    /// Makes a part of what was collected.
    fn finish_part(&mut self, end: Ticks) {
        let Some(open) = &mut self.open else { return };
        let frames = std::mem::take(&mut open.frames);
        open.bytes = 0;
        let begin = std::mem::replace(&mut open.part_begin, end);
        self.make_part(&frames, begin, end);
    }

    fn make_part(&mut self, frames: &[Arc<Frame>], begin: Ticks, end: Ticks) {
        if frames.is_empty() {
            return;
        }
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let bytes: Bytes = part::build(self.sequence_number, frames, end);
        let independent = frames.iter().any(|frame| frame.key && frame.track == Track::Video);
        self.made.push(Made::Part(Part { duration: span(begin, end), independent, bytes }));
    }

    /// Ends the part before its last picture, which begins the next.
    fn end_part_before(&mut self, last: Ticks) {
        let Some(open) = &mut self.open else { return };
        let Some((place, _)) = open.last_picture().filter(|(place, _)| *place > 0) else { return };
        let rest = open.frames.split_off(place);
        let bytes = rest.iter().map(|frame| frame.data.len()).sum();
        self.finish_part(last);
        if let Some(open) = &mut self.open {
            (open.frames, open.bytes) = (rest, bytes);
        }
    }

    /// Ends the segment before its last picture, which begins the next.
    fn end_segment_before(&mut self, last: Ticks) {
        self.end_part_before(last);
        let Some(open) = self.open.take() else { return };
        self.made.push(Made::End);
        self.begin(Open { begin: last, part_begin: last, ..open });
    }
}
