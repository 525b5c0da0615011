//! Server-sent events: what has happened, to whoever may know, as soon as it has.
//!
//! A page holds its places in the two lines of the outbox and nothing else: what it has
//! not read waits there and not here, so a slow page costs nothing, and one that was away
//! goes on where it was. Alarms are a line of their own and read first: no number of door
//! events comes before them. Before anything is written the session and the rights are asked
//! again; when the session is over, so is the stream.

use crate::access::Who;
use crate::door_event::may_read;
use crate::incident::sight_of;
use crate::{App, Problem};
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use domain::access::{Question, Standing, decide, decide_watch, manages_somewhere, reads_of_door};
use domain::approval::Subject;
use domain::event::door::{Audience, DoorEventKind};
use domain::health::{Condition, Trouble};
use domain::incident::Sight;
use domain::notice::{Line, Notice, Posted, Read, Topic};
use domain::repository::{Error, Repository};
use domain::scene::Scene;
use domain::{ApprovalId, CameraId, DoorEventId, IncidentId, SessionId, Timestamp};
use futures_util::stream::unfold;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::warn;

/// Streams of one session: a few tabs.
const PER_SESSION: usize = 8;
/// Notices of a line that are read at a time: so many of both lines wait to be written at most.
const PAGE: u32 = 100;
/// A line without meaning is written this often, so that a dead connection shows; the
/// session is asked about as often.
const BREATH: Duration = Duration::from_secs(15);
/// After a failure it is tried again this soon.
const RETRY: Duration = Duration::from_secs(2);

/// How many streams each session has open.
#[derive(Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<SessionId, usize>>>);

/// One open stream: counted until it is dropped.
struct Seat(Arc<Mutex<HashMap<SessionId, usize>>>, SessionId);

fn lock(seats: &Mutex<HashMap<SessionId, usize>>) -> MutexGuard<'_, HashMap<SessionId, usize>> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    fn take(&self, session: &SessionId) -> Option<Seat> {
        let mut seats = lock(&self.0);
        let held = seats.entry(session.clone()).or_default();
        if *held >= PER_SESSION {
            return None;
        }
        *held += 1;
        Some(Seat(Arc::clone(&self.0), session.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.0);
        if let Some(held) = seats.get_mut(&self.1) {
            *held -= 1;
            if *held == 0 {
                seats.remove(&self.1);
            }
        }
    }
}

/// How far a page has read each line.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cursor {
    rest: i64,
    alarms: i64,
}

impl Cursor {
    /// As the id of an event. One number where both lines were read as far.
    fn word(self) -> String {
        let Self { rest, alarms } = self;
        if rest == alarms { rest.to_string() } else { format!("{rest}-{alarms}") }
    }

    fn from_word(word: &str) -> Option<Self> {
        let (rest, alarms) = word.split_once('-').unwrap_or((word, word));
        let number = |text: &str| text.parse::<i64>().ok().filter(|seq| *seq >= 0);
        Some(Self { rest: number(rest)?, alarms: number(alarms)? })
    }
}

/// One page that listens.
struct Listener {
    app: App,
    who: Who,
    /// The last notices that were looked at.
    cursor: Cursor,
    /// Events that wait to be written: those of one page of each line.
    ready: VecDeque<Event>,
    bell: watch::Receiver<i64>,
    changes: watch::Receiver<u64>,
    health: watch::Receiver<BTreeMap<Trouble, Condition>>,
    _seat: Seat,
    _held: TaskTrackerToken,
}

/// Listen: `camera`, `door_event`, `device_event`, `alarm`, `incident`, `approval` and `health`, as far as one may know.
///
/// An event says what has changed; what it is like then is read from its own address. The first
/// one is `listening`: what happens after it is not missed. Alarms and incidents come before whatever
/// else waits. With `Last-Event-ID` it goes on where it was; `reset` says that something is missing,
/// and everything is to be read anew. Nothing is to be read out of an id.
#[utoipa::path(get, path = "/api/v1/stream", tag = "events", operation_id = "listen",
    params(("Last-Event-ID" = Option<String>, Header, description = "the id of the last event one has")),
    responses((status = 200, description = "server-sent events", content_type = "text/event-stream", body = String),
        (status = 422), (status = 429)))]
