//! One lane: sends what is due at its pace, again if it must, until the call is answered.
//!
//! A try is noted before it is made. So whoever is killed between sending and noting
//! sends one message again, with the same id; and of two gateways one sends.
//!
//! Each message that has ended makes room for the next, so a receiver that hangs keeps
//! its own place and nobody else waiting. A channel has one place, which keeps its order.

use super::pace::Pace;
use super::plan::{self, Target};
use super::{Adapter, Envelope, Failed, To};
use crate::lasting::Lasting;
use crate::settings::Channel;
use domain::incident::Incident;
use domain::message::text::{self, Facts};
use domain::message::{LONGEST, Message, OLDEST, Receiver, State, TRIES, Way, pause};
use domain::repository::{Error, Repository, Result};
use domain::{Clock, MessageId, SubscriptionId};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// It is looked this often whether something is due, while something waits.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure of the database it is tried again this soon.
const RETRY: Duration = Duration::from_secs(2);
/// The longest that one try may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A try of which nothing more is heard is made again after this: longer than one can take.
const LEASE: Duration = Duration::from_secs(30);
/// Messages to people that are sent at the same time.
const TOGETHER: usize = 32;

/// One lane.
pub struct Lane {
    target: Target,
    adapter: Box<dyn Adapter>,
    /// Its clock is `begun`, also for a lane that begins anew.
    pace: Mutex<Pace>,
    begun: Instant,
    /// The language of a channel.
    locale: String,
    together: usize,
}

/// What a lane needs of the house.
#[derive(Clone)]
pub struct Context {
    /// What is kept.
    pub repository: Arc<dyn Repository>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Rings when there is something new.
    pub bell: watch::Receiver<u64>,
    /// Beats when something was written.
    pub pulse: watch::Receiver<()>,
    /// How people reach the gateway.
    pub link: Option<String>,
}

/// A turn of the pace that is given out: given back when it is dropped, unless it was used.
struct Turn(Arc<Lane>);

impl Turn {
    fn new(lane: &Arc<Lane>) -> Self {
        lane.with_pace(Pace::give);
        Self(Arc::clone(lane))
    }

    /// Uses it.
    fn used(self, now: Duration) {
        self.0.with_pace(|pace| pace.note(now));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.with_pace(Pace::take_back);
    }
}

/// Messages that are being sent, as many as a lane has places.
#[derive(Default)]
struct Flying {
    tasks: JoinSet<MessageId>,
    ids: HashSet<MessageId>,
}

