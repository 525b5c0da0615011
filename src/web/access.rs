//! Who asks, and what a route demands. Every route declares its [`Access`] in
//! `router.rs`; the check runs before the handler, so a handler cannot forget it.

use crate::intake::Counters;
use crate::layers::BODY;
use crate::refused::{By, Refusal};
use crate::serve::Peer;
use crate::{App, Problem, session, token};
use axum::body::HttpBody as _;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, Method, request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::SiteId;
use domain::access::{
    Question, Standing, audits_somewhere, decide, is_staff, manages_somewhere, responds_somewhere,
};
use domain::device::Device;
use domain::person::{Person, Session};
use domain::repository;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// What a route demands of the one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A signed-in person, for their own account: also before they have the passkey
    /// that their role needs.
    Own,
    /// A signed-in person. What they get is decided object by object.
    SignedIn,
    /// A person who may change the registry of some site. Which, the handler decides.
    Manage,
    /// A person who may be sent to alarms of some site. Which, the handler decides.
    Respond,
    /// A person who may read some audit log. Whose, the handler decides.
    Audit,
    /// A device with its bearer token.
    Device,
}

/// A database that does not say within this whose token it is counts as away.
const ASK: Duration = Duration::from_secs(2);

/// A signed-in person.
#[derive(Clone)]
pub struct Who {
    /// Their account.
    pub person: Person,
    /// The session they ask through.
    pub session: Session,
    /// Their roles.
    pub standing: Standing,
    /// What they ask for: method and path, as the router names it.
    pub route: Arc<str>,
}

/// The last use is noted at most this often.
const TOUCH: Duration = Duration::from_secs(60);
/// Noting it may take this long, and is left out then.
const NOTE: Duration = Duration::from_millis(300);

/// The session cookie's name: with the `__Host-` promise where TLS lets browsers keep it.
pub(crate) fn session_cookie(app: &App) -> &'static str {
    if app.is_secure() { "__Host-session" } else { "session" }
}

/// A cookie of a request.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(n, _)| *n == name).map(|(_, value)| value))
}

/// Checks what the route demands and puts the one who asks into the request.
pub(crate) async fn check(
    State((app, access)): State<(App, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    let route = format!("{} {path}", request.method());
    let admitted = admit(&app, access, &route, &mut request).await;
    let admitted = match admitted {
        Err(Problem::NotSignedIn) if access == Access::Device => Err(guessed(&app, &request)),
        other => other,
    };
    if let Err(problem) = admitted.and_then(|()| count(&app, path, &request)) {
        return problem.into_response();
    }
    // A body may take its time. Whoever lost their right meanwhile must not act on what
    // they were when it began, so they are asked again when all of it is there.
    if access != Access::Public && !request.body().is_end_stream() {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, BODY).await else {
            if access == Access::Device {
                Counters::add(&app.intake.too_large, 1);
            }
            return Problem::TooLarge("1 MiB").into_response();
        };
        request = Request::from_parts(parts, body.into());
        if let Err(problem) = admit(&app, access, &route, &mut request).await {
            return problem.into_response();
        }
    }
    next.run(request).await
}

/// What is watched is counted where it is admitted, whatever method opens it.
const STREAMS: &str = "/api/v1/cameras/{id}/{stream}/";

/// A press for help is never refused for coming too often; repeated ones are put together.
const HELP: &str = "/api/v1/alarms";

/// Counts a request of a person that changes something.
fn count(app: &App, path: &str, request: &Request) -> Result<(), Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.extensions().get::<Arc<Who>>() {
        Some(who) if !reads && !path.starts_with(STREAMS) && path != HELP => {
            app.throttle.take_act(&who.person.id, is_staff(&who.standing, app.now()))
        }
        _ => Ok(()),
    }
}

async fn admit(app: &App, access: Access, route: &str, request: &mut Request) -> Result<(), Problem> {
    match access {
        Access::Public => Ok(()),
        Access::Own | Access::SignedIn | Access::Manage | Access::Respond | Access::Audit => {
            person(app, access, route, request).await
        }
        Access::Device => {
            let token = device_token(request).ok_or(Problem::NotSignedIn)?;
            device(app, &token).await.map(|device| put(request, device))
        }
    }
}

async fn person(app: &App, access: Access, route: &str, request: &mut Request) -> Result<(), Problem> {
    let who = who(app, request.headers(), route).await?;
    if access != Access::Own && app.needs_passkey(&who.standing, who.session.by) {
        who.forbidden(app, None);
        return Err(Problem::PasskeyNeeded);
    }
    let allowed = match access {
        Access::Manage => manages_somewhere(&who.standing, app.now()),
        Access::Respond => responds_somewhere(&who.standing, app.now()),
        Access::Audit => audits_somewhere(&who.standing, app.now()),
        _ => true,
    };
    if !allowed {
        return Err(who.forbidden(app, None));
    }
    put(request, who);
    Ok(())
}

