//! What a decoder shows of the pictures that [`Film`](crate::film) draws: enough of
//! H.264 for those, so that a test can look at a hundred thousand of them. That other
//! decoders show the same is seen in `tests/marks.rs`.

use crate::film::{BLACK, FRAME_NUM, MACROBLOCKS_IN_CELL, WHITE};
use crate::mark::{COLUMNS, Mark, ROWS};

/// Macroblocks of a picture, in rows.
const MACROBLOCKS: usize = COLUMNS * ROWS * MACROBLOCKS_IN_CELL;
/// Bytes of one that is written as samples.
const SAMPLES: usize = 384;

/// What was on a screen after a NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A picture, and what it says of itself.
    Mark(Mark),
    /// A picture that does not follow from the one before: a decoder would show ruins.
    Torn,
    /// A picture that is none of ours, or has no mark.
    Unreadable,
}

/// A decoder for one stream.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    /// Which macroblocks are white, and the `frame_num` of the picture.
    shown: Option<([bool; MACROBLOCKS], u32)>,
}

impl Screen {
    /// What it shows after this NAL unit; nothing if that was no picture.
    pub fn show(&mut self, nal: &[u8]) -> Option<Shown> {
        let key = match nal.first()? & 0x1f {
            5 => true,
            1 => false,
            _ => return None,
        };
        let before = match (key, self.shown.take()) {
            (true, _) => None,
            (false, Some(shown)) => Some(shown),
            (false, None) => return Some(Shown::Torn),
        };
        let Some((picture, number)) = decode(&unescaped(nal), key, before.map(|(picture, _)| picture)) else {
            return Some(Shown::Unreadable);
        };
        if before.is_some_and(|(_, before)| number != (before + 1) % (1 << FRAME_NUM)) {
            return Some(Shown::Torn);
        }
        self.shown = Some((picture, number));
        Some(read(&picture).map_or(Shown::Unreadable, Shown::Mark))
    }
}

/// The payload without what keeps start codes out of it (section 7.4.1).
fn unescaped(nal: &[u8]) -> Vec<u8> {
    let (mut zeros, mut bytes) = (0, Vec::with_capacity(nal.len()));
    for byte in nal.iter().skip(1) {
        if zeros == 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        bytes.push(*byte);
    }
    bytes
}

/// The picture and its `frame_num`: sections 7.3.3 and 7.3.4 as far as `Film` writes them.
fn decode(
    bytes: &[u8],
    key: bool,
    before: Option<[bool; MACROBLOCKS]>,
) -> Option<([bool; MACROBLOCKS], u32)> {
    let mut bits = Bits { bytes, at: 0 };
    let first = bits.ue()?;
    let kind = bits.ue()?;
    let parameters = bits.ue()?;
    if (first, kind, parameters) != (0, if key { 7 } else { 5 }, 0) {
        return None;
    }
    let number = bits.bits(FRAME_NUM)?;
    if key {
        bits.ue()?;
        bits.bits(2)?;
    } else {
        bits.bits(3)?;
    }
    // slice_qp_delta, disable_deblocking_filter_idc.
    bits.ue()?;
    bits.ue()?;
    let mut picture = before.unwrap_or([false; MACROBLOCKS]);
    let mut at = 0;
    while at < MACROBLOCKS {
        if !key {
            at += usize::try_from(bits.ue()?).ok()?;
            if at >= MACROBLOCKS {
                break;
            }
        }
        if bits.ue()? != if key { 25 } else { 30 } {
            return None;
        }
        let (luma, chroma) = bits.samples()?.split_at(256);
        let colour = *luma.first()?;
        let even = luma.iter().all(|sample| *sample == colour) && chroma.iter().all(|sample| *sample == 128);
        if !even || (colour != BLACK && colour != WHITE) {
            return None;
        }
        *picture.get_mut(at)? = colour == WHITE;
        at += 1;
    }
    (at == MACROBLOCKS).then_some((picture, number))
}

/// What the cells say, if each is of one colour.
fn read(picture: &[bool; MACROBLOCKS]) -> Option<Mark> {
    let mut rows = [0u16; ROWS];
    for (at, white) in picture.iter().enumerate() {
        let (column, row) = (at % COLUMNS, at / COLUMNS / MACROBLOCKS_IN_CELL);
        let bit = 0x8000 >> column;
        let (row, first) = (rows.get_mut(row)?, (at / COLUMNS).is_multiple_of(MACROBLOCKS_IN_CELL));
        if first && *white {
            *row |= bit;
        } else if !first && (*row & bit != 0) != *white {
            return None;
        }
    }
    Mark::of_rows(rows)
}

/// Reads bits, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// Section 9.1: unsigned Exp-Golomb.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 16 {
                return None;
            }
        }
        Some((1 << zeros | self.bits(zeros)?) - 1)
    }

    /// The samples of a macroblock, from the next whole byte on.
    fn samples(&mut self) -> Option<&'a [u8]> {
        let begin = self.at.div_ceil(8);
        let samples = self.bytes.get(begin..begin + SAMPLES)?;
        self.at = (begin + SAMPLES) * 8;
        Some(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::film::Film;
    use proptest::prelude::*;

    fn picture(camera: u16, frame: u32, place: u32) -> Vec<u8> {
        Film { camera }.picture(frame, place)[4..].to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_was_drawn_is_shown(camera: u16, first: u32, gop in 1u32..40) {
            let mut screen = Screen::default();
            for place in 0..gop {
                let frame = first.wrapping_add(place);
                let shown = screen.show(&picture(camera, frame, place));
                prop_assert_eq!(shown, Some(Shown::Mark(Mark { camera, frame })));
            }
        }

        /// Another camera's picture in between is never shown as this one's.
        #[test]
        fn a_picture_that_strays_in_does_not_pass(own: u16, other: u16, frame in 1u32..1_000_000) {
            prop_assume!(own != other);
            let mut screen = Screen::default();
            screen.show(&picture(own, frame, 0));
            let stray = picture(other, frame + 1, 1);
            let shown = screen.show(&stray);
            let same = stray == picture(own, frame + 1, 1);
            prop_assert_eq!(shown == Some(Shown::Mark(Mark { camera: own, frame: frame + 1 })), same);
        }

        #[test]
        fn anything_can_be_given_to_it(nals in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..8)) {
            let mut screen = Screen::default();
            for nal in nals {
                prop_assert!(!matches!(screen.show(&nal), Some(Shown::Mark(_))));
            }
        }
    }

    #[test]
    fn a_picture_that_is_left_out_is_noticed() {
        let mut screen = Screen::default();
        assert_eq!(screen.show(&picture(7, 5, 1)), Some(Shown::Torn), "it begins in the middle");
        screen.show(&picture(7, 4, 0));
        assert_eq!(screen.show(&picture(7, 6, 2)), Some(Shown::Torn));
        assert_eq!(screen.show(&[0x67, 1, 2]), None);
    }
}
