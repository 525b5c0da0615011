//! Marks in pictures: which camera and which frame a decoded picture is.
//!
//! A picture is sixteen by four cells, black or white: the camera's number in the first
//! row, the frame's in the next two, a checksum in the last; the first bit of each row
//! is the highest. A cell is large, and only its middle is read, so that a mark survives
//! scaling, JPEG and recoding.

/// Cells in a row.
pub(crate) const COLUMNS: usize = 16;
/// Rows of cells.
pub(crate) const ROWS: usize = 4;

/// What a picture says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The camera's number.
    pub camera: u16,
    /// The frame's number since the camera was started.
    pub frame: u32,
}

impl Mark {
    /// The rows of cells; a bit that is set is white.
    pub(crate) fn rows(self) -> [u16; ROWS] {
        let (high, low) = ((self.frame >> 16) as u16, (self.frame & 0xffff) as u16);
        [self.camera, high, low, checksum([self.camera, high, low])]
    }

    /// What the rows say, if they are right.
    pub(crate) fn of_rows([camera, high, low, sum]: [u16; ROWS]) -> Option<Self> {
        let mark = Self { camera, frame: u32::from(high) << 16 | u32::from(low) };
        (checksum([camera, high, low]) == sum).then_some(mark)
    }
}

/// CRC-16/CCITT-FALSE of the rows in front of it.
fn checksum(rows: [u16; ROWS - 1]) -> u16 {
    rows.iter().flat_map(|row| row.to_be_bytes()).fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// The least difference of black and white.
const CONTRAST: u32 = 64;

/// Reads the mark of a picture from its luma, `width` by `height` bytes without padding;
/// nothing if there is none, or it cannot be read for sure.
#[must_use]
pub fn read(luma: &[u8], width: usize, height: usize) -> Option<Mark> {
    if luma.len() < width.checked_mul(height)? || width < 2 * COLUMNS || height < 2 * ROWS {
        return None;
    }
    let mut cells = [0; COLUMNS * ROWS];
    for (place, cell) in cells.iter_mut().enumerate() {
        *cell = brightness(luma, width, height, place % COLUMNS, place / COLUMNS)?;
    }
    let (dark, bright) = (*cells.iter().min()?, *cells.iter().max()?);
    if bright - dark < CONTRAST {
        return None;
    }
    let middle = dark.midpoint(bright);
    let mut rows = [0u16; ROWS];
    for (row, cells) in rows.iter_mut().zip(cells.chunks(COLUMNS)) {
        *row = cells.iter().fold(0, |bits, cell| bits << 1 | u16::from(*cell > middle));
    }
    Mark::of_rows(rows)
}

/// The mean of the middle half of a cell.
fn brightness(luma: &[u8], width: usize, height: usize, column: usize, row: usize) -> Option<u32> {
    let middle = |place: usize, cells: usize, size: usize| {
        let (begin, end) = (place * size / cells, (place + 1) * size / cells);
        let quarter = (end - begin) / 4;
        begin + quarter..end - quarter
    };
    let (mut sum, mut count) = (0, 0);
    for y in middle(row, ROWS, height) {
        let line = luma.get(y * width..(y + 1) * width)?;
        for pixel in line.get(middle(column, COLUMNS, width))? {
            sum += u32::from(*pixel);
            count += 1;
        }
    }
    (count > 0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn draw(mark: Mark, width: usize, height: usize) -> Vec<u8> {
        let rows = mark.rows();
        let pixel = |n: usize| {
            let (column, row) = (n % width * COLUMNS / width, n / width * ROWS / height);
            if rows[row] >> (COLUMNS - 1 - column) & 1 == 1 { 235 } else { 16 }
        };
        (0..width * height).map(pixel).collect()
    }

    proptest! {
        #[test]
        fn a_mark_is_read_at_any_size(camera: u16, frame: u32, width in 64usize..700, height in 32usize..400) {
            let mark = Mark { camera, frame };
            prop_assert_eq!(read(&draw(mark, width, height), width, height), Some(mark));
        }

        #[test]
        fn what_is_no_mark_is_not_read_as_one(luma in prop::collection::vec(any::<u8>(), 256 * 128)) {
            prop_assert_eq!(read(&luma, 256, 128), None);
        }

        #[test]
        fn a_wrong_cell_is_noticed(camera: u16, frame: u32, column in 0usize..16, row in 0usize..4) {
            let mut luma = draw(Mark { camera, frame }, 256, 128);
            for y in row * 32..row * 32 + 32 {
                for pixel in &mut luma[y * 256 + column * 16..][..16] {
                    *pixel = 251 - *pixel;
                }
            }
            prop_assert_eq!(read(&luma, 256, 128), None);
        }
    }

    #[test]
    fn a_picture_that_is_cut_short_has_no_mark() {
        let luma = draw(Mark { camera: 1, frame: 2 }, 256, 128);
        assert_eq!(read(&luma[1..], 256, 128), None);
        assert_eq!(read(&[], 0, 0), None);
    }
}
