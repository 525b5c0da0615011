//! Decisions about approvals: yes, no, no longer. Each is in the chain if it was made,
//! and only then.

use crate::access::Who;
use crate::approval::{ApprovalView, USUAL, WindowInput, view};
use crate::extract::{Json, Path, id, name, optional_name};
use crate::{App, Problem};
use axum::extract::State;
use domain::access::Question;
use domain::approval::{Approval, CameraSet, State as ApprovalState, Subject};
use domain::schedule::{Schedule, Window};
use domain::{ApprovalId, Timestamp};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// How long an approval lasts at most.
const LONGEST: Duration = Duration::from_secs(3 * 366 * 24 * 3_600);

/// What an administrator says with a yes.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantInput {
    /// RFC 3339; a year from now if it is not said.
    until: Option<String>,
    /// Only at these times of the week, in the site's time zone; null for always. If it is
    /// not said, it stays as it was asked for.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<WindowInput>>)]
    schedule: Option<Option<Vec<WindowInput>>>,
    reason: Option<String>,
}

/// Tells a null from nothing.
fn said<'de, D, T>(field: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(field).map(Some)
}

/// What an administrator says with a no.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonInput {
    reason: String,
}

/// Decides, if nobody was faster.
async fn decide(
    app: &App,
    who: &Who,
    approval: &str,
    from: &[ApprovalState],
    to: ApprovalState,
    change: impl FnOnce(&mut Approval),
) -> Result<axum::Json<ApprovalView>, Problem> {
    let before = app.repository().approval(&id(ApprovalId::parse, approval)?).await?;
    let before = before.ok_or(Problem::NotFound)?;
    who.must_manage(app, &before.site_id)?;
    if !from.contains(&before.state) {
        return Err(Problem::Conflict("it was decided already; look at it again"));
    }
    if to == ApprovalState::Granted && !who.may(app, Question::ManageSites) {
        let own = match &before.subject {
            Subject::Person(person) => *person == who.person.id,
            Subject::Household(home) => who.standing.memberships.iter().any(|m| m.household_id == *home),
        };
        if own {
            return Err(Problem::Conflict("nobody approves themselves; another administrator must do it"));
        }
    }
    let now = app.now();
    let mut approval = before.clone();
    approval.state = to;
    approval.decided_by = Some(who.person.id.clone());
    approval.decided_at = Some(now);
    change(&mut approval);
    let action = format!("approval.{}", to.word());
    let detail = decided(&approval);
    let mut changes = vec![(before, approval.clone())];
    changes.extend(replaced(app, &approval).await?);
    let (by, site) = (Some(&who.person.id), Some(&approval.site_id));
    let repository = app.noting(by, site, &action, approval.id.as_str(), &detail);
    if !repository.update_approvals(&changes).await? {
        return Err(Problem::Conflict("somebody else has just decided it; look at it again"));
    }
    app.changed();
    Ok(axum::Json(view(approval, now)))
}

/// What the chain keeps of a decision: all that it rests on.
fn decided(approval: &Approval) -> serde_json::Value {
    let subject = match &approval.subject {
        Subject::Household(household) => json!({ "household": household }),
        Subject::Person(person) => json!({ "person": person }),
    };
    let cameras = match &approval.cameras {
        CameraSet::Camera(camera) => json!({ "camera": camera }),
        CameraSet::Place(place) => json!({ "place": place }),
        CameraSet::Site => json!("site"),
    };
    json!({
        "subject": subject, "cameras": cameras, "from": approval.from, "until": approval.until,
        "schedule": approval.schedule, "reason": approval.reason, "renews": approval.renews,
    })
}

/// The approval whose place a granted one takes, as it was and as it is to be: two in
/// force side by side would be a right that one revocation does not end.
async fn replaced(app: &App, granted: &Approval) -> Result<Option<(Approval, Approval)>, Problem> {
    if granted.state != ApprovalState::Granted {
        return Ok(None);
    }
    let mut renews = granted.renews.clone();
    // A request that was refused may have been asked for again: the one in force is further back.
    while let Some(id) = renews {
        let Some(old) = app.repository().approval(&id).await? else { break };
        if old.state == ApprovalState::Granted {
            return Ok(Some((old.clone(), Approval { state: ApprovalState::Renewed, ..old })));
        }
        renews = old.renews;
    }
    Ok(None)
}

/// Say yes.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/grant", tag = "rights", operation_id = "grant_approval",
    params(("id" = String, Path)), request_body = GrantInput,
    responses((status = 200, body = ApprovalView), (status = 404), (status = 409)))]
pub(crate) async fn grant(
    State(app): State<App>,
    who: Who,
    Path(approval): Path<String>,
    Json(input): Json<GrantInput>,
) -> Result<axum::Json<ApprovalView>, Problem> {
    let now = app.now();
    let wrong =
        || Problem::field("/until", "it is a time after now and at most three years away, in RFC 3339");
    let until = match &input.until {
        None => now.after(USUAL),
        Some(text) => Timestamp::parse(text).ok_or_else(wrong)?,
    };
    if until <= now || until > now.after(LONGEST) {
        return Err(wrong());
    }
    let window = |WindowInput { days, from_minute, until_minute }| Window { days, from_minute, until_minute };
    let schedule = input
        .schedule
        .map(|said| said.map(|windows| Schedule(windows.into_iter().map(window).collect::<Vec<_>>())));
    if let Some(Some(schedule)) = &schedule {
        schedule.check().map_err(|why| Problem::field("/schedule", why.to_string()))?;
    }
    let reason = optional_name("/reason", input.reason.as_deref())?;
    // Also again after it was revoked, refused or has lapsed: a new decision.
    let from =
        [ApprovalState::Requested, ApprovalState::Granted, ApprovalState::Refused, ApprovalState::Revoked];
    decide(&app, &who, &approval, &from, ApprovalState::Granted, |approval| {
        (approval.from, approval.until, approval.reason) = (now, until, reason);
        if let Some(schedule) = schedule {
            approval.schedule = schedule;
        }
    })
    .await
}

/// No, or no longer, with the reason.
async fn deny(
    app: &App,
    who: &Who,
    approval: &str,
    input: ReasonInput,
    from: ApprovalState,
    to: ApprovalState,
) -> Result<axum::Json<ApprovalView>, Problem> {
    let reason = name("/reason", &input.reason)?;
    decide(app, who, approval, &[from], to, |approval| approval.reason = Some(reason)).await
}

/// Say no.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/refuse", tag = "rights", operation_id = "refuse_approval",
    params(("id" = String, Path)), request_body = ReasonInput,
    responses((status = 200, body = ApprovalView), (status = 404), (status = 409)))]
pub(crate) async fn refuse(
    State(app): State<App>,
    who: Who,
    Path(approval): Path<String>,
    Json(input): Json<ReasonInput>,
) -> Result<axum::Json<ApprovalView>, Problem> {
    deny(&app, &who, &approval, input, ApprovalState::Requested, ApprovalState::Refused).await
}

/// Take it back: every picture that rests on it ends.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/revoke", tag = "rights", operation_id = "revoke_approval",
    params(("id" = String, Path)), request_body = ReasonInput,
    responses((status = 200, body = ApprovalView), (status = 404), (status = 409)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    who: Who,
    Path(approval): Path<String>,
    Json(input): Json<ReasonInput>,
) -> Result<axum::Json<ApprovalView>, Problem> {
    deny(&app, &who, &approval, input, ApprovalState::Granted, ApprovalState::Revoked).await
}
