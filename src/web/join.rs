//! Joining: somebody who holds an invitation makes their account, becomes a
//! member of the household, and asks for the cameras in its name.

use crate::extract::{Json, name};
use crate::refused::{By, Refusal};
use crate::serve::Peer;
use crate::{App, Problem, renewal, session, setup, token};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use domain::access::{Question, decide};
use domain::person::{Person, SignedInBy};
use domain::{PersonId, Secret};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Newcomer {
    /// From the invitation.
    token: String,
    login: String,
    name: String,
    #[schema(format = Password, min_length = 10)]
    password: String,
    /// `zh-CN` (the default) or `en`.
    locale: Option<String>,
}

/// Join a household by invitation.
#[utoipa::path(post, path = "/api/v1/join", tag = "accounts", request_body = Newcomer,
    responses((status = 201, body = session::SignedIn), (status = 410, description = "used or expired"),
        (status = 429, description = "too many tries")))]
pub(crate) async fn join(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(input): Json<Newcomer>,
) -> Result<impl IntoResponse, Problem> {
    let address = session::address(&app, peer.address.ip(), &headers);
    app.throttle.take(&input.token, None, address)?;
    let now = app.now();
    let repository = app.repository();
    let invitation = repository.invitation_by_token(&token::hash(&input.token)).await?;
    let invitation = invitation
        .filter(|invitation| invitation.used_by.is_none() && now < invitation.expires_at)
        .ok_or_else(|| {
            app.parts.refusals.tell(Refusal {
                by: By::Address(address),
                at: now,
                actor: None,
                site: None,
                action: "join.refused",
                object: "invitation".to_owned(),
                detail: json!({}),
            });
            Problem::LinkOver
        })?;
    // It is worth what the one who made it may still do.
    let maker = repository.standing(&invitation.created_by).await?.ok_or(Problem::LinkOver)?;
    let household = repository.household(&invitation.household_id).await?.ok_or(Problem::LinkOver)?;
    let unit = repository.unit(&household.unit_id).await?.ok_or(Problem::LinkOver)?;
    let still_manages = decide(&maker, Question::Manage(&unit.site_id), now).is_allowed();
    if !still_manages || household.until.is_some_and(|until| until <= now) {
        return Err(Problem::LinkOver);
    }
    setup::check_password("/password", &input.password)?;
    let person = Person {
        id: PersonId::from_random(token::random()),
        login: setup::login(&input.login)?,
        name: name("/name", &input.name)?,
        locale: setup::locale(input.locale)?,
        password_hash: app.passwords.hash(Secret::new(input.password)).await,
        disabled: false,
        created_at: now,
    };
    let detail = json!({ "household": household.id });
    let joined =
        app.noting(Some(&person.id), Some(&unit.site_id), "person.join", person.id.as_str(), &detail);
    if !joined.use_invitation(&invitation, &person, now).await? {
        return Err(Problem::LinkOver);
    }
    renewal::ask_for_household(&app, unit.site_id, household.id, &person.id, now).await?;
    app.changed();
    session::begin(&app, person, SignedInBy::Password, &headers, StatusCode::CREATED).await
}
