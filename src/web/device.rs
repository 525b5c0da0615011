//! Devices and their tokens.

use crate::access::Who;
use crate::extract::{Json, Path, fields, id, merged, name};
use crate::schema::{List, word};
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::access::Question;
use domain::device::{Device, DeviceKind, PARTS, Part, Pull};
use domain::place::Place;
use domain::{DeviceId, HouseholdId, PlaceId, Secret, SiteId, Timestamp, repository};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use url::Url;

/// The longest topic, in bytes.
const TOPIC: usize = 200;
/// The longest name of a part, in bytes: as long as a source may be.
const PART: usize = 200;
/// The longest user name or password, in bytes.
const LOGIN: usize = 128;

#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceInput {
    /// Where it is; the site is the place's.
    place_id: String,
    name: String,
    #[schema(schema_with = word::<DeviceKind>)]
    kind: DeviceKind,
    /// The household in whose home it is, if it is in one: its alarms are theirs, and go to the
    /// neighbours of their group.
    #[serde(default)]
    household_id: Option<String>,
    /// Doors of a controller or inputs of a panel that are somewhere of their own. If there are
    /// any, residents are not shown what happens at others of them.
    #[serde(default)]
    parts: Vec<PartInput>,
    /// The MQTT topic that names it, if it tells by the broker: `zigbee2mqtt/NAME`, or what
    /// stands before `/onvif-ej/`.
    #[serde(default)]
    mqtt_topic: Option<String>,
    /// Where its alerts are fetched, if it does not send them (Hikvision's alertStream).
    #[serde(default)]
    pull: Option<PullInput>,
}

/// A part of a device and where it is.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartInput {
    /// `door/3` or `input/3` of Hikvision and ZKTeco devices; the `source` of CloudEvents; for
    /// others what the lists of events say.
    part: String,
    /// Where it is, in the same site.
    place_id: String,
    /// What people call it.
    #[serde(default)]
    name: Option<String>,
    /// The household in whose home it is, if it is another than the device's.
    #[serde(default)]
    household_id: Option<String>,
}

/// The address and login that a device's alerts are fetched with.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PullInput {
    /// `http://host[:port]`, or with `https`.
    url: String,
    username: String,
    /// Write only. It stays if it is not sent and address and user name are what they were.
    #[serde(default)]
    #[schema(format = Password, write_only)]
    password: Option<String>,
}

/// The same without the password.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PullView {
    url: String,
    username: String,
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
    #[schema(value_type = Option<String>)]
    household_id: Option<HouseholdId>,
    parts: Vec<PartInput>,
    /// Whether it has been given a token.
    has_token: bool,
    mqtt_topic: Option<String>,
    pull: Option<PullView>,
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
        let Device { id, site_id, place_id, household_id, name, kind, token_hash, mqtt_topic, .. } = device;
        let (pull, parts, created_at) = (device.pull, device.parts, device.created_at);
        let pull = pull.map(|Pull { url, username, .. }| PullView { url, username });
        Self {
            id,
            site_id,
            place_id,
            name,
            kind,
            household_id,
            parts: parts.iter().map(PartInput::of).collect(),
            has_token: token_hash.is_some(),
            mqtt_topic,
            pull,
            created_at,
        }
    }
}

impl DeviceInput {
    fn of(device: &Device) -> Self {
        let pull = device.pull.as_ref();
        Self {
            place_id: device.place_id.to_string(),
            name: device.name.clone(),
            kind: device.kind,
            household_id: device.household_id.as_ref().map(HouseholdId::to_string),
            parts: device.parts.iter().map(PartInput::of).collect(),
            mqtt_topic: device.mqtt_topic.clone(),
            pull: pull.map(|pull| PullInput {
                url: pull.url.clone(),
                username: pull.username.clone(),
                password: None,
            }),
        }
    }

