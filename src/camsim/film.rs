//! H.264 without an encoder: pictures that are nothing but their [`Mark`].
//!
//! A key picture is written as raw samples (`I_PCM`), macroblock by macroblock. In the
//! pictures after it only those macroblocks are written whose colour has changed; the
//! rest is skipped. Nothing is predicted from pixels, filtered or lost, so that a decoder
//! shows exactly what was drawn. Section numbers are those of ITU-T H.264.

use crate::mark::{COLUMNS, Mark, ROWS};
use bytes::Bytes;
use media::TrackParams;

/// A macroblock is 16 by 16; a cell is one wide and two high.
pub(crate) const MACROBLOCKS_IN_CELL: usize = 2;
const HEIGHT: usize = ROWS * MACROBLOCKS_IN_CELL;
/// Pixels in a row.
pub(crate) const WIDTH_PIXELS: u16 = 256;
/// Rows of pixels.
pub(crate) const HEIGHT_PIXELS: u16 = 128;

/// Full scale would need escapes: no byte of a macroblock may be 0.
pub(crate) const BLACK: u8 = 16;
pub(crate) const WHITE: u8 = 235;
const GREY: u8 = 128;

/// Constrained Baseline, level 3.
const PROFILE: [u8; 3] = [66, 0xc0, 30];
/// Bits of `frame_num`.
pub(crate) const FRAME_NUM: u32 = 8;

/// Draws one camera's pictures.
#[derive(Clone, Copy, Debug)]
pub struct Film {
    /// The camera's number.
    pub camera: u16,
}

impl Film {
    /// What a decoder must know.
    pub(crate) fn params() -> Option<TrackParams> {
        let (sps, pps) = (sps(), pps());
        let length = |nal: &[u8]| u16::try_from(nal.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut record = vec![1];
        record.extend(PROFILE);
        record.extend([0xff, 0xe1]);
        record.extend(length(&sps));
        record.extend(sps);
        record.push(1);
        record.extend(length(&pps));
        record.extend(pps);
        TrackParams::h264(&record, WIDTH_PIXELS, HEIGHT_PIXELS).ok()
    }

    /// Picture number `frame` as one access unit; `place` is its place in its group of
    /// pictures, of which the first can be decoded alone.
    pub(crate) fn picture(self, frame: u32, place: u32) -> Bytes {
        let key = place == 0;
        let rows = Mark { camera: self.camera, frame }.rows();
        let before = Mark { camera: self.camera, frame: frame.wrapping_sub(1) }.rows();
        let mut bits = Bits::default();
        slice_header(&mut bits, key, frame, place);
        let mut skipped = 0;
        for macroblock in 0..COLUMNS * HEIGHT {
            let (column, row) = (macroblock % COLUMNS, macroblock / COLUMNS / MACROBLOCKS_IN_CELL);
            let white = |rows: &[u16; ROWS]| rows.get(row).is_some_and(|row| row << column & 0x8000 != 0);
            if !key {
                if white(&rows) == white(&before) {
                    skipped += 1;
                    continue;
                }
                bits.ue(std::mem::take(&mut skipped));
            }
            // Tables 7-11 and 7-13: I_PCM, which in a P slice comes after five others.
            bits.ue(if key { 25 } else { 30 });
            bits.align();
            bits.bytes(if white(&rows) { WHITE } else { BLACK }, 256);
            bits.bytes(GREY, 128);
        }
        if skipped > 0 {
            bits.ue(skipped);
        }
        // nal_ref_idc 3; type 5 is an IDR picture.
        let nal = bits.nal(if key { 0x65 } else { 0x61 });
        media::nal::join([nal.as_slice()]).into()
    }
}

/// Section 7.3.2.1.1.
fn sps() -> Vec<u8> {
    let mut bits = Bits::default();
    for byte in PROFILE {
        bits.put(u32::from(byte), 8);
    }
    bits.ue(0);
    bits.ue(FRAME_NUM - 4);
    // Pictures are shown in the order in which they are decoded.
    bits.ue(2);
    // One reference picture, no gaps.
    bits.ue(1);
    bits.put(0, 1);
    bits.ue(u32::from(WIDTH_PIXELS) / 16 - 1);
    bits.ue(u32::from(HEIGHT_PIXELS) / 16 - 1);
    // Frames only, direct_8x8_inference; no cropping, no VUI.
    bits.put(0b1100, 4);
    bits.nal(0x67)
}

/// Section 7.3.2.2.
fn pps() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.ue(0);
    bits.ue(0);
    // CAVLC, no bottom field order; one slice group.
    bits.put(0, 2);
    bits.ue(0);
    // One reference in either list; no weights.
    bits.ue(0);
    bits.ue(0);
    bits.put(0, 3);
    // Quantisers as they are, which are the same signed (0 is a single bit).
    bits.ue(0);
    bits.ue(0);
    bits.ue(0);
    // The deblocking filter is controlled; no constrained prediction, nothing redundant.
    bits.put(0b100, 3);
    bits.nal(0x68)
}

