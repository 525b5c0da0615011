//! Zones: areas of responsibility, each a set of places of a site.

use crate::access::Who;
use crate::extract::{Json, Path, Query, fields, id, merged, name};
use crate::person::OfSite;
use crate::schema::List;
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::role::Zone;
use domain::{PlaceId, SiteId, Timestamp, ZoneId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

/// The most places of a zone; a place stands for everything below it.
const PLACES: usize = 200;

#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZoneInput {
    site_id: String,
    name: String,
    /// Its places, each with everything below it.
    place_ids: Vec<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ZoneView {
    #[schema(value_type = String)]
    id: ZoneId,
    #[schema(value_type = String)]
    site_id: SiteId,
    name: String,
    #[schema(value_type = Vec<String>)]
    place_ids: BTreeSet<PlaceId>,
}

impl From<Zone> for ZoneView {
    fn from(Zone { id, site_id, name, places, .. }: Zone) -> Self {
        Self { id, site_id, name, place_ids: places }
    }
}

impl ZoneInput {
    fn of(zone: &Zone) -> Self {
        Self {
            site_id: zone.site_id.to_string(),
            name: zone.name.clone(),
            place_ids: zone.places.iter().map(ToString::to_string).collect(),
        }
    }

    async fn into_zone(
        self,
        app: &App,
        who: &Who,
        id: ZoneId,
        created_at: Timestamp,
    ) -> Result<Zone, Problem> {
        let no_site = || Problem::field("/site_id", "there is no such site");
        let site_id = SiteId::parse(&self.site_id).ok_or_else(no_site)?;
        app.repository().site(&site_id).await?.ok_or_else(no_site)?;
        who.must_manage(app, &site_id)
            .map_err(|why| if why == Problem::NotFound { no_site() } else { why })?;
        let name = name("/name", &self.name)?;
        let zones = app.repository().zones(&site_id).await?;
        if zones.iter().any(|zone| zone.name == name && zone.id != id) {
            return Err(Problem::field("/name", "the site has a zone of this name; choose another"));
        }
        if !(1..=PLACES).contains(&self.place_ids.len()) {
            return Err(Problem::field("/place_ids", "a zone has 1 to 200 places"));
        }
        let known = app.repository().places().await?;
        let known: BTreeSet<&PlaceId> =
            known.iter().filter(|place| place.site_id == site_id).map(|place| &place.id).collect();
        let place = |(at, text): (usize, &String)| {
            let wrong = || Problem::field(&format!("/place_ids/{at}"), "there is no such place in this site");
            PlaceId::parse(text).filter(|id| known.contains(id)).ok_or_else(wrong)
        };
        let places = self.place_ids.iter().enumerate().map(place).collect::<Result<_, _>>()?;
        Ok(Zone { id, site_id, name, places, created_at })
    }
}

/// The zones of a site.
#[utoipa::path(get, path = "/api/v1/zones", tag = "rights", operation_id = "list_zones", params(OfSite),
    responses((status = 200, body = List<ZoneView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(of): Query<OfSite>,
) -> Result<axum::Json<List<ZoneView>>, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let zones = app.repository().zones(&site).await?;
    Ok(axum::Json(List::whole(zones.into_iter().map(ZoneView::from).collect())))
}

/// Make a zone of some places.
#[utoipa::path(post, path = "/api/v1/zones", tag = "rights", operation_id = "create_zone",
    request_body = ZoneInput, responses((status = 201, body = ZoneView)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<ZoneInput>,
) -> Result<(StatusCode, axum::Json<ZoneView>), Problem> {
    let zone = input.into_zone(&app, &who, ZoneId::from_random(token::random()), app.now()).await?;
    let detail = json!({ "name": zone.name, "places": zone.places });
    app.noting(Some(&who.person.id), Some(&zone.site_id), "zone.create", zone.id.as_str(), &detail)
        .add_zone(&zone)
        .await?;
    app.changed();
    Ok((StatusCode::CREATED, axum::Json(zone.into())))
}

async fn find(app: &App, text: &str) -> Result<Zone, Problem> {
    app.repository().zone(&id(ZoneId::parse, text)?).await?.ok_or(Problem::NotFound)
}

/// Change a zone: roles that are held in it reach its new places, and no others.
#[utoipa::path(patch, path = "/api/v1/zones/{id}", tag = "rights", operation_id = "update_zone",
    params(("id" = String, Path)), request_body(content = ref("#/components/schemas/ZonePatch")),
    responses((status = 200, body = ZoneView), (status = 404)))]
pub(crate) async fn update(
    State(app): State<App>,
    who: Who,
    Path(zone): Path<String>,
    Json(patch): Json<serde_json::Value>,
) -> Result<axum::Json<ZoneView>, Problem> {
    let old = find(&app, &zone).await?;
    let changed = fields(&patch);
    who.must_manage(&app, &old.site_id)?;
    let input = merged(&ZoneInput::of(&old), patch)?;
    let zone = input.into_zone(&app, &who, old.id, old.created_at).await?;
    if zone.site_id != old.site_id {
        return Err(Problem::field("/site_id", "a zone stays in its site; make a new one there"));
    }
    if !app
        .noting(Some(&who.person.id), Some(&zone.site_id), "zone.update", zone.id.as_str(), &changed)
        .update_zone(&zone)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(axum::Json(zone.into()))
}

/// Remove a zone: the roles that are held in it end.
#[utoipa::path(delete, path = "/api/v1/zones/{id}", tag = "rights", operation_id = "delete_zone",
    params(("id" = String, Path), OfSite), responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(zone): Path<String>,
    Query(of): Query<OfSite>,
) -> Result<StatusCode, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let zone = find(&app, &zone).await?;
    if zone.site_id != site {
        return Err(Problem::NotFound);
    }
    let now = app.now();
    let held = app.repository().grants(Some(&zone.site_id)).await?;
    let ends = held.into_iter().filter(|grant| grant.zone.as_ref().is_some_and(|of| of.id == zone.id));
    let ends: Vec<_> =
        ends.filter(|grant| grant.until.is_none_or(|until| until > now)).map(|g| g.id).collect();
    let detail = json!({ "roles_ended": ends });
    if !app
        .noting(Some(&who.person.id), Some(&zone.site_id), "zone.delete", zone.id.as_str(), &detail)
        .remove_zone(&zone.id, now)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
