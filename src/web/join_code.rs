//! A site's join code: off until an administrator switches it on, changed at will.

use crate::access::Who;
use crate::extract::{Path, id};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::registration::JoinCode;
use domain::{SiteId, Timestamp};
use serde::Serialize;
use serde_json::json;

/// Whether people may register by themselves. The code itself is shown once.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct JoinCodeView {
    on: bool,
    /// Since when this code works.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
}

/// A new code: the only time that it is shown. The link is `/register#CODE`.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ShownJoinCode {
    code: String,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

async fn managed(app: &App, who: &Who, text: &str) -> Result<SiteId, Problem> {
    let site = id(SiteId::parse, text)?;
    who.must_manage(app, &site)?;
    app.repository().site(&site).await?.map(|site| site.id).ok_or(Problem::NotFound)
}

/// Whether a site's join code is on.
#[utoipa::path(get, path = "/api/v1/sites/{id}/join-code", tag = "rights", operation_id = "get_join_code",
    params(("id" = String, Path)), responses((status = 200, body = JoinCodeView), (status = 404)))]
pub(crate) async fn get(
    State(app): State<App>,
    who: Who,
    Path(site): Path<String>,
) -> Result<axum::Json<JoinCodeView>, Problem> {
    let site = managed(&app, &who, &site).await?;
    let since = app.repository().join_code(&site).await?.map(|code| code.created_at);
    Ok(axum::Json(JoinCodeView { on: since.is_some(), since }))
}

/// Switch self-registration on with a new code. One that was there stops working.
#[utoipa::path(post, path = "/api/v1/sites/{id}/join-code", tag = "rights", operation_id = "create_join_code",
    params(("id" = String, Path)), responses((status = 201, body = ShownJoinCode), (status = 404)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Path(site): Path<String>,
) -> Result<(StatusCode, axum::Json<ShownJoinCode>), Problem> {
    let site = managed(&app, &who, &site).await?;
    let (code, since) = (token::new(), app.now());
    let repository =
        app.noting(Some(&who.person.id), Some(&site), "join_code.create", site.as_str(), &json!({}));
    let kept = JoinCode {
        site_id: site,
        token_hash: token::hash(&code),
        created_by: who.person.id.clone(),
        created_at: since,
    };
    repository.set_join_code(&kept).await?;
    Ok((StatusCode::CREATED, axum::Json(ShownJoinCode { code, since })))
}

/// Switch self-registration off.
#[utoipa::path(delete, path = "/api/v1/sites/{id}/join-code", tag = "rights", operation_id = "delete_join_code",
    params(("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(site): Path<String>,
) -> Result<StatusCode, Problem> {
    let site = managed(&app, &who, &site).await?;
    if !app
        .noting(Some(&who.person.id), Some(&site), "join_code.delete", site.as_str(), &json!({}))
        .remove_join_code(&site)
        .await?
    {
        return Err(Problem::NotFound);
    }
    Ok(StatusCode::NO_CONTENT)
}
