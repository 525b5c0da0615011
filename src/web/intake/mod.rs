//! What devices send: one adapter per format reads it as [`Told`], here it becomes the
//! domain's events and is kept.
//!
//! Whatever the format, the same holds: what is not in a closed list of words is not
//! kept, so no name, card number or picture can slip in; what was sent twice is kept
//! once; an acknowledged event is durable; and an alarm is never refused for coming
//! too often.

pub mod alert_stream;
pub(crate) mod cloudevents;
mod counters;
mod fuzz;
pub(crate) mod hikvision;
mod inputs;
mod known_devices;
mod levels;
pub(crate) mod list;
pub mod mqtt;
pub(crate) mod onvif;
mod recent;
mod xml;
pub(crate) mod zigbee;
pub(crate) mod zkteco;

pub use counters::Counters;
pub(crate) use inputs::Inputs;
pub(crate) use known_devices::KnownDevices;
pub(crate) use recent::Recent;

use crate::{App, Problem, token};
use async_trait::async_trait;
use domain::device::Device;
use domain::event::device::{DeviceEvent, DeviceEventKind, is_skewed};
use domain::event::door::{DoorEvent, DoorEventKind, Quality, Recorded};
use domain::event::{Event, Taken};
use domain::health::Room;
use domain::incident::Timings;
use domain::repository;
use domain::site::{Site, SiteKind};
use domain::{DeviceEventId, DoorEventId, IncidentId, Timestamp};
use std::io;
use std::time::Duration;
use tracing::warn;

/// The largest body of a message without pictures, in bytes.
const BODY: usize = 64 << 10;
/// The most events in one request.
const BATCH: usize = 100;
/// The longest `source` or `id`, in bytes.
const NAME: usize = 200;

/// Words that are kept; any other becomes `other`.
const DIRECTIONS: &[&str] = &["in", "out"];
const METHODS: &[&str] =
    &["card", "code", "button", "remote", "intercom", "qr", "bluetooth", "nfc", "key", "schedule"];
const REASONS: &[&str] =
    &["unknown", "expired", "blocked", "schedule", "wrong_code", "no_right", "antipassback", "interlock"];

/// Where events wait while the database is away.
#[async_trait]
pub trait Later: Send + Sync {
    /// Whether some wait there: those that come now come after them.
    fn holds_something(&self) -> bool;
    /// Keeps events; durable when it answers. What waits there already is a duplicate; what
    /// is in the database already is not known to be one, and is kept once all the same.
    async fn keep(&self, events: &[Event]) -> io::Result<Vec<Recorded>>;
    /// The same behind those that wait; nothing if none wait any more.
    async fn keep_behind(&self, events: &[Event]) -> io::Result<Option<Vec<Recorded>>>;
}

/// How long a device keeps what there is no room for before it tries again.
const FULL: Duration = Duration::from_secs(60);

/// How long the database may take before events are kept elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

/// What happened longer ago by the device's own time was kept on the way: by a controller, or
/// by the broker.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// What a device tells, whatever format it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// Which part of the device; with `event_id` and the device it is unique.
    source: String,
    event_id: String,
    /// When it came, where `event_id` says only what happened and nothing says when ([`Recent`]).
    unnamed: Option<Timestamp>,
    what: What,
    quality: Quality,
    device_time: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Door {
        kind: DoorEventKind,
        /// One of [`DIRECTIONS`], as the adapter reads it.
        direction: Option<String>,
        method: Option<String>,
        reason: Option<String>,
    },
    Device(DeviceEventKind),
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Kept(Recorded),
    /// The device sends too much; how long it should wait.
    TooMany(Duration),
    /// The disk is nearly full; how long it should wait.
    NoRoom(Duration),
}

impl Outcome {
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::TooMany(wait) | Self::NoRoom(wait) => Some(*wait),
            Self::Kept(_) => None,
        }
    }
}

/// What makes an id unique where a counter begins anew or there is none: the device's time.
/// Where it says none, [`unnamed`] says when it came.
fn moment(device_time: Option<Timestamp>) -> String {
    device_time.map(|at| at.0.to_string()).unwrap_or_default()
}

