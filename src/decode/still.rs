//! A key access unit, and what follows it, to one JPEG.

use crate::video::{Decoder, fit, scale};
use bytes::Bytes;
use ffmpeg_next::codec::{self, Context, Id};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Dictionary, Packet, frame};
use media::job::{Failure, Picture};

/// Quantiser of the JPEG: 2 is best, 31 worst.
const QUANTISER: i32 = 5;

/// The last picture, no wider than `width` and never larger than it is.
pub fn jpeg(picture: &Picture, width: u16, units: &[Bytes]) -> Result<Vec<u8>, Failure> {
    let (mut decoder, mut last) = (Decoder::open(picture.coding)?, None);
    for (pts, unit) in (0..).zip(units) {
        let sets = if pts == 0 { &picture.sets[..] } else { &[] };
        if decoder.send(sets, unit, pts).is_err() {
            // What was shown before it broke will do.
            break;
        }
        while let Some(decoded) = decoder.receive() {
            last = Some(decoded);
        }
    }
    decoder.finish();
    while let Some(decoded) = decoder.receive() {
        last = Some(decoded);
    }
    let decoded = last.ok_or(Failure::NotAPicture)?;
    if decoded.is_corrupt() {
        return Err(Failure::NotAPicture);
    }
    let (width, height) = fit(&decoded, u32::from(width));
    let scaled = scale(&decoded, Pixel::YUVJ420P, width, height)?;
    encode(&scaled).map_err(|_| Failure::Unsupported)
}

fn encode(picture: &frame::Video) -> Result<Vec<u8>, ffmpeg_next::Error> {
    let codec = codec::encoder::find(Id::MJPEG).ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut encoder = Context::new_with_codec(codec).encoder().video()?;
    encoder.set_width(picture.width());
    encoder.set_height(picture.height());
    encoder.set_format(picture.format());
    encoder.set_time_base((1, 1));
    encoder.set_qmin(QUANTISER);
    encoder.set_qmax(QUANTISER);
    let options: Dictionary<'_> = [("threads", "1")].into_iter().collect();
    let mut encoder = encoder.open_as_with(codec, options)?;
    encoder.send_frame(picture)?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet)?;
    Ok(packet.data().unwrap_or_default().to_vec())
}
