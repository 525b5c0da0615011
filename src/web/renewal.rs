//! Requests that come and go with what they rest on: asked for when a household is
//! joined, asked for again when an approval lapses, withdrawn when who asked has left.

use crate::access::Who;
use crate::approval::{ApprovalView, USUAL, WAITING, view};
use crate::extract::{Json, Path, id, optional_name};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::Standing;
use domain::approval::{Approval, CameraSet, State as ApprovalState, Subject, Withdrawal};
use domain::{ApprovalId, HouseholdId, PersonId, SiteId, Timestamp};
use serde::Deserialize;
use serde_json::json;

/// Asks in a household's name for all that residents may see, unless it has asked
/// or was granted something already.
pub(crate) async fn ask_for_household(
    app: &App,
    site: SiteId,
    household: HouseholdId,
    by: &PersonId,
    now: Timestamp,
) -> Result<(), Problem> {
    let mut approvals = app.repository().approvals_of(&household).await?.into_iter();
    if approvals.any(|approval| ["requested", "granted"].contains(&approval.shown_state(now))) {
        return Ok(());
    }
    let approval = Approval {
        id: ApprovalId::from_random(token::random()),
        site_id: site,
        subject: Subject::Household(household),
        cameras: CameraSet::Site,
        state: ApprovalState::Requested,
        from: now,
        until: now.after(USUAL),
        schedule: None,
        message: String::new(),
        requested_by: by.clone(),
        requested_at: now,
        decided_by: None,
        decided_at: None,
        reason: None,
        renews: None,
    };
    let (site, id) = (Some(&approval.site_id), approval.id.as_str());
    app.noting(Some(by), site, "approval.request", id, &json!({})).add_approval(&approval).await?;
    Ok(())
}

/// Whether an approval is this person's now: their own, or their household's.
pub(crate) fn is_own(standing: &Standing, approval: &Approval, now: Timestamp) -> bool {
    match &approval.subject {
        Subject::Person(person) => *person == standing.person_id,
        Subject::Household(household) => {
            standing.memberships.iter().any(|m| m.household_id == *household && m.in_force(now))
        }
    }
}

/// What waits in a site of what this person or their households have asked for.
pub(crate) fn waiting<'s>(standing: &'s Standing, site: &'s SiteId) -> impl Iterator<Item = &'s Approval> {
    standing.approvals.iter().filter(|a| a.site_id == *site && a.state == ApprovalState::Requested)
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewalInput {
    /// What the one who asks wants to say.
    message: Option<String>,
}

/// Ask again for an approval that lapses soon, has lapsed, or was refused or revoked.
/// It is a new request for the same cameras and hours; nothing is renewed by itself.
#[utoipa::path(post, path = "/api/v1/approvals/{id}/renew", tag = "rights", operation_id = "renew_approval",
    params(("id" = String, Path)), request_body = RenewalInput,
    responses((status = 201, body = ApprovalView), (status = 404), (status = 409)))]
pub(crate) async fn renew(
    State(app): State<App>,
    who: Who,
    Path(approval): Path<String>,
    Json(input): Json<RenewalInput>,
) -> Result<(StatusCode, axum::Json<ApprovalView>), Problem> {
    let now = app.now();
    let approval = id(ApprovalId::parse, &approval)?;
    let old = who.standing.approvals.iter().find(|a| a.id == approval && is_own(&who.standing, a, now));
    let old = old.ok_or(Problem::NotFound)?;
    let same = |a: &Approval| a.subject == old.subject && a.cameras == old.cameras;
    if waiting(&who.standing, &old.site_id).any(same) {
        return Err(Problem::Conflict("this was asked for already; the administrator decides it"));
    }
    if old.in_force(now) && !old.lapses_soon(now) || old.state == ApprovalState::Renewed {
        return Err(Problem::Conflict("this approval does not lapse soon; ask again when it does"));
    }
    if waiting(&who.standing, &old.site_id).filter(|a| a.requested_by == who.person.id).count() >= WAITING {
        return Err(Problem::Conflict(
            "five requests of yours are waiting; the administrator decides them first",
        ));
    }
    let new = ApprovalId::from_random(token::random());
    let mut request = old.renewal(new, who.person.id.clone(), now.after(USUAL), now);
    request.message = optional_name("/message", input.message.as_deref())?.unwrap_or_default();
    let detail = json!({ "renews": old.id });
    let (person, site) = (Some(&who.person.id), Some(&request.site_id));
    app.noting(person, site, "approval.request", request.id.as_str(), &detail).add_approval(&request).await?;
    Ok((StatusCode::CREATED, axum::Json(view(request, now))))
}

