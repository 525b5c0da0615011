//! The segments of a stream that can be had, and those that the playlist names.

use super::{Made, Name, Targets};
use crate::Params;
use crate::fmp4::init::{self, Init};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Target durations that the playlist goes back: one more than players must be able
/// to skip (RFC 8216bis, section 4.4.3.8), so that there is something to skip.
const LISTED: u32 = 7;
/// Target durations that the playlist goes back at least (section 6.2.2).
const LISTED_AT_LEAST: u32 = 3;
/// Bytes above which the playlist goes back no further than it must.
const LISTED_BYTES: usize = 16 << 20;
/// Bytes above which segments that are not listed are forgotten before their time.
const KEPT_BYTES: usize = 24 << 20;
/// Bytes above which listed segments are forgotten: memory comes before the playlist.
const MOST_BYTES: usize = 64 << 20;
/// Segments of any length that are kept: a camera that comes and goes makes short ones.
const MOST_SEGMENTS: usize = 128;

/// A part of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How long it lasts.
    pub duration: Duration,
    /// Whether it has a picture that a decoder can start at.
    pub independent: bool,
    /// `moof` + `mdat`.
    pub bytes: Bytes,
}

/// A segment, complete or not.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its media sequence number.
    pub number: u64,
    /// Its parts so far.
    pub parts: Vec<Part>,
    /// It does not follow from the one before it.
    pub discontinuity: bool,
    /// Names the init segment it needs.
    pub init: Name,
    /// When its first picture was, since the Unix epoch.
    pub date: Duration,
    init_bytes: Bytes,
}

impl Segment {
    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).sum()
    }

    /// Bytes of all its parts.
    #[must_use]
    pub fn size(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }
}

/// What a name stands for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// These bytes, one piece after the other.
    Here(Vec<Bytes>),
    /// What is made next.
    Soon,
    /// Nothing, or nothing any more.
    Nothing,
}

/// Where a place in the playlist is, that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The playlist has it.
    Here,
    /// It is still to come.
    Ahead,
    /// It is so far ahead that whoever asks is wrong.
    TooFar,
}

/// The latest segments. Cheap to clone: complete segments are shared.
#[derive(Clone, Debug)]
pub struct Window {
    targets: Targets,
    /// Complete segments, the oldest first.
    kept: VecDeque<Arc<Segment>>,
    /// How many of them are no longer in the playlist.
    unlisted: usize,
    open: Option<Segment>,
    next: u64,
    /// Discontinuities that have left the playlist.
    discontinuities: u64,
    init: Option<(Name, Arc<Params>, Init)>,
    /// Wall time of the stream's time zero, since the Unix epoch.
    born: Duration,
}

impl Window {
    /// An empty window, whose first segment has this number. `born` is the wall time
    /// of the stream's time zero.
    #[must_use]
    pub fn new(first: u64, born: Duration) -> Self {
        Self {
            targets: Targets { part: Duration::from_millis(500), segment: 4 },
            kept: VecDeque::new(),
            unlisted: 0,
            open: None,
            next: first,
            discontinuities: 0,
            init: None,
            born,
        }
    }

    /// Takes what the segmenter has made. True if the playlist is another now.
    pub fn add(&mut self, made: Made) -> bool {
        match made {
            Made::Targets(targets) => self.targets = targets,
            Made::Segment { discontinuity, params, begin } => self.begin(discontinuity, params, begin),
            Made::Part(part) => {
                let Some(open) = &mut self.open else { return false };
                open.parts.push(part);
                return true;
            }
            Made::End => {
                let Some(segment) = self.open.take().filter(|segment| !segment.parts.is_empty()) else {
                    return false;
                };
                self.next = segment.number + 1;
                self.kept.push_back(Arc::new(segment));
                self.forget();
                return true;
            }
        }
        false
    }

    fn begin(&mut self, discontinuity: bool, params: Arc<Params>, begin: Duration) {
        let known = self.init.as_ref().is_some_and(|(_, known, _)| *known == params);
        if !known {
            let Some(init) = init::build(&params) else { return };
            self.init = Some((Name::Init(self.next), params, init));
        }
        let Some((name, _, init)) = &self.init else { return };
        self.open = Some(Segment {
            number: self.next,
            parts: Vec::new(),
            discontinuity,
            init: *name,
            date: self.born + begin,
            init_bytes: init.segment.clone(),
        });
    }

