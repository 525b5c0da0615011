//! Joint-defence groups: made by administrators, joined by households of their own
//! free will, left whenever they want.

use crate::access::Who;
use crate::extract::{Json, Path, Query, id, name};
use crate::schema::List;
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::{Question, is_staff_of};
use domain::group::{Group, Member};
use domain::incident::repository::Joined;
use domain::{GroupId, HouseholdId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InSite {
    site_id: String,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupInput {
    site_id: String,
    name: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct GroupView {
    #[schema(value_type = String)]
    id: GroupId,
    #[schema(value_type = String)]
    site_id: SiteId,
    name: String,
    /// Whether alarms reach its members: from 5 to 20 households.
    active: bool,
    households: usize,
    /// Whether one's own household belongs to it.
    joined: bool,
    /// The households, for each other and for those on duty.
    members: Vec<GroupMemberView>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct GroupMemberView {
    #[schema(value_type = String)]
    household_id: HouseholdId,
    /// What is on the door.
    unit: String,
    #[schema(value_type = String, format = DateTime)]
    consented_at: Timestamp,
}

/// Whether `who` lives in this household now.
fn lives_in(app: &App, who: &Who, household: &HouseholdId) -> bool {
    let now = app.now();
    who.standing.memberships.iter().any(|home| home.household_id == *household && home.in_force(now))
}

fn view(app: &App, who: &Who, group: Group) -> GroupView {
    let joined = group.members.iter().any(|member| lives_in(app, who, &member.household_id));
    let shown = joined || is_staff_of(&who.standing, &group.site_id, app.now());
    let (active, households) = (group.is_active(), group.members.len());
    let member = |Member { household_id, unit, consented_at, .. }| GroupMemberView {
        household_id,
        unit,
        consented_at,
    };
    GroupView {
        id: group.id,
        site_id: group.site_id,
        name: group.name,
        active,
        households,
        joined,
        members: group.members.into_iter().filter(|_| shown).map(member).collect(),
    }
}

async fn find(app: &App, who: &Who, text: &str) -> Result<Group, Problem> {
    let group = app.repository().group(&id(GroupId::parse, text)?, app.now()).await?;
    let group = group.filter(|group| group.ended_at.is_none()).ok_or(Problem::NotFound)?;
    if who.may(app, Question::SeeSite(&group.site_id)) { Ok(group) } else { Err(Problem::NotFound) }
}

/// The groups of a site.
#[utoipa::path(get, path = "/api/v1/groups", tag = "incidents", operation_id = "list_groups", params(InSite),
    responses((status = 200, body = List<GroupView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(of): Query<InSite>,
) -> Result<axum::Json<List<GroupView>>, Problem> {
    let site = id(SiteId::parse, &of.site_id)?;
    if !who.may(&app, Question::SeeSite(&site)) {
        return Err(Problem::NotFound);
    }
    let groups = app.repository().groups(&site, app.now()).await?;
    Ok(axum::Json(List::whole(groups.into_iter().map(|group| view(&app, &who, group)).collect())))
}

/// One group.
#[utoipa::path(get, path = "/api/v1/groups/{id}", tag = "incidents", operation_id = "get_group",
    params(("id" = String, Path)), responses((status = 200, body = GroupView), (status = 404)))]
pub(crate) async fn get(
    State(app): State<App>,
    who: Who,
    Path(group): Path<String>,
) -> Result<axum::Json<GroupView>, Problem> {
    let group = find(&app, &who, &group).await?;
    Ok(axum::Json(view(&app, &who, group)))
}

/// Make a group. Nobody belongs to it until a household consents.
#[utoipa::path(post, path = "/api/v1/groups", tag = "incidents", operation_id = "create_group",
    request_body = GroupInput, responses((status = 201, body = GroupView), (status = 422)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<GroupInput>,
) -> Result<(StatusCode, axum::Json<GroupView>), Problem> {
    let no_site = || Problem::field("/site_id", "there is no such site");
    let site_id = SiteId::parse(&input.site_id).ok_or_else(no_site)?;
    app.repository().site(&site_id).await?.ok_or_else(no_site)?;
    who.must_manage(&app, &site_id).map_err(|why| if why == Problem::NotFound { no_site() } else { why })?;
    let group = Group {
        id: GroupId::from_random(token::random()),
        site_id,
        name: name("/name", &input.name)?,
        created_at: app.now(),
        ended_at: None,
        members: Vec::new(),
    };
    let (by, site, detail) = (Some(&who.person.id), Some(&group.site_id), json!({ "name": group.name }));
    app.noting(by, site, "group.create", group.id.as_str(), &detail).add_group(&group).await?;
    Ok((StatusCode::CREATED, axum::Json(view(&app, &who, group))))
}

/// Dissolve a group.
#[utoipa::path(delete, path = "/api/v1/groups/{id}", tag = "incidents", operation_id = "delete_group",
    params(("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(group): Path<String>,
) -> Result<StatusCode, Problem> {
    let group = find(&app, &who, &group).await?;
    who.must_manage(&app, &group.site_id)?;
    let (by, site) = (Some(&who.person.id), Some(&group.site_id));
    let repository = app.noting(by, site, "group.end", group.id.as_str(), &json!({}));
    if !repository.end_group(&group.id, app.now()).await? {
        return Err(Problem::NotFound);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsentInput {
    /// One's own household.
    household_id: String,
    /// That the household wants to receive its neighbours' alarms, and that they receive its.
    consent: bool,
}

/// Consent, for one's own household, to belong to a group.
#[utoipa::path(post, path = "/api/v1/groups/{id}/members", tag = "incidents", operation_id = "join_group",
    params(("id" = String, Path)), request_body = ConsentInput,
    responses((status = 201, body = GroupView), (status = 404), (status = 409)))]
pub(crate) async fn join(
    State(app): State<App>,
    who: Who,
    Path(group): Path<String>,
    Json(input): Json<ConsentInput>,
) -> Result<(StatusCode, axum::Json<GroupView>), Problem> {
    let group = find(&app, &who, &group).await?;
    if !input.consent {
        return Err(Problem::field("/consent", "it is true: without consent nobody belongs to a group"));
    }
    let none = || Problem::field("/household_id", "you do not belong to such a household in this site");
    let household = HouseholdId::parse(&input.household_id).ok_or_else(none)?;
    let now = app.now();
    // Nobody consents for others, not even an administrator.
    let own =
        who.standing.memberships.iter().find(|home| home.household_id == household && home.in_force(now));
    own.filter(|home| home.site_id == group.site_id).ok_or_else(none)?;
    let detail = json!({ "household": household, "consent": true });
    let by = &who.person.id;
    let repository = app.noting(Some(by), Some(&group.site_id), "group.join", group.id.as_str(), &detail);
    match repository.join_group(&group.id, &household, by, now).await? {
        Joined::Joined => {}
        Joined::Already => return Err(Problem::Conflict("your household belongs to it already")),
        Joined::Full => {
            return Err(Problem::Conflict("it has 20 households, as many as it may; ask for another group"));
        }
    }
    let group = find(&app, &who, group.id.as_str()).await?;
    Ok((StatusCode::CREATED, axum::Json(view(&app, &who, group))))
}

/// Leave a group, at any time and without a reason.
#[utoipa::path(delete, path = "/api/v1/groups/{id}/members/{household}", tag = "incidents",
    operation_id = "leave_group", params(("id" = String, Path), ("household" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn leave(
    State(app): State<App>,
    who: Who,
    Path((group, household)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let group = find(&app, &who, &group).await?;
    let household = id(HouseholdId::parse, &household)?;
    if !lives_in(&app, &who, &household) {
        who.must_manage(&app, &group.site_id)?;
    }
    let detail = json!({ "household": household });
    let (by, site) = (Some(&who.person.id), Some(&group.site_id));
    let repository = app.noting(by, site, "group.leave", group.id.as_str(), &detail);
    if !repository.leave_group(&group.id, &household, app.now()).await? {
        return Err(Problem::NotFound);
    }
    Ok(StatusCode::NO_CONTENT)
}