/// Ends what has lost its ground: a request that waits is withdrawn, a granted approval
/// is revoked; each is noted.
pub(crate) async fn withdraw(
    app: &App,
    by: &PersonId,
    why: Withdrawal,
    approvals: impl IntoIterator<Item = Approval>,
) -> Result<(), Problem> {
    for mut before in approvals {
        // Again if somebody decides it at this moment: what they granted is revoked.
        for _ in 0..3 {
            let to = match before.state {
                ApprovalState::Requested => ApprovalState::Withdrawn,
                ApprovalState::Granted => ApprovalState::Revoked,
                _ => break,
            };
            let mut after = before.clone();
            after.state = to;
            after.decided_by = Some(by.clone());
            after.decided_at = Some(app.now());
            after.reason = Some(why.word().to_owned());
            let (action, detail) = (format!("approval.{}", to.word()), json!({ "reason": why.word() }));
            if app
                .noting(Some(by), Some(&after.site_id), &action, after.id.as_str(), &detail)
                .update_approvals(&[(before.clone(), after)])
                .await?
            {
                break;
            }
            let Some(now) = app.repository().approval(&before.id).await? else { break };
            before = now;
        }
    }
    Ok(())
}

/// A household moves out: nothing is asked or granted in its name any more, and what
/// its members have of their own ends unless they live in the site elsewhere.
pub(crate) async fn withdraw_of_household(
    app: &App,
    by: &PersonId,
    site: &SiteId,
    household: &HouseholdId,
) -> Result<(), Problem> {
    withdraw(app, by, Withdrawal::MovedOut, app.repository().approvals_of(household).await?).await?;
    for member in app.repository().memberships(site).await? {
        if member.household_id == *household {
            end_own(app, by, Withdrawal::MovedOut, site, household, &member.person_id).await?;
        }
    }
    Ok(())
}

/// A member leaves a household: what they asked for in its name, and for themselves
/// unless they live in the site elsewhere. Whoever stays can ask by themselves.
pub(crate) async fn withdraw_of_member(
    app: &App,
    by: &PersonId,
    site: &SiteId,
    household: &HouseholdId,
    person: &PersonId,
) -> Result<(), Problem> {
    let Some(standing) = app.repository().standing(person).await? else { return Ok(()) };
    let asked = standing.approvals.into_iter().filter(|approval| {
        let own = matches!(&approval.subject, Subject::Household(own) if own == household);
        own && approval.requested_by == *person && approval.state == ApprovalState::Requested
    });
    withdraw(app, by, Withdrawal::Left, asked).await?;
    end_own(app, by, Withdrawal::Left, site, household, person).await
}

/// Ends what somebody has of their own in a site, unless they live there elsewhere too.
async fn end_own(
    app: &App,
    by: &PersonId,
    why: Withdrawal,
    site: &SiteId,
    left: &HouseholdId,
    person: &PersonId,
) -> Result<(), Problem> {
    let now = app.now();
    let Some(standing) = app.repository().standing(person).await? else { return Ok(()) };
    let elsewhere =
        standing.memberships.iter().any(|m| m.site_id == *site && m.household_id != *left && m.in_force(now));
    let own = standing.approvals.into_iter().filter(|approval| {
        matches!(approval.subject, Subject::Person(_)) && approval.site_id == *site && !elsewhere
    });
    withdraw(app, by, why, own).await
}

/// An account is switched off: nothing that it asked for waits any more.
pub(crate) async fn withdraw_of_person(app: &App, by: &PersonId, person: &PersonId) -> Result<(), Problem> {
    let Some(standing) = app.repository().standing(person).await? else { return Ok(()) };
    // What is granted is of no use to them while the account is off, and there again after.
    let waits =
        |request: &Approval| request.requested_by == *person && request.state == ApprovalState::Requested;
    let theirs = standing.approvals.into_iter().filter(waits);
    withdraw(app, by, Withdrawal::Disabled, theirs).await?;
    crate::registration::refuse_all_of(app, by, person, Withdrawal::Disabled.word()).await
}