fn put<T: Send + Sync + 'static>(request: &mut Request, value: T) {
    request.extensions_mut().insert(Arc::new(value));
}

async fn who(app: &App, headers: &HeaderMap, route: &str) -> Result<Who, Problem> {
    let token = cookie(headers, session_cookie(app)).ok_or(Problem::NotSignedIn)?;
    let repository = app.repository();
    let session = repository.session_by_token(&token::hash(token)).await?.ok_or(Problem::NotSignedIn)?;
    let now = app.now();
    if !session.in_force(now) {
        repository.remove_session(&session.person_id, &session.id).await?;
        app.changed();
        return Err(Problem::NotSignedIn);
    }
    let person = repository.person(&session.person_id).await?.ok_or(Problem::NotSignedIn)?;
    if person.disabled {
        return Err(Problem::NotSignedIn);
    }
    if now >= session.seen_at.after(TOUCH) {
        // A full disk must not keep the patrol out: see `spool.rs` of the root package.
        let noted = tokio::time::timeout(NOTE, repository.touch_session(&session.id, now)).await;
        if !matches!(noted, Ok(Ok(()))) {
            warn!("the last use of a session could not be noted");
        }
    }
    let standing = repository.standing(&person.id).await?.ok_or(Problem::NotSignedIn)?;
    Ok(Who { person, session, standing, route: route.into() })
}

async fn device(app: &App, token: &str) -> Result<Device, Problem> {
    let hash = token::hash(token);
    if let Some(device) = app.known_devices.while_away(&hash) {
        return Ok(device);
    }
    let slow = |_| Err(repository::Error::Unavailable("it takes too long".to_owned()));
    let asked = tokio::time::timeout(ASK, app.repository().device_by_token(&hash)).await;
    match asked.unwrap_or_else(slow) {
        Ok(Some(device)) => {
            app.known_devices.put(hash, &device);
            Ok(device)
        }
        Ok(None) => {
            app.known_devices.forget(&hash);
            Err(Problem::NotSignedIn)
        }
        // What a device tells waits in the spool meanwhile, an alarm above all.
        Err(error) => {
            app.known_devices.is_away();
            app.known_devices.while_away(&hash).ok_or_else(|| error.into())
        }
    }
}

/// A device's token: as a part of the address, for devices that can be told nothing else
/// and may send a password of their own besides; or else as a bearer's, or as the password of
/// any name.
fn device_token(request: &Request) -> Option<String> {
    let pattern = request.extensions().get::<MatchedPath>()?.as_str().split('/');
    let mut parts = pattern.zip(request.uri().path().split('/'));
    if let Some((_, token)) = parts.find(|(pattern, _)| *pattern == "{token}") {
        return Some(token.to_owned());
    }
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((scheme, value)) = header.and_then(|value| value.split_once(' ')) {
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(value.trim().to_owned());
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let text = String::from_utf8(BASE64_STANDARD.decode(value.trim()).ok()?).ok()?;
            return text.split_once(':').map(|(_, token)| token.to_owned());
        }
    }
    None
}

/// Somebody has sent a token that is no device's: not too often from one address.
fn guessed(app: &App, request: &Request) -> Problem {
    let Some(peer) = request.extensions().get::<Peer>() else { return Problem::NotSignedIn };
    let address = session::address(app, peer.address.ip(), request.headers());
    app.throttle.take_token(address).err().unwrap_or(Problem::NotSignedIn)
}

impl Who {
    /// Whether the answer to a question is yes.
    pub(crate) fn may(&self, app: &App, question: Question<'_>) -> bool {
        decide(&self.standing, question, app.now()).is_allowed()
    }

    /// Refuses who may not manage a site: as forbidden if they may see it, else
    /// as if it were not there.
    pub(crate) fn must_manage(&self, app: &App, site: &SiteId) -> Result<(), Problem> {
        if self.may(app, Question::Manage(site)) {
            return Ok(());
        }
        let forbidden = self.forbidden(app, Some(site));
        Err(if self.may(app, Question::SeeSite(site)) { forbidden } else { Problem::NotFound })
    }

    /// Refuses what they may not do, and tells the audit log.
    pub(crate) fn forbidden(&self, app: &App, site: Option<&SiteId>) -> Problem {
        app.parts.refusals.tell(Refusal {
            by: By::Person(self.person.id.clone()),
            at: app.now(),
            actor: Some(self.person.id.clone()),
            site: site.cloned(),
            action: "act.refused",
            object: self.route.to_string(),
            detail: serde_json::json!({}),
        });
        Problem::Forbidden
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        // A handler that asks for a person on a route that admits anybody is a bug.
        parts.extensions.get::<Arc<Self>>().map(|who| (**who).clone()).ok_or(Problem::Internal)
    }
}

/// The device that sends.
pub(crate) struct Sender(pub(crate) Arc<Device>);

impl<S: Send + Sync> FromRequestParts<S> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Arc<Device>>().cloned().map(Self).ok_or(Problem::Internal)
    }
}
