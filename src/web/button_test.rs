//! Tests of alarm buttons: that one was tried, and whether it worked.

use crate::access::Who;
use crate::extract::{Json, Query, id, optional_name};
use crate::schema::{List, word};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::{Decision, Question, decide, is_staff_of};
use domain::device::DeviceKind;
use domain::drill::ButtonTest;
use domain::repository::Page;
use domain::role::Role;
use domain::{ButtonTestId, DeviceId, PersonId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;

/// The most rows of a page, and how many if it is not said.
const MOST: u32 = 500;
const USUAL: u32 = 100;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ButtonTestInput {
    device_id: String,
    worked: bool,
    note: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ButtonTestView {
    #[schema(value_type = String)]
    id: ButtonTestId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// In which role somebody tried it.
    #[schema(schema_with = word::<Role>)]
    role: Role,
    /// Who that was: those who hold a role in the site know each other.
    name: Option<String>,
    /// Whether a press has arrived.
    worked: bool,
    note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl ButtonTestView {
    fn new(test: ButtonTest, name: Option<String>) -> Self {
        let ButtonTest { id, site_id, device_id, role, worked, note, at, .. } = test;
        Self { id, site_id, device_id, role, name, worked, note, at }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    site_id: String,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// Rows, at most 500.
    limit: Option<u32>,
}

/// Note that a button was tried.
#[utoipa::path(post, path = "/api/v1/button-tests", tag = "incidents", operation_id = "create_button_test",
    request_body = ButtonTestInput, responses((status = 201, body = ButtonTestView), (status = 422)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<ButtonTestInput>,
) -> Result<(StatusCode, axum::Json<ButtonTestView>), Problem> {
    let none = || Problem::field("/device_id", "there is no such button where you are on duty");
    let device = DeviceId::parse(&input.device_id).ok_or_else(none)?;
    let device = app.repository().device(&device).await?.ok_or_else(none)?;
    let path = app.repository().scene().await?.path(&device.place_id);
    let question = Question::Respond(&device.site_id, &path);
    let Decision::Allow { role, .. } = decide(&who.standing, question, app.now()) else { return Err(none()) };
    if device.kind == DeviceKind::Door {
        return Err(Problem::field("/device_id", "it is a door; name an alarm button or a panel"));
    }
    let test = ButtonTest {
        id: ButtonTestId::from_random(token::random()),
        site_id: device.site_id,
        device_id: device.id,
        person_id: who.person.id.clone(),
        role,
        worked: input.worked,
        note: optional_name("/note", input.note.as_deref())?,
        at: app.now(),
    };
    let detail = json!({ "device": test.device_id, "worked": test.worked });
    let (by, site) = (Some(&test.person_id), Some(&test.site_id));
    app.noting(by, site, "button_test.create", test.id.as_str(), &detail).add_button_test(&test).await?;
    Ok((StatusCode::CREATED, axum::Json(ButtonTestView::new(test, Some(who.person.name.clone())))))
}

/// The ledger of button tests of a site, the newest first: for those who hold a role there.
#[utoipa::path(get, path = "/api/v1/button-tests", tag = "incidents", operation_id = "list_button_tests",
    params(Asked), responses((status = 200, body = List<ButtonTestView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<ButtonTestView>>, Problem> {
    let site = id(SiteId::parse, &asked.site_id)?;
    if !is_staff_of(&who.standing, &site, app.now()) {
        return Err(Problem::NotFound);
    }
    let cursor = asked.cursor.as_ref().map(|text| text.parse::<i64>());
    let after = cursor.transpose().map_err(|_| Problem::field("cursor", "it is not from a list's next"))?;
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let rows = app.repository().button_tests(&site, &Page { after, limit }).await?;
    let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
    let next = rows.last().filter(|_| full).map(|(seq, _)| seq.to_string());
    let mut names: HashMap<PersonId, Option<String>> = HashMap::new();
    let mut items = Vec::new();
    for (_, test) in rows {
        if !names.contains_key(&test.person_id) {
            let person = app.repository().person(&test.person_id).await?;
            names.insert(test.person_id.clone(), person.map(|person| person.name));
        }
        let name = names.get(&test.person_id).cloned().flatten();
        items.push(ButtonTestView::new(test, name));
    }
    Ok(axum::Json(List { items, next }))
}
