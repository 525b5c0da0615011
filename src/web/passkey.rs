//! Passkeys (WebAuthn), as their owners keep them: list, register, remove.
//! `passkey_sign_in` is the other half.

use crate::access::{Who, cookie};
use crate::ceremony::{Ceremonies, LIFE};
use crate::extract::{Json, Path, id, name};
use crate::schema::List;
use crate::serve::Peer;
use crate::{App, Problem, PublicUrl, password, session, token};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use domain::person::Passkey;
use domain::{PasskeyId, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tracing::error;
use webauthn_rs::prelude as webauthn;

/// Passkeys of one person.
const MOST: usize = 20;
/// A session so young stands for the password.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// Where browsers have none.
pub(crate) const OFF: Problem = Problem::Conflict(
    "there are no passkeys here: http.public_url has to be an https address with a name, not an IP address",
);

/// What is under way, and who checks it.
pub(crate) struct Passkeys {
    pub(crate) webauthn: webauthn::Webauthn,
    pub(crate) origin: String,
    registrations: Ceremonies<webauthn::PasskeyRegistration>,
    pub(crate) sign_ins: Ceremonies<webauthn::DiscoverableAuthentication>,
}

impl Passkeys {
    /// Nothing where browsers have no passkeys for this address.
    pub(crate) fn new(public: &PublicUrl) -> Option<Self> {
        let (name, origin) = public.passkey_place()?;
        let url = origin.parse().ok()?;
        let builder = webauthn::WebauthnBuilder::new(name, &url).ok()?;
        let webauthn = builder.rp_name("Sharp Eyes").timeout(LIFE).build().ok()?;
        Some(Self { webauthn, origin, registrations: Ceremonies::default(), sign_ins: Ceremonies::default() })
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PasskeyView {
    #[schema(value_type = String)]
    id: PasskeyId,
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    used_at: Option<Timestamp>,
}

impl From<Passkey> for PasskeyView {
    fn from(passkey: Passkey) -> Self {
        let Passkey { id, name, created_at, used_at, .. } = passkey;
        Self { id, name, created_at, used_at }
    }
}

/// What the browser is asked, as WebAuthn Level 3 writes it in JSON.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PasskeyOptions {
    #[schema(value_type = Object)]
    options: Value,
}

pub(crate) fn options(asked: &impl Serialize) -> Result<PasskeyOptions, Problem> {
    serde_json::to_value(asked).map(|options| PasskeyOptions { options }).map_err(|why| bug(&why))
}

pub(crate) fn bug(why: &dyn std::fmt::Display) -> Problem {
    error!(%why, "a passkey cannot be handled");
    Problem::Internal
}

/// My passkeys.
#[utoipa::path(get, path = "/api/v1/passkeys", tag = "accounts", operation_id = "list_passkeys",
    responses((status = 200, body = List<PasskeyView>)))]
pub(crate) async fn list(State(app): State<App>, who: Who) -> Result<axum::Json<List<PasskeyView>>, Problem> {
    let mine = app.repository().passkeys(&who.person.id).await?;
    Ok(axum::Json(List::whole(mine.into_iter().map(PasskeyView::from).collect())))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// My password; not needed within 5 minutes of signing in.
    #[schema(format = Password)]
    password: Option<String>,
}

/// Begin to register a passkey.
#[utoipa::path(post, path = "/api/v1/passkeys/begin", tag = "accounts", operation_id = "begin_passkey",
    request_body = Confirmation,
    responses((status = 200, body = PasskeyOptions), (status = 409), (status = 429, description = "too many tries")))]
pub(crate) async fn begin(
    State(app): State<App>,
    who: Who,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(input): Json<Confirmation>,
) -> Result<axum::Json<PasskeyOptions>, Problem> {
    let passkeys = app.passkeys.as_ref().ok_or(OFF)?;
    let mine = with_room(&app, &who).await?;
    confirm(&app, &who, &peer, &headers, input.password).await?;
    let known = mine.into_iter().map(|passkey| passkey.credential_id).collect();
    let person = webauthn::Uuid::parse_str(who.person.id.as_str()).map_err(|why| bug(&why))?;
    let (asked, state) = passkeys
        .webauthn
        .start_passkey_registration(person, &who.person.login, &who.person.name, Some(known))
        .map_err(|why| bug(&why))?;
    let mut asked = options(&asked.public_key)?;
    // Only a passkey that is kept on the device, with the person's id, can sign in without a login.
    asked.options["authenticatorSelection"]["residentKey"] = "required".into();
    asked.options["authenticatorSelection"]["requireResidentKey"] = true.into();
    passkeys.registrations.begin(who.session.id.as_str(), state)?;
    Ok(axum::Json(asked))
}

