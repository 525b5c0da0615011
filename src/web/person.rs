//! People and their roles, as administrators see them; and who may see what.

use crate::access::Who;
use crate::extract::{Json, Path, Query, id};
use crate::schema::{List, next_after, word};
use crate::{App, Problem, renewal, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::{Decision, Denial, Question, Standing, decide_watch};
use domain::person::Person;
use domain::repository::People;
use domain::role::{Grant, Role};
use domain::{CameraId, GrantId, PersonId, SiteId, Timestamp, ZoneId};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfSite {
    pub(crate) site_id: String,
}

/// People a page, at most and if it is not said.
const MOST: u32 = 500;
const USUAL: u32 = 200;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PeopleFilter {
    site_id: String,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// People, at most 500.
    limit: Option<u32>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageFilter {
    /// From the last page's `next`.
    cursor: Option<String>,
    /// People that are looked at, at most 500.
    limit: Option<u32>,
}

/// A page of a site's people, and the cursor of the next one.
async fn people(
    app: &App,
    site: &SiteId,
    cursor: Option<String>,
    limit: Option<u32>,
) -> Result<(Vec<(Person, Standing)>, Option<String>), Problem> {
    let limit = limit.unwrap_or(USUAL).clamp(1, MOST);
    let people = app.repository().standings(site, &People { after: cursor, limit }).await?;
    let next = next_after(&people, limit, |(person, _)| person.login.clone());
    Ok((people, next))
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct AccountView {
    #[schema(value_type = String)]
    id: PersonId,
    login: String,
    name: String,
    disabled: bool,
}

/// Everybody who has anything to do with a site.
#[utoipa::path(get, path = "/api/v1/persons", tag = "rights", operation_id = "list_persons", params(PeopleFilter),
    responses((status = 200, body = List<AccountView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<PeopleFilter>,
) -> Result<axum::Json<List<AccountView>>, Problem> {
    let site = id(SiteId::parse, &filter.site_id)?;
    who.must_manage(&app, &site)?;
    let (people, next) = people(&app, &site, filter.cursor, filter.limit).await?;
    let views = people.into_iter().map(|(person, _)| AccountView {
        id: person.id,
        login: person.login,
        name: person.name,
        disabled: person.disabled,
    });
    Ok(axum::Json(List { items: views.collect(), next }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonPatch {
    /// A disabled account can do nothing; its sessions and keys end.
    disabled: bool,
}

/// Switch an account off or on. Owners do it: an account may belong to several sites.
#[utoipa::path(patch, path = "/api/v1/persons/{id}", tag = "rights", operation_id = "update_person",
    params(("id" = String, Path)), request_body = PersonPatch,
    responses((status = 204), (status = 403), (status = 404), (status = 409)))]
pub(crate) async fn update(
    State(app): State<App>,
    who: Who,
    Path(person): Path<String>,
    Json(patch): Json<PersonPatch>,
) -> Result<StatusCode, Problem> {
    if !who.may(&app, Question::ManageSites) {
        return Err(who.forbidden(&app, None));
    }
    let person = app.repository().person(&id(PersonId::parse, &person)?).await?.ok_or(Problem::NotFound)?;
    if person.id == who.person.id {
        return Err(Problem::Conflict("this is your own account; another owner must do it"));
    }
    let detail = json!({ "disabled": patch.disabled });
    app.noting(Some(&who.person.id), None, "person.update", person.id.as_str(), &detail)
        .set_disabled(&person.id, patch.disabled)
        .await?;
    app.changed();
    if patch.disabled {
        renewal::withdraw_of_person(&app, &who.person.id, &person.id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleInput {
    person_id: String,
    #[schema(schema_with = word::<Role>)]
    role: Role,
    site_id: String,
    /// Only in this zone of the site.
    zone_id: Option<String>,
    /// RFC 3339; now without it.
    from: Option<String>,
    /// RFC 3339; open without it.
    until: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct GrantView {
    #[schema(value_type = String)]
    id: GrantId,
    #[schema(value_type = String)]
    person_id: PersonId,
    #[schema(schema_with = word::<Role>)]
    role: Role,
    #[schema(value_type = Option<String>)]
    site_id: Option<SiteId>,
    /// Only in this zone.
    zone: Option<String>,
    #[schema(value_type = Option<String>)]
    zone_id: Option<ZoneId>,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        Self {
            id: grant.id,
            person_id: grant.person_id,
            role: grant.role,
            site_id: grant.site_id,
            zone_id: grant.zone.as_ref().map(|zone| zone.id.clone()),
            zone: grant.zone.map(|zone| zone.name),
            from: grant.from,
            until: grant.until,
        }
    }
}

/// Roles that are held for a site.
#[utoipa::path(get, path = "/api/v1/roles", tag = "rights", operation_id = "list_roles", params(OfSite),
    responses((status = 200, body = List<GrantView>), (status = 404)))]
pub(crate) async fn roles(
    State(app): State<App>,
    who: Who,
    Query(of): Query<OfSite>,
) -> Result<axum::Json<List<GrantView>>, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let grants = app.repository().grants(Some(&site)).await?;
    Ok(axum::Json(List::whole(grants.into_iter().map(GrantView::from).collect())))
}

/// Give a role for a site. Nobody makes an owner this way, and nobody a resident:
/// residents are the members of households.
#[utoipa::path(post, path = "/api/v1/roles", tag = "rights", operation_id = "create_role",
    request_body = RoleInput, responses((status = 201, body = GrantView), (status = 409)))]
pub(crate) async fn give(
    State(app): State<App>,
    who: Who,
    Json(input): Json<RoleInput>,
) -> Result<(StatusCode, axum::Json<GrantView>), Problem> {
    let no_site = || Problem::field("/site_id", "there is no such site");
    let site = SiteId::parse(&input.site_id).ok_or_else(no_site)?;
    app.repository().site(&site).await?.ok_or_else(no_site)?;
    who.must_manage(&app, &site).map_err(|why| if why == Problem::NotFound { no_site() } else { why })?;
    if matches!(input.role, Role::Owner | Role::Resident) {
        let hint = "an owner is made at setup, a resident by joining a household; choose another role";
        return Err(Problem::field("/role", hint));
    }
    // A new administrator or auditor is the owner's to name: nobody checks themselves.
    if matches!(input.role, Role::Administrator | Role::Auditor) && !who.may(&app, Question::ManageSites) {
        return Err(who.forbidden(&app, Some(&site)));
    }
    if input.person_id == who.person.id.as_str() && !who.may(&app, Question::ManageSites) {
        return Err(Problem::Conflict(
            "nobody gives themselves a role; an owner or another administrator must do it",
        ));
    }
    let no_person = || Problem::field("/person_id", "there is no such person");
    let person = PersonId::parse(&input.person_id).ok_or_else(no_person)?;
    let person = app.repository().person(&person).await?.ok_or_else(no_person)?;
    let now = app.now();
    let wrong = || Problem::field("/from", "it is a time, in RFC 3339");
    let from = input.from.map(|text| Timestamp::parse(&text).ok_or_else(wrong)).transpose()?;
    // A role is not held before somebody gave it.
    let from = from.unwrap_or(now).max(now);
    let wrong = || Problem::field("/until", "it is a time after now and after from, in RFC 3339");
    let until =
        input.until.map(|text| Timestamp::parse(&text).filter(|until| *until > from).ok_or_else(wrong));
    let zone = match &input.zone_id {
        None => None,
        // What they manage and audit is the site: a zone would promise less than they can do.
        Some(_) if matches!(input.role, Role::Administrator | Role::Auditor) => {
            let hint = "administrators and auditors are for the whole site; leave it out";
            return Err(Problem::field("/zone_id", hint));
        }
        Some(text) => {
            let none = || Problem::field("/zone_id", "there is no such zone in this site");
            let zone = ZoneId::parse(text).ok_or_else(none)?;
            let zone = app.repository().zone(&zone).await?.filter(|zone| zone.site_id == site);
            Some(zone.ok_or_else(none)?)
        }
    };
    let grant = Grant {
        id: GrantId::from_random(token::random()),
        person_id: person.id,
        role: input.role,
        site_id: Some(site),
        zone,
        from,
        until: until.transpose()?,
    };
    let detail = json!({ "person": grant.person_id, "role": grant.role, "zone": grant.zone.as_ref().map(|zone| &zone.id),
        "from": grant.from, "until": grant.until });
    app.noting(Some(&who.person.id), grant.site_id.as_ref(), "role.give", grant.id.as_str(), &detail)
        .add_grant(&grant)
        .await?;
    app.changed();
    Ok((StatusCode::CREATED, axum::Json(grant.into())))
}

/// End a role now.
#[utoipa::path(delete, path = "/api/v1/roles/{id}", tag = "rights", operation_id = "end_role",
    params(("id" = String, Path), OfSite), responses((status = 204), (status = 404)))]
pub(crate) async fn end(
    State(app): State<App>,
    who: Who,
    Path(role): Path<String>,
    Query(of): Query<OfSite>,
) -> Result<StatusCode, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    who.must_manage(&app, &site)?;
    let role = id(GrantId::parse, &role)?;
    let held = app.repository().grants(Some(&site)).await?;
    let held = held.into_iter().find(|grant| grant.id == role).ok_or(Problem::NotFound)?;
    if matches!(held.role, Role::Administrator | Role::Auditor) && !who.may(&app, Question::ManageSites) {
        return Err(who.forbidden(&app, Some(&site)));
    }
    if !app
        .noting(Some(&who.person.id), Some(&site), "role.end", role.as_str(), &json!({}))
        .end_grant(&role, app.now())
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody who may watch a camera.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ViewerView {
    #[schema(value_type = String)]
    person_id: PersonId,
    name: String,
    #[schema(schema_with = word::<Role>)]
    role: Role,
    /// When the permission ends by itself, if that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// Who can see this camera, now. A page may hold fewer people than were looked at.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/viewers-allowed", tag = "rights",
    operation_id = "list_viewers_allowed", params(("id" = String, Path), PageFilter),
    responses((status = 200, body = List<ViewerView>), (status = 404)))]
