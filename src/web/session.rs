//! Signing in and out, and the list of one's own devices.

use crate::access::{Who, cookie_name};
use crate::extract::{Json, Path, id};
use crate::schema::{List, word};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use domain::access::{Grant, Role};
use domain::person::{Person, Session};
use domain::{PersonId, Secret, SessionId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A session is over after this, whatever happens.
const LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    login: String,
    #[schema(format = Password)]
    password: String,
}

/// Who is signed in.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SignedIn {
    person: PersonView,
    roles: Vec<RoleView>,
    /// Port of the RTSP server for players; null if there is none.
    rtsp_port: Option<u16>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct PersonView {
    #[schema(value_type = String)]
    id: PersonId,
    login: String,
    name: String,
    locale: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct RoleView {
    #[schema(schema_with = word::<Role>)]
    role: Role,
    #[schema(value_type = Option<String>)]
    site_id: Option<SiteId>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SessionView {
    #[schema(value_type = String)]
    id: SessionId,
    user_agent: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

fn view(app: &App, person: Person, grants: &[Grant]) -> SignedIn {
    let now = app.now();
    let roles = grants.iter().filter(|grant| grant.in_force(now));
    SignedIn {
        person: PersonView { id: person.id, login: person.login, name: person.name, locale: person.locale },
        roles: roles.map(|g| RoleView { role: g.role, site_id: g.site_id.clone() }).collect(),
        rtsp_port: app.parts.rtsp_port,
    }
}

/// Begins a session for `person`; the answer carries the cookie.
pub(crate) async fn begin(
    app: &App,
    person: Person,
    headers: &HeaderMap,
    status: StatusCode,
) -> Result<impl IntoResponse + use<>, Problem> {
    let token = token::new();
    let now = app.now();
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        id: SessionId::from_random(token::random()),
        person_id: person.id.clone(),
        token_hash: token::hash(&token),
        user_agent: agent.chars().take(200).collect(),
        created_at: now,
        seen_at: now,
        expires_at: now.after(LIFE),
    };
    app.repository().add_session(&session).await?;
    let grants = app.repository().grants(&person.id).await?;
    let cookie = [(SET_COOKIE, set_cookie(app, &token, LIFE.as_secs()))];
    Ok((status, cookie, axum::Json(view(app, person, &grants))))
}

fn set_cookie(app: &App, token: &str, seconds: u64) -> String {
    let secure = if app.is_secure() { "; Secure" } else { "" };
    format!("{}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}", cookie_name(app))
}

/// Sign in.
#[utoipa::path(post, path = "/api/v1/session", tag = "accounts", operation_id = "sign_in", request_body = SignIn,
    responses((status = 200, body = SignedIn), (status = 401, description = "login or password is wrong")))]
pub(crate) async fn sign_in(
    State(app): State<App>,
    headers: HeaderMap,
    Json(input): Json<SignIn>,
) -> Result<impl IntoResponse, Problem> {
    if input.login.len() > 256 || input.password.len() > crate::password::LONGEST {
        return Err(Problem::WrongLogin);
    }
    let person = app.repository().person_by_login(input.login.trim()).await?;
    let stored = person.as_ref().map(|person| person.password_hash.clone());
    let proven = app.passwords.verify(Secret::new(input.password), stored).await;
    let person = person.filter(|person| proven && !person.disabled).ok_or(Problem::WrongLogin)?;
    begin(&app, person, &headers, StatusCode::OK).await
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "accounts", operation_id = "current_session", responses((status = 200, body = SignedIn)))]
pub(crate) async fn current(State(app): State<App>, who: Who) -> axum::Json<SignedIn> {
    axum::Json(view(&app, who.person, &who.standing.grants))
}

/// Sign out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "accounts", operation_id = "sign_out", responses((status = 204)))]
pub(crate) async fn sign_out(State(app): State<App>, who: Who) -> Result<impl IntoResponse, Problem> {
    app.repository().remove_session(&who.person.id, &who.session.id).await?;
    app.changed();
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, set_cookie(&app, "", 0))]))
}

/// My signed-in devices.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "accounts", operation_id = "list_sessions",
    responses((status = 200, body = List<SessionView>)))]
pub(crate) async fn list(State(app): State<App>, who: Who) -> Result<axum::Json<List<SessionView>>, Problem> {
    let sessions = app.repository().sessions(&who.person.id).await?;
    let views = sessions.into_iter().map(|session| SessionView {
        current: session.id == who.session.id,
        id: session.id,
        user_agent: session.user_agent,
        created_at: session.created_at,
        seen_at: session.seen_at,
    });
    Ok(axum::Json(List::whole(views.collect())))
}

/// Sign out one of my devices.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "accounts", operation_id = "end_session", params(("id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn end(
    State(app): State<App>,
    who: Who,
    Path(session): Path<String>,
) -> Result<StatusCode, Problem> {
    let session = id(SessionId::parse, &session)?;
    if !app.repository().remove_session(&who.person.id, &session).await? {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