/// Section 7.3.3.
fn slice_header(bits: &mut Bits, key: bool, frame: u32, place: u32) {
    bits.ue(0);
    // All slices of the picture are I, or P.
    bits.ue(if key { 7 } else { 5 });
    bits.ue(0);
    bits.put(place & ((1 << FRAME_NUM) - 1), FRAME_NUM);
    if key {
        // idr_pic_id: two in a row must differ.
        bits.ue(frame & 1);
        // no_output_of_prior_pics, long_term_reference.
        bits.put(0, 2);
    } else {
        // No override of the number of references, no reordering, no adaptive marking.
        bits.put(0, 3);
    }
    // slice_qp_delta.
    bits.ue(0);
    // disable_deblocking_filter_idc.
    bits.ue(1);
}

/// Writes bits, the highest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; 0 if it is full.
    taken: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for place in (0..count).rev() {
            if self.taken == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> place & 1 == 1) << (7 - self.taken);
            }
            self.taken = (self.taken + 1) % 8;
        }
    }

    /// Section 9.1: unsigned Exp-Golomb.
    fn ue(&mut self, value: u32) {
        let length = (value + 1).ilog2();
        self.put(0, length);
        self.put(value + 1, length + 1);
    }

    /// Fills the last byte with zeros.
    fn align(&mut self) {
        self.taken = 0;
    }

    /// `count` times the same byte; the last one was filled before.
    fn bytes(&mut self, byte: u8, count: usize) {
        self.bytes.extend(std::iter::repeat_n(byte, count));
    }

    /// The NAL unit: header, payload with its stop bit, and a 3 wherever a start code
    /// would be seen (section 7.4.1).
    fn nal(mut self, header: u8) -> Vec<u8> {
        self.put(1, 1);
        let mut nal = Vec::with_capacity(self.bytes.len() + 8);
        nal.push(header);
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros == 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_exp_golomb() {
        let mut bits = Bits::default();
        // 1, 010, 011, 00100, and the stop bit.
        for value in 0..4 {
            bits.ue(value);
        }
        assert_eq!(bits.nal(0x67), [0x67, 0b1010_0110, 0b0100_1000]);
    }

    #[test]
    fn start_codes_are_escaped() {
        let mut bits = Bits::default();
        bits.put(0, 24);
        bits.put(1, 8);
        assert_eq!(bits.nal(0x67), [0x67, 0, 0, 3, 0, 1, 0x80]);
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let film = Film { camera: 7 };
        let (key, next) = (film.picture(100, 0), film.picture(101, 1));
        assert!(key.len() > 128 * 384 && next.len() < key.len() / 2, "{} and {}", key.len(), next.len());
        let params = Film::params().unwrap();
        assert!(params.is_key(&key) && !params.is_key(&next));
        assert_eq!(params.rfc6381().unwrap(), "avc1.42c01e");
    }
}
