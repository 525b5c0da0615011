//! The loop around one viewer's session.

use super::mux::{Incoming, Shared};
use super::session::{Out, Session};
use super::tcp;
use super::udp::Left;
use crate::admission::Admission;
use crate::hub::{Hub, Interrupted, Item, Stats, Subscription};
use media::{Params, Track};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often time is looked at: reports, consent, handshakes.
const TICK: Duration = Duration::from_millis(500);
/// The same while a viewer connects.
const TICK_CONNECTING: Duration = Duration::from_millis(100);
/// Bytes a second at which a viewer is led through what is there already.
const PACE: f64 = 3_000_000.0;
/// Between two jumps to the newest key frame: viewers ask several times for one.
const JUMP_EVERY: Duration = Duration::from_secs(1);

/// One viewer.
pub(super) struct Viewer {
    pub(super) id: String,
    pub(super) session: Session,
    pub(super) incoming: mpsc::Receiver<Incoming>,
    /// Cancelled when its owner ends it, and when the gateway stops.
    pub(super) end: CancellationToken,
    /// Cancelled when the gateway stops.
    pub(super) closing: CancellationToken,
}

/// A buffer that a large frame has left behind is given back above this.
const SPARE: usize = 64 << 10;

/// Takes the session off the table, however the task ends.
struct Seat<'a>(&'a str, &'a Shared, &'static str);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.1.leave(self.0, self.2);
    }
}

/// Serves a viewer until it goes or must go.
pub(super) async fn run(mut viewer: Viewer, pass: Admission, hub: Hub, shared: Arc<Shared>) {
    let id = viewer.id.clone();
    let mut seat = Seat(&id, &shared, "it panicked");
    let mut out = Out::default();
    seat.2 = viewer.serve(pass, hub, &shared, &mut out).await;
    viewer.session.close(&mut out);
    viewer.send_control(&shared, &mut out);
}

