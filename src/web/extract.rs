//! What handlers read from a request, refused with a problem document that
//! names the place.

use crate::Problem;
use crate::error::FieldError;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, request};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        must_be_json(request.headers())?;
        let body = Bytes::from_request(request, state).await.map_err(|_| Problem::TooLarge("1 MiB"))?;
        read(&mut serde_json::Deserializer::from_slice(&body)).map(Self)
    }
}

/// Refuses a body that does not say that it is JSON: a form of another page's is none.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    if has_type(headers, &["application/json"]) {
        Ok(())
    } else {
        Err(Problem::MediaType("application/json"))
    }
}

/// Whether the body's type is one of `types`, parameters aside.
pub(crate) fn has_type(headers: &HeaderMap, types: &[&str]) -> bool {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let sent = sent.split(';').next().unwrap_or_default().trim();
    types.iter().any(|wanted| sent.eq_ignore_ascii_case(wanted))
}

pub(crate) fn read<'de, T, D>(source: D) -> Result<T, Problem>
where
    T: DeserializeOwned,
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(source).map_err(|error| {
        let pointer: String = error
            .path()
            .iter()
            .map(|segment| format!("/{}", segment.to_string().replace('~', "~0").replace('/', "~1")))
            .collect();
        let error = error.into_inner();
        if error.is_data() {
            Problem::Input(vec![FieldError { pointer, detail: plain(&error) }])
        } else {
            Problem::NotJson(error.to_string())
        }
    })
}

/// serde's message without the position, which means nothing to a person, and
/// without what was sent, which may be a password in the wrong field.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let (text, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    let repeats =
        ["unknown variant", "invalid type", "invalid value"].iter().any(|kind| text.starts_with(kind));
    match text.rsplit_once(", expected ").filter(|_| repeats) {
        Some((_, expected)) => format!("expected {expected}"),
        None => text.to_owned(),
    }
}

/// Applies a JSON merge patch (RFC 7396) to what is there and reads the result.
pub(crate) fn merged<T: Serialize + DeserializeOwned>(current: &T, patch: Value) -> Result<T, Problem> {
    let mut whole = serde_json::to_value(current).map_err(|_| Problem::Internal)?;
    let (Value::Object(fields), Value::Object(patch)) = (&mut whole, patch) else {
        return Err(Problem::NotJson("the patch must be an object".to_owned()));
    };
    // No field of ours is an object that is patched in part, so one level will do.
    fields.extend(patch);
    read(whole)
}

/// Which fields a patch names: what the audit log keeps of it, never the values.
pub(crate) fn fields(patch: &Value) -> Value {
    let names = patch.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
    serde_json::json!({ "fields": names.unwrap_or_default() })
}

/// An id in the path: one that cannot be an id is answered like one that is not there.
pub(crate) fn id<T>(parse: impl Fn(&str) -> Option<T>, text: &str) -> Result<T, Problem> {
    parse(text).ok_or(Problem::NotFound)
}

/// The path's parameters.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| Problem::NotFound)
    }
}

/// The query's parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|error| {
            Problem::field("", format!("the query is not understood: {}", error.body_text()))
        })
    }
}

/// A line of text that may be missing or empty.
pub(crate) fn optional_name(pointer: &str, text: Option<&str>) -> Result<Option<String>, Problem> {
    text.filter(|text| !text.trim().is_empty()).map(|text| name(pointer, text)).transpose()
}

/// A name that people read: something visible, not too long, one line.
pub(crate) fn name(pointer: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::field(pointer, "it is empty; give it a name"));
    }
    if text.chars().count() > 100 {
        return Err(Problem::field(pointer, "it is longer than 100 characters"));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::field(pointer, "it has control characters; write one line of text"));
    }
    Ok(text.to_owned())
}
