//! The task of one rendition: wanted → read → convert or pass on → again.

use super::Rendition;
use super::line::{Clock, Line, Written};
use crate::decoder::{Decoder, Place, Trouble};
use crate::hub::{Hub, Interrupted, Item, Publisher, State, Status, Tap};
use crate::ingest::{Pull, abandoned};
use futures_util::FutureExt as _;
use media::job::{Failure, Order};
use media::{Frame, Params};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// How long a process may be behind before it is replaced.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before a process is replaced: this, then twice as long each time, up to the other.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);

const FULL: &str =
    "the gateway converts as many streams as it may at the moment; it goes on when one is free";

/// What a rendition is made of.
pub(crate) struct Making {
    pub(crate) name: String,
    pub(crate) rendition: Rendition,
    pub(crate) source: Hub,
    /// Who wants the rendition.
    pub(crate) interest: watch::Receiver<usize>,
    pub(crate) decoder: Arc<Decoder>,
}

/// Why reading has stopped.
enum Stopped {
    /// The camera's stream has ended, or comes from elsewhere.
    Ended,
    /// What the camera sends has changed so that it must be begun anew.
    Changed,
    /// The process has failed.
    Failed(Trouble),
}

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

struct Task {
    making: Making,
    publisher: Publisher,
    clock: Clock,
    place: Option<Place>,
    /// Converted frames have come since the last trouble.
    flows: bool,
}

/// Makes a rendition while it is wanted, until its source ends or `stop`.
pub(crate) async fn run(making: Making, publisher: Publisher, stop: CancellationToken) {
    let name = making.name.clone();
    let mut task = Task { making, publisher, clock: Clock::default(), place: None, flows: false };
    tokio::select! {
        () = stop.cancelled() => debug!(stream = name, "rendition stopped"),
        made = AssertUnwindSafe(task.while_wanted()).catch_unwind() => if made.is_err() {
            error!(stream = name, "a rendition panicked; it ends and is made anew for the next viewer");
        },
    }
}

impl Task {
    async fn while_wanted(&mut self) {
        let mut interest = self.making.interest.clone();
        while !self.making.source.has_ended() {
            self.publisher.set_state(State::Idle, "");
            self.publisher.forget();
            self.publisher.restart();
            self.place = None;
            let source = self.making.source.clone();
            tokio::select! {
                wanted = interest.wait_for(|n| *n > 0) => if wanted.is_err() { return },
                () = source.ended() => return,
            }
            let _wanted = source.want();
            tokio::select! {
                // The source has ended, or comes from elsewhere.
                () = self.make() => {}
                () = abandoned(Pull::OnDemand, interest.clone()) => {}
            }
        }
    }

