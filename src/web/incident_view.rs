//! How an incident looks to whoever sees it: all of it to those whose work it is, its
//! steps by role to those who need help, that there is one to their neighbours. People
//! are named to staff only, and only staff.

use crate::access::Who;
use crate::called::Roster;
use crate::schema::word;
use crate::{App, Problem};
use domain::event::alarm::{AlarmKind, Point};
use domain::incident::{
    Act, Actor, Answer, Command, Hand, Incident, LogRow, Reached, Sight, State, Step, is_own,
};
use domain::role::Role;
use domain::{DeviceId, GroupId, HouseholdId, IncidentId, PersonId, PlaceId, SiteId, Timestamp};
use serde::Serialize;
use std::collections::HashMap;

#[derive(Clone, Serialize, utoipa::ToSchema)]
pub(crate) struct IncidentView {
    #[schema(value_type = String)]
    pub(crate) id: IncidentId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    place_id: PlaceId,
    /// What is on the door, if it is at a home.
    unit: Option<String>,
    /// Which device it is at, if it is at none's home: to staff.
    device: Option<AtDevice>,
    #[schema(schema_with = word::<AlarmKind>)]
    kind: AlarmKind,
    /// Practice.
    drill: bool,
    /// The alarm was kept while a line was down.
    late: bool,
    #[schema(schema_with = word::<State>)]
    state: State,
    /// What an act must name.
    version: i64,
    /// Who in the chain is called now.
    #[schema(schema_with = word::<Step>)]
    step: Step,
    /// Who is to go, or goes; to staff only.
    #[schema(value_type = Option<String>)]
    assignee: Option<PersonId>,
    /// Whether that is the one who asks.
    assigned_to_me: bool,
    /// Whether the one who asks is called now: to take it or to go; where help is there, or it is
    /// closed, to write down what is overdue. Staff only.
    called: bool,
    /// What the household of the one who asks has answered, if it was called as a neighbour.
    #[schema(value_type = Option<String>)]
    answer: Option<Answer>,
    /// It was raised by the one who asks, or at their home.
    own: bool,
    /// It was raised by the one who asks, and not only at their home.
    raised_by_me: bool,
    /// It was taken and nothing followed, so others are called to go; to staff only.
    left_lying: bool,
    /// Whoever raised it takes it back, and nobody has confirmed that yet.
    cancel_asked: bool,
    /// The number under which others handle it; to staff only.
    reference: Option<String>,
    /// Presses that it has had.
    alarms: i64,
    #[schema(value_type = Option<String>)]
    group_id: Option<GroupId>,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_alarm_at: Timestamp,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Timestamp>,
    /// When the next in the chain is called, or the station reminded.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// As what the one who asks sees it: `staff`, `own` or `neighbour`.
    seen_as: &'static str,
    /// Acts that the one who asks may do as it stands.
    may: Vec<&'static str>,
}

/// A device that raised an alarm, and which part of it.
#[derive(Clone, Serialize, utoipa::ToSchema)]
struct AtDevice {
    #[schema(value_type = String)]
    id: DeviceId,
    name: String,
    /// Like `input/3`, if it says which.
    part: Option<String>,
    /// What that part is called, if it has a name.
    part_name: Option<String>,
}

/// Where an incident is, as people call it.
pub(crate) struct Spot {
    unit: Option<String>,
    device: Option<AtDevice>,
}

/// An incident with its log and its call.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct WholeIncident {
    incident: IncidentView,
    /// The oldest first; empty for neighbours.
    log: Vec<LogView>,
    call: CallView,
}

#[derive(Serialize, utoipa::ToSchema)]
struct LogView {
    version: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(schema_with = word::<Act>)]
    act: Act,
    /// Who, by role; null if a time limit or a device did it.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// Who, by name: staff, to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether it was the one who asks.
    own: bool,
    #[schema(value_type = Option<String>)]
    from: Option<State>,
    #[schema(schema_with = word::<State>)]
    to: State,
    #[schema(schema_with = word::<Step>)]
    step: Step,
    /// Whether a person is to go, or goes, rather than whoever is at that step.
    to_person: bool,
    /// Whom: staff, to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    assignee_name: Option<String>,
    /// What was said with it: to staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What became of the call to the neighbours.