pub(crate) async fn listen(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = app.repository().last_notice().await?;
    let cursor = match headers.get("last-event-id") {
        None => Cursor { rest: last, alarms: last },
        Some(text) => {
            let wrong =
                || Problem::field("Last-Event-ID", "it is not the id of an event; leave it out to begin now");
            let Cursor { rest, alarms } = text.to_str().ok().and_then(Cursor::from_word).ok_or_else(wrong)?;
            // Beyond the end is where another database had got to.
            Cursor { rest: rest.min(last), alarms: alarms.min(last) }
        }
    };
    let seat = app.streams.take(&who.session.id).ok_or(Problem::TooMany(BREATH))?;
    let (mut bell, mut changes) = (app.parts.bell.clone(), app.parts.changes.subscribe());
    bell.mark_changed();
    changes.mark_unchanged();
    let held = app.parts.viewers.token();
    // So that the page knows at once that it listens, and from where it goes on if it hears nothing else.
    let begin = Event::default().id(cursor.word()).event("listening").data("{}");
    let ready = VecDeque::from([begin]);
    let health = app.parts.health.subscribe();
    let listener = Listener { app, who, cursor, ready, bell, changes, health, _seat: seat, _held: held };
    let events = unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let mut response = Sse::new(Box::pin(events)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    // A proxy that gathers answers would keep an alarm to itself.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

impl Listener {
    /// The next event; nothing when the session is over or the gateway stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let closing = self.app.parts.closing.clone();
            let breath = tokio::select! {
                biased;
                () = closing.cancelled() => return None,
                changed = self.changes.changed() => { changed.ok()?; false }
                rung = self.bell.changed() => { rung.ok()?; false }
                changed = self.health.changed() => { changed.ok()?; self.health.mark_changed(); false }
                () = tokio::time::sleep(BREATH) => true,
            };
            match self.read().await {
                Ok(true) if breath && self.ready.is_empty() => return Some(Event::default().comment("")),
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    warn!(%error, "a page is not told what is new: the database cannot be asked");
                    tokio::time::sleep(RETRY).await;
                    self.bell.mark_changed();
                }
            }
        }
    }

    /// Reads what is new into `ready`. False if the session is over.
    async fn read(&mut self) -> domain::repository::Result<bool> {
        let repository = self.app.repository();
        let now = self.app.now();
        let session = repository.session(&self.who.session.id).await?;
        let standing = repository.standing(&self.who.person.id).await?;
        let (Some(session), Some(standing)) = (session, standing) else { return Ok(false) };
        if !session.in_force(now) || standing.disabled || self.app.needs_passkey(&standing, session.by) {
            return Ok(false);
        }
        self.who.standing = standing;
        // It is in memory, so it has no place in the outbox.
        if self.health.has_changed().unwrap_or(false) {
            let troubles: Vec<Trouble> = self.health.borrow_and_update().keys().copied().collect();
            if manages_somewhere(&self.who.standing, now) {
                let data = json!({ "troubles": troubles }).to_string();
                self.ready.push_back(Event::default().event("health").data(data));
            }
        }
        let Cursor { rest, alarms } = self.cursor;
        let first = repository.notices(Line::Alarms, alarms, PAGE).await?;
        // Usually both lines are read as far, and what is new is one alarm or none.
        let only_alarms =
            rest == alarms && first.unreadable == 0 && first.to - alarms == count(&first.notices);
        let second = match only_alarms {
            true => Read { to: first.to, ..Read::default() },
            false => repository.notices(Line::Rest, rest, PAGE).await?,
        };
        let mut ready = VecDeque::new();
        // The rest is what looks at every number, sooner or later. It is said before anything that
        // comes after it, so that no page goes on behind it without having heard.
        if first.unreadable + second.gone + second.unreadable > 0 {
            ready.push_back(Event::default().event("reset").data("{}"));
        }
        let scene = match first.notices.is_empty() && second.notices.is_empty() {
            true => None,
            false => Some(repository.scene().await?),
        };
        let mut cursor = self.cursor;
        for (read, line) in [(&first, Line::Alarms), (&second, Line::Rest)] {
            for posted in &read.notices {
                let Some(scene) = &scene else { break };
                match line {
                    Line::Alarms => cursor.alarms = posted.seq,
                    Line::Rest => cursor.rest = posted.seq,
                }
                let data = match seen(&self.app, &self.who.standing, scene, posted, now).await {
                    // It would be read for ever, and everything after it never.
                    Err(Error::Corrupt(why)) => {
                        warn!(
                            notice = posted.seq,
                            why, "a page is not told of what cannot be read; correct its rows"
                        );
                        continue;
                    }
                    data => data?,
                };
                if let Some(data) = data {
                    let event = Event::default().id(cursor.word()).event(posted.notice.topic.word());
                    ready.push_back(event.data(data.to_string()));
                }
            }
            match line {
                Line::Alarms => cursor.alarms = read.to,
                Line::Rest => cursor.rest = read.to,
            }
        }
        self.cursor = cursor;
        self.ready.append(&mut ready);
        if first.more || second.more {
            self.bell.mark_changed();
        }
        Ok(true)
    }
}

