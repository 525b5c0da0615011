//! What an administrator writes about a camera, checked.

use crate::access::Who;
use crate::error::Wrong;
use crate::extract;
use crate::schema::word;
use crate::{App, Problem};
use domain::camera::{Camera, Position, Pull, Retention, Transport, Visibility};
use domain::place::Place;
use domain::{CameraId, PlaceId, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CameraInput {
    /// Where it stands; the site is the place's.
    place_id: String,
    name: String,
    /// `rtsp://host[:port]/path` of the full picture. Credentials in it are moved to their fields.
    main_url: String,
    /// The same for the small picture.
    #[serde(default)]
    sub_url: Option<String>,
    #[serde(default)]
    username: Option<String>,
    /// Write only.
    #[serde(default)]
    #[schema(format = Password, write_only)]
    password: Option<String>,
    /// Whether the password may be sent readably (HTTP Basic) to this camera.
    #[serde(default)]
    allow_basic: bool,
    #[serde(default = "tcp")]
    #[schema(schema_with = word::<Transport>)]
    transport: Transport,
    #[serde(default = "on_demand")]
    #[schema(schema_with = word::<Pull>)]
    pull: Pull,
    /// What it is there for.
    purpose: String,
    /// Who answers for it.
    responsible_unit: String,
    #[serde(default = "patrol")]
    #[schema(schema_with = word::<Visibility>)]
    visibility: Visibility,
    /// Why sound is taken. Without a reason there is no sound.
    #[serde(default)]
    audio_reason: Option<String>,
    #[serde(default)]
    retention: RetentionInput,
    #[serde(default)]
    position: Option<PositionInput>,
}

fn tcp() -> Transport {
    Transport::Tcp
}

fn on_demand() -> Pull {
    Pull::OnDemand
}

fn patrol() -> Visibility {
    Visibility::Patrol
}

/// Days a recording is kept at least and at most.
#[derive(Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionInput {
    floor_days: u32,
    ceiling_days: u32,
}

impl Default for RetentionInput {
    fn default() -> Self {
        Retention::default().into()
    }
}

impl From<Retention> for RetentionInput {
    fn from(Retention { floor_days, ceiling_days }: Retention) -> Self {
        Self { floor_days, ceiling_days }
    }
}

/// A point on the map, WGS 84, in degrees.
#[derive(Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PositionInput {
    lat: f64,
    lon: f64,
}

impl From<Position> for PositionInput {
    fn from(Position { lat, lon }: Position) -> Self {
        Self { lat, lon }
    }
}

impl CameraInput {
    pub(crate) fn of(camera: &Camera) -> Self {
        Self {
            place_id: camera.place_id.to_string(),
            name: camera.name.clone(),
            main_url: camera.main_url.clone(),
            sub_url: camera.sub_url.clone(),
            username: camera.username.clone(),
            password: None,
            allow_basic: camera.allow_basic,
            transport: camera.transport,
            pull: camera.pull,
            purpose: camera.purpose.clone(),
            responsible_unit: camera.responsible_unit.clone(),
            visibility: camera.visibility,
            audio_reason: camera.audio_reason.clone(),
            retention: camera.retention.into(),
            position: camera.position.map(Into::into),
        }
    }

    /// The camera this describes, or all that is wrong with it. `kept` is what it
    /// was, if its password stays.
    pub(crate) async fn into_camera(
        self,
        app: &App,
        who: &Who,
        id: CameraId,
        kept: Option<&Camera>,
        created_at: Timestamp,
    ) -> Result<Camera, Problem> {
        let mut wrong = Wrong::default();
        let place = wrong.take(place(app, who, &self.place_id).await)?;
        let mut login = Login { username: self.username, password: self.password };
        let main_url = wrong.take(address(app, "/main_url", &self.main_url, &mut login))?;
        let sub_url = self.sub_url.filter(|url| !url.trim().is_empty());
        let sub_url = sub_url.map(|url| address(app, "/sub_url", &url, &mut login)).transpose();
        let sub_url = wrong.take(sub_url)?;
        let login = wrong.take(login.check())?;
        let name = wrong.take(extract::name("/name", &self.name))?;
        let purpose = wrong.take(extract::name("/purpose", &self.purpose))?;
        let unit = wrong.take(extract::name("/responsible_unit", &self.responsible_unit))?;
        let reason = self.audio_reason.map(|text| extract::name("/audio_reason", &text)).transpose();
        let reason = wrong.take(reason)?;
        let retention = wrong.take(retention(self.retention))?;
        let position = wrong.take(self.position.map(position).transpose())?;
        let (Some(place), Some(main_url), Some(sub_url), Some((username, password))) =
            (place, main_url, sub_url, login)
        else {
            return Err(wrong.into());
        };
        let old = kept.filter(|_| password.is_none());
        if let Some(old) = &old {
            wrong.take(stays(old, &main_url, sub_url.as_deref(), self.allow_basic))?;
        }
        let (Some(name), Some(purpose), Some(responsible_unit)) = (name, purpose, unit) else {
            return Err(wrong.into());
        };
        let (Some(audio_reason), Some(retention), Some(position)) = (reason, retention, position) else {
            return Err(wrong.into());
        };
        wrong.none()?;
        Ok(Camera {
            id,
            site_id: place.site_id,
            place_id: place.id,
            name,
            main_url,
            sub_url,
            username,
            password: password.or(old.and_then(|old| old.password.clone())),
            allow_basic: self.allow_basic,
            transport: self.transport,
            pull: self.pull,
            purpose,
            responsible_unit,
            visibility: self.visibility,
            audio_reason,
            retention,
            position,
            created_at,
        })
    }
}

