//! Keys for RTSP players: one per device, shown once.

use crate::access::Who;
use crate::extract::{Json, Path, id, name};
use crate::schema::List;
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use domain::person::ViewerKey;
use domain::{Secret, Timestamp, ViewerKeyId};
use media::rtsp::digest::Ha1;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Keys of one person.
const MOST: usize = 20;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What the device is called, for the list.
    name: String,
}

/// A new key: the only time that the key itself is shown.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ShownKey {
    #[schema(value_type = String)]
    id: ViewerKeyId,
    name: String,
    login: String,
    key: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct KeyView {
    #[schema(value_type = String)]
    id: ViewerKeyId,
    name: String,
    login: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// My keys.
#[utoipa::path(get, path = "/api/v1/viewer-keys", tag = "accounts", operation_id = "list_viewer_keys",
    responses((status = 200, body = List<KeyView>)))]
pub(crate) async fn list(State(app): State<App>, who: Who) -> Result<axum::Json<List<KeyView>>, Problem> {
    let keys = app.repository().viewer_keys(&who.person.id).await?;
    let views = keys.into_iter().map(|key| KeyView {
        id: key.id,
        name: key.name,
        login: key.login,
        created_at: key.created_at,
    });
    Ok(axum::Json(List::whole(views.collect())))
}

/// Make a key.
#[utoipa::path(post, path = "/api/v1/viewer-keys", tag = "accounts", operation_id = "create_viewer_key", request_body = NewKey,
    responses((status = 201, body = ShownKey)))]
pub(crate) async fn create(
    State(app): State<App>,
    who: Who,
    Json(input): Json<NewKey>,
) -> Result<(StatusCode, axum::Json<ShownKey>), Problem> {
    let name = name("/name", &input.name)?;
    if app.repository().viewer_keys(&who.person.id).await?.len() >= MOST {
        return Err(Problem::Conflict("there are 20 keys already; delete one that is not used"));
    }
    let key = token::hex(&token::random::<16>());
    let login = format!("v{}", token::hex(&token::random::<6>()));
    let ha1 = Ha1::new(&login, &key);
    let kept = ViewerKey {
        id: ViewerKeyId::from_random(token::random()),
        person_id: who.person.id,
        login,
        name,
        ha1_md5: Secret::new(ha1.md5),
        ha1_sha256: Secret::new(ha1.sha256),
        created_at: app.now(),
    };
    app.noting(Some(&kept.person_id), None, "viewer_key.create", kept.id.as_str(), &json!({}))
        .add_viewer_key(&kept)
        .await?;
    let shown =
        ShownKey { id: kept.id, name: kept.name, login: kept.login, key, created_at: kept.created_at };
    Ok((StatusCode::CREATED, axum::Json(shown)))
}

/// Delete a key: players that use it end.
#[utoipa::path(delete, path = "/api/v1/viewer-keys/{id}", tag = "accounts", operation_id = "delete_viewer_key", params(("id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn delete(
    State(app): State<App>,
    who: Who,
    Path(key): Path<String>,
) -> Result<StatusCode, Problem> {
    let key = id(ViewerKeyId::parse, &key)?;
    if !app
        .noting(Some(&who.person.id), None, "viewer_key.delete", key.as_str(), &json!({}))
        .remove_viewer_key(&who.person.id, &key)
        .await?
    {
        return Err(Problem::NotFound);
    }
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
