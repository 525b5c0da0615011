//! New passwords: one's own, and one for somebody who has forgotten theirs.
//! Either ends everything that rested on the old one.

use crate::access::{Who, cookie};
use crate::extract::{Json, Path, id};
use crate::serve::Peer;
use crate::{App, Problem, session, setup, token};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use domain::access::Question;
use domain::person::Person;
use domain::{PersonId, Secret};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordInput {
    #[schema(format = Password)]
    current: String,
    #[schema(format = Password, min_length = 10)]
    new: String,
}

/// Change my password: every other device is signed out and every player key ends.
/// Passkeys stay.
#[utoipa::path(put, path = "/api/v1/password", tag = "accounts", operation_id = "change_password",
    request_body = PasswordInput,
    responses((status = 200, body = session::SignedIn), (status = 409), (status = 429, description = "too many tries")))]
pub(crate) async fn change(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(input): Json<PasswordInput>,
) -> Result<impl IntoResponse, Problem> {
    let address = session::address(&app, peer.address.ip(), &headers);
    // Whoever found an unlocked phone may not guess here instead.
    app.throttle.take(&who.person.login, cookie(&headers, session::DEVICE), address)?;
    let stored = Some(who.person.password_hash.clone());
    let short = input.current.len() <= crate::password::LONGEST;
    if !(short && app.passwords.verify(Secret::new(input.current), stored).await) {
        app.note(Some(&who.person.id), None, "password.refused", who.person.id.as_str(), &json!({})).await?;
        return Err(Problem::field("/current", "it is not your password; check it and try again"));
    }
    setup::check_password("/new", &input.new)?;
    let person = replace(&app, "password.change", None, who.person, &input.new).await?;
    session::begin(&app, person, who.session.by, &headers, StatusCode::OK).await
}

/// A password that was made for somebody; it is shown once.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct NewPassword {
    #[schema(format = Password)]
    password: String,
}

/// Give somebody a new password: all their devices are signed out, all their player
/// keys end, and their passkeys are removed: they may be lost as well. Owners do it: an account may belong to several sites.
#[utoipa::path(post, path = "/api/v1/persons/{id}/password", tag = "rights", operation_id = "reset_password",
    params(("id" = String, Path)),
    responses((status = 200, body = NewPassword), (status = 403), (status = 404), (status = 409)))]
pub(crate) async fn reset(
    State(app): State<App>,
    who: Who,
    Path(person): Path<String>,
) -> Result<axum::Json<NewPassword>, Problem> {
    if !who.may(&app, Question::ManageSites) {
        return Err(who.forbidden(&app, None));
    }
    let person = app.repository().person(&id(PersonId::parse, &person)?).await?.ok_or(Problem::NotFound)?;
    if person.id == who.person.id {
        return Err(Problem::Conflict("this is your own account; change your password on your own page"));
    }
    let password = token::hex(&token::random::<10>());
    replace(&app, "password.reset", Some(&who.person.id), person, &password).await?;
    Ok(axum::Json(NewPassword { password }))
}

/// Replaces a password: one's own, or, if somebody else does it, one that is lost.
async fn replace(
    app: &App,
    action: &str,
    by: Option<&PersonId>,
    mut person: Person,
    password: &str,
) -> Result<Person, Problem> {
    let before = person.password_hash;
    person.password_hash = app.passwords.hash(Secret::new(password)).await;
    let repository = app.noting(by.or(Some(&person.id)), None, action, person.id.as_str(), &json!({}));
    if !repository.set_password(&person.id, &before, &person.password_hash, by.is_some()).await? {
        return Err(Problem::Conflict("the password was changed meanwhile; nothing was saved, try again"));
    }
    app.changed();
    Ok(person)
}
