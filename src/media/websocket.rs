//! RFC 6455, section 5.2: a whole binary message of a server, in one piece and not masked.
//! It is the same for all viewers, so a frame's is built once.

use bytes::{BufMut, Bytes, BytesMut};

/// The most bytes that [`put_head`] puts.
pub const LONGEST_HEAD: usize = 10;
/// The last frame of a binary message.
const BINARY: u8 = 0x82;

/// Puts what goes before the `length` bytes of a message.
pub fn put_head(out: &mut impl BufMut, length: usize) {
    out.put_u8(BINARY);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=125), _) => out.put_u8(short),
        (_, Ok(medium)) => {
            out.put_u8(126);
            out.put_u16(medium);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// A message of `body`.
#[must_use]
pub fn message(body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(LONGEST_HEAD + body.len());
    put_head(&mut out, body.len());
    out.put_slice(body);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_as_long_as_its_message_needs() {
        for (length, head) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 255, 255]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let message = message(&vec![7; length]);
            assert_eq!(message.split_at(head.len()), (head, &vec![7; length][..]));
        }
    }
}