impl Flying {
    /// Makes room. One that nobody has thought of ends the lane, which begins anew; but not
    /// before the others have landed, or they would be sent twice.
    async fn landed(&mut self, ended: std::result::Result<MessageId, JoinError>) {
        match ended {
            Ok(id) => _ = self.ids.remove(&id),
            Err(failed) => {
                error!(%failed, "a message could not be handled; the lane begins anew");
                while self.tasks.join_next().await.is_some() {}
                if let Ok(panic) = failed.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

/// The next beat, but not sooner than it would be looked without: a server's database beats always.
async fn later(pulse: &mut watch::Receiver<()>) -> std::result::Result<(), watch::error::RecvError> {
    tokio::time::sleep(LOOK).await;
    pulse.changed().await
}

/// What is to be done with a message.
enum Ready {
    /// Send it.
    Send(Box<Envelope>),
    /// Nobody needs it any more.
    Stop(&'static str),
}

impl Lane {
    /// A channel's: one message after the other, in their order.
    #[must_use]
    pub fn channel(channel: &Channel, adapter: Box<dyn Adapter>, pace: Pace) -> Self {
        let way = channel.kind.way();
        let target = Target {
            lane: format!("{}:{}", way.word(), channel.name),
            way,
            channel: Some((channel.site.clone(), channel.duress)),
        };
        Self {
            target,
            adapter,
            pace: Mutex::new(pace),
            begun: Instant::now(),
            locale: channel.locale.clone(),
            together: 1,
        }
    }

    /// A way to people.
    #[must_use]
    pub fn people(way: Way, adapter: Box<dyn Adapter>, pace: Pace) -> Self {
        let target = Target { lane: way.word().to_owned(), way, channel: None };
        Self {
            target,
            adapter,
            pace: Mutex::new(pace),
            begun: Instant::now(),
            locale: String::new(),
            together: TOGETHER,
        }
    }

    /// The lane, as messages are made for it.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target.clone()
    }

    fn with_pace<T>(&self, look: impl FnOnce(&mut Pace) -> T) -> T {
        look(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends what is due, for ever.
    pub(super) async fn run(self: Arc<Self>, mut context: Context) {
        let mut failing = Lasting::default();
        // Whoever was before us may have used up the pace a moment ago.
        let since = context.clock.now().before(self.with_pace(|pace| pace.longest()));
        let tried = loop {
            match context.repository.tried_since(&self.target.lane, since).await {
                Ok(tried) => break tried,
                Err(error) => {
                    if failing.begins() {
                        warn!(lane = self.target.lane, %error, "the queue cannot be read; nothing is sent meanwhile");
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        self.with_pace(|pace| pace.begin(tried, self.begun.elapsed()));
        let mut flying = Flying::default();
        loop {
            context.pulse.mark_unchanged();
            let mut empty = false;
            while let Some(ended) = flying.tasks.try_join_next() {
                flying.landed(ended).await;
            }
            let now = self.begun.elapsed();
            let (turns, wait) = self.with_pace(|pace| (pace.free(now), pace.wait(now)));
            let places = self.together.saturating_sub(flying.tasks.len());
            let pause = match turns.min(places) {
                // Whoever lands wakes it sooner.
                0 if places == 0 => LOOK,
                0 => wait.max(Duration::from_millis(10)),
                free => {
                    let started = self.start(&context, &mut flying, free).await;
                    if started.is_ok() && failing.ends() {
                        info!(lane = self.target.lane, "the queue is read again");
                    }
                    match started {
                        Ok(Some(0)) => LOOK,
                        Ok(Some(_)) => continue,
                        Ok(None) => {
                            empty = true;
                            LOOK
                        }
                        Err(error) => {
                            if failing.begins() {
                                warn!(lane = self.target.lane, %error, "the queue cannot be read; nothing is sent meanwhile");
                            }
                            RETRY
                        }
                    }
                }
            };
            tokio::select! {
                Some(ended) = flying.tasks.join_next() => flying.landed(ended).await,
                rung = context.bell.changed() => if rung.is_err() { tokio::time::sleep(pause).await },
                beat = later(&mut context.pulse), if empty => if beat.is_err() { tokio::time::sleep(pause).await },
                () = tokio::time::sleep(pause), if !empty => {}
            }
        }
    }

    /// Begins to send what is due, `free` at most. Answers how many, and nothing if nothing is
    /// due and nothing waits for its time.
    async fn start(
        self: &Arc<Self>,
        context: &Context,
        flying: &mut Flying,
        free: usize,
    ) -> Result<Option<usize>> {
        // Those that are about to be claimed are due still.
        let limit = u32::try_from(free + flying.ids.len()).unwrap_or(1);
        let mut due = context.repository.due(&self.target.lane, context.clock.now(), limit).await?;
        due.retain(|message| !flying.ids.contains(&message.id));
        due.truncate(free);
        let started = due.len();
        if started == 0 && flying.ids.is_empty() && context.repository.waiting(&self.target.lane).await? == 0
        {
            return Ok(None);
        }
        for message in due {
            let (lane, context, turn) = (Arc::clone(self), context.clone(), Turn::new(self));
            flying.ids.insert(message.id.clone());
            flying.tasks.spawn(async move {
                lane.deliver(&context, &message, turn).await;
                message.id
            });
        }
        Ok(Some(started))
    }

    async fn deliver(&self, context: &Context, message: &Message, turn: Turn) {
        let mut done = self.try_to_send(context, message, turn).await;
        if let Err(Error::Corrupt(why)) = &done {
            // It would be tried for ever, and in a channel before all others.
            error!(
                lane = self.target.lane, incident = %message.incident_id, message = %message.id, why,
                "a message is given up: what it is about cannot be read; correct that row, or restore a backup"
            );
            let why = format!("what it is about cannot be read: {why}");
            done = context.repository.settle(&message.id, State::Failed, Some(&why)).await;
        }
        if let Err(error) = done {
            warn!(lane = self.target.lane, message = %message.id, %error, "a message cannot be noted; it is sent again");
            // What cannot be noted now must not be tried without a pause.
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_to_send(&self, context: &Context, message: &Message, turn: Turn) -> Result<()> {
        let (repository, now) = (&*context.repository, context.clock.now());
        let lane = self.target.lane.as_str();
        if message.attempt >= TRIES || message.made_at.after(OLDEST) < now {
            let why = message.reason.as_deref().unwrap_or("it was too old");
            warn!(lane, incident = %message.incident_id, message = %message.id, why, "a message is given up");
            return repository.settle(&message.id, State::Failed, Some(why)).await;
        }
        let envelope = match self.ready(context, message).await? {
            Ready::Send(envelope) => envelope,
            Ready::Stop(why) => return repository.settle(&message.id, State::Stopped, Some(why)).await,
        };
        if !repository.claim(message, now, now.after(LEASE)).await? {
            return Ok(());
        }
        turn.used(self.begun.elapsed());
        let sent = tokio::time::timeout(PATIENCE, self.adapter.send(&envelope)).await;
        let sent = sent.unwrap_or_else(|_| Err(Failed::Later("there was no answer in time".to_owned())));
        let (id, incident, attempt) = (&message.id, &message.incident_id, message.attempt + 1);
        let now = context.clock.now();
        match sent {
            Ok(()) => {
                info!(lane, %incident, message = %id, attempt, "a message is sent");
                repository.settle(id, State::Sent, None).await
            }
            Err(Failed::Slower(wait)) => {
                let wait = wait.min(LONGEST);
                warn!(lane, %incident, message = %id, seconds = wait.as_secs(), "a lane was told to be slower");
                // A browser's own service speaks for itself and not for those of others.
                let of_a_browser = self.target.way == Way::WebPush;
                if !of_a_browser {
                    self.with_pace(|pace| pace.hold(self.begun.elapsed() + wait));
                }
                // And it is chosen by who owns the browser: it may not say so for ever.
                let counts = of_a_browser && attempt < TRIES;
                repository.postpone(id, now.after(wait), &Failed::Slower(wait).to_string(), counts).await
            }
            Err(Failed::Later(why)) if attempt < TRIES => {
                warn!(lane, %incident, message = %id, attempt, why, "a message was not taken; it is sent again");
                repository.postpone(id, now.after(pause(attempt)), &why, true).await
            }
            Err(Failed::Gone) => {
                info!(lane, %incident, message = %id, "a message went to an address that is gone");
                if let Some(device) = SubscriptionId::parse(&message.device) {
                    repository.forget_subscription(&device).await?;
                }
                repository.settle(id, State::Failed, Some(&Failed::Gone.to_string())).await
            }
            Err(Failed::Later(why) | Failed::Refused(why)) => {
                warn!(lane, %incident, message = %id, attempt, why, "a message is given up");
                repository.settle(id, State::Failed, Some(&why)).await
            }
        }
    }

    /// What is to be sent, if the call still waits and the receiver still is one.
    async fn ready(&self, context: &Context, message: &Message) -> Result<Ready> {
        let (repository, now) = (&*context.repository, context.clock.now());
        let gone = Ok(Ready::Stop("the incident is gone"));
        let Some(incident) = repository.incident(&message.incident_id).await? else { return gone };
        let calls = incident.calls(&repository.incident_log(&incident.id).await?);
        let Some(call) = calls.into_iter().find(|call| call.version == message.version) else {
            return Ok(Ready::Stop("somebody has answered"));
        };
        let Some(point) = plan::point(repository, &incident).await? else { return gone };
        let mut facts = Facts {
            kind: incident.kind,
            late: incident.late,
            site: &point.site,
            place: &point.place,
            unit: point.unit.as_deref(),
            device: point.device.as_deref(),
            part: point.part.as_deref(),
            at: incident.opened_at,
            zone: &point.zone,
            ask: call.ask,
            step: call.step,
            neighbour: false,
        };
        let Receiver::Person(id) = &message.receiver else {
            let envelope =
                self.envelope(context, message, &incident, &facts, self.locale.clone(), To::Channel);
            return Ok(Ready::Send(Box::new(envelope)));
        };
        let told = plan::told(repository, &incident, &call, now).await?;
        facts.neighbour = told.neighbours.contains(id);
        let person = repository.person(id).await?.filter(|person| !person.disabled);
        let Some(person) = person.filter(|_| facts.neighbour || told.staff.contains(id)) else {
            return Ok(Ready::Stop("they are not called any more"));
        };
        let contact = repository.contact(id).await?;
        let to = match self.target.way {
            Way::WebPush => match SubscriptionId::parse(&message.device) {
                Some(device) => {
                    let subscription = repository.subscription(&device, now).await?;
                    subscription
                        .filter(|subscription| subscription.person_id == *id)
                        .map(|s| To::Browser(Box::new(s)))
                }
                None => None,
            },
            Way::Mail => contact.mail.map(To::Mail),
            Way::Voice | Way::Sms => contact.phone.map(To::Phone),
            _ => Some(To::Channel),
        };
        let Some(to) = to else { return Ok(Ready::Stop("they have taken their address back")) };
        debug!(lane = self.target.lane, message = %message.id, "a message is due");
        Ok(Ready::Send(Box::new(self.envelope(context, message, &incident, &facts, person.locale, to))))
    }

    fn envelope(
        &self,
        context: &Context,
        message: &Message,
        incident: &Incident,
        facts: &Facts<'_>,
        locale: String,
        to: To,
    ) -> Envelope {
        Envelope {
            id: message.id.clone(),
            incident_id: incident.id.clone(),
            site_id: incident.site_id.clone(),
            kind: incident.kind.word(),
            kind_text: text::kind(incident.kind, locale.starts_with("en")),
            point: facts.point(&locale),
            time: facts.time(),
            text: facts.text(&locale),
            locale,
            urgent: message.urgent,
            link: context.link.as_ref().map(|origin| format!("{origin}/incidents/{}", incident.id)),
            to,
        }
    }
}
