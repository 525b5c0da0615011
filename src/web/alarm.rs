//! A person's own press for help. It is never refused for coming too often: presses
//! from one home within minutes are one incident.

use crate::access::Who;
use crate::extract::read;
use crate::idempotency::{answer, key, other_request};
use crate::schema::word;
use crate::{App, Problem, token};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use domain::access::{Decision, Question, decide};
use domain::event::alarm::{Alarm, AlarmKind, Point};
use domain::incident::repository::{Kept, Keyed, Raised};
use domain::incident::{Incident, Timings};
use domain::role::Role;
use domain::{GroupId, HouseholdId, IncidentId, PlaceId, Timestamp, group};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlarmInput {
    /// `panic`, `fire`, `medical`, `intrusion`, or `duress`: an alarm that no resident's page shows.
    kind: String,
    /// Practice: it goes the same way, is marked everywhere and never leaves the site.
    #[serde(default)]
    drill: bool,
    /// At which home, for who belongs to several.
    household_id: Option<String>,
    /// At which place, for who is on duty there.
    place_id: Option<String>,
}

/// What became of a press.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AlarmReceipt {
    #[schema(value_type = String)]
    incident_id: IncidentId,
    #[schema(schema_with = word::<AlarmKind>)]
    kind: AlarmKind,
    drill: bool,
    /// Whether it belongs to an incident that was there already.
    merged: bool,
    /// Presses that this incident has had.
    alarms: i64,
    /// Neighbouring households it was sent to.
    households: usize,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

/// An alarm that is about to be taken.
pub(crate) struct Press {
    pub(crate) alarm: Alarm,
    pub(crate) role: Option<Role>,
    pub(crate) reach: BTreeSet<HouseholdId>,
    pub(crate) group: Option<GroupId>,
}

/// Press for help.
///
/// With an `Idempotency-Key` a press that is sent again is not counted again. Without
/// one it is taken all the same.
#[utoipa::path(post, path = "/api/v1/alarms", tag = "incidents", operation_id = "raise_alarm",
    params(("Idempotency-Key" = Option<String>, Header, description = "a new one for each press, for a day")),
    request_body = AlarmInput, responses((status = 201, body = AlarmReceipt), (status = 404), (status = 422)))]
pub(crate) async fn raise(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    crate::extract::must_be_json(&headers)?;
    let input: AlarmInput = read(&mut serde_json::Deserializer::from_slice(&body))?;
    let keyed = key(&app, &who, &headers, "alarm", &body)?;
    let press = press(&app, &who, &input).await?;
    take(&app, press, keyed).await
}

/// Takes an alarm, into the incident it belongs to or by opening one.
pub(crate) async fn take(app: &App, press: Press, keyed: Option<Keyed>) -> Result<Response, Problem> {
    let Press { alarm, role, reach, group } = press;
    let site = app.repository().site(&alarm.site_id).await?.ok_or(Problem::NotFound)?;
    let id = IncidentId::from_random(token::random());
    let mut opened = Incident::open(id, &alarm, role, &Timings::of(site.kind));
    opened.incident.group = group;
    let receipt = |raised: &Raised| {
        let receipt = AlarmReceipt {
            incident_id: raised.incident.id.clone(),
            kind: raised.incident.kind,
            drill: raised.incident.drill,
            merged: raised.merged,
            alarms: raised.incident.alarms,
            households: raised.households,
            received_at: raised.incident.last_alarm_at,
        };
        serde_json::to_string(&receipt).unwrap_or_default()
    };
    match app.repository().raise(&alarm, &opened, &reach, keyed.as_ref(), &receipt).await? {
        Kept::Done(raised) => {
            app.posted();
            if !raised.merged {
                // Where the site's policy says so, residents may watch while it is open.
                app.changed();
            }
            Ok(answer(StatusCode::CREATED, receipt(&raised)))
        }
        Kept::Answered(before) => Ok(answer(StatusCode::CREATED, before)),
        Kept::OtherRequest => Err(other_request()),
        Kept::Stale => Err(Problem::Internal),
    }
}

/// What a person presses, and where.
async fn press(app: &App, who: &Who, input: &AlarmInput) -> Result<Press, Problem> {
    let now = app.now();
    let kinds = "it is panic, fire, medical, intrusion or duress";
    let kind = AlarmKind::from_word(&input.kind).filter(|kind| kind.is_pressed());
    let kind = kind.ok_or_else(|| Problem::field("/kind", kinds))?;
    let alarm = |site_id, place_id, point| Alarm {
        kind,
        site_id,
        place_id,
        point,
        drill: input.drill,
        late: false,
        reporter: Some(who.person.id.clone()),
        received_at: now,
    };
    if let Some(text) = &input.place_id {
        let none = || Problem::field("/place_id", "there is no such place where you are on duty");
        let id = PlaceId::parse(text).ok_or_else(none)?;
        let scene = app.repository().scene().await?;
        let (place, path) = (scene.place(&id).ok_or_else(none)?, scene.path(&id));
        let Decision::Allow { role, .. } =
            decide(&who.standing, Question::Respond(&place.site_id, &path), now)
        else {
            return Err(none());
        };
        let alarm = alarm(place.site_id.clone(), id.clone(), Point::Place(id));
        return Ok(Press { alarm, role: Some(role), reach: BTreeSet::new(), group: None });
    }
    let mut homes = who.standing.memberships.iter().filter(|membership| membership.in_force(now));
    let home = match &input.household_id {
        Some(text) => homes
            .find(|home| home.household_id.as_str() == text)
            .ok_or_else(|| Problem::field("/household_id", "you do not belong to such a household"))?,
        None => {
            let one = homes.next().ok_or_else(|| {
                Problem::field("/place_id", "you belong to no household; say where help is wanted")
            })?;
            if homes.next().is_some() {
                return Err(Problem::field(
                    "/household_id",
                    "you belong to several households; say at which",
                ));
            }
            one
        }
    };
    let household = &home.household_id;
    let point = Point::Household(household.clone());
    let alarm = alarm(home.site_id.clone(), home.entrance_id.clone(), point);
    // Whoever forces somebody must not learn it from a neighbour.
    let reach = if kind.is_silent() {
        BTreeSet::new()
    } else {
        group::reach(&app.repository().groups_of(household, now).await?, household)
    };
    Ok(Press { alarm, role: Some(Role::Resident), reach, group: None })
}
