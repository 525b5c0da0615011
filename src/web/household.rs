//! Units, the households in them, and their members.

use crate::access::Who;
use crate::extract::{Json, Path, Query, id, name};
use crate::schema::List;
use crate::{App, Problem, renewal, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::household::{Household, Unit};
use domain::{HouseholdId, PersonId, PlaceId, SiteId, Timestamp, UnitId};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfSite {
    pub(crate) site_id: String,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnitInput {
    /// The entrance whose door events its people may read; the site is the place's.
    entrance_id: String,
    /// What is on the door, like `3-1-502`.
    label: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct UnitView {
    #[schema(value_type = String)]
    id: UnitId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    entrance_id: PlaceId,
    label: String,
}

impl From<Unit> for UnitView {
    fn from(Unit { id, site_id, entrance_id, label, .. }: Unit) -> Self {
        Self { id, site_id, entrance_id, label }
    }
}

/// Units of a site.
#[utoipa::path(get, path = "/api/v1/units", tag = "rights", operation_id = "list_units", params(OfSite),
    responses((status = 200, body = List<UnitView>), (status = 404)))]
pub(crate) async fn units(
    State(app): State<App>,
    who: Who,
    Query(of): Query<OfSite>,
) -> Result<axum::Json<List<UnitView>>, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let units = app.repository().units(&site).await?;
    Ok(axum::Json(List::whole(units.into_iter().map(UnitView::from).collect())))
}

/// Register a unit.
#[utoipa::path(post, path = "/api/v1/units", tag = "rights", operation_id = "create_unit",
    request_body = UnitInput, responses((status = 201, body = UnitView), (status = 409)))]
pub(crate) async fn create_unit(
    State(app): State<App>,
    who: Who,
    Json(input): Json<UnitInput>,
) -> Result<(StatusCode, axum::Json<UnitView>), Problem> {
    let no_place = || Problem::field("/entrance_id", "there is no such place");
    let entrance = PlaceId::parse(&input.entrance_id).ok_or_else(no_place)?;
    let place = app.repository().place(&entrance).await?.ok_or_else(no_place)?;
    who.must_manage(&app, &place.site_id)
        .map_err(|why| if why == Problem::NotFound { no_place() } else { why })?;
    let unit = Unit {
        id: UnitId::from_random(token::random()),
        site_id: place.site_id,
        entrance_id: entrance,
        label: name("/label", &input.label)?,
        created_at: app.now(),
    };
    app.noting(Some(&who.person.id), Some(&unit.site_id), "unit.create", unit.id.as_str(), &json!({}))
        .add_unit(&unit)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(unit.into())))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HouseholdInput {
    unit_id: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct HouseholdView {
    #[schema(value_type = String)]
    id: HouseholdId,
    #[schema(value_type = String)]
    unit_id: UnitId,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// When they moved out.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    members: Vec<MemberView>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct MemberView {
    #[schema(value_type = String)]
    person_id: PersonId,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A home of the one who asks.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct HomeView {
    #[schema(value_type = String)]
    household_id: HouseholdId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    entrance_id: PlaceId,
    /// What is on the door.
    unit: String,
}

/// One's own homes: where one presses for help, and which households one speaks for.
#[utoipa::path(get, path = "/api/v1/homes", tag = "rights", operation_id = "list_homes",
    responses((status = 200, body = List<HomeView>)))]
pub(crate) async fn homes(State(app): State<App>, who: Who) -> Result<axum::Json<List<HomeView>>, Problem> {
    let now = app.now();
    let mut homes = Vec::new();
    for home in who.standing.memberships.into_iter().filter(|home| home.in_force(now)) {
        let Some(unit) = app.repository().unit(&home.unit_id).await? else { continue };
        homes.push(HomeView {
            household_id: home.household_id,
            site_id: home.site_id,
            entrance_id: home.entrance_id,
            unit: unit.label,
        });
    }
    Ok(axum::Json(List::whole(homes)))
}