pub(crate) async fn viewers_allowed(
    State(app): State<App>,
    who: Who,
    Path(camera): Path<String>,
    Query(filter): Query<PageFilter>,
) -> Result<axum::Json<List<ViewerView>>, Problem> {
    let camera = app.repository().camera(&id(CameraId::parse, &camera)?).await?.ok_or(Problem::NotFound)?;
    who.must_manage(&app, &camera.site_id)?;
    let (scene, now) = (app.repository().scene().await?, app.now());
    let (people, next) = people(&app, &camera.site_id, filter.cursor, filter.limit).await?;
    let allowed = people.into_iter().filter_map(|(person, standing)| {
        match decide_watch(&standing, &camera, &scene, now) {
            Decision::Allow { role, until } => {
                Some(ViewerView { person_id: person.id, name: person.name, role, until })
            }
            Decision::Deny(_) => None,
        }
    });
    Ok(axum::Json(List { items: allowed.collect(), next }))
}

/// A camera as somebody else sees it, or why they do not.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct SightView {
    #[schema(value_type = String)]
    camera_id: CameraId,
    name: String,
    allowed: bool,
    /// Why not.
    #[schema(value_type = Option<String>)]
    denial: Option<Denial>,
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// See as this person: every camera that one manages, and whether they may watch it.
#[utoipa::path(get, path = "/api/v1/persons/{id}/cameras", tag = "rights", operation_id = "list_persons_cameras",
    params(("id" = String, Path)), responses((status = 200, body = List<SightView>), (status = 404)))]