#[derive(Serialize, utoipa::ToSchema)]
struct CallView {
    /// Households it was sent to.
    asked: usize,
    /// Those where somebody has seen it.
    seen: usize,
    /// What is on the doors of those who come.
    coming: Vec<String>,
    declined: usize,
    /// Each of them: to staff.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    households: Vec<ReachedView>,
    /// What one's own household has answered, if it was called.
    #[schema(value_type = Option<String>)]
    own: Option<Answer>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ReachedView {
    unit: String,
    #[schema(schema_with = word::<Answer>)]
    answer: Answer,
    #[schema(value_type = String, format = DateTime)]
    asked_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    answered_at: Option<Timestamp>,
}

/// What is on a household's door.
async fn unit(app: &App, household: &HouseholdId) -> Result<Option<String>, Problem> {
    let Some(household) = app.repository().household(household).await? else { return Ok(None) };
    Ok(app.repository().unit(&household.unit_id).await?.map(|unit| unit.label))
}

/// Where that point is, as people call it.
pub(crate) async fn spot(app: &App, point: &Point) -> Result<Spot, Problem> {
    let (mut unit_label, mut device) = (None, None);
    match point {
        Point::Household(household) => unit_label = unit(app, household).await?,
        Point::Device { id, part } => {
            let names = app.repository().names_of_device(id, part.as_deref()).await?;
            device = names.map(|names| AtDevice {
                id: id.clone(),
                name: names.device,
                part: part.clone(),
                part_name: names.part,
            });
        }
        Point::Place(_) => {}
    }
    Ok(Spot { unit: unit_label, device })
}

/// Acts by their names in the API, in the order in which they are usually done.
fn acts() -> [(&'static str, Command); 13] {
    [
        ("ack", Command::Ack),
        ("assign", Command::Assign { to: None, step: None }),
        ("accept", Command::Accept),
        ("decline", Command::Decline { left: true }),
        ("arrive", Command::Arrive),
        ("feedback", Command::Feedback),
        ("close", Command::Close),
        ("follow_up", Command::FollowUp { satisfied: true }),
        ("reopen", Command::Reopen),
        ("transfer", Command::Transfer { reference: String::new() }),
        ("false_alarm", Command::FalseAlarm),
        ("cancel", Command::Cancel),
        ("note", Command::Note),
    ]
}

/// What `who`, who sees it so, may do with it.
fn may(app: &App, who: &Who, incident: &Incident, sight: Sight) -> Vec<&'static str> {
    let Some(by) = actor(app, who, incident, sight) else { return Vec::new() };
    let allowed = acts().into_iter().filter(|(_, command)| incident.allows(command, &by));
    allowed.map(|(name, _)| name).collect()
}

/// What their household has answered, if it was called.
fn answer_of(who: &Who, reached: &[Reached], now: Timestamp) -> Option<Answer> {
    let mine = |household: &HouseholdId| {
        who.standing.memberships.iter().any(|m| m.household_id == *household && m.in_force(now))
    };
    reached.iter().find(|one| mine(&one.household_id)).map(|one| one.answer)
}

/// The incident as `who` sees it, whom it calls or not, and that went to `reached`.
pub(crate) fn view(
    app: &App,
    who: &Who,
    incident: Incident,
    spot: Spot,
    sight: Sight,
    called: bool,
    reached: &[Reached],
) -> IncidentView {
    let staff = matches!(sight, Sight::Staff { .. });
    let may = may(app, who, &incident, sight);
    let own = is_own(&who.standing, &incident, app.now());
    let left_lying = staff && incident.is_left_lying();
    let is_me = |person: &Option<PersonId>| person.as_ref() == Some(&who.person.id);
    let (raised_by_me, assigned_to_me) = (is_me(&incident.reporter), is_me(&incident.assignee));
    IncidentView {
        id: incident.id,
        site_id: incident.site_id,
        place_id: incident.place_id,
        unit: spot.unit,
        device: spot.device.filter(|_| staff),
        kind: incident.kind,
        drill: incident.drill,
        late: incident.late,
        state: incident.state,
        version: incident.version,
        step: incident.step,
        assignee: incident.assignee.filter(|_| staff),
        assigned_to_me,
        called,
        answer: answer_of(who, reached, app.now()),
        own,
        raised_by_me,
        left_lying,
        cancel_asked: incident.cancel_asked,
        reference: incident.reference.filter(|_| staff),
        alarms: incident.alarms,
        group_id: incident.group,
        opened_at: incident.opened_at,
        last_alarm_at: incident.last_alarm_at,
        closed_at: incident.closed_at,
        due_at: incident.timer.filter(|_| staff).map(|timer| timer.due),
        seen_as: match sight {
            Sight::Staff { .. } => "staff",
            Sight::Own => "own",
            Sight::Neighbour => "neighbour",
        },
        may,
    }
}

/// The incident with its log and its call, as `who` sees it.
pub(crate) async fn whole(
    app: &App,
    who: &Who,
    incident: Incident,
    reached: Vec<Reached>,
    path: &[PlaceId],
    sight: Sight,
) -> Result<WholeIncident, Problem> {
    let (staff, neighbour) = (matches!(sight, Sight::Staff { .. }), sight == Sight::Neighbour);
    let log = if neighbour { Vec::new() } else { app.repository().incident_log(&incident.id).await? };
    let called = Roster::default().calls(app, who, &incident, path, Some(&log), sight).await?;
    let names = if staff { names(app, &log).await? } else { HashMap::new() };
    let row = |row: LogRow| LogView {
        version: row.version,
        at: row.at,
        act: row.act,
        role: row.role,
        name: row.actor.as_ref().and_then(|actor| names.get(actor).cloned()),
        own: row.actor.as_ref() == Some(&who.person.id),
        from: row.from,
        to: row.to,
        step: row.step,
        to_person: row.assignee.is_some(),
        assignee_name: row.assignee.as_ref().and_then(|person| names.get(person).cloned()),
        note: row.note.filter(|_| staff),
    };
    let with = |answer| reached.iter().filter(move |one| one.answer == answer);
    let call = CallView {
        asked: reached.len(),
        seen: reached.iter().filter(|one| one.answer != Answer::Queued).count(),
        coming: with(Answer::Coming).map(|one| one.unit.clone()).filter(|_| !neighbour).collect(),
        declined: with(Answer::Declined).count(),
        own: answer_of(who, &reached, app.now()),
        households: if staff { reached.iter().map(reached_view).collect() } else { Vec::new() },
    };
    let spot = spot(app, &incident.point).await?;
    Ok(WholeIncident {
        log: log.into_iter().map(row).collect(),
        call,
        incident: view(app, who, incident, spot, sight, called, &reached),
    })
}

fn reached_view(one: &Reached) -> ReachedView {
    ReachedView {
        unit: one.unit.clone(),
        answer: one.answer,
        asked_at: one.asked_at,
        answered_at: one.answered_at,
    }
}

/// The names of those on duty who acted or were asked to go. Whoever raised it has none here.
async fn names(app: &App, log: &[LogRow]) -> Result<HashMap<PersonId, String>, Problem> {
    let mut names = HashMap::new();
    for row in log {
        let actor = row.actor.as_ref().filter(|_| row.role.is_some_and(|role| role != Role::Resident));
        for person in actor.into_iter().chain(&row.assignee) {
            if !names.contains_key(person)
                && let Some(known) = app.repository().person(person).await?
            {
                names.insert(person.clone(), known.name);
            }
        }
    }
    Ok(names)
}

/// In whose hand and in which role `who` acts on an incident they see so.
pub(crate) fn actor(app: &App, who: &Who, incident: &Incident, sight: Sight) -> Option<Actor> {
    let (role, hand) = match sight {
        Sight::Staff { role, hand: Some(hand) } => (role, hand),
        Sight::Own => (Role::Resident, Hand::Reporter),
        Sight::Staff { hand: None, .. } | Sight::Neighbour => return None,
    };
    let own = is_own(&who.standing, incident, app.now());
    Some(Actor { person: Some(who.person.id.clone()), role: Some(role), hand, own })
}
