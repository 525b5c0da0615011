//! The loop around one viewer's session.

use super::ice::Route;
use super::mux::{Incoming, Shared};
use super::pace::Pace;
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
/// A frame that has been there for longer is one that the viewer is led through.
const NEWEST: Duration = Duration::from_millis(100);
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
                    self.take(incoming, out);
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
        let mut pace = Pace::new(Instant::now());
        self.begin(&subscription, &mut pace);
        let mut jumped_at = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut params = None::<Arc<Params>>;
        // How long the last frame had been there when it was taken.
        let (mut age, mut before) = (Duration::ZERO, self.session.route());
        let mut ended = pin!(self.end.clone().cancelled_owned());
        loop {
            // Frames are only taken when the last ones have left: a slow viewer is a
            // cursor that stands still, never a queue.
            let (route, midway) = (self.session.route(), self.session.is_midway());
            let place = Place::of(route, shared);
            // What was on its way by a connection that is gone has not arrived: the viewer
            // goes on at a key frame, when it has come back.
            if !matches!(place, Place::Nowhere) && before != route {
                if before.is_none_or(|before| before.tcp.is_some()) {
                    subscription.rejoin();
                    self.begin(&subscription, &mut pace);
                }
                before = route;
            } else if matches!(place, Place::Nowhere) {
                before = None;
            }
            let lags = age > NEWEST && !subscription.is_caught_up();
            let wait = (lags && !midway).then(|| pace.free_at());
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(pace.free_at()),
                    if self.session.has_lost() && !matches!(place, Place::Nowhere) =>
                {
                    self.session.again(hub.stats(), out);
                    subscription.ask_again();
                }
                item = next(&mut subscription, wait, &place, midway) => match item {
                    Ok(None) => self.session.go_on(out),
                    Ok(Some(Item::Frame(frame))) => {
                        age = hub.arrived_at(&frame).elapsed();
                        pace.count(&frame);
                        self.session.put(&frame, hub, Instant::now().into_std(), out);
                    }
                    Ok(Some(Item::Params(now))) => {
                        let before = params.replace(Arc::clone(&now));
                        if before.is_some_and(|before| codecs(&before) != codecs(&now)) {
                            return "the stream has another codec now";
                        }
                    }
                    Ok(Some(Item::State(_))) => {}
                    Err(Interrupted::Lagged { .. }) => self.begin(&subscription, &mut pace),
                    Err(end) => return reason(end),
                },
                incoming = self.incoming.recv() => {
                    let asks = self.take(incoming, out);
                    if asks && jumped_at.elapsed() >= JUMP_EVERY {
                        jumped_at = Instant::now();
                        subscription.rejoin();
                        self.begin(&subscription, &mut pace);
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
                pace.spend(bytes, Instant::now());
            }
            if let Err(why) = self.settle(shared, out) {
                return why;
            }
        }
    }

    /// Begins, or begins anew, with the frames that are there already.
    fn begin(&mut self, subscription: &Subscription, pace: &mut Pace) {
        let backlog = subscription.peek();
        self.session.begin(&backlog);
        pace.begin(&backlog, Instant::now());
    }

    fn ended(&self) -> &'static str {
        if self.closing.is_cancelled() { "the gateway is stopping" } else { "its owner has ended it" }
    }

    /// Hands over what has come; whether the viewer asks for a key frame.
    fn take(&mut self, incoming: Option<Incoming>, out: &mut Out) -> bool {
        match incoming {
            Some(Incoming::Packet(route, packet)) => {
                self.session.receive(&packet, route, Instant::now().into_std(), out).key_frame
            }
            Some(Incoming::Restart(local, remote)) => {
                self.session.restart(local, remote);
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
                        let _ = sender.send(tcp::framed_one(&packet));
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
                    let sent = sender.is_some_and(|sender| sender.send(tcp::framed(&out.media)));
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

/// Where what comes next would go.
enum Place {
    /// Out, whenever it comes.
    Datagrams,
    /// Into this connection, when it has a place.
    Connection(tcp::Sender),
    /// The connection is gone, and another may come.
    Nowhere,
}

impl Place {
    fn of(route: Option<Route>, shared: &Shared) -> Self {
        match route.map(|route| route.tcp) {
            Some(None) => Self::Datagrams,
            Some(Some(tcp)) => shared.connections.get(tcp).map_or(Self::Nowhere, Self::Connection),
            None => Self::Nowhere,
        }
    }
}

/// The next item, when the viewer may have it; nothing if it is `midway` in a frame, which
/// may be gone on with then. Safe to drop and call again.
async fn next(
    subscription: &mut Subscription,
    wait: Option<Instant>,
    place: &Place,
    midway: bool,
) -> Result<Option<Item>, Interrupted> {
    if let Some(at) = wait {
        tokio::select! {
            biased;
            end = subscription.pass_end() => return Err(end),
            () = tokio::time::sleep_until(at) => {}
        }
    }
    let there = match place {
        Place::Datagrams => true,
        Place::Connection(sender) => {
            tokio::select! {
                biased;
                end = subscription.pass_end() => return Err(end),
                there = sender.has_place() => there,
            }
        }
        Place::Nowhere => false,
    };
    if !there {
        return Err(subscription.pass_end().await);
    }
    if midway { Ok(None) } else { subscription.next().await.map(Some) }
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