/// Households of a site with their members.
#[utoipa::path(get, path = "/api/v1/households", tag = "rights", operation_id = "list_households",
    params(OfSite), responses((status = 200, body = List<HouseholdView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(of): Query<OfSite>,
) -> Result<axum::Json<List<HouseholdView>>, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let members = app.repository().memberships(&site).await?;
    let households = app.repository().households(&site).await?;
    let views = households.into_iter().map(|household| HouseholdView {
        members: members
            .iter()
            .filter(|m| m.household_id == household.id)
            .map(|m| MemberView { person_id: m.person_id.clone(), from: m.from, until: m.until })
            .collect(),
        id: household.id,
        unit_id: household.unit_id,
        from: household.from,
        until: household.until,
    });
    Ok(axum::Json(List::whole(views.collect())))
}

/// A household moves in.
#[utoipa::path(post, path = "/api/v1/households", tag = "rights", operation_id = "create_household",
    request_body = HouseholdInput, responses((status = 201, body = HouseholdView)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<HouseholdInput>,
) -> Result<(StatusCode, axum::Json<HouseholdView>), Problem> {
    let no_unit = || Problem::field("/unit_id", "there is no such unit");
    let unit = UnitId::parse(&input.unit_id).ok_or_else(no_unit)?;
    let unit = app.repository().unit(&unit).await?.ok_or_else(no_unit)?;
    who.must_manage(&app, &unit.site_id)
        .map_err(|why| if why == Problem::NotFound { no_unit() } else { why })?;
    let household = Household {
        id: HouseholdId::from_random(token::random()),
        unit_id: unit.id,
        from: app.now(),
        until: None,
    };
    let (person, site) = (Some(&who.person.id), Some(&unit.site_id));
    app.noting(person, site, "household.create", household.id.as_str(), &json!({}))
        .add_household(&household)
        .await?;
    let Household { id, unit_id, from, until } = household;
    Ok((StatusCode::CREATED, axum::Json(HouseholdView { id, unit_id, from, until, members: Vec::new() })))
}

/// The household of that id and its site, if this person manages it.
pub(crate) async fn managed(app: &App, who: &Who, text: &str) -> Result<(Household, SiteId), Problem> {
    let household = app.repository().household(&id(HouseholdId::parse, text)?).await?;
    let household = household.ok_or(Problem::NotFound)?;
    let unit = app.repository().unit(&household.unit_id).await?.ok_or(Problem::NotFound)?;
    who.must_manage(app, &unit.site_id)?;
    Ok((household, unit.site_id))
}

/// A household moves out: every right of its members that rests on it ends now.
#[utoipa::path(delete, path = "/api/v1/households/{id}", tag = "rights", operation_id = "end_household",
    params(("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn end(
    State(app): State<App>,
    who: Who,
    Path(household): Path<String>,
) -> Result<StatusCode, Problem> {
    let (household, site_id) = managed(&app, &who, &household).await?;
    let (person, site) = (Some(&who.person.id), Some(&site_id));
    renewal::withdraw_of_household(&app, &who.person.id, &site_id, &household.id).await?;
    let repository = app.noting(person, site, "household.end", household.id.as_str(), &json!({}));
    if !repository.end_household(&household.id, app.now()).await? {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// A member leaves a household.
#[utoipa::path(delete, path = "/api/v1/households/{id}/members/{person}", tag = "rights",
    operation_id = "end_membership", params(("id" = String, Path), ("person" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn end_member(
    State(app): State<App>,
    who: Who,
    Path((household, person)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (household, site) = managed(&app, &who, &household).await?;
    let person = id(PersonId::parse, &person)?;
    let detail = json!({ "person": person });
    renewal::withdraw_of_member(&app, &who.person.id, &site, &household.id, &person).await?;
    let (by, object) = (Some(&who.person.id), household.id.as_str());
    let repository = app.noting(by, Some(&site), "household.member_end", object, &detail);
    if !repository.end_member(&household.id, &person, app.now()).await? {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
