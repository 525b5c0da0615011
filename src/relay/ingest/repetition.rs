//! Whether a picture shows anything new. Pure; what counts and why is in
//! `docs/design/spine.md`, "A picture that is sent again".

use bytes::Bytes;
use media::nal;
use media::{Codec, TrackParams};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// Key frames that are remembered: encoders number them 0, 1, 0, 1 (`idr_pic_id`).
const KEYS: usize = 2;
/// Longer ago, the same key frame proves nothing: a film that is shown in a loop comes round again.
const SOON: Duration = Duration::from_secs(9);
/// A key frame of fewer bits a pixel, one in so many, shows next to nothing: darkness without noise
/// may well be the same bits again.
const SPARSE: usize = 10;

/// One session's memory of what was sent.
#[derive(Debug, Default)]
pub(super) struct Repetition {
    last: Bytes,
    /// Hashes of key frames, and when they came last.
    keys: VecDeque<(u64, Duration)>,
    /// The group of pictures begins with one that was there before.
    group_repeats: bool,
}

impl Repetition {
    /// Looks at the next picture, which came `now`. True if it shows nothing new.
    pub(super) fn repeats(&mut self, video: &TrackParams, key: bool, picture: &Bytes, now: Duration) -> bool {
        let before = std::mem::replace(&mut self.last, picture.clone());
        let mut its = slices(video, picture).peekable();
        // They differ at the first slice's head, if they differ: it carries their number.
        if its.peek().is_some() && its.eq(slices(video, &before)) {
            return true;
        }
        if key {
            self.group_repeats = self.key_repeats(video, picture, now);
        }
        self.group_repeats
    }

    fn key_repeats(&mut self, video: &TrackParams, picture: &[u8], now: Duration) -> bool {
        let (mut hasher, mut bytes) = (DefaultHasher::new(), 0);
        for slice in slices(video, picture) {
            slice.hash(&mut hasher);
            bytes += slice.len();
        }
        if bytes * 8 * SPARSE < usize::from(video.width) * usize::from(video.height) {
            return false;
        }
        let hash = hasher.finish();
        self.keys.retain(|(_, at)| now.saturating_sub(*at) <= SOON);
        let known = self.keys.iter().position(|(known, _)| *known == hash);
        if let Some(place) = known {
            self.keys.remove(place);
        }
        self.keys.push_back((hash, now));
        if self.keys.len() > KEYS {
            self.keys.pop_front();
        }
        known.is_some()
    }
}

/// The coded picture itself: what else comes with it, such as the time of day, says nothing of it.
fn slices<'a>(video: &TrackParams, picture: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let h265 = matches!(video.codec, Codec::H265(_));
    nal::split(picture).filter(move |nal| match h265 {
        true => nal::h265_type(nal) < 32,
        false => matches!(nal::h264_type(nal), 1..=5),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn video() -> TrackParams {
        let record = [1, 66, 0xc0, 30, 0xff, 0xe1, 0, 4, 0x67, 66, 0xc0, 30, 1, 0, 2, 0x68, 0xce];
        TrackParams::h264(&record, 320, 240).unwrap()
    }

    /// A picture of these bytes: `kind` 5 is a key frame, 1 another one.
    fn picture(kind: u8, fill: u8, bytes: usize) -> Bytes {
        let mut nal = vec![fill; bytes];
        nal[0] = 0x60 | kind;
        nal::join([nal.as_slice()]).into()
    }

    /// Which of these pictures, one a second, show nothing new.
    fn repeats(pictures: &[Bytes]) -> Vec<bool> {
        let (mut repetition, video) = (Repetition::default(), video());
        let mut at = Duration::ZERO;
        let judge = |picture: &Bytes| {
            at += S;
            repetition.repeats(&video, video.is_key(picture), picture, at)
        };
        pictures.iter().map(judge).collect()
    }

    #[test]
    fn the_picture_before_shows_nothing_new_whatever_it_is() {
        let (key, next) = (picture(5, 7, 5_000), picture(1, 8, 40));
        let sent = [&key, &key, &next, &next, &next, &picture(1, 9, 40)].map(Clone::clone);
        assert_eq!(repeats(&sent), [false, true, false, true, true, false]);
    }

    #[test]
    fn a_clock_beside_the_picture_is_no_picture() {
        let with = |time: u8| {
            let key = picture(5, 7, 5_000);
            let key = nal::split(&key).next().unwrap();
            Bytes::from(nal::join([&[6, 5, 2, time, time][..], key]))
        };
        assert_eq!(repeats(&[with(1), with(2), with(3)]), [false, true, true]);
    }

    #[test]
    fn a_group_that_begins_with_the_same_key_frame_shows_nothing_new() {
        let group = |fill: u8, n: u8| [picture(5, fill, 5_000), picture(1, n, 60), picture(1, n + 1, 60)];
        // Numbered in turn, as encoders do.
        let sent = [group(7, 1), group(8, 3), group(7, 5), group(8, 7), group(9, 9)].concat();
        let none = [false; 3];
        assert_eq!(repeats(&sent), [none, none, [true; 3], [true; 3], none].concat());
    }

    #[test]
    fn darkness_without_noise_is_not_taken_for_it() {
        // All is skipped; the numbers of the pictures differ.
        let group = |n: u8| [picture(5, 7, 900), picture(1, n, 20), picture(1, n + 1, 20)];
        assert_eq!(repeats(&[group(1), group(3), group(1)].concat()), [false; 9]);
    }

    #[test]
    fn a_film_that_comes_round_again_is_not_taken_for_it() {
        let round = || {
            let mut round = vec![picture(5, 7, 5_000)];
            round.extend((0..11).map(|n| picture(1, n, 60)));
            round
        };
        assert_eq!(repeats(&[round(), round()].concat()), [false; 24]);
    }
}
