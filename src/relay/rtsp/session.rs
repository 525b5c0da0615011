//! One viewer's session: its tracks, its place in the stream, its reports.

use super::delivery::{Datagrams, Out};
use crate::WallClock;
use crate::admission::Admission;
use crate::hub::{Hub, Interest, Interrupted, Item, Stats, Subscription};
use bytes::Bytes;
use media::rtp::{self, pack, report::SenderReport};
use media::rtsp::{sdp, transport::Transport};
use media::{Frame, Params, Track};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Seconds without a sign of life after which a session ends.
pub(super) const TIMEOUT: u64 = 60;
/// Between sender reports of a track.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How a session reads.
enum Reading {
    /// Not yet, or paused: the right is held and the stream kept wanted.
    Paused(Admission, Interest),
    /// Playing.
    Playing(Box<Subscription>),
    /// In between, never seen from outside.
    Moving,
}

/// Where a track goes.
enum Route {
    Interleaved(u8),
    Udp(Datagrams),
}

struct Outlet {
    track: Track,
    route: Route,
    /// Datagrams the socket was too full for.
    waiting: VecDeque<Bytes>,
    packets: u32,
    octets: u32,
    reported: Option<Instant>,
}

/// A session, made by the first DESCRIBE or SETUP of its connection.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) path: String,
    hub: Hub,
    reading: Reading,
    outlets: Vec<Outlet>,
    /// What the stream carried when it was first read.
    codecs: Option<[Option<&'static str>; 2]>,
    clock: WallClock,
}

/// The codecs of picture and sound.
fn codecs(params: &Params) -> [Option<&'static str>; 2] {
    [Track::Video, Track::Audio].map(|track| params.track(track).map(|params| params.name()))
}

/// What the connection does after [`Session::next`].
pub(super) enum Step {
    /// Bytes may be waiting in `Out`.
    Written,
    /// The session is over.
    Over(Interrupted),
}

impl Session {
    pub(super) fn new(path: String, pass: Admission, hub: Hub, clock: WallClock) -> Self {
        let id: String = crate::random::<16>().iter().map(|b| format!("{b:02x}")).collect();
        let wanted = hub.want();
        Self {
            id,
            path,
            hub,
            reading: Reading::Paused(pass, wanted),
            outlets: Vec::new(),
            codecs: None,
            clock,
        }
    }

    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(super) fn is_playing(&self) -> bool {
        matches!(self.reading, Reading::Playing(_))
    }

    pub(super) fn has_tracks(&self) -> bool {
        !self.outlets.is_empty()
    }