    /// `device` as this describes it.
    async fn apply(self, app: &App, who: &Who, device: &mut Device) -> Result<(), Problem> {
        let place = place(app, who, &self.place_id).await?;
        (device.site_id, device.place_id) = (place.site_id, place.id);
        device.household_id = household(app, &device.site_id, "/household_id", self.household_id).await?;
        device.parts = parts(app, &device.site_id, self.parts).await?;
        device.name = name("/name", &self.name)?;
        device.kind = self.kind;
        let said = self.mqtt_topic.filter(|topic| !topic.is_empty());
        device.mqtt_topic = said.map(topic).transpose()?;
        device.pull = self.pull.map(|input| pull(app, input, device.pull.as_ref())).transpose()?;
        Ok(())
    }
}

/// The place of that id, if this person manages its site.
async fn place(app: &App, who: &Who, text: &str) -> Result<Place, Problem> {
    let no_place = || Problem::field("/place_id", "there is no such place");
    let place_id = PlaceId::parse(text).ok_or_else(no_place)?;
    let place = app.repository().place(&place_id).await?.ok_or_else(no_place)?;
    who.must_manage(app, &place.site_id)
        .map_err(|why| if why == Problem::NotFound { no_place() } else { why })?;
    Ok(place)
}

impl PartInput {
    fn of(part: &Part) -> Self {
        Self {
            part: part.part.clone(),
            place_id: part.place_id.to_string(),
            name: part.name.clone(),
            household_id: part.household_id.as_ref().map(HouseholdId::to_string),
        }
    }
}

/// The household of that id, if it lives in that site now.
async fn household(
    app: &App,
    site: &SiteId,
    pointer: &str,
    text: Option<String>,
) -> Result<Option<HouseholdId>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let none = || Problem::field(pointer, "no such household lives in the site of the device");
    let id = HouseholdId::parse(&text).ok_or_else(none)?;
    let household = app.repository().household(&id).await?.ok_or_else(none)?;
    let unit = app.repository().unit(&household.unit_id).await?.ok_or_else(none)?;
    let lives_there = unit.site_id == *site && household.until.is_none_or(|until| until > app.now());
    if lives_there { Ok(Some(id)) } else { Err(none()) }
}

/// Each part once, somewhere in the site.
async fn parts(app: &App, site: &SiteId, inputs: Vec<PartInput>) -> Result<Vec<Part>, Problem> {
    if inputs.len() > PARTS {
        return Err(Problem::field("/parts", format!("these are more than {PARTS}")));
    }
    let (mut parts, mut seen) = (Vec::new(), HashSet::new());
    for (n, input) in inputs.into_iter().enumerate() {
        let pointer = |field: &str| format!("/parts/{n}/{field}");
        let part = input.part.trim().to_owned();
        if part.is_empty() || part.len() > PART || part.chars().any(char::is_control) {
            return Err(Problem::field(&pointer("part"), "it is 1 to 200 bytes, like door/3 or input/3"));
        }
        if !seen.insert(part.clone()) {
            return Err(Problem::field(&pointer("part"), "it is there twice; each part is at one place"));
        }
        let none =
            || Problem::field(&pointer("place_id"), "there is no such place in the site of the device");
        let place_id = PlaceId::parse(&input.place_id).ok_or_else(none)?;
        let place = app.repository().place(&place_id).await?.filter(|place| place.site_id == *site);
        let place_id = place.ok_or_else(none)?.id;
        let said = input.name.filter(|text| !text.trim().is_empty());
        let name = said.map(|text| name(&pointer("name"), &text)).transpose()?;
        let household_id = household(app, site, &pointer("household_id"), input.household_id).await?;
        parts.push(Part { part, name, place_id, household_id });
    }
    parts.sort_by(|a, b| a.part.cmp(&b.part));
    Ok(parts)
}