    /// Takes old segments out of the playlist, and forgets older ones. A segment can be
    /// had for as long after it has left the playlist as the playlist is long (RFC
    /// 8216bis, section 6.2.2), unless that takes too much memory.
    fn forget(&mut self) {
        let target = self.targets.segment();
        while let Some(first) = self.kept.get(self.unlisted) {
            let rest = self.listed().skip(1).map(|segment| segment.duration()).sum::<Duration>();
            let bytes: usize = self.listed().map(|segment| segment.size()).sum();
            let enough = rest >= target * LISTED;
            let heavy = bytes > LISTED_BYTES && rest >= target * LISTED_AT_LEAST;
            let many = self.kept.len() - self.unlisted > MOST_SEGMENTS / 2;
            if !enough && !heavy && !many && bytes <= MOST_BYTES {
                break;
            }
            self.discontinuities += u64::from(first.discontinuity);
            self.unlisted += 1;
        }
        while self.unlisted > 0 {
            let bytes: usize = self.kept.iter().map(|segment| segment.size()).sum();
            let past = self.kept.iter().take(self.unlisted).skip(1).map(|segment| segment.duration());
            let old = past.sum::<Duration>() >= target * (LISTED + 2);
            if !old && bytes <= KEPT_BYTES && self.kept.len() <= MOST_SEGMENTS {
                break;
            }
            self.kept.pop_front();
            self.unlisted -= 1;
        }
    }

    /// What parts and segments are not longer than.
    #[must_use]
    pub fn targets(&self) -> Targets {
        self.targets
    }

    /// The complete segments of the playlist.
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> + ExactSizeIterator {
        self.kept.range(self.unlisted..)
    }

    /// The segment that is being made.
    #[must_use]
    pub fn open(&self) -> Option<&Segment> {
        self.open.as_ref()
    }

    /// Discontinuities that have left the playlist.
    #[must_use]
    pub fn discontinuities(&self) -> u64 {
        self.discontinuities
    }

    /// The number of the first segment in the playlist.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.listed().next().map_or(self.next, |segment| segment.number)
    }

    /// Whether there is a part that can be played.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        self.listed().len() > 0 || self.open.as_ref().is_some_and(|open| !open.parts.is_empty())
    }

    /// The part that is made next.
    #[must_use]
    pub fn hint(&self) -> Name {
        Name::Part(self.next, self.open.as_ref().map_or(0, |open| open.parts.len() as u64))
    }

    /// Bits per second of the parts that are here, and of the densest of them.
    #[must_use]
    pub fn bandwidth(&self) -> (u64, u64) {
        let parts = || self.kept.iter().flat_map(|s| &s.parts).chain(self.open.iter().flat_map(|s| &s.parts));
        let rate = |bytes: usize, time: Duration| {
            u64::try_from(bytes as u128 * 8_000_000 / time.as_micros().max(1)).unwrap_or(u64::MAX)
        };
        let all = rate(parts().map(|p| p.bytes.len()).sum(), parts().map(|p| p.duration).sum());
        let most = parts().map(|part| rate(part.bytes.len(), part.duration)).max();
        (all, most.unwrap_or_default())
    }

    /// The init segment and the parameters of the newest segment.
    #[must_use]
    pub fn init(&self) -> Option<(&Init, &Params)> {
        self.init.as_ref().map(|(_, params, init)| (init, params.as_ref()))
    }

    /// Where a segment, or a part of it, is in the playlist (RFC 8216bis, section 6.2.5.2).
    #[must_use]
    pub fn position(&self, number: u64, part: Option<u64>) -> Position {
        let first = self.first();
        if number < first {
            return Position::Here;
        }
        if number > self.next + 1 {
            return Position::TooFar;
        }
        let Some(part) = part else {
            return if number < self.next { Position::Here } else { Position::Ahead };
        };
        // A part that a complete segment does not have stands for the first of the next one.
        let complete = self.listed().find(|segment| segment.number == number);
        let (number, part) = match complete {
            Some(segment) if part < segment.parts.len() as u64 => return Position::Here,
            Some(_) => (number + 1, 0),
            None => (number, part),
        };
        if number < self.next {
            return Position::Here;
        }
        let there = match &self.open {
            Some(open) if number == self.next => open.parts.len() as u64,
            _ => 0,
        };
        // Section 6.2.5.2: the advance part limit.
        let limit = if self.targets.part < Duration::from_secs(1) {
            u64::try_from(3_000u128.div_ceil(self.targets.part.as_millis().max(1))).unwrap_or(3)
        } else {
            3
        };
        match part {
            part if part < there => Position::Here,
            part if part >= there + limit => Position::TooFar,
            _ => Position::Ahead,
        }
    }

    /// What a name stands for.
    #[must_use]
    pub fn find(&self, name: Name) -> Found {
        let bytes = |part: &Part| part.bytes.clone();
        let mut all = self.kept.iter().map(AsRef::as_ref).chain(&self.open);
        let found = match name {
            Name::Init(_) => {
                all.find(|segment| segment.init == name).map(|segment| vec![segment.init_bytes.clone()])
            }
            Name::Segment(number) => self
                .kept
                .iter()
                .find(|segment| segment.number == number)
                .map(|segment| segment.parts.iter().map(bytes).collect()),
            Name::Part(number, part) => all
                .find(|segment| segment.number == number)
                .and_then(|segment| segment.parts.get(usize::try_from(part).ok()?))
                .map(|part| vec![bytes(part)]),
        };
        match found {
            Some(bytes) => Found::Here(bytes),
            None if name == self.hint() => Found::Soon,
            None => Found::Nothing,
        }
    }
}
