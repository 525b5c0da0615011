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

/// The same NAL units behind start codes (Annex B of H.264 and H.265).
#[must_use]
pub fn annex_b(access_unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(access_unit.len() + 16);
    for nal in split(access_unit) {
        out.extend([0, 0, 0, 1]);
        out.extend_from_slice(nal);
    }
    out
}

/// The NAL units between start codes (Annex B), without the zeros around them.
pub fn split_annex_b(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(bytes);
    std::iter::from_fn(move || {
        let from = rest?;
        let next = after_start_code(from);
        // The start code is three bytes; zeros in front of it belong to it.
        let end = next.map_or(from.len(), |next| from.len() - next.len() - 3);
        rest = next;
        let nal = from.get(..end).unwrap_or_default();
        Some(
            nal.get(..nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)).unwrap_or_default(),
        )
    })
    .filter(|nal| !nal.is_empty())
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|window| window == [0, 0, 1])?;
    bytes.get(at + 3..)
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
    fn annex_b_has_the_same_nal_units() {
        let nals = [&[0x67u8, 1, 2][..], &[0x68, 0, 3], &[0x65, 9]];
        let bytes = annex_b(&join(nals));
        assert!(bytes.starts_with(&[0, 0, 0, 1, 0x67]));
        assert_eq!(split_annex_b(&bytes).collect::<Vec<_>>(), nals);
        let short = [&[0u8, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68][..], &[0, 0]].concat();
        assert_eq!(split_annex_b(&short).collect::<Vec<_>>(), [&[0x67u8, 1][..], &[0x68]]);
        assert_eq!(split_annex_b(&[1, 2, 3]).count() + split_annex_b(&[]).count(), 0);
    }

    #[test]
    fn a_lying_length_ends_at_the_buffer() {
        assert_eq!(split(&[0xff, 0xff, 0xff, 0xff, 7]).collect::<Vec<_>>(), [&[7u8][..]]);
        assert_eq!(split(&[0, 0]).count(), 0);
    }
}