    /// Adds or replaces a track's outlet; answers its `Transport` header.
    pub(super) async fn set_up(
        &mut self,
        track: Track,
        wanted: Transport,
        local: IpAddr,
        viewer: IpAddr,
    ) -> io::Result<String> {
        let (route, header) = match wanted {
            Transport::Interleaved { channel } => {
                // The shared image has its own channels; a client that proposed
                // others gets a copy of its own.
                let channel = channel.unwrap_or(rtp::channel(track));
                let header = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel.wrapping_add(1));
                (Route::Interleaved(channel), header)
            }
            Transport::Udp { rtp, rtcp } => {
                let sockets = Datagrams::bind(local, viewer, rtp, rtcp).await?;
                let (own, own_rtcp) = sockets.ports()?;
                let header = format!("RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={own}-{own_rtcp}");
                (Route::Udp(sockets), header)
            }
        };
        self.outlets.retain(|outlet| outlet.track != track);
        self.outlets.push(Outlet {
            track,
            route,
            waiting: VecDeque::new(),
            packets: 0,
            octets: 0,
            reported: None,
        });
        Ok(header)
    }

    /// Starts to read and answers the `RTP-Info` header for `base`.
    pub(super) async fn play(&mut self, base: &str) -> String {
        self.reading = match std::mem::replace(&mut self.reading, Reading::Moving) {
            Reading::Paused(pass, wanted) => {
                let subscription = self.hub.watch(pass);
                drop(wanted);
                Reading::Playing(Box::new(subscription))
            }
            other => other,
        };
        // A stream that has just been opened: its first frame is on its way.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.first_frame()).await;
        self.rtp_info(base)
    }

    async fn first_frame(&mut self) {
        if let Reading::Playing(subscription) = &mut self.reading {
            while !subscription.peek().iter().any(|frame| frame.key) {
                subscription.changed().await;
            }
        }
    }

    /// Sequence number and timestamp of each track's first packet (RFC 2326 section 12.33).
    fn rtp_info(&self, base: &str) -> String {
        let Reading::Playing(subscription) = &self.reading else { return String::new() };
        let frames = subscription.peek();
        let of = |track| frames.iter().find(|frame| frame.track == track);
        let parts = self.outlets.iter().map(|outlet| {
            let url = format!("url={base}/{}", sdp::control(outlet.track));
            match of(outlet.track) {
                Some(frame) => {
                    let start = self.start_timestamp(frame, frames.first().unwrap_or(frame));
                    format!("{url};seq={};rtptime={start}", frame.rtp.sequence)
                }
                None => url,
            }
        });
        parts.collect::<Vec<_>>().join(",")
    }

    /// The timestamp `frame`'s track has at the moment `first` is shown: all
    /// tracks' `rtptime` must name the same moment.
    fn start_timestamp(&self, frame: &Frame, first: &Frame) -> u32 {
        let rate = |frame: &Frame| frame.track_params().map_or(90_000, |track| track.clock_rate);
        let start = first.pts.0.saturating_mul(i64::from(rate(frame))) / i64::from(rate(first).max(1));
        let ahead = frame.pts.0.saturating_sub(start).rem_euclid(1 << 32);
        frame.rtp.timestamp.wrapping_sub(u32::try_from(ahead).unwrap_or(0))
    }

    /// Stops reading; PLAY goes on at the live edge.
    pub(super) fn pause(&mut self) {
        self.reading = match std::mem::replace(&mut self.reading, Reading::Moving) {
            Reading::Playing(subscription) => {
                let (pass, wanted) = subscription.pause();
                Reading::Paused(pass, wanted)
            }
            other => other,
        };
    }

    /// Waits for frames and puts them out. Safe to drop and call again.
    pub(super) async fn next(&mut self, out: &mut Out) -> Step {
        let Reading::Playing(subscription) = &mut self.reading else {
            return Step::Over(self.pass_end().await);
        };
        // A socket that is full in the middle of a large frame gets a moment to drain.
        if let Some(outlet) = self.outlets.iter_mut().find(|outlet| !outlet.waiting.is_empty()) {
            tokio::select! {
                end = subscription.pass_end() => return Step::Over(end),
                sent = outlet.drain() => {
                    subscription.count(sent.0, sent.1);
                    return Step::Written;
                }
            }
        }
        let mut item = subscription.next().await;
        // Everything that is there leaves in one write; UDP is given time to drain.
        for more in (0..64).rev() {
            match item {
                Ok(Item::Frame(frame)) => {
                    if let Some((packets, bytes)) =
                        put(&mut self.outlets, &frame, &self.hub, &self.clock, out)
                    {
                        subscription.count(packets, bytes);
                        break;
                    }
                }
                // A player was told one codec; with another it must ask again.
                Ok(Item::Params(params)) => {
                    let codecs = codecs(&params);
                    if self.codecs.get_or_insert(codecs) != &codecs {
                        return Step::Over(Interrupted::Ended);
                    }
                }
                Ok(Item::State(_)) | Err(Interrupted::Lagged { .. }) => {}
                Err(end) => return Step::Over(end),
            }
            // What is read must be put out: nothing is read for another turn.
            match if more > 0 { subscription.try_next() } else { None } {
                Some(next) => item = next,
                None => break,
            }
        }
        Step::Written
    }

    /// Completes when the right to watch ends.
    pub(super) async fn pass_end(&mut self) -> Interrupted {
        match &mut self.reading {
            Reading::Playing(subscription) => subscription.pass_end().await,
            Reading::Paused(pass, _) => pass.end().await.into(),
            Reading::Moving => Interrupted::Ended,
        }
    }

    /// Whether a UDP viewer has reported since the last call.
    pub(super) fn heard(&self) -> bool {
        self.outlets.iter().any(|outlet| match &outlet.route {
            Route::Udp(sockets) => sockets.heard(),
            Route::Interleaved(_) => false,
        })
    }

    /// The connection has waited for something else: see [`Subscription::ask_again`].
    pub(super) fn ask_again(&mut self) {
        if let Reading::Playing(subscription) = &mut self.reading {
            subscription.ask_again();
        }
    }

    pub(super) fn count(&self, bytes: usize, writes: usize) {
        if let Reading::Playing(subscription) = &self.reading {
            subscription.count(writes, bytes);
        }
    }
}

