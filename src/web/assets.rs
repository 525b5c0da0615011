//! The page, embedded in the binary.

use crate::Problem;
use crate::layers::FOREVER;
use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::{IntoResponse as _, Response};
use rust_embed::RustEmbed;

/// What `npm run build` made: each text file also as `.gz`.
#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Dist;

/// Everything that is no route: a file of the page, or the page itself.
pub(crate) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") || path.starts_with("ingest/") {
        return Problem::NotFound.into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return Problem::MethodNotAllowed.into_response();
    }
    if let Some(response) = file(path, &headers) {
        return response;
    }
    if path.starts_with("assets/") {
        return Problem::NotFound.into_response();
    }
    index("index.html", &headers)
}

/// The page that shows the OpenAPI document.
pub(crate) async fn docs(headers: HeaderMap) -> Response {
    index("docs.html", &headers)
}

fn index(name: &str, headers: &HeaderMap) -> Response {
    file(name, headers).unwrap_or_else(|| {
        Problem::Unavailable("the page is not in this binary; build it with scripts/run".to_owned())
            .into_response()
    })
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let plain = Dist::get(path)?;
    let takes_gzip = headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|coding| coding.trim().starts_with("gzip")));
    let packed = if takes_gzip { Dist::get(&format!("{path}.gz")) } else { None };
    let is_packed = packed.is_some();
    let kind = HeaderValue::from_str(plain.metadata.mimetype()).ok()?;
    let mut response = Response::new(Body::from(packed.unwrap_or(plain).data));
    let answer = response.headers_mut();
    answer.insert(CONTENT_TYPE, kind);
    answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed {
        answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // Names under assets/ carry a hash of the content.
    if path.starts_with("assets/") {
        let (name, value) = FOREVER;
        answer.insert(name, value);
    }
    Some(response)
}
