//! The first owner: made once, by whoever holds the token printed at first start.

use crate::extract::{Json, name};
use crate::{App, Problem, password, session, token};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use domain::person::{Person, SignedInBy};
use domain::role::{Grant, Role};
use domain::{GrantId, PersonId, Secret, Timestamp};
use serde::Deserialize;
use serde_json::json;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the printed link works.
const LIFE: Duration = Duration::from_secs(30 * 60);

/// The one-time token, while it is valid.
#[derive(Default)]
pub(crate) struct Setup(Mutex<Option<(Vec<u8>, Instant)>>);

impl Setup {
    pub(crate) fn open(&self) -> String {
        let token = token::new();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((token::hash(&token), Instant::now() + LIFE));
        token
    }

    fn accepts(&self, token: &str) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Hashes are compared, so the time it takes tells nothing of the token.
        held.as_ref().is_some_and(|(hash, until)| Instant::now() < *until && *hash == token::hash(token))
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owner {
    /// From the link that was printed at first start.
    token: String,
    login: String,
    name: String,
    #[schema(format = Password, min_length = 10)]
    password: String,
    /// `zh-CN` (the default) or `en`.
    locale: Option<String>,
}

/// Somebody about to be an owner, checked.
pub struct Candidate {
    login: String,
    name: String,
    locale: String,
}

impl Candidate {
    /// Checks what was written; `locale` is `zh-CN` (the default) or `en`.
    pub fn check(login: &str, name: &str, locale: Option<String>) -> Result<Self, Problem> {
        Ok(Self {
            login: self::login(login)?,
            name: self::name("/name", name)?,
            locale: self::locale(locale)?,
        })
    }

    /// Their account and their role.
    #[must_use]
    pub fn with_password(self, password_hash: Secret, now: Timestamp) -> (Person, Grant) {
        let Self { login, name, locale } = self;
        let id = PersonId::from_random(token::random());
        let person = Person { id, login, name, locale, password_hash, disabled: false, created_at: now };
        let grant = Grant {
            id: GrantId::from_random(token::random()),
            person_id: person.id.clone(),
            role: Role::Owner,
            site_id: None,
            zone: None,
            from: now,
            until: None,
        };
        (person, grant)
    }
}

/// Create the owner, once.
#[utoipa::path(post, path = "/api/v1/setup", tag = "accounts", request_body = Owner,
    responses((status = 201, body = session::SignedIn), (status = 410, description = "used or expired")))]
pub(crate) async fn create_owner(
    State(app): State<App>,
    headers: HeaderMap,
    Json(input): Json<Owner>,
) -> Result<impl IntoResponse, Problem> {
    if !app.setup.accepts(&input.token) {
        return Err(Problem::LinkOver);
    }
    let owner = Candidate::check(&input.login, &input.name, input.locale)?;
    check_password("/password", &input.password)?;
    let hash = app.passwords.hash(Secret::new(input.password)).await;
    let (person, grant) = owner.with_password(hash, app.now());
    match app
        .noting(Some(&person.id), None, "owner.create", person.id.as_str(), &json!({}))
        .add_first_owner(&person, &grant)
        .await
    {
        Err(domain::repository::Error::Exists) => return Err(Problem::LinkOver),
        other => other?,
    }
    app.setup.close();
    app.changed();
    session::begin(&app, person, SignedInBy::Password, &headers, StatusCode::CREATED).await
}

pub(crate) fn locale(text: Option<String>) -> Result<String, Problem> {
    let locale = text.unwrap_or_else(|| "zh-CN".to_owned());
    if ["zh-CN", "en"].contains(&locale.as_str()) {
        Ok(locale)
    } else {
        Err(Problem::field("/locale", "it is not a language of the app; use zh-CN or en"))
    }
}

pub(crate) fn login(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let ok = (1..=64).contains(&text.chars().count())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if ok { Ok(text.to_owned()) } else { Err(Problem::field("/login", "1 to 64 characters without spaces")) }
}

pub(crate) fn check_password(field: &str, text: &str) -> Result<(), Problem> {
    if text.chars().count() < password::SHORTEST {
        return Err(Problem::field(field, "it is too short; use at least 10 characters"));
    }
    if text.len() > password::LONGEST {
        return Err(Problem::field(field, "it is too long; use at most 256 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_link_of_the_first_owner_works_for_half_an_hour() {
        let setup = Setup::default();
        assert!(!setup.accepts(""), "nothing is accepted before there is a token");
        let token = setup.open();
        assert!(setup.accepts(&token) && !setup.accepts(&token::new()) && !setup.accepts(""));
        tokio::time::advance(LIFE - Duration::from_secs(1)).await;
        assert!(setup.accepts(&token));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!setup.accepts(&token));
        let token = setup.open();
        setup.close();
        assert!(!setup.accepts(&token), "it was used");
    }
}
