//! Invitations to join a household: a link that works once, for a week, and only
//! as long as nobody takes it back.

use crate::access::Who;
use crate::extract::{Json, Path, Query, id};
use crate::household::managed;
use crate::person::OfSite;
use crate::schema::List;
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::invitation::Invitation;
use domain::{HouseholdId, InvitationId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// How long an invitation can be used.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationInput {
    household_id: String,
}

/// An invitation: the only time that its token is shown. The link is `/join#TOKEN`.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ShownInvitation {
    #[schema(value_type = String)]
    id: InvitationId,
    token: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// An invitation that can still be used, without its token.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct InvitationView {
    #[schema(value_type = String)]
    id: InvitationId,
    #[schema(value_type = String)]
    household_id: HouseholdId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Invitations of a site that can still be used, the newest first.
#[utoipa::path(get, path = "/api/v1/invitations", tag = "rights", operation_id = "list_invitations",
    params(OfSite), responses((status = 200, body = List<InvitationView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(of): Query<OfSite>,
) -> Result<axum::Json<List<InvitationView>>, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let open = app.repository().open_invitations(&site, app.now()).await?;
    let views = open.into_iter().map(|Invitation { id, household_id, created_at, expires_at, .. }| {
        InvitationView { id, household_id, created_at, expires_at }
    });
    Ok(axum::Json(List::whole(views.collect())))
}

/// Take back an invitation: its link is like one that never was.
#[utoipa::path(delete, path = "/api/v1/invitations/{id}", tag = "rights", operation_id = "withdraw_invitation",
    params(("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn withdraw(
    State(app): State<App>,
    who: Who,
    Path(invitation): Path<String>,
) -> Result<StatusCode, Problem> {
    let invitation = app.repository().invitation(&id(InvitationId::parse, &invitation)?).await?;
    let invitation = invitation.ok_or(Problem::NotFound)?;
    let (household, site) = managed(&app, &who, invitation.household_id.as_str()).await?;
    let detail = json!({ "household": household.id });
    if !app
        .noting(Some(&who.person.id), Some(&site), "invitation.withdraw", invitation.id.as_str(), &detail)
        .withdraw_invitation(&invitation.id)
        .await?
    {
        return Err(Problem::NotFound);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Invite somebody into a household.
#[utoipa::path(post, path = "/api/v1/invitations", tag = "rights", operation_id = "create_invitation",
    request_body = InvitationInput, responses((status = 201, body = ShownInvitation)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<InvitationInput>,
) -> Result<(StatusCode, axum::Json<ShownInvitation>), Problem> {
    let none = |why| match why {
        Problem::NotFound => Problem::field("/household_id", "there is no such household"),
        other => other,
    };
    let (household, site) = managed(&app, &who, &input.household_id).await.map_err(none)?;
    let now = app.now();
    if household.until.is_some_and(|until| until <= now) {
        return Err(Problem::field("/household_id", "this household has moved out"));
    }
    let token = token::new();
    let invitation = Invitation {
        id: InvitationId::from_random(token::random()),
        household_id: household.id,
        token_hash: token::hash(&token),
        created_by: who.person.id.clone(),
        created_at: now,
        expires_at: now.after(LIFE),
        used_by: None,
    };
    let (person, site) = (Some(&who.person.id), Some(&site));
    let detail = json!({ "household": invitation.household_id });
    app.noting(person, site, "invitation.create", invitation.id.as_str(), &detail)
        .add_invitation(&invitation)
        .await?;
    let shown = ShownInvitation { id: invitation.id, token, expires_at: invitation.expires_at };
    Ok((StatusCode::CREATED, axum::Json(shown)))
}
