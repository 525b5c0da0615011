//! Drills: a group practises with the machinery of real alarms. The ledger says how the
//! machinery did, never who of the people came.

use crate::access::Who;
use crate::alarm::{AlarmReceipt, Press, take};
use crate::extract::{Query, id, must_be_json, read};
use crate::idempotency::key;
use crate::incident::filter;
use crate::schema::{List, word};
use crate::{App, Problem};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::access::{Decision, Question, decide};
use domain::drill::outcome;
use domain::event::alarm::{Alarm, AlarmKind, Point};
use domain::incident::State as IncidentState;
use domain::incident::repository::Filter;
use domain::repository::Page;
use domain::{GroupId, IncidentId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};

/// The most rows of a page, and how many if it is not said.
const MOST: u32 = 200;
const USUAL: u32 = 50;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrillInput {
    /// The group that practises.
    group_id: String,
    /// Where help is wanted in the exercise.
    place_id: String,
    /// What for: `panic` if it is not said.
    kind: Option<String>,
}

/// One line of the ledger.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DrillView {
    #[schema(value_type = String)]
    incident_id: IncidentId,
    #[schema(value_type = String)]
    site_id: SiteId,
    /// The group; null if somebody practised at home.
    #[schema(value_type = Option<String>)]
    group_id: Option<GroupId>,
    #[schema(schema_with = word::<AlarmKind>)]
    kind: AlarmKind,
    #[schema(schema_with = word::<IncidentState>)]
    state: IncidentState,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Seconds until somebody took it.
    ack_seconds: Option<i64>,
    /// Seconds until somebody was there.
    arrive_seconds: Option<i64>,
    /// How often the next in the chain had to be called.
    escalations: usize,
    /// Households it was sent to, those that saw it, those that would have come.
    asked: usize,
    seen: usize,
    coming: usize,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    site_id: Option<String>,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// Rows, at most 200.
    limit: Option<u32>,
}

/// Begin a drill of a group.
#[utoipa::path(post, path = "/api/v1/drills", tag = "incidents", operation_id = "begin_drill",
    params(("Idempotency-Key" = Option<String>, Header, description = "a new one for each drill, for a day")),
    request_body = DrillInput,
    responses((status = 201, body = AlarmReceipt), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(crate) async fn begin(
    State(app): State<App>,
    who: Who,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    must_be_json(&headers)?;
    let input: DrillInput = read(&mut serde_json::Deserializer::from_slice(&body))?;
    let keyed = key(&app, &who, &headers, "drill", &body)?;
    let now = app.now();
    let no_place = || Problem::field("/place_id", "there is no such place where you handle alarms");
    let place_id = PlaceId::parse(&input.place_id).ok_or_else(no_place)?;
    let scene = app.repository().scene().await?;
    let (place, path) = (scene.place(&place_id).ok_or_else(no_place)?, scene.path(&place_id));
    let Decision::Allow { role, .. } = decide(&who.standing, Question::Operate(&place.site_id, &path), now)
    else {
        return Err(no_place());
    };
    let no_group = || Problem::field("/group_id", "there is no such group in this site");
    let group = GroupId::parse(&input.group_id).ok_or_else(no_group)?;
    let group = app.repository().group(&group, now).await?;
    let group = group.filter(|group| group.site_id == place.site_id && group.ended_at.is_none());
    let group = group.ok_or_else(no_group)?;
    if !group.is_active() {
        return Err(Problem::Conflict(
            "the group has fewer than 5 households; it practises when it has more",
        ));
    }
    let kinds = "it is panic, fire, medical or intrusion";
    let kind = AlarmKind::from_word(input.kind.as_deref().unwrap_or("panic"));
    let kind = kind.filter(|kind| kind.is_pressed() && !kind.is_silent());
    let alarm = Alarm {
        kind: kind.ok_or_else(|| Problem::field("/kind", kinds))?,
        site_id: place.site_id.clone(),
        place_id: place_id.clone(),
        point: Point::Place(place_id),
        drill: true,
        late: false,
        reporter: Some(who.person.id.clone()),
        received_at: now,
    };
    let reach = group.members.into_iter().map(|member| member.household_id).collect();
    take(&app, Press { alarm, role: Some(role), reach, group: Some(group.id) }, keyed).await
}

/// The ledger of drills, the newest first: for those on duty, and one's own.
#[utoipa::path(get, path = "/api/v1/drills", tag = "incidents", operation_id = "list_drills", params(Asked),
    responses((status = 200, body = List<DrillView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<DrillView>>, Problem> {
    let cursor = asked.cursor.as_ref().map(|text| text.parse::<i64>());
    let after = cursor.transpose().map_err(|_| Problem::field("cursor", "it is not from a list's next"))?;
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let site = asked.site_id.map(|site| id(SiteId::parse, &site)).transpose()?;
    let filter = Filter { site, drill: Some(true), ..filter(&app, &who).await? };
    let (incidents, next) = app.repository().incidents(&filter, &Page { after, limit }).await?;
    let mut items = Vec::new();
    for incident in incidents {
        let log = app.repository().incident_log(&incident.id).await?;
        let outcome = outcome(&log, &app.repository().reached(&incident.id).await?);
        items.push(DrillView {
            incident_id: incident.id,
            site_id: incident.site_id,
            group_id: incident.group,
            kind: incident.kind,
            state: incident.state,
            at: incident.opened_at,
            ack_seconds: outcome.ack_seconds,
            arrive_seconds: outcome.arrive_seconds,
            escalations: outcome.escalations,
            asked: outcome.asked,
            seen: outcome.seen,
            coming: outcome.coming,
        });
    }
    Ok(axum::Json(List { items, next: next.map(|seq| seq.to_string()) }))
}
