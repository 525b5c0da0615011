//! Incidents: the list, one with its log, and what is done with it.

use crate::access::Who;
use crate::called::Roster;
use crate::extract::{Json, Path, Query, id, must_be_json, read};
use crate::idempotency::{HEADER, answer as answered, key, other_request};
use crate::incident_view::{IncidentView, WholeIncident, actor, spot, view, whole};
use crate::schema::{List, word};
use crate::{App, Problem};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use domain::access::{Question, Standing, decide};
use domain::incident::repository::{Filter, Kept};
use domain::incident::{
    Answer, Call, Command, Incident, Reached, Refused, Sight, State as IncidentState, Step, Timings, home,
    refusals, sight,
};
use domain::message::receivers;
use domain::repository::Page;
use domain::role::Role;
use domain::{HouseholdId, IncidentId, PersonId, PlaceId, SiteId, Words as _};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The most rows of a page, and how many if it is not said.
const MOST: u32 = 200;
const USUAL: u32 = 50;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    site_id: Option<String>,
    /// One of the states, or `unfinished`: somebody still needs help.
    state: Option<String>,
    /// Only practice (`true`) or none (`false`).
    drill: Option<bool>,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// Rows, at most 200.
    limit: Option<u32>,
}

/// What somebody may see of all incidents.
pub(crate) async fn filter(app: &App, who: &Who) -> Result<Filter, Problem> {
    let now = app.now();
    let scene = app.repository().scene().await?;
    let readable = |place: &PlaceId, site: &SiteId| {
        let path = scene.path(place);
        decide(&who.standing, Question::ReadIncidents(site, &path), now).is_allowed()
    };
    let places = scene.places().filter(|place| readable(&place.id, &place.site_id));
    let homes = who.standing.memberships.iter().filter(|membership| membership.in_force(now));
    Ok(Filter {
        places: places.map(|place| place.id.clone()).collect(),
        households: homes.map(|home| home.household_id.clone()).collect(),
        reporter: Some(who.person.id.clone()),
        ..Filter::default()
    })
}

/// An incident that somebody may see.
struct Found {
    incident: Incident,
    reached: Vec<Reached>,
    /// Its place, then upwards.
    path: Vec<PlaceId>,
    sight: Sight,
}

/// The incident of that id, its call, and as what this person sees it.
async fn find(app: &App, who: &Standing, text: &str) -> Result<Found, Problem> {
    let id = id(IncidentId::parse, text)?;
    let incident = app.repository().incident(&id).await?;
    // All of it is read also when there is no such incident, so that a no takes as long as any other.
    let (reached, scene) = (app.repository().reached(&id).await?, app.repository().scene().await?);
    let incident = incident.ok_or(Problem::NotFound)?;
    let path = scene.path(&incident.place_id);
    let sight = sight_of(who, &incident, &path, &reached, app.now()).ok_or(Problem::NotFound)?;
    Ok(Found { incident, reached, path, sight })
}

/// As what somebody sees an incident that these were called for.
pub(crate) fn sight_of(
    who: &Standing,
    incident: &Incident,
    path: &[PlaceId],
    reached: &[Reached],
    now: domain::Timestamp,
) -> Option<Sight> {
    let households: Vec<HouseholdId> = reached.iter().map(|one| one.household_id.clone()).collect();
    sight(who, incident, path, &households, now)
}

/// Incidents that one may see, the newest first: of one's places on duty, of one's home,
/// and those that one's household is called for.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", operation_id = "list_incidents",
    params(Asked), responses((status = 200, body = List<IncidentView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<IncidentView>>, Problem> {
    let states = match asked.state.as_deref() {
        None => Vec::new(),
        Some("unfinished") => {
            let all = IncidentState::WORDS.iter().filter_map(|word| IncidentState::from_word(word));
            all.filter(|state| state.is_handled()).collect()
        }
        Some(word) => {
            let wrong = || {
                Problem::field(
                    "state",
                    format!("use unfinished or one of: {}", IncidentState::WORDS.join(", ")),
                )
            };
            vec![IncidentState::from_word(word).ok_or_else(wrong)?]
        }
    };
    let cursor = asked.cursor.as_ref().map(|text| text.parse::<i64>());
    let after = cursor.transpose().map_err(|_| Problem::field("cursor", "it is not from a list's next"))?;
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let site = asked.site_id.map(|site| id(SiteId::parse, &site)).transpose()?;
    let filter = Filter { site, states, drill: asked.drill, ..filter(&app, &who).await? };
    let (incidents, next) = app.repository().incidents(&filter, &Page { after, limit }).await?;
    let (scene, now) = (app.repository().scene().await?, app.now());
    let (mut items, mut roster) = (Vec::new(), Roster::default());
    for incident in incidents {
        let path = scene.path(&incident.place_id);
        // What the list has and is neither theirs nor their work is what they are called for.
        let sight = sight(&who.standing, &incident, &path, &filter.households, now);
        let Some(sight) = sight else { continue };
        let spot = spot(&app, &incident.point).await?;
        let called = roster.calls(&app, &who, &incident, &path, None, sight).await?;
        // Whoever has a role is a neighbour all the same.
        let asks = incident.closed_at.is_none() && !filter.households.is_empty();
        let reached = if asks { app.repository().reached(&incident.id).await? } else { Vec::new() };
        items.push(view(&app, &who, incident, spot, sight, called, &reached));
    }
    Ok(axum::Json(List { items, next: next.map(|seq| seq.to_string()) }))
}

/// One incident with its log and what became of its call.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "incidents", operation_id = "get_incident",
    params(("id" = String, Path)), responses((status = 200, body = WholeIncident), (status = 404)))]
