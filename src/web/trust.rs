//! The gateway's own authority, for those whose phone does not know it yet.
//! All of it is public: it is what TLS shows to anybody who connects.

use crate::tls::{Authority, CA_TYPE, Tls};
use crate::{App, Problem};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use domain::Timestamp;
use serde::Serialize;

/// How to trust this gateway.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Trust {
    /// SHA-256 of the certificate, as phones show it.
    fingerprint: String,
    /// Where a phone gets the certificate, over plain HTTP: it does not trust us yet.
    download: String,
    /// The gateway's address, which works without a warning afterwards.
    address: String,
    /// When the certificate ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A certificate as a file.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Der(#[expect(dead_code, reason = "it stands for the bytes in the document")] Vec<u8>);

fn own(app: &App) -> Result<(&Tls, &Authority), Problem> {
    let tls = app.parts.tls.as_ref();
    tls.and_then(|tls| Some((tls, tls.authority()?))).ok_or(Problem::NotFound)
}

/// How to trust this gateway, if it vouches for itself.
#[utoipa::path(get, path = "/api/v1/trust", tag = "accounts", operation_id = "trust",
    responses((status = 200, body = Trust), (status = 404, description = "it has no authority of its own")))]
pub(crate) async fn trust(State(app): State<App>) -> Result<axum::Json<Trust>, Problem> {
    let (tls, authority) = own(&app)?;
    Ok(axum::Json(Trust {
        fingerprint: authority.fingerprint(),
        download: tls.download(),
        address: tls.origin(),
        expires_at: authority.expires_at,
    }))
}

/// The certificate of the gateway's own authority, DER.
#[utoipa::path(get, path = "/ca.crt", tag = "accounts", operation_id = "ca_certificate",
    responses((status = 200, content_type = "application/x-x509-ca-cert", body = inline(Der)),
        (status = 404, description = "it has no authority of its own")))]
pub(crate) async fn certificate(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let (_, authority) = own(&app)?;
    Ok(([(CONTENT_TYPE, CA_TYPE)], authority.certificate.clone()))
}
