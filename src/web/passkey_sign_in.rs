//! Signing in with a passkey.
//!
//! It begins without a login: the device names the person. So nothing here can tell
//! a stranger whether a login exists or has a passkey, and every refusal is the same
//! one. Signatures cannot be guessed, so tries are counted per address only: whoever
//! guesses passwords does not shut this door to the owner.

use crate::access::cookie;
use crate::ceremony::LIFE;
use crate::extract::Json;
use crate::passkey::{OFF, PasskeyOptions, Passkeys, bug, options};
use crate::serve::Peer;
use crate::{App, Problem, session, token};
use axum::extract::{Extension, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use domain::PersonId;
use domain::person::{Passkey, Person, SignedInBy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::IpAddr;
use webauthn_rs::prelude as webauthn;

/// The cookie that binds a sign-in to the browser that began it.
const CEREMONY: &str = "ceremony";

/// Where passkeys work.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PasskeyPlace {
    /// The origin of the page that has them; null if there is none.
    origin: Option<String>,
}

/// Where one can sign in with a passkey.
#[utoipa::path(get, path = "/api/v1/session/passkey", tag = "accounts", operation_id = "passkey_place",
    responses((status = 200, body = PasskeyPlace)))]
pub(crate) async fn place(State(app): State<App>) -> axum::Json<PasskeyPlace> {
    axum::Json(PasskeyPlace { origin: app.passkeys.as_ref().map(|passkeys| passkeys.origin.clone()) })
}

/// Begin to sign in with a passkey. The answer is the same for everybody.
#[utoipa::path(post, path = "/api/v1/session/passkey/begin", tag = "accounts", operation_id = "begin_passkey_sign_in",
    responses((status = 200, body = PasskeyOptions), (status = 409), (status = 429, description = "too many tries")))]
pub(crate) async fn begin_sign_in(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let passkeys = app.passkeys.as_ref().ok_or(OFF)?;
    app.throttle.take_address(session::address(&app, peer.address.ip(), &headers))?;
    let (asked, state) = passkeys.webauthn.start_discoverable_authentication().map_err(|why| bug(&why))?;
    let token = token::new();
    passkeys.sign_ins.begin(&token, state)?;
    let cookie = session::set_cookie(&app, CEREMONY, &token, LIFE);
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), axum::Json(options(&asked.public_key)?)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeySignIn {
    /// What the browser answered, as JSON (`PublicKeyCredential.toJSON()`).
    #[schema(value_type = Object)]
    credential: webauthn::PublicKeyCredential,
}

/// Sign in with a passkey: the browser's answer.
#[utoipa::path(post, path = "/api/v1/session/passkey", tag = "accounts", operation_id = "sign_in_with_passkey", request_body = PasskeySignIn,
    responses((status = 200, body = session::SignedIn), (status = 401, description = "the passkey was not accepted"),
        (status = 409), (status = 429, description = "too many tries")))]
pub(crate) async fn sign_in(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(input): Json<PasskeySignIn>,
) -> Result<impl IntoResponse, Problem> {
    let passkeys = app.passkeys.as_ref().ok_or(OFF)?;
    let address = session::address(&app, peer.address.ip(), &headers);
    let state = cookie(&headers, CEREMONY).and_then(|token| passkeys.sign_ins.take(token));
    if state.is_none() {
        // What was begun has been counted already.
        app.throttle.take_address(address)?;
    }
    let (person, passkey, after) = match prove(&app, passkeys, state, &input.credential).await? {
        Ok(proven) => proven,
        Err(refused) => return Err(refused.note(&app, address).await?),
    };
    let detail = json!({ "by": SignedInBy::Passkey, "passkey": passkey.id });
    if !app
        .noting(Some(&person.id), None, "session.begin", "session", &detail)
        .use_passkey(&passkey, &after, app.now())
        .await?
    {
        return Err(Refused::new(Some(&passkey), "meanwhile").note(&app, address).await?);
    }
    session::begin(&app, person, SignedInBy::Passkey, &headers, StatusCode::OK).await
}

/// A device counts its uses: one that counts backwards is a copy.
const COPY: &str = "counter";

/// Why a sign-in was refused, for the audit log and nobody else.
struct Refused {
    person: Option<PersonId>,
    why: &'static str,
    detail: Value,
}

impl Refused {
    fn new(passkey: Option<&Passkey>, why: &'static str) -> Self {
        let id = passkey.map(|passkey| &passkey.id);
        let detail = json!({ "by": SignedInBy::Passkey, "passkey": id, "why": why });
        Self { person: passkey.map(|passkey| passkey.person_id.clone()), why, detail }
    }

    async fn note(self, app: &App, address: IpAddr) -> Result<Problem, Problem> {
        if self.why == COPY {
            // Whoever gets this far holds the key, so it is rare, and must not get lost among others.
            app.note(self.person.as_ref(), None, "session.refused", "session", &self.detail).await?;
        } else {
            session::refused(app, address, self.person, "session.refused", self.detail);
        }
        Ok(Problem::WrongPasskey)
    }
}

/// Whose passkey it is, as it was kept, and what is to be kept of it now.
async fn prove(
    app: &App,
    passkeys: &Passkeys,
    state: Option<webauthn::DiscoverableAuthentication>,
    answer: &webauthn::PublicKeyCredential,
) -> Result<Result<(Person, Passkey, String), Refused>, Problem> {
    let Some(state) = state else { return Ok(Err(Refused::new(None, "not_begun"))) };
    let Ok((named, credential)) = passkeys.webauthn.identify_discoverable_authentication(answer) else {
        return Ok(Err(Refused::new(None, "unknown")));
    };
    let found = app.repository().passkey_by_credential(credential).await?;
    let Some(passkey) = found.filter(|passkey| passkey.person_id.as_str() == named.simple().to_string())
    else {
        return Ok(Err(Refused::new(None, "unknown")));
    };
    let mut key: webauthn::Passkey = serde_json::from_str(&passkey.credential).map_err(|why| bug(&why))?;
    let proven = match passkeys.webauthn.finish_discoverable_authentication_v2(answer, state, &key) {
        Ok(proven) => proven,
        Err(webauthn::WebauthnError::CredentialPossibleCompromise) => {
            return Ok(Err(Refused::new(Some(&passkey), COPY)));
        }
        Err(_) => return Ok(Err(Refused::new(Some(&passkey), "proof"))),
    };
    key.update_credential(&proven);
    let after = serde_json::to_string(&key).map_err(|why| bug(&why))?;
    match app.repository().person(&passkey.person_id).await? {
        Some(person) if !person.disabled => Ok(Ok((person, passkey, after))),
        _ => Ok(Err(Refused::new(Some(&passkey), "disabled"))),
    }
}
