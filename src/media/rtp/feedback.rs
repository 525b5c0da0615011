//! What a reader says back over RTCP: what it lacks, and that it needs a key frame
//! (RFC 3550 section 6, RFC 4585 section 6, RFC 5104 section 4.3).

/// One thing a reader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// A packet did not come.
    Lost {
        /// Of this source.
        ssrc: u32,
        /// Its sequence number.
        sequence: u16,
    },
    /// The picture cannot go on without a key frame.
    KeyFrame {
        /// Of this source.
        ssrc: u32,
    },
    /// The reader has left.
    Bye,
}

/// Reads a compound packet as far as it makes sense.
pub fn read(mut compound: &[u8], mut each: impl FnMut(Feedback)) {
    while let [first, kind, high, low, ..] = compound {
        let length = (usize::from(u16::from_be_bytes([*high, *low])) + 1) * 4;
        let Some((packet, rest)) = compound.split_at_checked(length) else { return };
        if first >> 6 != 2 {
            return;
        }
        one(*kind, first & 0x1f, packet, &mut each);
        compound = rest;
    }
}

fn one(kind: u8, format: u8, packet: &[u8], each: &mut impl FnMut(Feedback)) {
    let word = |at: usize| {
        let bytes = packet.get(at..at + 4)?;
        Some(u32::from_be_bytes([*bytes.first()?, *bytes.get(1)?, *bytes.get(2)?, *bytes.get(3)?]))
    };
    match (kind, format) {
        (203, _) => each(Feedback::Bye),
        // RFC 4585 section 6.2.1: a number, and a mask for the sixteen that follow.
        (205, 1) => {
            let Some(ssrc) = word(8) else { return };
            for entry in packet.get(12..).unwrap_or_default().as_chunks::<4>().0 {
                let [a, b, c, d] = *entry;
                let (sequence, mask) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                each(Feedback::Lost { ssrc, sequence });
                for bit in 0..16 {
                    if mask >> bit & 1 == 1 {
                        each(Feedback::Lost { ssrc, sequence: sequence.wrapping_add(bit + 1) });
                    }
                }
            }
        }
        (206, 1) => {
            if let Some(ssrc) = word(8) {
                each(Feedback::KeyFrame { ssrc });
            }
        }
        // Full intra request: the sources it is for are in its entries.
        (206, 4) => {
            for at in (12..packet.len()).step_by(8) {
                if let Some(ssrc) = word(at) {
                    each(Feedback::KeyFrame { ssrc });
                }
            }
        }
        _ => {}
    }
}

/// Writes a generic NACK for up to seventeen packets from `first` on; `mask` as in
/// RFC 4585 section 6.2.1.
#[must_use]
pub fn nack(sender: u32, ssrc: u32, first: u16, mask: u16) -> Vec<u8> {
    let mut out = vec![0x81, 205, 0, 3];
    out.extend(sender.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    out.extend(first.to_be_bytes());
    out.extend(mask.to_be_bytes());
    out
}

/// Writes a picture loss indication.
#[must_use]
pub fn pli(sender: u32, ssrc: u32) -> Vec<u8> {
    let mut out = vec![0x81, 206, 0, 2];
    out.extend(sender.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    out
}

/// Writes a receiver report without blocks: what a compound packet begins with.
#[must_use]
pub fn empty_report(sender: u32) -> Vec<u8> {
    let mut out = vec![0x80, 201, 0, 1];
    out.extend(sender.to_be_bytes());
    out
}

/// Writes a goodbye.
#[must_use]
pub fn bye(ssrc: u32) -> Vec<u8> {
    let mut out = vec![0x81, 203, 0, 1];
    out.extend(ssrc.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Vec<Feedback> {
        let mut all = Vec::new();
        read(bytes, |feedback| all.push(feedback));
        all
    }

    #[test]
    fn a_mask_names_what_follows() {
        let packet = [empty_report(1), nack(1, 7, 65_535, 0b101)].concat();
        let lost = |sequence| Feedback::Lost { ssrc: 7, sequence };
        assert_eq!(all(&packet), [lost(65_535), lost(0), lost(2)]);
    }

    #[test]
    fn both_ways_of_asking_for_a_key_frame_are_heard() {
        assert_eq!(all(&pli(1, 7)), [Feedback::KeyFrame { ssrc: 7 }]);
        let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0];
        assert_eq!(all(&fir), [Feedback::KeyFrame { ssrc: 9 }]);
        assert_eq!(all(&bye(3)), [Feedback::Bye]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&bytes);
        }
    }
}
