//! Approvals: asked for by residents, listed, and how they are shown. `decision`
//! decides them.

use crate::access::Who;
use crate::extract::{Json, Query, id, optional_name};
use crate::renewal::{is_own, waiting};
use crate::schema::{List, next_after};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::Question;
use domain::approval::{ASKED, Approval, CameraSet, State as ApprovalState, Subject};
use domain::repository::{ApprovalFilter, Page};
use domain::schedule::Window;
use domain::{ApprovalId, CameraId, HouseholdId, PersonId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// How long an approval lasts if nobody says otherwise.
pub(crate) const USUAL: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Requests of one person that may wait in a site.
pub(crate) const WAITING: usize = 5;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalInput {
    site_id: String,
    /// For this household; without it for the one who asks.
    household_id: Option<String>,
    /// One camera; or a place with all below it; or neither: all that residents may see.
    camera_id: Option<String>,
    place_id: Option<String>,
    /// What the one who asks wants to say.
    message: Option<String>,
}

/// A stretch of some days of the week.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowInput {
    /// 1 is Monday, 7 is Sunday.
    pub(crate) days: Vec<u8>,
    /// Minute of the day.
    pub(crate) from_minute: u16,
    /// Minute of the day; 1440 is midnight.
    pub(crate) until_minute: u16,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ApprovalView {
    #[schema(value_type = String)]
    id: ApprovalId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = Option<String>)]
    household_id: Option<HouseholdId>,
    #[schema(value_type = Option<String>)]
    person_id: Option<PersonId>,
    #[schema(value_type = Option<String>)]
    camera_id: Option<CameraId>,
    #[schema(value_type = Option<String>)]
    place_id: Option<PlaceId>,
    /// `requested`, `granted`, `refused`, `revoked`, `withdrawn`, `renewed` or `expired`.
    state: &'static str,
    /// Granted, and it ends within 30 days: time to ask again.
    lapses_soon: bool,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    schedule: Option<Vec<WindowInput>>,
    message: String,
    #[schema(value_type = String)]
    requested_by: PersonId,
    #[schema(value_type = String, format = DateTime)]
    requested_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// Why not, or why no longer; of a withdrawn request `moved_out`, `left` or `disabled`.
    reason: Option<String>,
    /// The approval whose place it is to take.
    #[schema(value_type = Option<String>)]
    renews: Option<ApprovalId>,
}

pub(crate) fn view(approval: Approval, now: Timestamp) -> ApprovalView {
    let (state, lapses_soon) = (approval.shown_state(now), approval.lapses_soon(now));
    let (household_id, person_id) = match approval.subject {
        Subject::Household(household) => (Some(household), None),
        Subject::Person(person) => (None, Some(person)),
    };
    let (camera_id, place_id) = match approval.cameras {
        CameraSet::Camera(camera) => (Some(camera), None),
        CameraSet::Place(place) => (None, Some(place)),
        CameraSet::Site => (None, None),
    };
    let window = |Window { days, from_minute, until_minute }| WindowInput { days, from_minute, until_minute };
    ApprovalView {
        id: approval.id,
        site_id: approval.site_id,
        household_id,
        person_id,
        camera_id,
        place_id,
        state,
        lapses_soon,
        from: approval.from,
        until: approval.until,
        schedule: approval.schedule.map(|schedule| schedule.0.into_iter().map(window).collect()),
        message: approval.message,
        requested_by: approval.requested_by,
        requested_at: approval.requested_at,
        decided_at: approval.decided_at,
        reason: approval.reason,
        renews: approval.renews,
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// All of this site, for its administrators; without it one's own.
    site_id: Option<String>,
    /// One of the states, or `lapsing`: granted, and it ends within 30 days.
    state: Option<String>,
    /// From the last page's `next`. One's own come in one page.
    cursor: Option<String>,
    /// Approvals of a page, at most and usually 200.
    limit: Option<u32>,
}

/// Approvals a page.
const PAGE: u32 = 200;

/// Approvals: my own and my households', or a site's for its administrators, the newest first.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "rights", operation_id = "list_approvals",
    params(Filter), responses((status = 200, body = List<ApprovalView>), (status = 403), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List<ApprovalView>>, Problem> {
    let now = app.now();
    let no_word = || Problem::field("state", format!("use one of {}", ASKED.join(", ")));
    let of = |site: SiteId| match &filter.state {
        None => Ok(ApprovalFilter::of(site)),
        Some(word) => ApprovalFilter::of(site).shown_as(word, now).ok_or_else(no_word),
    };
    let Some(site) = &filter.site_id else {
        let mut views = Vec::new();
        for approval in &who.standing.approvals {
            // What a household asks after one has left it is not one's own any more.
            if of(approval.site_id.clone())?.has(approval) && is_own(&who.standing, approval, now) {
                views.push(view(approval.clone(), now));
            }
        }
        return Ok(axum::Json(List::whole(views)));
    };
    let site = id(SiteId::parse, site)?;
    who.must_manage(&app, &site)?;
    let after = filter.cursor.as_ref().map(|text| text.parse::<i64>()).transpose();
    let after = after.map_err(|_| Problem::field("cursor", "it is not from a list's next"))?;
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let approvals = app.repository().approvals(&of(site)?, &Page { after, limit }).await?;
    let next = next_after(&approvals, limit, |(seq, _)| seq.to_string());
    let views = approvals.into_iter().map(|(_, approval)| view(approval, now));
    Ok(axum::Json(List { items: views.collect(), next }))
}

/// Ask for an approval. An administrator who asks for a household has to grant it as well.
#[utoipa::path(post, path = "/api/v1/approvals", tag = "rights", operation_id = "request_approval",
    request_body = ApprovalInput, responses((status = 201, body = ApprovalView), (status = 409)))]
