//! Marks of pictures as viewers get them: in packets, in MP4, in JPEG.

use super::folder::Folder;
use super::foreign::run;
use camsim::mark::{self, Mark};
use std::time::Duration;

/// What the pictures that ffmpeg decodes say; they are `width` by `height` then.
pub async fn marks(arguments: &[&str], width: usize, height: usize) -> Vec<Option<Mark>> {
    let decode = ["-f", "rawvideo", "-pix_fmt", "gray", "-"];
    let output =
        run("ffmpeg", &[&["-v", "error"], arguments, &decode].concat(), Duration::from_secs(60)).await;
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(width * height).map(|luma| mark::read(luma, width, height)).collect()
}

/// What each of these JPEGs says, in whatever size it is.
pub async fn of_jpegs(jpegs: &[Vec<u8>]) -> Vec<Option<Mark>> {
    let folder = Folder::new();
    let path = folder.path("stills.mjpeg");
    std::fs::write(&path, jpegs.concat()).unwrap();
    let input =
        ["-f", "mjpeg", "-i", path.to_str().unwrap(), "-vf", "scale=256:128", "-fps_mode", "passthrough"];
    let marks = marks(&input, 256, 128).await;
    assert_eq!(marks.len(), jpegs.len(), "every one is a picture");
    marks
}

/// The NAL units in all `mdat` boxes of MP4 fragments.
pub fn nals_of_fragments(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut nals = Vec::new();
    while let Some((head, _)) = bytes.split_first_chunk::<8>() {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (whole, rest) = bytes.split_at(size);
        if &head[4..] == b"mdat" {
            nals.extend(media::nal::split(&whole[8..]));
        }
        bytes = rest;
    }
    nals
}

/// Puts the NAL units of a stream of RTP packets together again (RFC 6184).
#[derive(Default)]
pub struct Unpacker {
    unit: Vec<u8>,
    newest: Option<u16>,
}

impl Unpacker {
    /// The NAL units that are whole with this packet. What is not whole because packets
    /// are missing before this one is left out.
    pub fn push(&mut self, sequence: u16, payload: &[u8]) -> Vec<Vec<u8>> {
        let before = self.newest.replace(sequence);
        if before.is_some_and(|before| sequence != before.wrapping_add(1)) {
            self.unit.clear();
        }
        let mut whole = Vec::new();
        match payload {
            [first, rest @ ..] if first & 0x1f == 24 => {
                let mut rest = rest;
                while let Some((size, units)) = rest.split_first_chunk::<2>() {
                    let (unit, others) = units.split_at(u16::from_be_bytes(*size).into());
                    whole.push(unit.to_vec());
                    rest = others;
                }
            }
            [indicator, header, rest @ ..] if indicator & 0x1f == 28 => {
                if header & 0x80 != 0 {
                    self.unit = vec![indicator & 0xe0 | header & 0x1f];
                }
                if !self.unit.is_empty() {
                    self.unit.extend_from_slice(rest);
                }
                if header & 0x40 != 0 && !self.unit.is_empty() {
                    whole.push(std::mem::take(&mut self.unit));
                }
            }
            payload => whole.push(payload.to_vec()),
        }
        whole
    }
}
