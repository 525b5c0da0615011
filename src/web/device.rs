//! Devices and their tokens.

use crate::access::Who;
use crate::extract::{Json, Path, id, name};
use crate::schema::{List, word};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::Question;
use domain::device::{Device, DeviceKind};
use domain::{DeviceId, PlaceId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceInput {
    /// Where it is; the site is the place's.
    place_id: String,
    name: String,
    #[schema(schema_with = word::<DeviceKind>)]
    kind: DeviceKind,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct DeviceView {
    #[schema(value_type = String)]
    id: DeviceId,
    #[schema(value_type = String)]
    site_id: SiteId,
    #[schema(value_type = String)]
    place_id: PlaceId,
    name: String,
    #[schema(schema_with = word::<DeviceKind>)]
    kind: DeviceKind,
    /// Whether it has been given a token.
    has_token: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A device's new token: the only time that it is shown.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ShownToken {
    token: String,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        let Device { id, site_id, place_id, name, kind, token_hash, created_at } = device;
        Self { id, site_id, place_id, name, kind, has_token: token_hash.is_some(), created_at }
    }
}

/// All devices.
#[utoipa::path(get, path = "/api/v1/devices", tag = "events", operation_id = "list_devices",
    responses((status = 200, body = List<DeviceView>)))]
pub(crate) async fn list(State(app): State<App>, who: Who) -> Result<axum::Json<List<DeviceView>>, Problem> {
    let devices = app.repository().devices().await?;
    let managed = devices.into_iter().filter(|device| who.may(&app, Question::Manage(&device.site_id)));
    Ok(axum::Json(List::whole(managed.map(DeviceView::from).collect())))
}

/// Register a device.
#[utoipa::path(post, path = "/api/v1/devices", tag = "events", operation_id = "create_device",
    request_body = DeviceInput, responses((status = 201, body = DeviceView)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<DeviceInput>,
) -> Result<(StatusCode, axum::Json<DeviceView>), Problem> {
    let no_place = || Problem::field("/place_id", "there is no such place");
    let place_id = PlaceId::parse(&input.place_id).ok_or_else(no_place)?;
    let place = app.repository().place(&place_id).await?.ok_or_else(no_place)?;
    who.must_manage(&app, &place.site_id)
        .map_err(|why| if why == Problem::NotFound { no_place() } else { why })?;
    let device = Device {
        id: DeviceId::from_random(token::random()),
        site_id: place.site_id,
        place_id,
        name: name("/name", &input.name)?,
        kind: input.kind,
        token_hash: None,
        created_at: app.now(),
    };
    app.noting(Some(&who.person.id), Some(&device.site_id), "device.create", device.id.as_str(), &json!({}))
        .add_device(&device)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(device.into())))
}

/// Give a device a new token; the old one ends.
#[utoipa::path(post, path = "/api/v1/devices/{id}/token", tag = "events", operation_id = "new_device_token", params(("id" = String, Path)),
    responses((status = 201, body = ShownToken), (status = 404)))]
pub(crate) async fn new_token(
    State(app): State<App>,
    who: Who,
    Path(device): Path<String>,
) -> Result<(StatusCode, axum::Json<ShownToken>), Problem> {
    let token = token::new();
    let device = id(DeviceId::parse, &device)?;
    let known = app.repository().device(&device).await?.ok_or(Problem::NotFound)?;
    who.must_manage(&app, &known.site_id)?;
    if !app
        .noting(Some(&who.person.id), Some(&known.site_id), "device.token", device.as_str(), &json!({}))
        .set_device_token(&device, &token::hash(&token))
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.known_devices.forget_device(&device);
    Ok((StatusCode::CREATED, axum::Json(ShownToken { token })))
}
