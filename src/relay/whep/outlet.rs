//! One track to one viewer: its numbers, its times, and what it may ask for again.

use crate::hub::{Hub, Stats};
use media::rtp::payload::MAX_DATAGRAM;
use media::rtp::report::SenderReport;
use media::rtp::srtp::Sealer;
use media::{Frame, Track};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between sender reports of a track.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// A packet that is lost is asked for within this, or not at all.
const KEPT: Duration = Duration::from_millis(1_500);
/// Bytes of frames that are held for that; they are the stream's, not copies.
const KEPT_BYTES: usize = 4 << 20;
/// Frames that are made up for follow each other in a millisecond (of 90 kHz), so
/// that the viewer's clock runs through them and arrives at now.
const STEP: i64 = 90;
/// Of what was sent, so much may be sent again, …
const AGAIN_SHARE: f32 = 0.25;
/// … and so many packets at once.
const AGAIN_BURST: f32 = 256.0;

/// Bytes that are sealed in one go: what a large frame has beyond that is sealed when these
/// have left, so that it does not wait whole for a viewer that is slow.
pub(super) const PIECE: usize = 256 << 10;

/// Sealed datagrams, one behind the other.
#[derive(Default)]
pub(super) struct Datagrams {
    pub(super) bytes: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
}

impl Datagrams {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// A frame that was sent.
struct Sent {
    /// Extended sequence number of its first packet.
    first: u64,
    timestamp: u32,
    frame: Arc<Frame>,
    at: Instant,
}

/// What of a frame is still to be sealed.
struct Rest {
    frame: Arc<Frame>,
    first: u64,
    timestamp: u32,
    /// The next packet of it.
    next: usize,
}

/// Where a track goes.
pub(super) struct Outlet {
    pub(super) track: Track,
    pub(super) ssrc: u32,
    payload_type: u8,
    /// Extended sequence number of the next packet: the upper bits are SRTP's rollover.
    next: u64,
    /// Added to the track's ticks.
    offset: u32,
    /// Ticks that the last frame was given.
    last: i64,
    /// Sound from before this is not sent: it would all be heard at once.
    from: Duration,
    sent: VecDeque<Sent>,
    sent_bytes: usize,
    rest: Option<Rest>,
    packets: u32,
    octets: u32,
    again: f32,
    reported: Option<Instant>,
}

impl Outlet {
    /// An outlet whose numbers begin where `random` says (RFC 3550 section 5.1).
    pub(super) fn new(track: Track, payload_type: u8, ssrc: u32, random: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = random;
        Self {
            track,
            ssrc,
            payload_type,
            // In the lower half, so that an early loss cannot hide the first wrap.
            next: u64::from(u16::from_be_bytes([a, b]) >> 1),
            offset: u32::from_be_bytes([c, d, e, f]),
            last: i64::MIN,
            from: Duration::ZERO,
            sent: VecDeque::new(),
            sent_bytes: 0,
            rest: None,
            packets: 0,
            octets: 0,
            again: AGAIN_BURST,
            reported: None,
        }
    }

    /// The viewer begins, or begins anew, with `backlog`: frames that are there already.
    pub(super) fn begin(&mut self, backlog: &[Arc<Frame>]) {
        self.rest = None;
        let mine = || backlog.iter().filter(|frame| frame.track == self.track);
        let Some(newest) = mine().next_back() else { return };
        match self.track {
            Track::Video => {
                let count = i64::try_from(mine().count()).unwrap_or(0);
                self.last = self.last.max(newest.pts.0.saturating_sub(count.saturating_mul(STEP)));
            }
            Track::Audio => self.from = newest.arrival,
        }
    }

    fn ticks(&mut self, frame: &Frame) -> i64 {
        match self.track {
            Track::Video if self.last > i64::MIN => self.last = frame.pts.0.max(self.last + STEP),
            _ => self.last = frame.pts.0,
        }
        self.last
    }