/// One topic, which is no pattern.
fn topic(text: String) -> Result<String, Problem> {
    let wrong = text.len() > TOPIC
        || text.starts_with(['$', '/'])
        || text.ends_with('/')
        || text.chars().any(|c| c.is_control() || matches!(c, '#' | '+'));
    if wrong {
        let hint = "it is one topic of at most 200 bytes, like zigbee2mqtt/NAME, without # and +";
        return Err(Problem::field("/mqtt_topic", hint));
    }
    Ok(text)
}

/// Checks where alerts are fetched. A password goes only where it was written for.
fn pull(app: &App, input: PullInput, kept: Option<&Pull>) -> Result<Pull, Problem> {
    let PullInput { url, username, password } = input;
    let wrong =
        || Problem::field("/pull/url", "it is no address of a device; write http://host or http://host:port");
    let url = Url::parse(url.trim()).map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.password().is_none();
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !plain || !bare {
        return Err(wrong());
    }
    app.parts.fleet.policy().check_host(&url).map_err(|why| Problem::field("/pull/url", why.to_string()))?;
    let url = url.to_string();
    let fits = |text: &str| !text.is_empty() && text.len() <= LOGIN && !text.chars().any(char::is_control);
    let hint = "at most 128 bytes, without control characters";
    if !fits(&username) || username.contains(':') {
        return Err(Problem::field("/pull/username", hint));
    }
    let password = match (password, kept) {
        (Some(password), _) if fits(&password) => Secret::new(password),
        (Some(_), _) => return Err(Problem::field("/pull/password", hint)),
        (None, Some(kept)) if kept.url == url && kept.username == username => kept.password.clone(),
        (None, Some(_)) => {
            let hint = "it goes to another address, or readably: write the password again";
            return Err(Problem::field("/pull/password", hint));
        }
        (None, None) => return Err(Problem::field("/pull/password", "it is missing")),
    };
    Ok(Pull { url, username, password })
}

/// No two devices are one: the topic is the only name that must be one device's alone.
fn taken(error: repository::Error) -> Problem {
    match error {
        repository::Error::Exists => {
            Problem::field("/mqtt_topic", "it is another device's; each has a topic of its own")
        }
        other => other.into(),
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
    let place = place(&app, &who, &input.place_id).await?;
    let mut device = Device {
        id: DeviceId::from_random(token::random()),
        site_id: place.site_id,
        place_id: place.id,
        household_id: None,
        parts: Vec::new(),
        name: String::new(),
        kind: input.kind,
        token_hash: None,
        mqtt_topic: None,
        pull: None,
        created_at: app.now(),
    };
    input.apply(&app, &who, &mut device).await?;
    app.noting(Some(&who.person.id), Some(&device.site_id), "device.create", device.id.as_str(), &json!({}))
        .add_device(&device)
        .await
        .map_err(taken)?;
    app.changed();
    Ok((StatusCode::CREATED, axum::Json(device.into())))
}

/// Change a device. Its token stays.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "events", operation_id = "update_device",
    params(("id" = String, Path)), request_body(content = ref("#/components/schemas/DevicePatch")),
    responses((status = 200, body = DeviceView), (status = 404)))]
pub(crate) async fn update(
    State(app): State<App>,
    who: Who,
    Path(device): Path<String>,
    Json(patch): Json<Value>,
) -> Result<axum::Json<DeviceView>, Problem> {
    let device = id(DeviceId::parse, &device)?;
    let mut device = app.repository().device(&device).await?.ok_or(Problem::NotFound)?;
    who.must_manage(&app, &device.site_id)?;
    let changed = fields(&patch);
    merged(&DeviceInput::of(&device), patch)?.apply(&app, &who, &mut device).await?;
    if !app
        .noting(Some(&who.person.id), Some(&device.site_id), "device.update", device.id.as_str(), &changed)
        .update_device(&device)
        .await
        .map_err(taken)?
    {
        return Err(Problem::NotFound);
    }
    app.known_devices.forget_device(&device.id);
    app.inputs.forget(&device.id);
    app.changed();
    Ok(axum::Json(device.into()))
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
