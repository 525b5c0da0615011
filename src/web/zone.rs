//! Zones: areas of responsibility that a role may be held for.

use crate::access::Who;
use crate::extract::{Json, Path, Query, id, name};
use crate::schema::List;
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::role::Zone;
use domain::{PlaceId, SiteId, ZoneId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

/// The most places of a zone; a place stands for everything below it.
const PLACES: usize = 200;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfSite {
    site_id: String,
}

#[derive(Deserialize, utoipa::ToSchema)]
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

/// Zones of a site.
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

/// Mark out a zone.
#[utoipa::path(post, path = "/api/v1/zones", tag = "rights", operation_id = "create_zone",
    request_body = ZoneInput, responses((status = 201, body = ZoneView)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<ZoneInput>,
) -> Result<(StatusCode, axum::Json<ZoneView>), Problem> {
    let no_site = || Problem::field("/site_id", "there is no such site");
    let site = SiteId::parse(&input.site_id).ok_or_else(no_site)?;
    app.repository().site(&site).await?.ok_or_else(no_site)?;
    who.must_manage(&app, &site).map_err(|why| if why == Problem::NotFound { no_site() } else { why })?;
    if !(1..=PLACES).contains(&input.place_ids.len()) {
        return Err(Problem::field("/place_ids", "a zone has 1 to 200 places"));
    }
    let mut places = BTreeSet::new();
    for (n, text) in input.place_ids.iter().enumerate() {
        let none = || Problem::field(&format!("/place_ids/{n}"), "there is no such place in this site");
        let place = PlaceId::parse(text).ok_or_else(none)?;
        let known = app.repository().place(&place).await?.filter(|place| place.site_id == site);
        places.insert(known.ok_or_else(none)?.id);
    }
    let zone = Zone {
        id: ZoneId::from_random(token::random()),
        site_id: site,
        name: name("/name", &input.name)?,
        places,
        created_at: app.now(),
    };
    let detail = json!({ "places": zone.places });
    app.note(Some(&who.person.id), Some(&zone.site_id), "zone.create", zone.id.as_str(), &detail).await?;
    app.repository().add_zone(&zone).await?;
    app.changed();
    Ok((StatusCode::CREATED, axum::Json(zone.into())))
}

/// Remove a zone that no role was ever held for.
#[utoipa::path(delete, path = "/api/v1/zones/{id}", tag = "rights", operation_id = "delete_zone",
    params(("id" = String, Path), OfSite), responses((status = 204), (status = 404), (status = 409)))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(zone): Path<String>,
    Query(of): Query<OfSite>,
) -> Result<StatusCode, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let zone = id(ZoneId::parse, &zone)?;
    if !app.repository().zones(&site).await?.iter().any(|known| known.id == zone) {
        return Err(Problem::NotFound);
    }
    app.note(Some(&who.person.id), Some(&site), "zone.delete", zone.as_str(), &json!({})).await?;
    if !app.repository().remove_zone(&zone).await? {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