pub(crate) async fn get(
    State(app): State<App>,
    who: Who,
    Path(incident): Path<String>,
) -> Result<axum::Json<WholeIncident>, Problem> {
    let Found { incident, reached, path, sight } = find(&app, &who.standing, &incident).await?;
    Ok(axum::Json(whole(&app, &who, incident, reached, &path, sight).await?))
}

/// Whether others than `by` were asked to go as well and have not said that they cannot. If
/// two of the last say so at once, the second is late by a version, and this is asked again.
async fn left(app: &App, incident: &Incident, by: &PersonId) -> Result<bool, Problem> {
    let (repository, now) = (app.repository(), app.now());
    let log = repository.incident_log(&incident.id).await?;
    let (asked, refused) = (incident.asked(&log), refusals(&log));
    // Who was asked by name was asked alone.
    let Some(call) = asked.filter(|call| call.assignee.is_none()) else { return Ok(false) };
    let home = home(repository, incident, now).await?;
    let mut grants = repository.serving(&incident.site_id).await?;
    let path = repository.scene().await?.path(&incident.place_id);
    // Who only reads is asked to decide, and cannot say that they do not go.
    grants.retain(|grant| grant.role != Role::Administrator);
    let together = Call { declined: BTreeSet::new(), step: incident.step, ..call };
    let people = receivers::staff(incident, &together, &grants, &path, &home, now);
    Ok(people.iter().any(|person| person != by && !refused.contains(person)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActInput {
    /// The version that one has seen.
    version: i64,
    /// What is said with it; feedback, a false alarm, reopening and a note need it.
    note: Option<String>,
    /// Whom to ask to go: a person. With `assign`.
    to: Option<String>,
    /// Whom to ask to go: a step of the chain. With `assign`.
    #[schema(schema_with = word::<Step>)]
    step: Option<String>,
    /// The number under which others handle it. With `transfer`.
    reference: Option<String>,
    /// Whether it is settled for whoever raised it. With `follow_up`; otherwise it is reopened.
    satisfied: Option<bool>,
}

impl ActInput {
    /// The act of that name; nothing if there is none.
    async fn command(
        &self,
        app: &App,
        by: &PersonId,
        act: &str,
        incident: &Incident,
    ) -> Result<Option<Command>, Problem> {
        Ok(Some(match act {
            "ack" => Command::Ack,
            "assign" => self.assign(app, incident).await?,
            "accept" => Command::Accept,
            "decline" => Command::Decline { left: left(app, incident, by).await? },
            "arrive" => Command::Arrive,
            "feedback" => Command::Feedback,
            "transfer" => Command::Transfer { reference: self.reference.clone().unwrap_or_default() },
            "false_alarm" => Command::FalseAlarm,
            "cancel" => Command::Cancel,
            "close" => Command::Close,
            "follow_up" => Command::FollowUp {
                satisfied: self.satisfied.ok_or_else(|| {
                    Problem::field("/satisfied", "say whether it is settled: true or false")
                })?,
            },
            "reopen" => Command::Reopen,
            "note" => Command::Note,
            _ => return Ok(None),
        }))
    }

    async fn assign(&self, app: &App, incident: &Incident) -> Result<Command, Problem> {
        let step = self.step.as_deref().map(|word| {
            let wrong = || Problem::field("/step", format!("it is one of: {}", Step::WORDS.join(", ")));
            Step::from_word(word).ok_or_else(wrong)
        });
        let to = match &self.to {
            None => None,
            Some(text) => {
                let none =
                    || Problem::field("/to", "nobody of this id can be sent there; choose somebody on duty");
                let person = PersonId::parse(text).ok_or_else(none)?;
                let standing = app.repository().standing(&person).await?.ok_or_else(none)?;
                let path = app.repository().scene().await?.path(&incident.place_id);
                let question = Question::Respond(&incident.site_id, &path);
                if !decide(&standing, question, app.now()).is_allowed() {
                    return Err(none());
                }
                Some(person)
            }
        };
        Ok(Command::Assign { to, step: step.transpose()? })
    }
}

/// Act on an incident: `ack`, `assign`, `accept`, `decline`, `arrive`, `feedback`, `transfer`,
/// `false_alarm`, `cancel`, `close`, `follow_up`, `reopen` or `note`.
///
/// Of two acts on one version one is done; the other is refused with the current version.
/// Whoever raised an alarm asks with `cancel` to take it back; somebody on duty confirms it with
/// `cancel`.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/{act}", tag = "incidents", operation_id = "act_on_incident",
    params(("id" = String, Path), ("act" = String, Path),
        ("Idempotency-Key" = String, Header, description = "a new one for each act, for a day")),
    request_body = ActInput,
    responses((status = 200, body = IncidentView), (status = 403), (status = 404),
        (status = 409, description = "somebody was faster, or it is not possible as it stands")))]
pub(crate) async fn act(
    State(app): State<App>,
    who: Who,
    Path((incident, act)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    must_be_json(&headers)?;
    let input: ActInput = read(&mut serde_json::Deserializer::from_slice(&body))?;
    let keyed = key(&app, &who, &headers, &format!("{incident}/{act}"), &body)?;
    let missing = || Problem::field(HEADER, "it is missing; send a new one with each act");
    let keyed = keyed.ok_or_else(missing)?;
    let Found { incident, reached, path, sight } = find(&app, &who.standing, &incident).await?;
    let command = input.command(&app, &who.person.id, &act, &incident).await?.ok_or(Problem::NotFound)?;
    let actor = actor(&app, &who, &incident, sight);
    let Some(actor) = actor else { return Err(who.forbidden(&app, Some(&incident.site_id))) };
    match app.repository().answered(&keyed).await? {
        Some(Kept::Answered(before)) => return Ok(answered(StatusCode::OK, before)),
        Some(_) => return Err(other_request()),
        None => {}
    }
    if input.version != incident.version {
        return Err(Problem::Stale(incident.version));
    }
    let site = app.repository().site(&incident.site_id).await?.ok_or(Problem::NotFound)?;
    let timings = Timings::of(site.kind);
    let change = incident
        .apply(&command, input.note.as_deref(), &actor, &timings, app.now())
        .map_err(|why| refused(&app, &who, &incident, &command, why))?;
    let spot = spot(&app, &incident.point).await?;
    let mut log = app.repository().incident_log(&incident.id).await?;
    log.push(change.row.clone());
    let called = Roster::default().calls(&app, &who, &change.incident, &path, Some(&log), sight).await?;
    let seen = view(&app, &who, change.incident.clone(), spot, sight, called, &reached);
    let text = serde_json::to_string(&seen).map_err(|_| Problem::Internal)?;
    match app.repository().change(&change, Some(&keyed), &text).await? {
        Kept::Done(()) => {
            app.posted();
            if incident.closed_at.is_some() != change.incident.closed_at.is_some() {
                // Where the site's policy says so, residents may watch only while it is open.
                app.changed();
            }
            Ok(answered(StatusCode::OK, text))
        }
        Kept::Answered(before) => Ok(answered(StatusCode::OK, before)),
        Kept::OtherRequest => Err(other_request()),
        Kept::Stale => {
            let now = app.repository().incident(&incident.id).await?.ok_or(Problem::NotFound)?;
            Err(Problem::Stale(now.version))
        }
    }
}

fn refused(app: &App, who: &Who, incident: &Incident, command: &Command, why: Refused) -> Problem {
    match why {
        Refused::Role => who.forbidden(app, Some(&incident.site_id)),
        Refused::NoText | Refused::LongText => {
            let pointer = match command {
                Command::Transfer { reference }
                    if reference.trim().is_empty() || why == Refused::LongText =>
                {
                    "/reference"
                }
                _ => "/note",
            };
            Problem::field(pointer, why.to_string())
        }
        other => Problem::NotNow(other.to_string()),
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerInput {
    /// `shown` when somebody sees it, then `coming` or `declined`; that may change.
    answer: String,
}

/// Answer a neighbour's alarm, for one's household.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/answer", tag = "incidents", operation_id = "answer_alarm",
    params(("id" = String, Path)), request_body = AnswerInput,
    responses((status = 200, body = WholeIncident), (status = 404), (status = 409)))]
pub(crate) async fn answer(
    State(app): State<App>,
    who: Who,
    Path(incident): Path<String>,
    Json(input): Json<AnswerInput>,
) -> Result<axum::Json<WholeIncident>, Problem> {
    let wrong = || Problem::field("/answer", "it is shown, coming or declined");
    let answer = Answer::from_word(&input.answer).filter(|answer| *answer != Answer::Queued);
    let answer = answer.ok_or_else(wrong)?;
    let Found { incident, reached, path, sight } = find(&app, &who.standing, &incident).await?;
    let now = app.now();
    let homes = who.standing.memberships.iter().filter(|membership| membership.in_force(now));
    let homes: Vec<&HouseholdId> = homes.map(|home| &home.household_id).collect();
    let Some(home) = reached.iter().find(|one| homes.contains(&&one.household_id)) else {
        return Err(Problem::NotNow("your household was not called for this one".to_owned()));
    };
    if incident.closed_at.is_some() {
        return Err(Problem::NotNow("it is over; nobody needs to come any more".to_owned()));
    }
    // What was said already is said; to see it after one has answered changes nothing.
    if answer.follows(home.answer) {
        app.repository().answer(&incident, &home.household_id, answer, &who.person.id, now).await?;
        app.posted();
    }
    let reached = app.repository().reached(&incident.id).await?;
    Ok(axum::Json(whole(&app, &who, incident, reached, &path, sight).await?))
}
