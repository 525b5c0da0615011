//! Packetising: a frame's payload pieces, and the image RTSP interleaves.

use super::{HEADER, MAX_PACKET, Numbering, channel, payload_type};
use crate::frame::Frame;
use crate::nal;
use crate::params::{Codec, Track, TrackParams};
use bytes::{BufMut, Bytes, BytesMut};

/// What one RTP packet carries: a short payload header, then a slice of the frame.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    header: [u8; 4],
    header_len: usize,
    pub(super) body: &'a [u8],
    pub(super) marker: bool,
    /// Ticks after the frame's own timestamp (G.711 frames longer than a packet).
    pub(super) shift: u32,
}

impl<'a> Piece<'a> {
    fn new(header: &[u8], body: &'a [u8], marker: bool) -> Self {
        let mut bytes = [0; 4];
        for (to, from) in bytes.iter_mut().zip(header) {
            *to = *from;
        }
        Self { header: bytes, header_len: header.len().min(4), body, marker, shift: 0 }
    }

    pub(super) fn header(&self) -> &[u8] {
        self.header.get(..self.header_len).unwrap_or_default()
    }

    fn packet_len(&self) -> usize {
        HEADER + self.header_len + self.body.len()
    }
}

const MAX_PAYLOAD: usize = MAX_PACKET - HEADER;

/// Packets a frame takes.
pub(super) fn count(track: &TrackParams, key: bool, data: &[u8]) -> u16 {
    let mut packets = 0u16;
    pieces(track, key, data, MAX_PAYLOAD, |_| true, |_| packets = packets.saturating_add(1));
    packets
}

/// All packets of a frame with their interleaving prefixes (RFC 2326 section 10.12).
pub(crate) fn image(frame: &Frame) -> Bytes {
    let Some(track) = frame.track_params() else { return Bytes::new() };
    let mut size = 0;
    pieces(track, frame.key, &frame.data, MAX_PAYLOAD, |_| true, |piece| size += 4 + piece.packet_len());
    let mut out = BytesMut::with_capacity(size);
    let mut sequence = frame.rtp.sequence;
    let payload_type = payload_type(track);
    pieces(
        track,
        frame.key,
        &frame.data,
        MAX_PAYLOAD,
        |_| true,
        |piece| {
            out.put_u8(b'$');
            out.put_u8(channel(frame.track));
            out.put_u16(u16::try_from(piece.packet_len()).unwrap_or(u16::MAX));
            put_header(&mut out, &frame.rtp, sequence, payload_type, &piece);
            out.put_slice(piece.header());
            out.put_slice(piece.body);
            sequence = sequence.wrapping_add(1);
        },
    );
    out.freeze()
}

fn put_header(out: &mut BytesMut, rtp: &Numbering, sequence: u16, payload_type: u8, piece: &Piece) {
    out.put_u8(0x80); // version 2, no padding, no extension, no contributors
    out.put_u8(payload_type | if piece.marker { 0x80 } else { 0 });
    out.put_u16(sequence);
    out.put_u32(rtp.timestamp.wrapping_add(piece.shift));
    out.put_u32(rtp.ssrc);
}

/// The packets inside an image, without their interleaving prefixes: what a
/// UDP reader gets, one datagram each.
pub fn packets(image: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let prefix = image.get(at..at + 4)?;
        let length = usize::from(u16::from_be_bytes([*prefix.get(2)?, *prefix.get(3)?]));
        let packet = (at + 4)..(at + 4 + length).min(image.len());
        at = packet.end;
        Some(image.slice(packet))
    })
}

/// Cuts a frame into payloads of at most `most` bytes. Only NAL units that are `wanted`
/// go: the marker is on the last packet of what is left.
pub(super) fn pieces<'a>(
    track: &'a TrackParams,
    key: bool,
    data: &'a [u8],
    most: usize,
    wanted: impl Fn(&[u8]) -> bool,
    each: impl FnMut(Piece<'a>),
) {
    match track.codec {
        Codec::H264(_) | Codec::H265(_) => video(track, key, data, most, wanted, each),
        Codec::Aac(_) => aac(data, most, each),
        Codec::Pcmu | Codec::Pcma => g711(track, data, most, each),
        Codec::Opus => opus(data, most, each),
    }
}

