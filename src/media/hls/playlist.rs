//! The texts of both playlists.

use super::{Name, Segment, Window};
use crate::Track;
use std::fmt::Write as _;
use std::time::Duration;

/// How many target durations back parts are listed (RFC 8216bis, section 6.2.2).
const PARTS: u32 = 3;
/// How many target durations back a player must know what it skips (section 4.4.3.8).
const SKIP: u32 = 6;
/// How many parts a player stays behind (section 4.4.3.8 asks for three).
const HOLD_BACK: u32 = 3;

/// How much of the media playlist is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Full,
    /// What is new to a player that has an older one.
    Delta,
}

/// The media playlist. `query` is put behind every name, with its question mark.
#[must_use]
pub fn media(window: &Window, extent: Extent, query: &str) -> String {
    let targets = window.targets();
    let skipped = if extent == Extent::Delta { skipped(window) } else { 0 };
    let mut text = String::with_capacity(4_096);
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},CAN-SKIP-UNTIL={}\n\
         #EXT-X-PART-INF:PART-TARGET={}\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        targets.segment,
        seconds(targets.part * HOLD_BACK),
        seconds(targets.segment() * SKIP),
        seconds(targets.part),
        window.first(),
        window.discontinuities(),
    );
    if skipped > 0 {
        let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    }
    let recent = recent(window);
    let mut init = window.listed().take(skipped).next_back().map(|segment| segment.init);
    for (place, segment) in window.listed().enumerate().skip(skipped) {
        begin(&mut text, segment, &mut init, query);
        if place >= recent {
            parts(&mut text, segment, query);
        }
        let (length, name) = (seconds(segment.duration()), Name::Segment(segment.number));
        let _ = writeln!(text, "#EXTINF:{length},\n{name}{query}");
    }
    if let Some(open) = window.open().filter(|open| !open.parts.is_empty()) {
        begin(&mut text, open, &mut init, query);
        parts(&mut text, open, query);
    }
    let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}{query}\"", window.hint());
    text
}

/// How many segments a delta leaves out: those that end before the skip boundary.
fn skipped(window: &Window) -> usize {
    let boundary = window.targets().segment() * SKIP;
    window.listed().len() - until(window, boundary)
}

/// The place of the first segment whose parts are listed.
fn recent(window: &Window) -> usize {
    window.listed().len() - until(window, window.targets().segment() * PARTS)
}

/// How many complete segments lie, at least in part, within `span` of the playlist's end.
fn until(window: &Window, span: Duration) -> usize {
    let mut time = window.open().map_or(Duration::ZERO, Segment::duration);
    let within = |segment: &&std::sync::Arc<Segment>| {
        let begins_within = time < span;
        time += segment.duration();
        begins_within
    };
    window.listed().rev().take_while(within).count()
}

/// What stands in front of a segment.
fn begin(text: &mut String, segment: &Segment, init: &mut Option<Name>, query: &str) {
    if segment.discontinuity {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if init.replace(segment.init) != Some(segment.init) {
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}{query}\"", segment.init);
    }
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", date(segment.date));
}

fn parts(text: &mut String, segment: &Segment, query: &str) {
    for (place, part) in (0..).zip(&segment.parts) {
        let name = Name::Part(segment.number, place);
        let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
        let length = seconds(part.duration);
        let _ = writeln!(text, "#EXT-X-PART:DURATION={length},URI=\"{name}{query}\"{independent}");
    }
}

/// The multivariant playlist: one variant at `uri`, with what it carries, so that a
/// player knows before the first byte of it whether it can play that.
#[must_use]
pub fn multivariant(window: &Window, uri: &str) -> Option<String> {
    let (_, params) = window.init()?;
    let video = params.video.as_ref()?;
    let (average, peak) = window.bandwidth();
    let codecs: Vec<String> = [Track::Video, Track::Audio]
        .into_iter()
        .filter_map(|track| params.track(track)?.rfc6381())
        // The name of Opus in MP4 has a capital by its own text on MP4.
        .map(|codec| if codec == "opus" { "Opus".to_owned() } else { codec })
        .collect();
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        peak.max(1),
        average.max(1),
        codecs.join(",")
    );
    if video.width > 0 && video.height > 0 {
        let _ = write!(text, ",RESOLUTION={}x{}", video.width, video.height);
    }
    let _ = write!(text, "\n{uri}\n");
    Some(text)
}

/// Seconds with as many digits as are needed, microseconds at most.
fn seconds(time: Duration) -> String {
    let text = format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

/// RFC 3339 with milliseconds.
fn date(since_epoch: Duration) -> String {
    let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}