/// When it came, where the device does not say when it was.
fn unnamed(device_time: Option<Timestamp>, came: Timestamp) -> Option<Timestamp> {
    device_time.is_none().then_some(came)
}

fn known(word: Option<String>, words: &[&str]) -> Option<String> {
    word.map(|word| if words.contains(&word.as_str()) { word } else { "other".to_owned() })
}

/// Why `source` or `id` cannot be kept, if it cannot.
fn wrong_name(text: &str) -> bool {
    text.is_empty() || text.len() > NAME || text.chars().any(char::is_control)
}

impl Told {
    /// The same, as what was kept where its time says so and nothing else does. An alarm is
    /// live: a clock that is wrong must not hide it among what is old.
    fn kept_on_the_way(mut self, now: Timestamp) -> Self {
        let is_alarm = match &self.what {
            What::Door { kind, .. } => kind.alarm().is_some(),
            What::Device(kind) => kind.alarm().is_some(),
        };
        let is_old = self.device_time.is_some_and(|at| at < now.before(KEPT));
        if self.quality == Quality::Live && is_old && !is_alarm {
            self.quality = Quality::Backlog;
        }
        self
    }

    fn event(self, device: &Device, received_at: Timestamp) -> Event {
        let Self { source, event_id, unnamed: _, what, quality, device_time } = self;
        let (device_id, site_id) = (device.id.clone(), device.site_id.clone());
        let spot = device.spot(&source);
        let place_id = spot.place.clone();
        match what {
            What::Door { kind, direction, method, reason } => Event::Door(DoorEvent {
                id: DoorEventId::from_random(token::random()),
                source,
                event_id,
                device_id,
                site_id,
                place_id,
                staff_only: spot.unplaced,
                kind,
                quality,
                direction: known(direction, DIRECTIONS),
                method: known(method, METHODS),
                reason: known(reason, REASONS),
                device_time,
                received_at,
            }),
            What::Device(kind) => Event::Device(DeviceEvent {
                id: DeviceEventId::from_random(token::random()),
                source,
                event_id,
                device_id,
                site_id,
                place_id,
                kind,
                quality,
                device_time,
                received_at,
            }),
        }
    }
}

/// That a device's clock is wrong; once a day, since it has one name a day.
fn skew(device: &Device, received_at: Timestamp) -> Told {
    let day = received_at.to_string().chars().take(10).collect::<String>();
    Told {
        source: "gateway".to_owned(),
        event_id: format!("clock_skew:{device}:{day}", device = device.id),
        unnamed: None,
        what: What::Device(DeviceEventKind::ClockSkew),
        quality: Quality::Live,
        device_time: None,
    }
}

/// Keeps what a device tells. Answers what became of each event when all of it is durable.
async fn keep(app: &App, device: &Device, told: Vec<Told>) -> Result<Vec<Outcome>, Problem> {
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let received_at = app.now();
    let skewed = told.iter().any(|told| is_skewed(told.quality, told.device_time, received_at));
    let named = told.into_iter().map(|told| app.recent.named(device, told));
    let events: Vec<Event> = named.map(|told| told.event(device, received_at)).collect();
    // A press for help gets through whatever else the device has sent.
    let wait =
        app.throttle.take_events(&device.id, events.iter().filter(|event| !event.is_pressing()).count());
    let full = *app.parts.room.borrow() == Room::Last;
    let refused = if full { Some(Outcome::NoRoom(FULL)) } else { wait.map(Outcome::TooMany) };
    let refused: Vec<Option<Outcome>> =
        events.iter().map(|event| refused.filter(|_| !event.is_pressing())).collect();
    // Only the incident that an alarm opens rests on it.
    let timings = match events.iter().any(|event| event.alarm().is_some()) {
        true => site(app, device).await.map(|site| Timings::of(site.kind)),
        false => None,
    };
    let timings = timings.unwrap_or_else(|| Timings::of(SiteKind::Compound));
    let told = events.into_iter().zip(&refused).filter_map(|(event, no)| no.is_none().then_some(event));
    let mut taken: Vec<Taken> = told.map(|event| event.taken(new_id(), &timings)).collect();
    let wanted = taken.len();
    if skewed {
        taken.push(skew(device, received_at).event(device, received_at).taken(new_id(), &timings));
    }
    let (mut recorded, waits) = record(app, &taken).await?;
    if !waits {
        tell(app, &taken, &recorded);
    }
    recorded.truncate(wanted);
    let mut recorded = recorded.into_iter();
    let outcome = |refused: &Option<Outcome>| match refused {
        Some(refused) => *refused,
        None => Outcome::Kept(recorded.next().unwrap_or(Recorded::Accepted)),
    };
    let outcomes: Vec<Outcome> = refused.iter().map(outcome).collect();
    app.intake.count(&outcomes);
    Ok(outcomes)
}