/// RFC 6184 section 5.6 and 5.8 (single NAL unit, FU-A), RFC 7798 section 4.4.
/// Parameter sets go in front of a key frame that does not bring its own, so
/// that a reader can start at any of them and follow a change in mid-stream.
fn video<'a>(
    track: &'a TrackParams,
    key: bool,
    data: &'a [u8],
    most: usize,
    wanted: impl Fn(&[u8]) -> bool,
    mut each: impl FnMut(Piece<'a>),
) {
    let brings_own = nal::split(data).any(|nal| track.is_parameter_set(nal));
    let sets = (key && !brings_own).then(|| track.parameter_sets()).into_iter().flatten();
    let mut nals = sets.chain(nal::split(data)).filter(|nal| !nal.is_empty() && wanted(nal)).peekable();
    while let Some(nal) = nals.next() {
        let last = nals.peek().is_none();
        if nal.len() <= most {
            each(Piece::new(&[], nal, last));
            continue;
        }
        match (&track.codec, nal) {
            (Codec::H265(_), [first, second, body @ ..]) => {
                let indicator = [(first & 0x81) | (49 << 1), *second];
                let kind = (first >> 1) & 0x3f;
                fragments(body, most - 3, last, |start, end, chunk, marker| {
                    let [a, b] = indicator;
                    each(Piece::new(&[a, b, fu_header(start, end) | kind], chunk, marker));
                });
            }
            (_, [first, body @ ..]) => {
                let (indicator, kind) = ((first & 0xe0) | 28, first & 0x1f);
                fragments(body, most - 2, last, |start, end, chunk, marker| {
                    each(Piece::new(&[indicator, fu_header(start, end) | kind], chunk, marker));
                });
            }
            (_, []) => {}
        }
    }
}

fn fu_header(start: bool, end: bool) -> u8 {
    (u8::from(start) << 7) | (u8::from(end) << 6)
}

/// Equal-sized fragments but the last, which is what GSO needs later.
fn fragments<'a>(
    body: &'a [u8],
    most: usize,
    last_nal: bool,
    mut each: impl FnMut(bool, bool, &'a [u8], bool),
) {
    let mut chunks = body.chunks(most).enumerate().peekable();
    while let Some((number, chunk)) = chunks.next() {
        let end = chunks.peek().is_none();
        each(number == 0, end, chunk, end && last_nal);
    }
}

/// RFC 3640 section 3.3.6, AAC-hbr: one access unit a packet, or fragments of one.
fn aac<'a>(data: &'a [u8], most: usize, mut each: impl FnMut(Piece<'a>)) {
    // One AU-header of 16 bits: 13 bits of the whole unit's size, 3 bits of index.
    let size = u16::try_from(data.len()).unwrap_or(u16::MAX).min(0x1fff) << 3;
    let [high, low] = size.to_be_bytes();
    let mut chunks = data.chunks(most - 4).peekable();
    while let Some(chunk) = chunks.next() {
        each(Piece::new(&[0, 16, high, low], chunk, chunks.peek().is_none()));
    }
}

/// RFC 3551 section 4.5.14: one byte a sample and channel.
fn g711<'a>(track: &TrackParams, data: &'a [u8], most: usize, mut each: impl FnMut(Piece<'a>)) {
    let channels = usize::from(track.channels.max(1));
    let whole = (most / channels * channels).max(1);
    for (number, chunk) in data.chunks(whole).enumerate() {
        let shift = u32::try_from(number * whole / channels).unwrap_or(0);
        each(Piece { shift, ..Piece::new(&[], chunk, false) });
    }
}

/// RFC 7587 section 4.2: one packet of Opus a packet of RTP. At the rates people
/// speak in it is far smaller than a packet; what is not is left out.
fn opus<'a>(data: &'a [u8], most: usize, mut each: impl FnMut(Piece<'a>)) {
    if data.len() <= most {
        each(Piece::new(&[], data, false));
    }
}

/// Re-addresses an image to the interleaved channels a reader insisted on.
#[must_use]
pub fn on_channel(image: &Bytes, channel: u8) -> Bytes {
    let mut out = BytesMut::with_capacity(image.len());
    for packet in packets(image) {
        out.put_slice(&[b'$', channel]);
        out.put_u16(u16::try_from(packet.len()).unwrap_or(u16::MAX));
        out.put_slice(&packet);
    }
    out.freeze()
}

/// Which track a shared image's channel belongs to.
#[must_use]
pub fn track_of(channel: u8) -> Track {
    if channel < 2 { Track::Video } else { Track::Audio }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
