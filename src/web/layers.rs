//! Every layer, outermost first, with the reason why.

use crate::{App, Problem};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    self, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use std::any::Any;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::error;
use url::Url;

/// The largest body of any route.
pub(crate) const BODY: usize = 1 << 20;
/// The longest a request may take; live views leave this behind with their upgrade.
const PATIENCE: Duration = Duration::from_secs(30);

/// Only our own files run; pictures and media may come from memory.
const CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// What the page may ask the phone for: nothing.
const PERMISSIONS: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=()";

/// For a year a browser that was here once comes back with TLS only.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Puts the layers around the routes.
pub(crate) fn around(router: Router, app: &App) -> Router {
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    router.layer(
        ServiceBuilder::new()
            // A bug in one handler is one answer of 500, not the end of a connection.
            .layer(CatchPanicLayer::custom(panicked))
            // Nobody else's script, frame or sniffed type.
            .layer(fixed(CONTENT_SECURITY_POLICY, CSP))
            .layer(fixed(X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(fixed(REFERRER_POLICY, "no-referrer"))
            .layer(fixed(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
            .layer(fixed(HeaderName::from_static("permissions-policy"), PERMISSIONS))
            // No shared cache may keep an answer that was made for one person.
            .layer(fixed(CACHE_CONTROL, "private, no-store"))
            // Whoever was here with TLS is not talked out of it.
            .layer(middleware::from_fn_with_state(app.clone(), keep_to_tls))
            // A page of another site must not act for the person at this browser.
            .layer(middleware::from_fn_with_state(app.clone(), same_site))
            // A slow body or a slow database is an answer, not a stuck connection.
            .layer(middleware::from_fn(patience))
            // A body is read up to here and not further.
            .layer(axum::extract::DefaultBodyLimit::max(BODY)),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no message");
    error!(panic = text, "a request handler panicked");
    Problem::Internal.into_response()
}

/// Promises TLS for names only: for numbers browsers ignore the promise (RFC 6797,
/// 8.1.1), and localhost belongs to every program of its machine.
async fn keep_to_tls(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let promised = app.is_secure() && host.is_some_and(is_name);
    let mut response = next.run(request).await;
    if promised {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    response
}

/// Whether a `Host` header has a name that is one machine's alone.
fn is_name(host: &str) -> bool {
    let name = match Url::parse(&format!("https://{host}")) {
        Ok(url) => url.domain().map(|name| name.trim_end_matches('.').to_owned()),
        Err(_) => None,
    };
    name.is_some_and(|name| name != "localhost" && !name.ends_with(".localhost"))
}

async fn patience(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::TimedOut.into_response(),
    }
}

/// Refuses requests that change something, or open a socket, and come from
/// another site's page (OWASP: Fetch Metadata, with Origin for old browsers).
async fn same_site(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let upgrades = request.headers().contains_key(UPGRADE);
    if (!reads || upgrades) && !is_same_site(&app, request.headers()) {
        return Problem::CrossSite.into_response();
    }
    next.run(request).await
}

fn is_same_site(app: &App, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    let Some(origin) = text(ORIGIN) else { return true };
    let Ok(origin) = Url::parse(origin) else { return false };
    // Under the same name without TLS is whoever sits in between.
    if app.is_secure() && origin.scheme() != "https" {
        return false;
    }
    let ours = text(HOST).and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
    let same = ours.is_some_and(|ours| origin.has_host() && ours.origin() == origin.origin());
    same || app.parts.public_url.as_ref().is_some_and(|public| public.is_origin(&origin))
}

/// For what never changes under its name.
pub(crate) const FOREVER: (HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_promised_for_names() {
        for host in ["eyes.example.net", "eyes.home:8080", "EYES"] {
            assert!(is_name(host), "{host}");
        }
        for host in
            ["192.168.1.5:8080", "[::1]:8080", "2130706433", "localhost", "localhost.:80", "a.localhost", ""]
        {
            assert!(!is_name(host), "{host}");
        }
    }
}
