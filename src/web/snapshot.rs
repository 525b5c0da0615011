//! Still pictures. They need the decode process, which is not there yet.

use crate::access::Who;
use crate::extract::Path;
use crate::{App, Problem, camera};
use axum::extract::State;

/// A still picture of a camera.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/snapshot.jpg", tag = "watching", operation_id = "snapshot",
    params(("id" = String, Path)),
    responses((status = 404), (status = 503, description = "no decoder yet")))]
pub(crate) async fn picture(
    State(app): State<App>,
    who: Who,
    Path(camera): Path<String>,
) -> Result<(), Problem> {
    camera::find_for(&app, &who, &camera).await?;
    Err(Problem::Unavailable("no decoder yet: this version makes no still pictures".to_owned()))
}