impl Viewer {
    async fn serve(&mut self, pass: Admission, hub: Hub, shared: &Shared, out: &mut Out) -> &'static str {
        if let Err(why) = self.connect(&pass, &hub, shared, out).await {
            return why;
        }
        self.play(hub.watch(pass), &hub, shared, out).await
    }

    /// Until the viewer is connected; the stream is wanted meanwhile.
    async fn connect(
        &mut self,
        pass: &Admission,
        hub: &Hub,
        shared: &Shared,
        out: &mut Out,
    ) -> Result<(), &'static str> {
        let _wanted = hub.want();
        let mut end = pin!(pass.end());
        let mut tick = tokio::time::interval(TICK_CONNECTING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.session.route().is_none() {
            tokio::select! {
                biased;
                over = &mut end => return Err(reason(over.into())),
                () = self.end.cancelled() => return Err(self.ended()),
                incoming = self.incoming.recv() => {
                    self.take(incoming, hub.stats(), out);
                }
                _ = tick.tick() => self.session.tick(Instant::now().into_std(), out),
            }
            self.settle(shared, out)?;
        }
        Ok(())
    }

    async fn play(
        &mut self,
        mut subscription: Subscription,
        hub: &Hub,
        shared: &Shared,
        out: &mut Out,
    ) -> &'static str {
        self.session.begin(&subscription.peek());
        let mut jumped_at = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut params, mut pace) = (None::<Arc<Params>>, None);
        let mut ended = pin!(self.end.clone().cancelled_owned());
        loop {
            // Frames are only taken when the last ones have left: a slow viewer is a
            // cursor that stands still, never a queue.
            let place =
                self.session.route().and_then(|route| route.tcp).map(|tcp| shared.connections.get(tcp));
            tokio::select! {
                biased;
                item = next(&mut subscription, pace, place.as_ref()) => match item {
                    Ok(Item::Frame(frame)) => self.session.put(&frame, hub, Instant::now().into_std(), out),
                    Ok(Item::Params(now)) => {
                        let before = params.replace(Arc::clone(&now));
                        if before.is_some_and(|before| codecs(&before) != codecs(&now)) {
                            return "the stream has another codec now";
                        }
                    }
                    Ok(Item::State(_)) => {}
                    Err(Interrupted::Lagged { .. }) => self.session.begin(&subscription.peek()),
                    Err(end) => return reason(end),
                },
                incoming = self.incoming.recv() => {
                    let asks = self.take(incoming, hub.stats(), out);
                    if asks && jumped_at.elapsed() >= JUMP_EVERY {
                        jumped_at = Instant::now();
                        subscription.rejoin();
                        self.session.begin(&subscription.peek());
                    }
                    subscription.ask_again();
                }
                _ = tick.tick() => {
                    self.session.tick(Instant::now().into_std(), out);
                    subscription.ask_again();
                }
                () = &mut ended => return self.ended(),
            }
            let bytes = out.media.bytes.len();
            if bytes > 0 {
                let left = self.send_media(shared, out).await;
                Stats::add(&subscription.stats().datagrams, left.datagrams);
                subscription.count(left.calls, left.bytes);
                let behind = !subscription.is_caught_up();
                pace = behind.then(|| Instant::now() + Duration::from_secs_f64(bytes as f64 / PACE));
            }
            if let Err(why) = self.settle(shared, out) {
                return why;
            }
        }
    }

    fn ended(&self) -> &'static str {
        if self.closing.is_cancelled() { "the gateway is stopping" } else { "its owner has ended it" }
    }

    /// Hands over what has come; whether the viewer asks for a key frame.
    fn take(&mut self, incoming: Option<Incoming>, stats: &Stats, out: &mut Out) -> bool {
        match incoming {
            Some(Incoming::Packet(route, packet)) => {
                self.session.receive(&packet, route, Instant::now().into_std(), stats, out).key_frame
            }
            Some(Incoming::Restart(local, remote_ufrag)) => {
                self.session.restart(local, remote_ufrag);
                false
            }
            Some(Incoming::Lost(tcp)) => {
                self.session.lost(tcp, Instant::now().into_std());
                false
            }
            None => false,
        }
    }

    /// Sends answers and tells the table what was learnt.
    fn settle(&mut self, shared: &Shared, out: &mut Out) -> Result<(), &'static str> {
        if !out.learnt.is_empty() || !out.forgotten.is_empty() {
            shared.learn(&self.id, &out.learnt, &out.forgotten);
            out.learnt.clear();
            out.forgotten.clear();
        }
        self.send_control(shared, out);
        self.session.over().map_or(Ok(()), Err)
    }

    fn send_control(&self, shared: &Shared, out: &mut Out) {
        for (route, packet) in out.control.drain(..) {
            match route.tcp {
                None => {
                    if let Some(udp) = shared.udp() {
                        udp.send_one(route, &packet);
                    }
                }
                // Its place is lost if the connection is full: they are sent again.
                Some(tcp) => {
                    if let Some(sender) = shared.connections.get(tcp) {
                        let _ = sender.try_send(tcp::framed_one(&packet));
                    }
                }
            }
        }
    }

    async fn send_media(&self, shared: &Shared, out: &mut Out) -> Left {
        let left = match self.session.route() {
            Some(route) => match (route.tcp, shared.udp()) {
                (None, Some(udp)) => udp.send(route, &out.media).await,
                (Some(tcp), _) => {
                    let sender = shared.connections.get(tcp);
                    let sent = sender.is_some_and(|sender| sender.try_send(tcp::framed(&out.media)).is_ok());
                    let all =
                        Left { calls: 1, datagrams: out.media.ends.len(), bytes: out.media.bytes.len() };
                    if sent { all } else { Left::default() }
                }
                (None, None) => Left::default(),
            },
            None => Left::default(),
        };
        out.media.clear();
        out.media.bytes.shrink_to(SPARE);
        left
    }
}

/// The next item, when the viewer may have it. Safe to drop and call again.
async fn next(
    subscription: &mut Subscription,
    pace: Option<Instant>,
    place: Option<&Option<mpsc::Sender<bytes::Bytes>>>,
) -> Result<Item, Interrupted> {
    if let Some(at) = pace {
        tokio::select! {
            biased;
            end = subscription.pass_end() => return Err(end),
            () = tokio::time::sleep_until(at) => {}
        }
    }
    match place {
        None => {}
        Some(Some(sender)) => {
            tokio::select! {
                biased;
                end = subscription.pass_end() => return Err(end),
                _ = sender.reserve() => {}
            }
        }
        // The connection is gone, and another may come.
        Some(None) => return Err(subscription.pass_end().await),
    }
    subscription.next().await
}

fn codecs(params: &Params) -> [Option<&'static str>; 2] {
    [Track::Video, Track::Audio].map(|track| params.track(track).map(|params| params.name()))
}

fn reason(end: Interrupted) -> &'static str {
    match end {
        Interrupted::Revoked => "right withdrawn",
        Interrupted::Expired => "lease expired",
        Interrupted::Ended | Interrupted::Lagged { .. } => "stream ended",
    }
}