fn count(notices: &[Posted]) -> i64 {
    i64::try_from(notices.len()).unwrap_or(i64::MAX)
}

/// Whether residents are told of a door event.
async fn is_for_all(repository: &dyn Repository, notice: &Notice) -> domain::repository::Result<bool> {
    let Some(id) = DoorEventId::parse(&notice.object) else { return Ok(false) };
    let event = repository.door_event(&id).await?;
    Ok(event.is_some_and(|event| event.audience() == Audience::All))
}

/// Whether duress at a door is told to them: not at their own.
async fn is_told_of_duress(
    app: &App,
    who: &Standing,
    scene: &Scene,
    notice: &Notice,
) -> domain::repository::Result<bool> {
    let Some(id) = DoorEventId::parse(&notice.object) else { return Ok(false) };
    match app.repository().door_event(&id).await? {
        Some(event) => may_read(app, who, &event, scene).await,
        None => Ok(false),
    }
}

/// What somebody is told of a notice; nothing if they may not know of it.
async fn seen(
    app: &App,
    who: &Standing,
    scene: &Scene,
    posted: &Posted,
    now: Timestamp,
) -> domain::repository::Result<Option<Value>> {
    let (notice, repository) = (&posted.notice, app.repository());
    let path = notice.place_id.as_ref().map(|place| scene.path(place)).unwrap_or_default();
    let site = &notice.site_id;
    Ok(match notice.topic {
        Topic::Alarm | Topic::Incident => {
            let Some(id) = IncidentId::parse(&notice.object) else { return Ok(None) };
            let Some(incident) = repository.incident(&id).await? else { return Ok(None) };
            let reached = repository.reached(&id).await?;
            let sight = sight_of(who, &incident, &path, &reached, now);
            sight.map(|sight| {
                json!({
                    "incident_id": id, "site_id": site, "place_id": notice.place_id, "kind": incident.kind,
                    "drill": incident.drill, "late": incident.late, "state": incident.state,
                    "version": incident.version, "alarms": incident.alarms,
                    "seen_as": match sight {
                        Sight::Staff { .. } => "staff",
                        Sight::Own => "own",
                        Sight::Neighbour => "neighbour",
                    },
                })
            })
        }
        Topic::DoorEvent => {
            let reads = |audience| reads_of_door(who, site, &path, audience, now);
            let may = if notice.word == DoorEventKind::Duress.word() {
                is_told_of_duress(app, who, scene, notice).await?
            } else {
                reads(Audience::Staff) || reads(Audience::All) && is_for_all(repository, notice).await?
            };
            may.then(
                || json!({ "id": notice.object, "type": notice.word, "site_id": site, "place_id": notice.place_id }),
            )
        }
        // Whoever answers alarms there reads the list that it is in.
        Topic::DeviceEvent => {
            let may = decide(who, Question::Respond(site, &path), now).is_allowed()
                && (notice.word != DoorEventKind::Duress.word()
                    || is_told_of_duress(app, who, scene, notice).await?);
            may.then(
                || json!({ "id": notice.object, "type": notice.word, "site_id": site, "place_id": notice.place_id }),
            )
        }
        Topic::Camera => {
            let Some(id) = CameraId::parse(&notice.object) else { return Ok(None) };
            let Some(camera) = repository.camera(&id).await? else { return Ok(None) };
            let may = decide_watch(who, &camera, scene, now).is_allowed()
                || decide(who, Question::Manage(&camera.site_id), now).is_allowed();
            may.then(|| json!({ "id": id, "site_id": site, "state": notice.word }))
        }
        Topic::Approval => {
            let Some(id) = ApprovalId::parse(&notice.object) else { return Ok(None) };
            let Some(approval) = repository.approval(&id).await? else { return Ok(None) };
            let own = approval.requested_by == who.person_id
                || match &approval.subject {
                    Subject::Person(person) => *person == who.person_id,
                    Subject::Household(home) => {
                        who.memberships.iter().any(|m| m.household_id == *home && m.in_force(now))
                    }
                };
            let may = own || decide(who, Question::Manage(&approval.site_id), now).is_allowed();
            may.then(|| json!({ "id": id, "site_id": site, "state": approval.shown_state(now) }))
        }
    })
}
