//! Signing in and out, and the list of one's own devices.

use crate::access::{Who, cookie, session_cookie};
use crate::extract::{Json, Path, id};
use crate::refused::{By, Refusal};
use crate::schema::{List, word};
use crate::serve::Peer;
use crate::{App, Problem, throttle, token};
use axum::extract::{Extension, State};
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use domain::access::Standing;
use domain::person::{Person, Session, SignedInBy};
use domain::role::Role;
use domain::{PersonId, Secret, SessionId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

/// A session is over after this, whatever happens.
const LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Tells a browser that has signed in before from a stranger's; no credential.
pub(crate) const DEVICE: &str = "device";
/// How long that is remembered.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

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
    /// Their role needs a passkey, and this session was begun with a password: until
    /// they register one and sign in with it, only their own account is open.
    passkey_needed: bool,
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

fn view(app: &App, person: Person, standing: &Standing, by: SignedInBy) -> SignedIn {
    let now = app.now();
    let granted = standing.grants.iter().filter(|grant| grant.in_force(now));
    let granted = granted.map(|grant| RoleView { role: grant.role, site_id: grant.site_id.clone() });
    let homes = standing.memberships.iter().filter(|membership| membership.in_force(now));
    let homes = homes.map(|home| RoleView { role: Role::Resident, site_id: Some(home.site_id.clone()) });
    SignedIn {
        person: PersonView { id: person.id, login: person.login, name: person.name, locale: person.locale },
        roles: granted.chain(homes).collect(),
        passkey_needed: app.needs_passkey(standing, by),
        rtsp_port: app.parts.rtsp_port,
    }
}

/// Begins a session for `person`; the answer carries the cookie.
pub(crate) async fn begin(
    app: &App,
    person: Person,
    by: SignedInBy,
    headers: &HeaderMap,
    status: StatusCode,
) -> Result<impl IntoResponse + use<>, Problem> {
    // Whoever signs in again at this browser leaves nothing behind.
    if let Some(old) = cookie(headers, session_cookie(app))
        && let Some(old) = app.repository().session_by_token(&token::hash(old)).await?
    {
        app.repository().remove_session(&old.person_id, &old.id).await?;
        app.changed();
    }
    let token = token::new();
    let now = app.now();
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = Session {
        id: SessionId::from_random(token::random()),
        person_id: person.id.clone(),
        token_hash: token::hash(&token),
        by,
        user_agent: agent.chars().take(200).collect(),
        created_at: now,
        seen_at: now,
        expires_at: now.after(LIFE),
    };
    // Reset or switched off since it was proven.
    if !app.repository().add_session(&session, &person.password_hash).await? {
        return Err(match by {
            SignedInBy::Password => Problem::WrongLogin,
            SignedInBy::Passkey => Problem::WrongPasskey,
        });
    }
    let standing = app.repository().standing(&person.id).await?.ok_or(Problem::NotSignedIn)?;
    let session = set_cookie(app, session_cookie(app), &token, LIFE);
    let device = set_cookie(app, DEVICE, &app.throttle.device(&person.login), YEAR);
    let cookies = AppendHeaders([(SET_COOKIE, session), (SET_COOKIE, device)]);
    Ok((status, cookies, axum::Json(view(app, person, &standing, by))))
}

pub(crate) fn set_cookie(app: &App, name: &str, value: &str, life: Duration) -> String {
    let secure = if app.is_secure() { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", life.as_secs())
}

/// The address a request comes from, behind known proxies too.
pub(crate) fn address(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    throttle::client(peer, &forwarded.collect::<Vec<_>>(), &app.parts.trusted_proxies)
}

/// Tells the audit log of a sign-in that was refused.
pub(crate) fn refused(
    app: &App,
    address: IpAddr,
    actor: Option<PersonId>,
    action: &'static str,
    detail: serde_json::Value,
) {
    let (by, at, object) = (By::Address(address), app.now(), "session".to_owned());
    app.parts.refusals.tell(Refusal { by, at, actor, site: None, action, object, detail });
}

/// Sign in.
#[utoipa::path(post, path = "/api/v1/session", tag = "accounts", operation_id = "sign_in", request_body = SignIn,
    responses((status = 200, body = SignedIn), (status = 401, description = "login or password is wrong"),
        (status = 403, description = "the password is right, but their role needs the passkey that they have"),
        (status = 429, description = "too many tries")))]
pub(crate) async fn sign_in(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(input): Json<SignIn>,
) -> Result<impl IntoResponse, Problem> {
    let odd = input.login.len() > 256 || input.login.chars().any(char::is_control);
    if odd || input.password.len() > crate::password::LONGEST {
        return Err(Problem::WrongLogin);
    }
    let address = address(&app, peer.address.ip(), &headers);
    // What was typed is not kept: it may be a password in the wrong field.
    app.throttle
        .take(&input.login, cookie(&headers, DEVICE), address)
        .inspect_err(|_| refused(&app, address, None, "session.throttled", json!({})))?;
    let person = app.repository().person_by_login(input.login.trim()).await?;
    let stored = person.as_ref().map(|person| person.password_hash.clone());
    let proven = app.passwords.verify(Secret::new(input.password), stored).await;
    let known = person.as_ref().map(|person| person.id.clone());
    let Some(person) = person.filter(|person| proven && !person.disabled) else {
        refused(&app, address, known, "session.refused", json!({}));
        return Err(Problem::WrongLogin);
    };
    let standing = app.repository().standing(&person.id).await?.ok_or(Problem::WrongLogin)?;
    if app.needs_passkey(&standing, SignedInBy::Password)
        && !app.repository().passkeys(&person.id).await?.is_empty()
    {
        refused(&app, address, known, "session.refused", json!({ "why": "passkey_needed" }));
        return Err(Problem::PasskeyNeeded);
    }
    app.note(Some(&person.id), None, "session.begin", "session", &json!({})).await?;
    begin(&app, person, SignedInBy::Password, &headers, StatusCode::OK).await
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "accounts", operation_id = "current_session", responses((status = 200, body = SignedIn)))]
pub(crate) async fn current(State(app): State<App>, who: Who) -> axum::Json<SignedIn> {
    axum::Json(view(&app, who.person, &who.standing, who.session.by))
}

/// Sign out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "accounts", operation_id = "sign_out", responses((status = 204)))]
pub(crate) async fn sign_out(State(app): State<App>, who: Who) -> Result<impl IntoResponse, Problem> {
    let session = who.session.id.to_string();
    app.noting(Some(&who.person.id), None, "session.end", &session, &json!({}))
        .remove_session(&who.person.id, &who.session.id)
        .await?;
    app.changed();
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, set_cookie(&app, session_cookie(&app), "", Duration::ZERO))]))
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
    if !app
        .noting(Some(&who.person.id), None, "session.end", session.as_str(), &json!({}))
        .remove_session(&who.person.id, &session)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