/// Puts a frame out on its track's outlet. Packets and bytes if it went by UDP.
fn put(
    outlets: &mut [Outlet],
    frame: &Arc<Frame>,
    hub: &Hub,
    clock: &WallClock,
    out: &mut Out,
) -> Option<(usize, usize)> {
    let outlet = outlets.iter_mut().find(|outlet| outlet.track == frame.track)?;
    let stats = hub.stats();
    let image = frame.rtsp_image(|bytes| {
        Stats::add(&stats.images, 1);
        Stats::add(&stats.copied_bytes, bytes);
    });
    let report = outlet.report(frame, hub, clock);
    let packets = usize::from(frame.rtp.packets);
    outlet.packets = outlet.packets.wrapping_add(u32::from(frame.rtp.packets));
    let payload = image.len().saturating_sub(packets * (4 + rtp::HEADER));
    outlet.octets = outlet.octets.wrapping_add(u32::try_from(payload).unwrap_or(0));
    match &outlet.route {
        Route::Interleaved(channel) => {
            if let Some(report) = report {
                let length = u16::try_from(report.len()).unwrap_or(0).to_be_bytes();
                let prefix = [b'$', channel.wrapping_add(1), length[0], length[1]];
                out.push([&prefix[..], &report].concat().into());
            }
            if *channel == rtp::channel(frame.track) {
                out.push(image);
            } else {
                Stats::add(&stats.copied_bytes, image.len());
                out.push(pack::on_channel(&image, *channel));
            }
            None
        }
        Route::Udp(sockets) => {
            if let Some(report) = report {
                sockets.send_report(&report);
            }
            let mut sent = (0, 0);
            for packet in pack::packets(&image) {
                if outlet.waiting.is_empty() && sockets.send(&packet) {
                    sent = (sent.0 + 1, sent.1 + packet.len());
                } else {
                    outlet.waiting.push_back(packet);
                }
            }
            Some(sent)
        }
    }
}

/// Packets that do not leave within this are lost: the next frame is due.
const DRAIN: Duration = Duration::from_millis(100);

impl Outlet {
    /// Sends what waits, as the socket takes it; answers packets and bytes. Safe to
    /// drop and call again.
    async fn drain(&mut self) -> (usize, usize) {
        let mut sent = (0, 0);
        let Route::Udp(sockets) = &self.route else { return sent };
        let end = Instant::now() + DRAIN;
        while let Some(packet) = self.waiting.front() {
            if sockets.send(packet) {
                sent = (sent.0 + 1, sent.1 + packet.len());
                self.waiting.pop_front();
            } else if tokio::time::timeout_at(end, sockets.writable()).await.is_err() {
                self.waiting.clear();
            }
        }
        sent
    }

    /// A sender report if one is due: which wall time this frame's timestamp is.
    fn report(&mut self, frame: &Frame, hub: &Hub, clock: &WallClock) -> Option<Vec<u8>> {
        let now = Instant::now();
        if self.reported.is_some_and(|at| now.duration_since(at) < REPORT_EVERY) {
            return None;
        }
        self.reported = Some(now);
        let rate = frame.track_params()?.clock_rate;
        let wall = (hub.born() + frame.pts.to_duration(rate)).min(clock.now() + Duration::from_secs(1));
        let report = SenderReport {
            ssrc: frame.rtp.ssrc,
            wall,
            timestamp: frame.rtp.timestamp,
            packets: self.packets,
            octets: self.octets,
        };
        Some(report.to_bytes("sharp-eyes"))
    }
}
