//! A browser that watches. Most of the time it rides on the stream's bus; its own task
//! looks after everything else.

use crate::websocket::Socket;
use crate::wire::Cut;
use bytes::Bytes;
use futures_util::FutureExt as _;
use relay::hub::{Hub, Rider};
use relay::live_fmp4::{Message, Session};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Said};
use tokio_util::sync::CancellationToken;

/// How often a browser is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How long it may be silent, or take nothing.
const SILENCE: Duration = Duration::from_secs(50);
/// How long a browser may take to take its goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// RFC 6455: the server is going down.
const GOING_AWAY: End = End::Say(1_001, "the gateway is stopping");
/// So many messages are sent before anything else is asked, however many there are.
const IN_A_ROW: usize = 16;

struct Viewer {
    socket: Socket,
    session: Session,
    /// Bytes of the picture that is being written.
    begun: usize,
}

/// Why the next picture cannot be sent at once.
enum Stop {
    /// This goes first.
    Say(Message),
    /// The browser takes nothing at the moment.
    Blocked,
    /// There is more, and others are to have their turn.
    Behind,
    Broken,
}

/// How watching ends.
enum End {
    /// With this code and reason.
    Say(u16, &'static str),
    /// The browser has said goodbye.
    Answer,
    /// Nothing more can be said.
    Broken,
}

impl Rider for Viewer {
    type Stop = Stop;

    fn turn(&mut self) -> Option<Stop> {
        for _ in 0..IN_A_ROW {
            let bytes = match self.session.try_next()? {
                Message::Binary(bytes) => bytes,
                other => return Some(Stop::Say(other)),
            };
            self.begun = bytes.len();
            match self.socket.send_whole(bytes).now_or_never() {
                Some(Ok(())) => self.sent(),
                Some(Err(_)) => return Some(Stop::Broken),
                None => return Some(Stop::Blocked),
            }
        }
        Some(Stop::Behind)
    }
}

impl Viewer {
    fn sent(&mut self) {
        self.session.count_write(std::mem::take(&mut self.begun));
    }

    /// What the browser says.
    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Said, Error>>> {
        pin!(self.socket.recv()).poll(context)
    }
}

/// What happens beside the pictures.
struct Beside {
    right: Pin<Box<dyn Future<Output = Message> + Send>>,
    closing: CancellationToken,
    ping: Interval,
    heard_at: Instant,
}

enum Event {
    Over(End),
    /// It is time to ask whether the browser is there.
    Ping,
}

impl Beside {
    fn new(session: &Session, closing: CancellationToken) -> Self {
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { right: Box::pin(session.right_end()), closing, ping, heard_at: Instant::now() }
    }

    /// What happens next, where `hear` asks the browser. Safe to drop and call again.
    async fn next(
        &mut self,
        mut hear: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Said, Error>>>,
    ) -> Event {
        loop {
            tokio::select! {
                biased;
                end = self.right.as_mut() => return Event::Over(last(&end)),
                () = self.closing.cancelled() => return Event::Over(GOING_AWAY),
                heard = std::future::poll_fn(&mut hear) => match heard {
                    // Pings are answered inside; anything else is of no interest.
                    Some(Ok(Said::Ping(_) | Said::Pong(_) | Said::Text(_))) => self.heard_at = Instant::now(),
                    Some(Ok(Said::Close(_))) => return Event::Over(End::Answer),
                    _ => return Event::Over(End::Broken),
                },
                // A phone that is gone without a word is not written down as watching.
                _ = self.ping.tick() => return match self.heard_at.elapsed() {
                    silent if silent > SILENCE => Event::Over(End::Broken),
                    _ => Event::Ping,
                },
            }
        }
    }