/// What a device is told that is told one thing of a whole message. Where there is only room for
/// alarms and one of the message was kept, it is yes: as long as it is no, the device sends the
/// alarm again, and keeps behind it what happens next.
fn all_in_all(outcomes: &[Outcome]) -> Result<(), Problem> {
    let kept = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Kept(_)));
    let refused = outcomes.iter().find(|outcome| outcome.wait().is_some());
    match refused {
        None => Ok(()),
        Some(Outcome::NoRoom(_)) if kept => Ok(()),
        Some(outcome) => Err(Problem::TooMany(outcome.wait().unwrap_or_default())),
    }
}

/// Says that events are in the database.
fn tell(app: &App, taken: &[Taken], recorded: &[Recorded]) {
    app.posted();
    let new = || taken.iter().zip(recorded).filter(|(_, recorded)| **recorded == Recorded::Accepted);
    if new().any(|(taken, _)| taken.raises.is_some()) {
        // Where the site's policy says so, residents may watch while an incident is open.
        app.changed();
    }
    for (taken, _) in new() {
        if let Event::Door(event) = &taken.event {
            app.happened(event.clone());
        }
    }
}

/// A device's site, also while the database is away.
async fn site(app: &App, device: &Device) -> Option<Site> {
    if let Some(site) = app.known_devices.site_while_away(&device.site_id) {
        return Some(site);
    }
    match tokio::time::timeout(PATIENCE, app.repository().site(&device.site_id)).await {
        Ok(Ok(Some(site))) => {
            app.known_devices.put_site(&site);
            Some(site)
        }
        Ok(Ok(None)) => None,
        Ok(Err(_)) | Err(_) => {
            app.known_devices.is_away();
            app.known_devices.site_while_away(&device.site_id)
        }
    }
}

/// Keeps events in the database, or, while it is away, where they wait for it. Says whether
/// they wait.
async fn record(app: &App, taken: &[Taken]) -> Result<(Vec<Recorded>, bool), Problem> {
    let later = &app.parts.later;
    let events = || taken.iter().map(|taken| taken.event.clone()).collect::<Vec<_>>();
    let away = |why: &str| repository::Error::Unavailable(why.to_owned());
    let nowhere = |spool: io::Error, error: repository::Error| {
        warn!(%spool, "events can be kept nowhere; their device keeps them");
        Err(error.into())
    };
    if later.holds_something() {
        match later.keep_behind(&events()).await {
            Ok(Some(recorded)) => return Ok((recorded, true)),
            Ok(None) => {}
            Err(spool) => return nowhere(spool, away("others wait for the database already")),
        }
    }
    let error = match tokio::time::timeout(PATIENCE, app.repository().record_events(taken.to_vec())).await {
        Ok(Ok(recorded)) => return Ok((recorded, false)),
        Ok(Err(error)) => error,
        // It may be kept all the same: then it is not kept twice.
        Err(_) => away("the database takes too long"),
    };
    if !matches!(error, repository::Error::Unavailable(_)) {
        return Err(error.into());
    }
    match later.keep(&events()).await {
        Ok(recorded) => {
            warn!(%error, events = taken.len(), "events wait in the spool");
            Ok((recorded, true))
        }
        Err(spool) => nowhere(spool, error),
    }
}

fn new_id() -> IncidentId {
    IncidentId::from_random(token::random())
}
