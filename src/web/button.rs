//! Alarm buttons: which there are, when each has worked last, and trying one.

use crate::access::Who;
use crate::extract::{Json, Path, Query, id};
use crate::schema::{List, word};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::{Decision, Question, decide, is_staff_of};
use domain::device::{Device, DeviceKind};
use domain::drill::{Trial, is_overdue};
use domain::role::Role;
use domain::{ButtonTestId, DeviceId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ButtonView {
    #[schema(value_type = String)]
    id: DeviceId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    place_id: PlaceId,
    name: String,
    #[schema(schema_with = word::<DeviceKind>)]
    kind: DeviceKind,
    /// When a test of it has worked last.
    #[schema(value_type = Option<String>, format = DateTime)]
    worked_at: Option<Timestamp>,
    /// Whether that is longer ago than a month, or since it came.
    overdue: bool,
    /// Until when its next press is a test, while it is being tried.
    #[schema(value_type = Option<String>, format = DateTime)]
    testing_until: Option<Timestamp>,
    /// The test that goes on: what becomes of it is in the ledger under this id, unless somebody ends it.
    #[schema(value_type = Option<String>)]
    testing_id: Option<ButtonTestId>,
    /// Whether the one who asks may try it.
    may_test: bool,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InSite {
    site_id: String,
}

fn view(
    device: Device,
    worked_at: Option<Timestamp>,
    trial: Option<&Trial>,
    may_test: bool,
    now: Timestamp,
) -> ButtonView {
    let trial = trial.filter(|trial| trial.goes_on(now));
    ButtonView {
        overdue: is_overdue(worked_at, device.created_at, now),
        id: device.id,
        site_id: device.site_id,
        place_id: device.place_id,
        name: device.name,
        kind: device.kind,
        worked_at,
        testing_until: trial.map(|trial| trial.until),
        testing_id: trial.map(|trial| trial.id.clone()),
        may_test,
    }
}

/// The alarm buttons and panels of a site, with when each has worked last: for those who hold a role there.
#[utoipa::path(get, path = "/api/v1/buttons", tag = "incidents", operation_id = "list_buttons",
    params(InSite), responses((status = 200, body = List<ButtonView>), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(of): Query<InSite>,
) -> Result<axum::Json<List<ButtonView>>, Problem> {
    let (site, now) = (id(SiteId::parse, &of.site_id)?, app.now());
    if !is_staff_of(&who.standing, &site, now) {
        return Err(Problem::NotFound);
    }
    let (repository, scene) = (app.repository(), app.repository().scene().await?);
    let (worked, trials) = (repository.buttons_worked(&site).await?, repository.trials(&site).await?);
    let devices = repository.devices().await?.into_iter();
    let buttons = devices.filter(|device| device.site_id == site && device.kind != DeviceKind::Door);
    let items = buttons.map(|device| {
        let path = scene.path(&device.place_id);
        let responds = decide(&who.standing, Question::Respond(&site, &path), now).is_allowed();
        let may_test = responds && device.kind == DeviceKind::Button;
        let trial = trials.iter().find(|trial| trial.device_id == device.id);
        let worked_at = worked.get(&device.id).copied();
        view(device, worked_at, trial, may_test, now)
    });
    Ok(axum::Json(List::whole(items.collect())))
}

/// The button of that id that this person may try, and in which role.
async fn find(app: &App, who: &Who, text: &str) -> Result<(Device, Role), Problem> {
    let device = app.repository().device(&id(DeviceId::parse, text)?).await?;
    let scene = app.repository().scene().await?;
    let device = device.filter(|device| device.kind != DeviceKind::Door).ok_or(Problem::NotFound)?;
    let path = scene.path(&device.place_id);
    match decide(&who.standing, Question::Respond(&device.site_id, &path), app.now()) {
        Decision::Allow { role, .. } => Ok((device, role)),
        Decision::Deny(_) => Err(Problem::NotFound),
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrialInput {
    /// For how many minutes its next press is a test, 15 at most.
    minutes: u8,
}

/// Try a button: its next press within that time is a test and raises no incident. Every press
/// after it is an alarm again.
#[utoipa::path(post, path = "/api/v1/buttons/{id}/test", tag = "incidents", operation_id = "begin_button_test",
    params(("id" = String, Path)), request_body = TrialInput,
    responses((status = 201, body = ButtonView), (status = 404), (status = 409), (status = 422)))]
pub(crate) async fn begin(
    State(app): State<App>,
    who: Who,
    Path(button): Path<String>,
    Json(input): Json<TrialInput>,
) -> Result<(StatusCode, axum::Json<ButtonView>), Problem> {
    let (device, role) = find(&app, &who, &button).await?;
    if !(1..=Trial::MINUTES).contains(&input.minutes) {
        return Err(Problem::field("/minutes", "it is from 1 to 15; nobody forgets a test of that length"));
    }
    if device.kind == DeviceKind::Panel || !device.parts.is_empty() {
        // What it tells next may be a fire, or somebody in another flat.
        return Err(Problem::Conflict(
            "it is a panel or has parts, and its next alarm may be real; try it as its manual says, and note whether it worked",
        ));
    }
    let now = app.now();
    let trial = Trial {
        id: ButtonTestId::from_random(token::random()),
        site_id: device.site_id.clone(),
        device_id: device.id.clone(),
        person_id: who.person.id.clone(),
        role,
        from: now,
        until: now.after(Duration::from_secs(u64::from(input.minutes) * 60)),
    };
    let detail = json!({ "device": trial.device_id, "minutes": input.minutes });
    let (by, site) = (Some(&trial.person_id), Some(&trial.site_id));
    let begun =
        app.noting(by, site, "button_test.begin", trial.id.as_str(), &detail).begin_trial(&trial).await?;
    if !begun {
        return Err(Problem::Conflict("somebody tries this button already; wait until that has ended"));
    }
    let worked_at = app.repository().buttons_worked(&device.site_id).await?.get(&device.id).copied();
    Ok((StatusCode::CREATED, axum::Json(view(device, worked_at, Some(&trial), true, now))))
}

/// End a test before its button was pressed: the next press is an alarm again.
#[utoipa::path(delete, path = "/api/v1/buttons/{id}/test", tag = "incidents", operation_id = "end_button_test",
    params(("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn end(
    State(app): State<App>,
    who: Who,
    Path(button): Path<String>,
) -> Result<StatusCode, Problem> {
    let (device, _) = find(&app, &who, &button).await?;
    let (by, site) = (Some(&who.person.id), Some(&device.site_id));
    let noting = app.noting(by, site, "button_test.stop", device.id.as_str(), &json!({}));
    if noting.end_trial(&device.id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::NotFound) }
}
