//! From the outbox to the queue: for each call a message to each receiver, by each way.
//!
//! Where it has got to is kept, so a restart neither loses a notice nor takes it for new;
//! and what it makes twice all the same is kept once. Of an incident that is not called
//! for any more nothing is left to wait.

use super::sites::Sites;
use crate::lasting::Lasting;
use async_trait::async_trait;
use domain::incident::{Answer, Call, Incident, home};
use domain::message::contact::Contact;
use domain::message::{Message, Receiver, State, Way, receivers, text};
use domain::notice::{self, Line, Notice, Notify, Range};
use domain::repository::{Error, Repository, Result};
use domain::{Clock, HouseholdId, IncidentId, MessageId, PersonId, PlaceId, Timestamp, event};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// Notices that are read at a time.
const PAGE: u32 = 100;
/// It is looked this often although nothing rings, if the database has changed: another gateway may
/// have died over it.
const LOOK: Duration = Duration::from_secs(5);
/// After a failure it is tried again this soon.
const RETRY: Duration = Duration::from_secs(2);
/// Messages that may wait in a lane. More that are not urgent are not taken, and of urgent
/// ones so many times more: what waits that long is old when it arrives.
const WAITING: u64 = 1_000;
const URGENT: u64 = 5;
/// The most people of one call: a compound's staff and twenty households are fewer.
const PEOPLE: usize = 500;
/// How deep places are within each other.
const DEPTH: usize = 32;

/// A lane, as messages are made for it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub lane: String,
    /// Its way.
    pub way: Way,
    /// Whether it is a channel: told of which site's alarms (of all without one), and of silent ones or not.
    pub channel: Option<(Option<String>, bool)>,
}

/// Who is told of a call.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Whose work it is.
    pub staff: BTreeSet<PersonId>,
    /// Who lives next door.
    pub neighbours: BTreeSet<PersonId>,
}

/// Who is told of a call, as of now.
pub async fn told(
    repository: &dyn Repository,
    incident: &Incident,
    call: &Call,
    now: Timestamp,
) -> Result<Told> {
    let home = home(repository, incident, now).await?;
    let grants = repository.serving(&incident.site_id).await?;
    let path = path(repository, &incident.place_id).await?;
    let staff = receivers::staff(incident, call, &grants, &path, &home, now);
    let mut neighbours = BTreeSet::new();
    if call.first && !incident.kind.is_silent() {
        for household in unanswered(repository, &incident.id).await? {
            neighbours.extend(repository.members(&household, now).await?);
        }
        neighbours.retain(|person| {
            !home.contains(person) && !staff.contains(person) && incident.reporter.as_ref() != Some(person)
        });
    }
    Ok(Told { staff, neighbours })
}

/// Neighbours who have not answered. A page that stands open in an empty room says that it
/// was shown, and that is nobody.
async fn unanswered(repository: &dyn Repository, id: &IncidentId) -> Result<Vec<HouseholdId>> {
    let reached = repository.reached(id).await?.into_iter();
    let silent = reached.filter(|reached| matches!(reached.answer, Answer::Queued | Answer::Shown));
    Ok(silent.map(|reached| reached.household_id).collect())
}

/// How somebody can be reached; nothing if their account is gone or switched off.
async fn contact(repository: &dyn Repository, id: &PersonId) -> Result<Option<Contact>> {
    match repository.person(id).await?.filter(|person| !person.disabled) {
        Some(_) => repository.contact(id).await.map(Some),
        None => Ok(None),
    }
}

/// A place, then what it is part of, up to the top.
async fn path(repository: &dyn Repository, place: &PlaceId) -> Result<Vec<PlaceId>> {
    let (mut path, mut next) = (Vec::new(), Some(place.clone()));
    while let Some(id) = next.filter(|_| path.len() <= DEPTH) {
        next = repository.place(&id).await?.and_then(|place| place.parent_id);
        path.push(id);
    }
    Ok(path)
}

/// Makes messages of notices.
pub struct Planner {
    /// What is kept.
    pub repository: Arc<dyn Repository>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The ways out.
    pub lanes: Vec<Target>,
    /// Which sites channels mean.
    pub sites: Arc<Sites>,
    /// Rings when there is something new to send.
    pub bell: watch::Sender<u64>,
}