async fn with_room(app: &App, who: &Who) -> Result<Vec<Passkey>, Problem> {
    let mine = app.repository().passkeys(&who.person.id).await?;
    if mine.len() < MOST {
        return Ok(mine);
    }
    Err(Problem::Conflict("there are 20 passkeys already; remove one that is not used"))
}

/// Whoever adds a way in says again who they are: an unlocked phone is not enough.
async fn confirm(
    app: &App,
    who: &Who,
    peer: &Peer,
    headers: &HeaderMap,
    password: Option<String>,
) -> Result<(), Problem> {
    if (who.session.created_at..who.session.created_at.after(FRESH)).contains(&app.now()) {
        return Ok(());
    }
    let wrong = |why: &str| Problem::field("/password", why);
    let password = password.ok_or_else(|| wrong("you signed in a while ago; type your password"))?;
    let address = session::address(app, peer.address.ip(), headers);
    app.throttle.take(&who.person.login, cookie(headers, session::DEVICE), address)?;
    let stored = Some(who.person.password_hash.clone());
    let short = password.len() <= password::LONGEST;
    if short && app.passwords.verify(Secret::new(password), stored).await {
        return Ok(());
    }
    app.note(Some(&who.person.id), None, "passkey.refused", "passkey", &json!({ "why": "password" })).await?;
    Err(wrong("it is not your password; check it and try again"))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPasskey {
    /// What the device is called, for the list.
    name: String,
    /// What the browser answered, as JSON (`PublicKeyCredential.toJSON()`).
    #[schema(value_type = Object)]
    credential: webauthn::RegisterPublicKeyCredential,
}

/// Register a passkey: the browser's answer.
#[utoipa::path(post, path = "/api/v1/passkeys", tag = "accounts", operation_id = "create_passkey", request_body = NewPasskey,
    responses((status = 201, body = PasskeyView), (status = 409)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<NewPasskey>,
) -> Result<(StatusCode, axum::Json<PasskeyView>), Problem> {
    let passkeys = app.passkeys.as_ref().ok_or(OFF)?;
    let name = name("/name", &input.name)?;
    with_room(&app, &who).await?;
    let state = passkeys.registrations.take(who.session.id.as_str()).ok_or(Problem::Conflict(
        "no passkey is being registered by this session, or it took longer than 5 minutes; begin again",
    ))?;
    let me = Some(&who.person.id);
    let Ok(key) = passkeys.webauthn.finish_passkey_registration(&input.credential, &state) else {
        app.note(me, None, "passkey.refused", "passkey", &json!({ "why": "proof" })).await?;
        return Err(Problem::field("/credential", "it does not answer what was asked; begin again"));
    };
    let passkey = Passkey {
        id: PasskeyId::from_random(token::random()),
        person_id: who.person.id.clone(),
        credential_id: key.cred_id().to_vec(),
        credential: serde_json::to_string(&key).map_err(|why| bug(&why))?,
        name,
        created_at: app.now(),
        used_at: None,
    };
    app.noting(me, None, "passkey.create", passkey.id.as_str(), &json!({})).add_passkey(&passkey).await?;
    Ok((StatusCode::CREATED, axum::Json(passkey.into())))
}

/// Remove one of my passkeys: nobody signs in with it any more.
#[utoipa::path(delete, path = "/api/v1/passkeys/{id}", tag = "accounts", operation_id = "delete_passkey", params(("id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(passkey): Path<String>,
) -> Result<StatusCode, Problem> {
    let passkey = id(PasskeyId::parse, &passkey)?;
    let removed = app
        .noting(Some(&who.person.id), None, "passkey.delete", passkey.as_str(), &json!({}))
        .remove_passkey(&who.person.id, &passkey)
        .await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::NotFound) }
}
