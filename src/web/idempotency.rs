//! Requests that carry a key of their own: sent again, because an answer was lost on
//! its way, they are answered again and not done again.

use crate::access::Who;
use crate::{App, Problem};
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::incident::repository::Keyed;
use sha2::{Digest as _, Sha256};

/// The header.
pub(crate) const HEADER: &str = "Idempotency-Key";
/// The longest key, in bytes.
const LONGEST: usize = 200;

/// The key of a request, if it carries one. `target` is what it acts on.
pub(crate) fn key(
    app: &App,
    who: &Who,
    headers: &HeaderMap,
    target: &str,
    body: &Bytes,
) -> Result<Option<Keyed>, Problem> {
    let Some(key) = headers.get(HEADER) else { return Ok(None) };
    let wrong =
        || Problem::field(HEADER, "it has 1 to 200 letters, digits and signs; make a new one for each act");
    let key = key.to_str().map_err(|_| wrong())?;
    if key.is_empty() || key.len() > LONGEST {
        return Err(wrong());
    }
    let mut hash = Sha256::new();
    hash.update((target.len() as u64).to_be_bytes());
    hash.update(target.as_bytes());
    hash.update(body);
    Ok(Some(Keyed {
        person_id: who.person.id.clone(),
        key: key.to_owned(),
        hash: hash.finalize().to_vec(),
        at: app.now(),
    }))
}

/// The same key stands for something else.
pub(crate) fn other_request() -> Problem {
    Problem::field(HEADER, "this key was used for another request; make a new one for each act")
}

/// An answer as it is kept: the same bytes each time.
pub(crate) fn answer(status: StatusCode, json: String) -> Response {
    let mut response = (status, json).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