/// The place of that id, if this person manages its site.
async fn place(app: &App, who: &Who, text: &str) -> Result<Place, Problem> {
    let no_place = || Problem::field("/place_id", "there is no such place");
    let id = PlaceId::parse(text).ok_or_else(no_place)?;
    let place = app.repository().place(&id).await?.ok_or_else(no_place)?;
    who.must_manage(app, &place.site_id)
        .map_err(|why| if why == Problem::NotFound { no_place() } else { why })?;
    Ok(place)
}

/// Whether the saved password may stay: else it could be read by whoever may
/// change the address.
fn stays(old: &Camera, main_url: &str, sub_url: Option<&str>, allow_basic: bool) -> Result<(), Problem> {
    let moved = |url: &str, before: &str| where_to(url) != where_to(before);
    let sub_moved = match (sub_url, &old.sub_url) {
        (Some(url), Some(before)) => moved(url, before),
        (Some(url), None) => moved(url, &old.main_url),
        (None, _) => false,
    };
    if moved(main_url, &old.main_url) || sub_moved || (allow_basic && !old.allow_basic) {
        let hint = "it goes to another address, or readably: write the password again";
        return Err(Problem::field("/password", hint));
    }
    Ok(())
}

/// Host and port of an address: who would get the password.
fn where_to(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.port().unwrap_or(554)))
}

struct Login {
    username: Option<String>,
    password: Option<String>,
}

impl Login {
    fn check(self) -> Result<(Option<String>, Option<Secret>), Problem> {
        for (pointer, text) in [("/username", &self.username), ("/password", &self.password)] {
            if text.as_ref().is_some_and(|t| t.len() > 128 || t.chars().any(char::is_control)) {
                return Err(Problem::field(pointer, "at most 128 bytes, without control characters"));
            }
        }
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok((filled(self.username), filled(self.password).map(Secret::new)))
    }
}

/// Checks a camera's address and moves credentials in it to `login`.
fn address(app: &App, pointer: &str, text: &str, login: &mut Login) -> Result<String, Problem> {
    let text = text.trim();
    if text.len() > 1_024 {
        return Err(Problem::field(pointer, "it is longer than 1,024 bytes"));
    }
    let mut url = Url::parse(text)
        .map_err(|_| Problem::field(pointer, "it is not an address; write rtsp://host/path"))?;
    app.parts.fleet.policy().check_url(&url).map_err(|why| Problem::field(pointer, why.to_string()))?;
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    // Credentials that came with the address are the ones that belong to it.
    if !url.username().is_empty() {
        login.username = Some(decode(url.username()));
        login.password = url.password().map(decode).or(login.password.take());
    }
    // An address with a host takes both; without one it was refused above.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Ok(url.into())
}

fn retention(input: RetentionInput) -> Result<Retention, Problem> {
    let RetentionInput { floor_days, ceiling_days } = input;
    if floor_days > ceiling_days || ceiling_days > 3_650 {
        let hint = "floor_days is at most ceiling_days, and that at most 3650";
        return Err(Problem::field("/retention", hint));
    }
    Ok(Retention { floor_days, ceiling_days })
}

fn position(input: PositionInput) -> Result<Position, Problem> {
    let PositionInput { lat, lon } = input;
    if !(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon) {
        return Err(Problem::field("/position", "lat is within ±90 and lon within ±180 degrees"));
    }
    Ok(Position { lat, lon })
}