    /// Makes it until the source has ended, or comes from elsewhere.
    async fn make(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            self.flows = false;
            let trouble = match self.once().await {
                Stopped::Ended => return,
                Stopped::Changed => continue,
                Stopped::Failed(trouble) => trouble,
            };
            self.making.decoder.failed();
            warn!(stream = self.making.name, %trouble, "a conversion has failed and is begun again");
            let lasting = matches!(
                trouble,
                Trouble::NotThere | Trouble::Failed(Failure::NotLockedIn | Failure::Unsupported)
            );
            let state = if lasting { State::Refused } else { State::Connecting };
            self.publisher.set_state(state, &format!("it cannot be converted: {trouble}"));
            if began.elapsed() > 2 * LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(if lasting { LAST_PAUSE } else { pause }).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Reads the source from its last key frame on.
    async fn once(&mut self) -> Stopped {
        let mut tap = self.making.source.tap();
        let params = loop {
            match tap.next().await {
                Ok(Item::Params(params)) => break params,
                Ok(Item::State(status)) => self.is(&status),
                Ok(Item::Frame(_)) | Err(Interrupted::Lagged { .. }) => {}
                Err(_) => return Stopped::Ended,
            }
        };
        if !self.making.rendition.converts(&params) {
            self.place = None;
            return self.pass_on(tap, &params).await;
        }
        if self.place.is_none() {
            if let Err(stopped) = self.wait_for_place(&mut tap).await {
                return stopped;
            }
            // What has been read while waiting is over.
            tap = self.making.source.tap();
        }
        self.convert(tap, params).await
    }

    /// Says how the stream is, as the camera's is.
    fn is(&self, status: &Status) {
        self.publisher.set_state(status.state, &status.detail);
    }

    async fn wait_for_place(&mut self, tap: &mut Tap) -> Result<(), Stopped> {
        let decoder = Arc::clone(&self.making.decoder);
        if !decoder.has_place() {
            self.publisher.set_state(State::Refused, FULL);
        }
        let mut place = std::pin::pin!(decoder.place());
        loop {
            tokio::select! {
                place = &mut place => {
                    self.place = Some(place);
                    return Ok(());
                }
                item = tap.next() => match item {
                    Ok(Item::Params(params)) if !self.making.rendition.converts(&params) => {
                        return Err(Stopped::Changed);
                    }
                    Err(Interrupted::Ended | Interrupted::Revoked | Interrupted::Expired) => {
                        return Err(Stopped::Ended);
                    }
                    Ok(_) | Err(Interrupted::Lagged { .. }) => {}
                },
            }
        }
    }

    /// Everything is as wanted: frames go through as they are.
    async fn pass_on(&mut self, mut tap: Tap, params: &Params) -> Stopped {
        self.publisher.set_params(params.clone());
        self.is(&self.making.source.status());
        loop {
            match tap.next().await {
                Ok(Item::Params(params)) if self.making.rendition.converts(&params) => {
                    return Stopped::Changed;
                }
                Ok(Item::Params(params)) => self.publisher.set_params((*params).clone()),
                Ok(Item::State(status)) => self.is(&status),
                Ok(Item::Frame(frame)) => self.pass(&frame),
                Err(Interrupted::Lagged { .. }) => {}
                Err(_) => return Stopped::Ended,
            }
        }
    }

    fn pass(&mut self, frame: &Frame) {
        if let Some(stamp) = self.clock.pass(frame) {
            self.publisher.append(frame.track, frame.key, stamp, frame.data.clone());
        }
    }

    async fn convert(&mut self, mut tap: Tap, params: Arc<Params>) -> Stopped {
        let Some(place) = &self.place else { return Stopped::Changed };
        let mut child = match self.making.decoder.convert(place).await {
            Ok(child) => child,
            Err(trouble) => return trouble.into(),
        };
        let Some(mut line) = self.begin(&mut child, &params) else { return Stopped::Changed };
        let mut params = params;
        let mut due = Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                answer = child.work() => {
                    due = Instant::now() + PATIENCE;
                    let written = answer.and_then(|answer| line.take(answer, &mut self.clock));
                    match written {
                        Ok(Some(written)) => self.write(written),
                        Ok(None) => {}
                        Err(trouble) => return trouble.into(),
                    }
                }
                // A process that is behind lets the camera's frames wait where they are.
                item = tap.next(), if !child.is_full() => match item {
                    Ok(Item::Frame(frame)) => {
                        if !line.is_owed() {
                            due = Instant::now() + PATIENCE;
                        }
                        match line.give(&frame) {
                            Some(unit) => child.order(&Order::Unit(unit)),
                            None => self.pass(&frame),
                        }
                    }
                    Ok(Item::Params(new)) => {
                        // Told before the first frame and when they change.
                        if new != params {
                            params = new;
                            let Some(new) = self.begin(&mut child, &params) else { return Stopped::Changed };
                            line.go_on_as(new);
                        }
                    }
                    // Live it is once converted frames come.
                    Ok(Item::State(status)) if self.flows || status.state != State::Live => self.is(&status),
                    Ok(Item::State(_)) => {}
                    Err(Interrupted::Lagged { missed }) => {
                        debug!(stream = self.making.name, missed, "a conversion is too slow");
                        let Some(new) = self.begin(&mut child, &params) else { return Stopped::Changed };
                        line.go_on_as(new);
                    }
                    Err(_) => return Stopped::Ended,
                },
                () = tokio::time::sleep_until(due), if line.is_owed() || child.is_full() => {
                    return Trouble::Overrun.into();
                }
            }
        }
    }

    /// Tells the process what comes; nothing if nothing has to be converted any more.
    fn begin(&mut self, child: &mut crate::decoder::Running, params: &Params) -> Option<Line> {
        let conversion = self.making.rendition.conversion(params, self.clock.picture())?;
        child.order(&Order::Convert(conversion.clone()));
        let line = Line::new(conversion, params);
        if let Some(known) = line.params() {
            self.publisher.set_params(known.clone());
        }
        Some(line)
    }

    fn write(&mut self, written: Written) {
        match written {
            Written::Params(params) => self.publisher.set_params(params),
            Written::Unit { track, key, stamp, data } => {
                self.publisher.append(track, key, stamp, data);
                if !self.flows {
                    self.flows = true;
                    self.is(&self.making.source.status());
                }
            }
        }
    }
}
