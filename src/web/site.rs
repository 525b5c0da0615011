//! Sites.

use crate::access::Who;
use crate::extract::{Json, Path, fields, id, merged, name};
use crate::schema::{List, word};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::Question;
use domain::site::{ResidentPolicy, Site, SiteKind};
use domain::{SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteInput {
    name: String,
    #[schema(schema_with = word::<SiteKind>)]
    kind: SiteKind,
    /// IANA name, like `Asia/Shanghai`.
    time_zone: String,
    #[schema(schema_with = word::<ResidentPolicy>)]
    resident_policy: ResidentPolicy,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SiteView {
    #[schema(value_type = String)]
    id: SiteId,
    name: String,
    #[schema(schema_with = word::<SiteKind>)]
    kind: SiteKind,
    time_zone: String,
    #[schema(schema_with = word::<ResidentPolicy>)]
    resident_policy: ResidentPolicy,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Site> for SiteView {
    fn from(site: Site) -> Self {
        let Site { id, name, kind, time_zone, resident_policy, created_at } = site;
        Self { id, name, kind, time_zone, resident_policy, created_at }
    }
}

impl SiteInput {
    fn of(site: &Site) -> Self {
        Self {
            name: site.name.clone(),
            kind: site.kind,
            time_zone: site.time_zone.clone(),
            resident_policy: site.resident_policy,
        }
    }

    fn into_site(self, id: SiteId, created_at: Timestamp) -> Result<Site, Problem> {
        let name = name("/name", &self.name)?;
        if !Timestamp::is_time_zone(&self.time_zone) {
            let hint = "it is not a time zone; use an IANA name like Asia/Shanghai";
            return Err(Problem::field("/time_zone", hint));
        }
        let Self { kind, time_zone, resident_policy, .. } = self;
        Ok(Site { id, name, kind, time_zone, resident_policy, created_at })
    }
}

/// The sites I belong to.
#[utoipa::path(get, path = "/api/v1/sites", tag = "registry", operation_id = "list_sites",
    responses((status = 200, body = List<SiteView>)))]
pub(crate) async fn list(State(app): State<App>, who: Who) -> Result<axum::Json<List<SiteView>>, Problem> {
    let sites = app.repository().sites().await?;
    let seen = sites.into_iter().filter(|site| who.may(&app, Question::SeeSite(&site.id)));
    Ok(axum::Json(List::whole(seen.map(SiteView::from).collect())))
}

/// One site.
#[utoipa::path(get, path = "/api/v1/sites/{id}", tag = "registry", operation_id = "get_site",
    params(("id" = String, Path)), responses((status = 200, body = SiteView), (status = 404)))]
pub(crate) async fn get(
    State(app): State<App>,
    who: Who,
    Path(site): Path<String>,
) -> Result<axum::Json<SiteView>, Problem> {
    let site = find(&app, &site).await?;
    if !who.may(&app, Question::SeeSite(&site.id)) {
        return Err(Problem::NotFound);
    }
    Ok(axum::Json(site.into()))
}

async fn find(app: &App, text: &str) -> Result<Site, Problem> {
    app.repository().site(&id(SiteId::parse, text)?).await?.ok_or(Problem::NotFound)
}

/// Register a site.
#[utoipa::path(post, path = "/api/v1/sites", tag = "registry", operation_id = "create_site",
    request_body = SiteInput, responses((status = 201, body = SiteView)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<SiteInput>,
) -> Result<(StatusCode, axum::Json<SiteView>), Problem> {
    if !who.may(&app, Question::ManageSites) {
        return Err(who.forbidden(&app, None));
    }
    let site = input.into_site(SiteId::from_random(token::random()), app.now())?;
    app.noting(
        Some(&who.person.id),
        Some(&site.id),
        "site.create",
        site.id.as_str(),
        &json!({ "name": site.name }),
    )
    .add_site(&site)
    .await?;
    app.changed();
    Ok((StatusCode::CREATED, axum::Json(site.into())))
}

/// Change a site.
#[utoipa::path(patch, path = "/api/v1/sites/{id}", tag = "registry", operation_id = "update_site",
    params(("id" = String, Path)), request_body(content = ref("#/components/schemas/SitePatch")),
    responses((status = 200, body = SiteView), (status = 404)))]
pub(crate) async fn update(
    State(app): State<App>,
    who: Who,
    Path(site): Path<String>,
    Json(patch): Json<serde_json::Value>,
) -> Result<axum::Json<SiteView>, Problem> {
    let old = find(&app, &site).await?;
    let changed = fields(&patch);
    who.must_manage(&app, &old.id)?;
    let site = merged(&SiteInput::of(&old), patch)?.into_site(old.id, old.created_at)?;
    if !app
        .noting(Some(&who.person.id), Some(&site.id), "site.update", site.id.as_str(), &changed)
        .update_site(&site)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(axum::Json(site.into()))
}

/// Remove a site that has nothing below it.
#[utoipa::path(delete, path = "/api/v1/sites/{id}", tag = "registry", operation_id = "delete_site",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 409, description = "something is below it")))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(site): Path<String>,
) -> Result<StatusCode, Problem> {
    let site = id(SiteId::parse, &site)?;
    who.must_manage(&app, &site)?;
    if !app
        .noting(Some(&who.person.id), Some(&site), "site.delete", site.as_str(), &json!({}))
        .remove_site(&site)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
