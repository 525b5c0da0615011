//! Every refusal, as an RFC 9457 problem document. The status is chosen here
//! and nowhere else.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::repository;
use serde::Serialize;
use std::time::Duration;
use tracing::{error, warn};

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// Nobody is signed in.
    NotSignedIn,
    /// Login or password is wrong; which of them is not said.
    WrongLogin,
    /// The passkey was not accepted; why is not said.
    WrongPasskey,
    /// A role is held that asks for a passkey, and this is a password.
    PasskeyNeeded,
    /// The one who asks may not do this at all.
    Forbidden,
    /// There is no such thing, or the one who asks may not see it.
    NotFound,
    /// The request's path and method do not go together.
    MethodNotAllowed,
    /// Too many tries; how long to wait.
    TooMany(Duration),
    /// Too many pictures at once, or opened one after the other; how long to wait.
    TooManyViews(Duration),
    /// The input is wrong, at these places.
    Input(Vec<FieldError>),
    /// The body is no JSON.
    NotJson(String),
    /// The body cannot be read; the text says why.
    Malformed(String),
    /// The body has another type than the one that is read.
    MediaType(&'static str),
    /// The body is no session description, or not one that can be used.
    NotSdp(String),
    /// The stream cannot be played as asked; the text says what to do.
    NotPlayable(String),
    /// The request means another state than there is.
    PreconditionFailed(&'static str),
    /// The request must say which state it means.
    PreconditionRequired(&'static str),
    /// The body is too large; how much is allowed.
    TooLarge(&'static str),
    /// It contradicts what is there.
    Conflict(&'static str),
    /// It is not possible as things stand; the text says what is.
    NotNow(String),
    /// Somebody was faster: the version that it is at now.
    Stale(i64),
    /// The request comes from another site's page.
    CrossSite,
    /// A one-time link was used or is over.
    LinkOver,
    /// The request should be a WebSocket upgrade.
    NotWebSocket,
    /// What is asked for does not fit the playlist that is there.
    NotInPlaylist,
    /// It cannot be done at the moment; the text says why and what to do.
    Unavailable(String),
    /// It took too long.
    TimedOut,
    /// A bug.
    Internal,
}

/// One wrong field.
#[derive(Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field.
    pub pointer: String,
    /// What is wrong and what to do.
    pub detail: String,
}

/// What is wrong with an input, all of it: people correct a form, or a list, once.
#[derive(Default)]
pub(crate) struct Wrong(Vec<FieldError>);

impl Wrong {
    /// The value; or nothing if it is wrong, which is kept for the answer.
    pub(crate) fn take<T>(&mut self, result: Result<T, Problem>) -> Result<Option<T>, Problem> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Problem::Input(errors)) => {
                self.0.extend(errors);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Refuses if anything was wrong.
    pub(crate) fn none(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::Input(wrong.0)
    }
}

/// The problem document.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Document {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The version that it is at now, if somebody was faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
}

impl Problem {
    /// One wrong field.
    pub(crate) fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::Input(vec![FieldError { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotSignedIn | Self::WrongLogin | Self::WrongPasskey => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::CrossSite | Self::PasskeyNeeded => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooMany(_) | Self::TooManyViews(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Input(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotJson(_) | Self::Malformed(_) | Self::NotInPlaylist | Self::NotSdp(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NotPlayable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired(_) => StatusCode::PRECONDITION_REQUIRED,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict(_) | Self::NotNow(_) | Self::Stale(_) => StatusCode::CONFLICT,
            Self::LinkOver => StatusCode::GONE,
            Self::NotWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::Unavailable(_) | Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Type, title and the sentence that says what to do.
    fn words(&self) -> (&'static str, &'static str, String) {
        let (kind, title, detail) = match self {
            Self::NotSignedIn => ("not-signed-in", "Nobody is signed in", "sign in and try again"),
            Self::WrongLogin => ("wrong-login", "Login or password is wrong", "check both and try again"),
            Self::WrongPasskey => {
                ("wrong-passkey", "The passkey was not accepted", "try again, or sign in with your password")
            }
            Self::PasskeyNeeded => (
                "passkey-needed",
                "Your role needs a passkey",
                "sign in with your passkey; if you have none yet, register one in your account first",
            ),
            Self::Forbidden => {
                ("forbidden", "Your role does not allow this", "ask an administrator of the site")
            }
            Self::CrossSite => (
                "cross-site",
                "The request comes from another site",
                "open the gateway's own page, or set http.public_url to the address people use",
            ),
            Self::NotFound => {
                ("not-found", "There is nothing here", "check the address, or ask for the right")
            }
            Self::MethodNotAllowed => {
                ("method-not-allowed", "This cannot be done here", "see the Allow header for what can")
            }
            Self::Input(errors) => {
                let one = errors.first().map(|e| format!("{}: {}", e.pointer, e.detail));
                return ("input", "The input is not accepted", one.unwrap_or_default());
            }
            Self::TooMany(wait) => {
                let detail = format!("wait {} seconds and try again", wait.as_secs() + 1);
                return ("too-many", "Too many tries", detail);
            }
            Self::TooManyViews(wait) => {
                let wait = wait.as_secs() + 1;
                let detail = format!("close some pictures, or wait {wait} seconds and try again");
                return ("too-many-views", "You have opened too many pictures", detail);
            }
            Self::NotJson(why) => return ("not-json", "The body is not JSON", why.clone()),
            Self::Malformed(why) => return ("malformed", "The body cannot be read", why.clone()),
            Self::NotSdp(why) => {
                return ("not-sdp", "The session description cannot be used", why.clone());
            }
            Self::NotPlayable(why) => {
                return ("not-playable", "The stream cannot be played this way", why.clone());
            }
            Self::PreconditionFailed(why) => ("changed", "It has changed meanwhile", *why),
            Self::PreconditionRequired(why) => ("which-state", "It must be said which state is meant", *why),
            Self::MediaType(wanted) => {
                return ("media-type", "The body has the wrong type", format!("send it as {wanted}"));
            }
            Self::TooLarge(limit) => {
                return ("too-large", "The body is too large", format!("at most {limit}"));
            }
            Self::NotNow(why) => return ("not-now", "It is not possible as it stands", why.clone()),
            Self::Stale(version) => {
                let detail = format!("it is at version {version} now; look at it again and decide anew");
                return ("stale", "Somebody was faster", detail);
            }
            Self::Conflict(why) => ("conflict", "It contradicts what is there", *why),
            Self::LinkOver => (
                "link-over",
                "This link is used up or expired",
                "ask whoever gave it to you for a new one; the owner's is printed at each start while nobody owns \
                 the gateway",
            ),
            Self::NotWebSocket => {
                ("not-websocket", "This address speaks WebSocket", "open it with a WebSocket client")
            }
            Self::NotInPlaylist => (
                "not-in-playlist",
                "The playlist is not so far",
                "load the playlist without directives and go on from there",
            ),
            Self::Unavailable(why) => {
                return ("unavailable", "It cannot be done at the moment", why.clone());
            }
            Self::TimedOut => ("timed-out", "It took too long", "try again"),
            Self::Internal => {
                ("internal", "Something is broken in the gateway", "the log has the reason; try again")
            }
        };
        (kind, title, detail.to_owned())
    }
}

/// The sentence that says what to do, for the command line.
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words().2)
    }
}

impl From<repository::Error> for Problem {
    fn from(error: repository::Error) -> Self {
        match error {
            repository::Error::Exists => Self::Conflict("it exists already; choose another name or login"),
            repository::Error::Reference => {
                Self::Conflict("it refers to something that does not exist, or something still refers to it")
            }
            repository::Error::Unavailable(why) => {
                warn!(why, "database unavailable");
                Self::Unavailable(
                    "the database cannot be used at the moment; nothing was saved, try again".into(),
                )
            }
            repository::Error::Corrupt(why) => {
                error!(why, "database holds something that is not understood");
                Self::Internal
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let (kind, title, detail) = self.words();
        let wait = match &self {
            Self::TooMany(wait) | Self::TooManyViews(wait) => Some(wait.as_secs() + 1),
            _ => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(5),
        };
        let version = if let Self::Stale(version) = &self { Some(*version) } else { None };
        let errors = if let Self::Input(errors) = self { errors } else { Vec::new() };
        let document = Document { kind, title, status: status.as_u16(), detail, errors, version };
        let mut response = (status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110 sections 15.5.22 and 7.8.
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response
    }
}