    /// Waits for a browser that takes nothing; it must not outlive its right to watch
    /// while it stands still at its place in the stream.
    async fn patiently(&mut self, sending: impl Future<Output = Result<(), Error>>) -> Result<(), End> {
        tokio::select! {
            biased;
            sent = sending => sent.map_err(|_| End::Broken),
            end = self.right.as_mut() => Err(last(&end)),
            () = self.closing.cancelled() => Err(GOING_AWAY),
            () = tokio::time::sleep(SILENCE) => Err(End::Broken),
        }
    }
}

fn last(message: &Message) -> End {
    match message {
        Message::Close(code, reason) => End::Say(*code, reason),
        _ => End::Broken,
    }
}

/// Shows a stream of `hub` to a browser until one of them ends.
pub(super) async fn serve(socket: Socket, session: Session, hub: Hub, closing: CancellationToken, cut: &Cut) {
    let mut beside = Beside::new(&session, closing);
    let mut viewer = Viewer { socket, session, begun: 0 };
    let end = loop {
        match step(viewer, &hub, &mut beside).await {
            Some((back, None)) => viewer = back,
            Some((back, Some(end))) => {
                viewer = back;
                break end;
            }
            None => return,
        }
    };
    let Viewer { mut socket, session, .. } = viewer;
    drop((session, hub, beside));
    let goodbye = tokio::time::timeout(GOODBYE, async {
        match end {
            End::Say(code, reason) => {
                socket
                    .send(Said::Close(Some(CloseFrame { code: code.into(), reason: reason.into() })))
                    .await?;
            }
            // The library has the answer ready, and sends it when it is asked for more.
            End::Answer => {}
            End::Broken => return Ok(()),
        }
        // Until the browser has answered, so that it sees the reason and not a reset.
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, Error>(())
    });
    // Who does not get as far as the goodbye gets nothing else either.
    if !matches!(goodbye.await, Ok(Ok(()))) {
        cut.cut();
    }
}

/// Sends what there is, or waits for something; nothing is left after a bug.
async fn step(mut viewer: Viewer, hub: &Hub, beside: &mut Beside) -> Option<(Viewer, Option<End>)> {
    let mut stop = viewer.turn();
    let event = match stop {
        None => {
            let ride = hub.board(viewer);
            let hear = |context: &mut Context<'_>| {
                ride.with(|viewer| viewer.poll_hear(context)).unwrap_or(Poll::Pending)
            };
            let event = tokio::select! {
                event = beside.next(hear) => Some(event),
                () = ride.over() => None,
            };
            (viewer, stop) = ride.leave()?;
            event
        }
        Some(_) => None,
    };
    let has_stopped = stop.is_some();
    let mut end = attend(&mut viewer, event, stop, beside).await.err();
    if has_stopped && end.is_none() {
        // Whoever never comes to wait for a picture is heard, too, and lets others have their turn.
        tokio::task::yield_now().await;
        let event = beside.next(|context| viewer.poll_hear(context)).now_or_never();
        end = attend(&mut viewer, event, None, beside).await.err();
    }
    Some((viewer, end))
}

async fn attend(
    viewer: &mut Viewer,
    event: Option<Event>,
    stop: Option<Stop>,
    beside: &mut Beside,
) -> Result<(), End> {
    match event {
        Some(Event::Over(end)) => return Err(end),
        Some(Event::Ping) => beside.patiently(viewer.socket.send(Said::Ping(Bytes::new()))).await?,
        None => {}
    }
    match stop {
        Some(Stop::Say(Message::Text(text))) => {
            beside.patiently(viewer.socket.send(Said::Text(text.into()))).await
        }
        Some(Stop::Say(message)) => Err(last(&message)),
        Some(Stop::Broken) => Err(End::Broken),
        // A ping may have finished it already.
        Some(Stop::Blocked) => {
            beside.patiently(viewer.socket.finish()).await?;
            // It takes what there is, however slowly.
            beside.heard_at = Instant::now();
            viewer.sent();
            Ok(())
        }
        Some(Stop::Behind) | None => Ok(()),
    }
}
