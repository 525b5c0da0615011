//! NAL units inside an access unit: each is preceded by its length in four
//! bytes, big endian (ISO 14496-15 with `lengthSizeMinusOne` 3).

/// Iterates the NAL units of a length-prefixed access unit. A length that
/// reaches past the end yields what is there and ends: camera bytes never panic.
#[derive(Clone, Debug)]
pub struct Nals<'a>(&'a [u8]);

/// The NAL units of `access_unit`, without their length prefixes; empty ones are skipped.
#[must_use]
pub fn split(access_unit: &[u8]) -> Nals<'_> {
    Nals(access_unit)
}

impl<'a> Iterator for Nals<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (length, rest) = self.0.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let (nal, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.0 = rest;
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    }
}

/// Puts NAL units together into one length-prefixed access unit.
#[must_use]
pub fn join<'a>(nals: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for nal in nals {
        out.extend_from_slice(&u32::try_from(nal.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(nal);
    }
    out
}

/// H.264 `nal_unit_type` (ITU-T H.264 table 7-1).
#[must_use]
pub fn h264_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |b| b & 0x1f)
}

/// H.265 `nal_unit_type` (ITU-T H.265 table 7-1).
#[must_use]
pub fn h265_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |b| (b >> 1) & 0x3f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_join_made() {
        let au = join([&[1u8, 2][..], &[3], &[]]);
        assert_eq!(split(&au).collect::<Vec<_>>(), [&[1u8, 2][..], &[3]]);
    }

    #[test]
    fn a_lying_length_ends_at_the_buffer() {
        assert_eq!(split(&[0xff, 0xff, 0xff, 0xff, 7]).collect::<Vec<_>>(), [&[7u8][..]]);
        assert_eq!(split(&[0, 0]).count(), 0);
    }
}
