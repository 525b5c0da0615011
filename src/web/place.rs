//! Places: the tree below a site.

use crate::access::Who;
use crate::extract::{Json, Path, fields, id, merged, name};
use crate::schema::{List, word};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::Question;
use domain::place::{Place, PlaceKind};
use domain::scene::DEPTH;
use domain::{PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceInput {
    site_id: String,
    /// The place it is part of.
    parent_id: Option<String>,
    name: String,
    #[schema(schema_with = word::<PlaceKind>)]
    kind: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PlaceView {
    #[schema(value_type = String)]
    id: PlaceId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = Option<String>)]
    parent_id: Option<PlaceId>,
    name: String,
    #[schema(schema_with = word::<PlaceKind>)]
    kind: PlaceKind,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Place> for PlaceView {
    fn from(place: Place) -> Self {
        let Place { id, site_id, parent_id, name, kind, created_at } = place;
        Self { id, site_id, parent_id, name, kind, created_at }
    }
}

impl PlaceInput {
    fn of(place: &Place) -> Self {
        Self {
            site_id: place.site_id.to_string(),
            parent_id: place.parent_id.as_ref().map(ToString::to_string),
            name: place.name.clone(),
            kind: place.kind.word().to_owned(),
        }
    }

    async fn into_place(
        self,
        app: &App,
        who: &Who,
        id: PlaceId,
        created_at: Timestamp,
    ) -> Result<Place, Problem> {
        let no_site = || Problem::field("/site_id", "there is no such site");
        let site_id = SiteId::parse(&self.site_id).ok_or_else(no_site)?;
        let kind = PlaceKind::accept(&self.kind).map_err(|why| Problem::field("/kind", why.to_string()))?;
        let name = name("/name", &self.name)?;
        app.repository().site(&site_id).await?.ok_or_else(no_site)?;
        who.must_manage(app, &site_id)
            .map_err(|why| if why == Problem::NotFound { no_site() } else { why })?;
        let parent_id = match &self.parent_id {
            None => None,
            Some(parent) => Some(check_parent(app, parent, &site_id, &id).await?),
        };
        Ok(Place { id, site_id, parent_id, name, kind, created_at })
    }
}

/// The parent is in the same site, and the place does not become part of itself.
async fn check_parent(app: &App, parent: &str, site: &SiteId, own: &PlaceId) -> Result<PlaceId, Problem> {
    let wrong = |why: &str| Problem::field("/parent_id", why);
    let first = PlaceId::parse(parent).ok_or_else(|| wrong("there is no such place"))?;
    let mut next = Some(first.clone());
    let mut depth = 0;
    while let Some(id) = next {
        depth += 1;
        if id == *own {
            return Err(wrong("a place cannot be part of itself"));
        }
        if depth > DEPTH {
            return Err(wrong("places are nested more than 8 deep; choose a parent further up"));
        }
        let place = app.repository().place(&id).await?.filter(|place| place.site_id == *site);
        next = place.ok_or_else(|| wrong("there is no such place in this site"))?.parent_id;
    }
    Ok(first)
}

/// The places of my sites.
#[utoipa::path(get, path = "/api/v1/places", tag = "registry", operation_id = "list_places",
    responses((status = 200, body = List<PlaceView>)))]
pub(crate) async fn list(State(app): State<App>, who: Who) -> Result<axum::Json<List<PlaceView>>, Problem> {
    let places = app.repository().places().await?;
    let seen = places.into_iter().filter(|place| who.may(&app, Question::SeeSite(&place.site_id)));
    Ok(axum::Json(List::whole(seen.map(PlaceView::from).collect())))
}

/// One place.
#[utoipa::path(get, path = "/api/v1/places/{id}", tag = "registry", operation_id = "get_place",
    params(("id" = String, Path)), responses((status = 200, body = PlaceView), (status = 404)))]
pub(crate) async fn get(
    State(app): State<App>,
    who: Who,
    Path(place): Path<String>,
) -> Result<axum::Json<PlaceView>, Problem> {
    let place = find(&app, &place).await?;
    if !who.may(&app, Question::SeeSite(&place.site_id)) {
        return Err(Problem::NotFound);
    }
    Ok(axum::Json(place.into()))
}

async fn find(app: &App, text: &str) -> Result<Place, Problem> {
    app.repository().place(&id(PlaceId::parse, text)?).await?.ok_or(Problem::NotFound)
}

/// Register a place.
#[utoipa::path(post, path = "/api/v1/places", tag = "registry", operation_id = "create_place",
    request_body = PlaceInput, responses((status = 201, body = PlaceView)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<PlaceInput>,
) -> Result<(StatusCode, axum::Json<PlaceView>), Problem> {
    let place = input.into_place(&app, &who, PlaceId::from_random(token::random()), app.now()).await?;
    app.noting(
        Some(&who.person.id),
        Some(&place.site_id),
        "place.create",
        place.id.as_str(),
        &json!({ "name": place.name }),
    )
    .add_place(&place)
    .await?;
    app.changed();
    Ok((StatusCode::CREATED, axum::Json(place.into())))
}

/// Change a place. It stays in its site.
#[utoipa::path(patch, path = "/api/v1/places/{id}", tag = "registry", operation_id = "update_place",
    params(("id" = String, Path)), request_body(content = ref("#/components/schemas/PlacePatch")),
    responses((status = 200, body = PlaceView), (status = 404)))]
pub(crate) async fn update(
    State(app): State<App>,
    who: Who,
    Path(place): Path<String>,
    Json(patch): Json<serde_json::Value>,
) -> Result<axum::Json<PlaceView>, Problem> {
    let old = find(&app, &place).await?;
    let changed = fields(&patch);
    who.must_manage(&app, &old.site_id)?;
    let input = merged(&PlaceInput::of(&old), patch)?;
    let place = input.into_place(&app, &who, old.id, old.created_at).await?;
    if place.site_id != old.site_id {
        return Err(Problem::field("/site_id", "a place stays in its site; register a new one there"));
    }
    if !app
        .noting(Some(&who.person.id), Some(&place.site_id), "place.update", place.id.as_str(), &changed)
        .update_place(&place)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(axum::Json(place.into()))
}

/// Remove a place that has nothing in it.
#[utoipa::path(delete, path = "/api/v1/places/{id}", tag = "registry", operation_id = "delete_place",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404), (status = 409, description = "something is in it")))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(place): Path<String>,
) -> Result<StatusCode, Problem> {
    let place = find(&app, &place).await?;
    who.must_manage(&app, &place.site_id)?;
    if !app
        .noting(Some(&who.person.id), Some(&place.site_id), "place.delete", place.id.as_str(), &json!({}))
        .remove_place(&place.id)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