    /// Seals a frame's packets into `out`, as many as one piece takes.
    pub(super) fn put(
        &mut self,
        frame: &Arc<Frame>,
        sealer: &Sealer,
        now: Instant,
        stats: &Stats,
        out: &mut Datagrams,
    ) {
        if self.track == Track::Audio && frame.arrival < self.from {
            return;
        }
        let payload = frame.rtp_payload(|bytes| {
            Stats::add(&stats.payloads, 1);
            Stats::add(&stats.copied_bytes, bytes);
        });
        if payload.is_empty() {
            return;
        }
        let ticks = self.ticks(frame);
        let [.., a, b, c, d] = ticks.to_be_bytes();
        let timestamp = self.offset.wrapping_add(u32::from_be_bytes([a, b, c, d]));
        let first = self.next;
        self.rest = Some(Rest { frame: Arc::clone(frame), first, timestamp, next: 0 });
        self.go_on(sealer, out);
        let packets = u32::try_from(payload.packets()).unwrap_or(u32::MAX);
        self.next += u64::from(packets);
        self.packets = self.packets.wrapping_add(packets);
        self.octets = self.octets.wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
        self.again = (self.again + AGAIN_SHARE * payload.packets() as f32).min(AGAIN_BURST);
        self.sent_bytes += frame.data.len();
        self.sent.push_back(Sent { first, timestamp, frame: Arc::clone(frame), at: now });
        while self
            .sent
            .front()
            .is_some_and(|old| self.sent_bytes > KEPT_BYTES || now.saturating_duration_since(old.at) > KEPT)
        {
            self.sent_bytes -= self.sent.pop_front().map_or(0, |old| old.frame.data.len());
        }
    }

    /// Whether a frame is still to be gone on with.
    pub(super) fn is_midway(&self) -> bool {
        self.rest.is_some()
    }

    /// Seals the next piece of the frame.
    pub(super) fn go_on(&mut self, sealer: &Sealer, out: &mut Datagrams) {
        let Some(mut rest) = self.rest.take() else { return };
        let packets = rest.frame.rtp_payload(|_| ()).packets();
        while rest.next < packets && out.bytes.len() + MAX_DATAGRAM <= PIECE {
            self.seal(&rest.frame, rest.first, rest.timestamp, rest.next, sealer, out);
            rest.next += 1;
        }
        self.rest = (rest.next < packets).then_some(rest);
    }

    /// Seals packet `n` of a frame: the same bytes whenever it is called.
    fn seal(
        &self,
        frame: &Frame,
        first: u64,
        timestamp: u32,
        n: usize,
        sealer: &Sealer,
        out: &mut Datagrams,
    ) {
        let payload = frame.rtp_payload(|_| ());
        let Some(part) = payload.part(n) else { return };
        let number = first + n as u64;
        let [.., s0, s1] = number.to_be_bytes();
        let [t0, t1, t2, t3] = timestamp.wrapping_add(part.shift).to_be_bytes();
        let [r0, r1, r2, r3] = self.ssrc.to_be_bytes();
        let kind = self.payload_type | if part.marker { 0x80 } else { 0 };
        let header = [0x80, kind, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
        let rollover = u32::try_from((number >> 16) & 0xffff_ffff).unwrap_or(0);
        let before = out.bytes.len();
        sealer.rtp(&header, rollover, part.bytes, &mut out.bytes);
        if out.bytes.len() > before {
            out.ends.push(out.bytes.len());
        }
    }

    /// Seals a packet again that the viewer lost, if it is still there.
    pub(super) fn again(&mut self, sequence: u16, sealer: &Sealer, stats: &Stats, out: &mut Datagrams) {
        if self.again < 1.0 {
            return;
        }
        let [.., high, low] = self.next.to_be_bytes();
        let behind = u64::from(u16::from_be_bytes([high, low]).wrapping_sub(sequence));
        let Some(number) = self.next.checked_sub(behind).filter(|_| behind > 0) else { return };
        let at = self.sent.partition_point(|sent| sent.first <= number);
        let Some(sent) = at.checked_sub(1).and_then(|at| self.sent.get(at)) else { return };
        let n = usize::try_from(number - sent.first).unwrap_or(usize::MAX);
        let before = out.ends.len();
        self.seal(&sent.frame, sent.first, sent.timestamp, n, sealer, out);
        if out.ends.len() > before {
            self.again -= 1.0;
            Stats::add(&stats.resent, 1);
        }
    }

    /// A sender report, if one is due: which wall time the last frame's timestamp is.
    /// Not while the viewer is led to now: its clock and ours differ until then.
    pub(super) fn report(&mut self, frame: &Frame, hub: &Hub, now: Instant) -> Option<Vec<u8>> {
        let due = self.reported.is_none_or(|at| now.saturating_duration_since(at) >= REPORT_EVERY);
        if !due || self.packets == 0 || self.last != frame.pts.0 {
            return None;
        }
        self.reported = Some(now);
        let [.., a, b, c, d] = self.last.to_be_bytes();
        let report = SenderReport {
            ssrc: self.ssrc,
            wall: hub.born() + frame.pts.to_duration(frame.track_params()?.clock_rate),
            timestamp: self.offset.wrapping_add(u32::from_be_bytes([a, b, c, d])),
            packets: self.packets,
            octets: self.octets,
        };
        Some(report.to_bytes("sharp-eyes"))
    }
}