impl Planner {
    /// Reads the outbox, for ever.
    pub(super) async fn run(
        self: Arc<Self>,
        mut outbox: watch::Receiver<i64>,
        mut pulse: watch::Receiver<()>,
    ) {
        outbox.mark_changed();
        let mut failing = Lasting::default();
        loop {
            pulse.mark_unchanged();
            let read = self.read().await;
            if read.is_ok() && failing.ends() {
                info!("people are told beyond the page again");
            }
            match read {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    if failing.begins() {
                        warn!(%error, "nobody is told beyond the page meanwhile: the database cannot be asked");
                    }
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            let look = async {
                tokio::time::sleep(LOOK).await;
                let _ = pulse.changed().await;
            };
            tokio::select! {
                rung = outbox.changed() => if rung.is_err() { tokio::time::sleep(LOOK).await },
                () = look => {}
            }
        }
    }

    /// Reads a page of notices. Answers whether there may be more.
    pub async fn read(&self) -> Result<bool> {
        let from = self.repository.read_up_to().await?;
        // Only alarms and incidents call anybody: whatever doors tell is passed over at once.
        let read = self.repository.notices(Line::Alarms, from, PAGE).await?;
        if read.to <= from {
            return Ok(false);
        }
        // What is missing was removed while nobody read, or cannot be read. Whoever is called now is called.
        let missed = read.gone + read.unreadable;
        if missed > 0 {
            warn!(missed, "notices are gone that nobody was told of; all that is open is looked at");
            for incident in self.repository.calling().await? {
                self.look_at(&incident.id).await?;
            }
        }
        let mut seen = BTreeSet::new();
        let mut notices: Vec<Notice> = read.notices.into_iter().map(|posted| posted.notice).collect();
        notices.retain(|notice| seen.insert(notice.object.clone()));
        notice::tell(self, &notices).await?;
        // If another gateway was faster it has made the same messages; this one goes on from where that is.
        self.repository.has_read(from, read.to).await?;
        Ok(read.more)
    }

    /// Plans an incident. One that cannot be read is left out: nobody can be told of it, and
    /// everybody waits for whoever waits for it.
    async fn look_at(&self, id: &IncidentId) -> Result<()> {
        let planned = match self.repository.incident(id).await {
            Ok(Some(incident)) => self.plan(&incident).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(Error::Corrupt(why)) = planned {
            error!(
                incident = %id, why,
                "nobody is told beyond the page of an incident that cannot be read; correct its rows, or restore a backup"
            );
            return Ok(());
        }
        planned
    }

    /// Makes the messages of an incident's calls, and stops those of calls that were answered.
    async fn plan(&self, incident: &Incident) -> Result<()> {
        let mut log = self.repository.incident_log(&incident.id).await?;
        // As it was at that version: another gateway may be further.
        log.retain(|row| row.version <= incident.version);
        let calls = incident.calls(&log);
        let versions = calls.iter().map(|call| call.version).collect();
        let stopped = self.repository.stop_all_but(&incident.id, &versions, incident.version).await?;
        if stopped > 0 {
            info!(incident = %incident.id, stopped, "somebody has answered; the rest is not told");
        }
        let mut new = 0;
        for call in &calls {
            let messages = self.messages(incident, call).await?;
            new += self.repository.queue(&messages).await?;
        }
        if new > 0 {
            self.bell.send_modify(|n| *n = n.wrapping_add(1));
        }
        Ok(())
    }

    /// The messages of a call.
    async fn messages(&self, incident: &Incident, call: &Call) -> Result<Vec<Message>> {
        let (now, repository) = (self.clock.now(), &*self.repository);
        let Some(site) = repository.site(&incident.site_id).await? else { return Ok(Vec::new()) };
        let told = told(repository, incident, call, now).await?;
        // What is left to write rings nobody out of bed.
        let (urgent, silent) =
            (incident.kind.is_grave() && call.ask.is_pressing(), incident.kind.is_silent());
        let message = |lane: &str, receiver, device: &str, due_at| Message {
            id: MessageId::from_random(web::token::random()),
            incident_id: incident.id.clone(),
            version: call.version,
            lane: lane.to_owned(),
            receiver,
            device: device.to_owned(),
            urgent,
            state: State::Waiting,
            attempt: 0,
            due_at,
            made_at: now,
            tried_at: None,
            reason: None,
        };
        let mut messages = Vec::new();
        for target in &self.lanes {
            let Some((of, duress)) = &target.channel else { continue };
            if of.as_ref().is_none_or(|of| self.sites.is(of, &site)) && (*duress || !silent) {
                messages.push(message(&target.lane, Receiver::Channel, "", now));
            }
        }
        let staff = told.staff.iter().map(|person| (person, true));
        let all = staff.chain(told.neighbours.iter().map(|person| (person, false)));
        let mut by_one_way = 0;
        for (id, is_staff) in all.take(PEOPLE) {
            let contact = match contact(repository, id).await {
                Ok(Some(contact)) => contact,
                Ok(None) => continue,
                // One of many must not keep the others from being called.
                Err(Error::Corrupt(why)) => {
                    error!(
                        person = %id, incident = %incident.id, why,
                        "somebody is not told beyond the page, because they cannot be read; correct their rows"
                    );
                    continue;
                }
                Err(error) => return Err(error),
            };
            let quiet = contact.quiet.filter(|_| !urgent).and_then(|quiet| quiet.until(now, &site.time_zone));
            let due = quiet.unwrap_or(now);
            let mut ways = BTreeSet::new();
            for target in self.lanes.iter().filter(|target| target.channel.is_none()) {
                let devices = match target.way {
                    Way::WebPush => {
                        let subscriptions = repository.subscriptions(id, now).await?;
                        subscriptions.iter().map(|subscription| subscription.id.to_string()).collect()
                    }
                    Way::Mail if contact.mail.is_some() => vec![String::new()],
                    // A telephone rings for those whose work it is, and only if it must.
                    Way::Sms if is_staff && call.ask.is_pressing() && contact.phone.is_some() => {
                        vec![String::new()]
                    }
                    Way::Voice if is_staff && urgent && contact.phone.is_some() => vec![String::new()],
                    _ => Vec::new(),
                };
                for device in devices {
                    ways.insert(target.way);
                    messages.push(message(&target.lane, Receiver::Person(id.clone()), &device, due));
                }
            }
            by_one_way += usize::from(is_staff && ways.len() < 2);
        }
        let ways: BTreeSet<&str> = messages.iter().map(|message| message.lane.as_str()).collect();
        if urgent && !self.lanes.is_empty() && (ways.len() < 2 || by_one_way > 0) {
            warn!(
                incident = %incident.id, step = call.step.word(), ways = ways.len(), people = by_one_way,
                "an alarm of the highest severity reaches somebody by less than two ways beyond the page; \
                 set up another one, or have them give another address"
            );
        }
        self.bound(&mut messages).await?;
        Ok(messages)
    }

    /// Gives up what a lane has no room for. It is kept that it was.
    async fn bound(&self, messages: &mut [Message]) -> Result<()> {
        let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
        for message in messages {
            let count = match waiting.get(&message.lane) {
                Some(count) => *count,
                None => self.repository.waiting(&message.lane).await?,
            };
            let most = if message.urgent { WAITING * URGENT } else { WAITING };
            if count >= most {
                message.state = State::Failed;
                message.reason = Some("too many messages wait in front of it".to_owned());
                warn!(lane = message.lane, incident = %message.incident_id, "a message is given up: too many wait");
            }
            waiting.insert(message.lane.clone(), count + 1);
        }
        Ok(())
    }
}

/// The queue is a way of telling that leaves the site.
#[async_trait]
impl Notify for Planner {
    fn range(&self) -> Range {
        Range::Outside
    }

    async fn notify(&self, notices: &[Notice]) -> Result<()> {
        for notice in notices {
            let Some(id) = IncidentId::parse(&notice.object) else { continue };
            self.look_at(&id).await?;
        }
        Ok(())
    }
}

/// A site's name and time zone, and a place's, a door's and a device's: where something is, in words.
pub(super) struct Point {
    pub(super) site: String,
    pub(super) zone: String,
    pub(super) place: String,
    pub(super) unit: Option<String>,
    pub(super) device: Option<String>,
    pub(super) part: Option<String>,
}

/// Where an incident is, in words; nothing if its site is gone.
pub(super) async fn point(repository: &dyn Repository, incident: &Incident) -> Result<Option<Point>> {
    let Some(site) = repository.site(&incident.site_id).await? else { return Ok(None) };
    let place = repository.place(&incident.place_id).await?.map(|place| place.name).unwrap_or_default();
    let (mut unit, mut device, mut part) = (None, None, None);
    match &incident.point {
        event::alarm::Point::Household(id) => match door(repository, id).await {
            // A call that does not say which door is more than none.
            Err(Error::Corrupt(why)) => {
                error!(household = %id, incident = %incident.id, why, "a call is sent without its door, which cannot be read; correct its row");
            }
            label => unit = label?,
        },
        event::alarm::Point::Device { id, part: at } => {
            match repository.names_of_device(id, at.as_deref()).await {
                // As little as of a door.
                Err(Error::Corrupt(why)) => {
                    error!(device = %id, incident = %incident.id, why, "a call is sent without its device, which cannot be read; correct its row");
                }
                names => {
                    if let Some(names) = names? {
                        let numbered = || at.clone().filter(|part| text::is_numbered(part));
                        (device, part) = (Some(names.device), names.part.or_else(numbered));
                    }
                }
            }
        }
        event::alarm::Point::Place(_) => {}
    }
    Ok(Some(Point { site: site.name, zone: site.time_zone, place, unit, device, part }))
}

/// What is on a household's door.
async fn door(repository: &dyn Repository, id: &HouseholdId) -> Result<Option<String>> {
    match repository.household(id).await? {
        Some(household) => Ok(repository.unit(&household.unit_id).await?.map(|unit| unit.label)),
        None => Ok(None),
    }
}