pub(crate) async fn see_as(
    State(app): State<App>,
    who: Who,
    Path(person): Path<String>,
) -> Result<axum::Json<List<SightView>>, Problem> {
    let person = id(PersonId::parse, &person)?;
    let standing = app.repository().standing(&person).await?.ok_or(Problem::NotFound)?;
    let sites = standing.grants.iter().filter_map(|grant| grant.site_id.as_ref());
    let sites = sites.chain(standing.memberships.iter().map(|membership| &membership.site_id));
    let mut sites = sites.chain(standing.approvals.iter().map(|approval| &approval.site_id));
    // Somebody of another site is nobody here.
    if !who.may(&app, Question::ManageSites) && !sites.any(|site| who.may(&app, Question::Manage(site))) {
        return Err(Problem::NotFound);
    }
    let (scene, now) = (app.repository().scene().await?, app.now());
    let cameras = app.repository().cameras().await?;
    let managed = cameras.into_iter().filter(|camera| who.may(&app, Question::Manage(&camera.site_id)));
    let views = managed.map(|camera| {
        let (denial, until) = match decide_watch(&standing, &camera, &scene, now) {
            Decision::Allow { until, .. } => (None, until),
            Decision::Deny(why) => (Some(why), None),
        };
        SightView { camera_id: camera.id, name: camera.name, allowed: denial.is_none(), denial, until }
    });
    Ok(axum::Json(List::whole(views.collect())))
}