pub(crate) async fn request(
    State(app): State<App>,
    who: Who,
    Json(input): Json<ApprovalInput>,
) -> Result<(StatusCode, axum::Json<ApprovalView>), Problem> {
    let no_site = || Problem::field("/site_id", "there is no such site");
    let site = SiteId::parse(&input.site_id).ok_or_else(no_site)?;
    let manages = who.may(&app, Question::Manage(&site));
    if !manages && !who.may(&app, Question::SeeSite(&site)) {
        return Err(no_site());
    }
    let now = app.now();
    let subject = match &input.household_id {
        None => Subject::Person(who.person.id.clone()),
        Some(text) => {
            let none = || Problem::field("/household_id", "there is no such household of yours");
            let household = HouseholdId::parse(text).ok_or_else(none)?;
            let own = who
                .standing
                .memberships
                .iter()
                .any(|m| m.household_id == household && m.site_id == site && m.in_force(now));
            let of_site = app.repository().households(&site).await?;
            let there = of_site.iter().any(|h| h.id == household);
            if !(own || manages && there) {
                return Err(none());
            }
            Subject::Household(household)
        }
    };
    let mine = |a: &&Approval| a.requested_by == who.person.id;
    if !manages && waiting(&who.standing, &site).filter(mine).count() >= WAITING {
        return Err(Problem::Conflict(
            "five requests of yours are waiting; the administrator decides them first",
        ));
    }
    let approval = Approval {
        id: ApprovalId::from_random(token::random()),
        cameras: cameras(&app, &site, &input).await?,
        site_id: site,
        subject,
        state: ApprovalState::Requested,
        from: now,
        until: now.after(USUAL),
        schedule: None,
        message: optional_name("/message", input.message.as_deref())?.unwrap_or_default(),
        requested_by: who.person.id.clone(),
        requested_at: now,
        decided_by: None,
        decided_at: None,
        reason: None,
        renews: None,
    };
    let site = Some(&approval.site_id);
    app.noting(Some(&who.person.id), site, "approval.request", approval.id.as_str(), &json!({}))
        .add_approval(&approval)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(view(approval, now))))
}

async fn cameras(app: &App, site: &SiteId, input: &ApprovalInput) -> Result<CameraSet, Problem> {
    match (&input.camera_id, &input.place_id) {
        (None, None) => Ok(CameraSet::Site),
        (Some(_), Some(_)) => Err(Problem::field("/place_id", "name a camera or a place, not both")),
        (Some(text), None) => {
            let none = || Problem::field("/camera_id", "there is no such camera in this site");
            let camera = CameraId::parse(text).ok_or_else(none)?;
            let known = app.repository().camera(&camera).await?.filter(|known| known.site_id == *site);
            // What residents may never watch is not theirs to know of.
            let seen = known.filter(|known| known.visibility == domain::camera::Visibility::Residents);
            seen.map(|camera| CameraSet::Camera(camera.id)).ok_or_else(none)
        }
        (None, Some(text)) => {
            let none = || Problem::field("/place_id", "there is no such place in this site");
            let place = PlaceId::parse(text).ok_or_else(none)?;
            let known = app.repository().place(&place).await?.filter(|known| known.site_id == *site);
            known.map(|place| CameraSet::Place(place.id)).ok_or_else(none)
        }
    }
}
