//! Many cameras from one list: looked at row by row, saved all or none.

mod columns;
mod table;

use crate::access::Who;
use crate::error::FieldError;
use crate::extract::{Query, has_type, id};
use crate::{App, Problem, token};
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use columns::{Header, Places, column, input, wrong};
use domain::camera::Camera;
use domain::{CameraId, SiteId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashSet;

/// Rows of a list besides its header.
const MOST: usize = 2_000;
/// After so many errors the rest is not looked at.
const ERRORS: usize = 500;

/// A CSV body.
pub(crate) struct Csv(Bytes);

impl<S: Send + Sync> FromRequest<S> for Csv {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !has_type(request.headers(), &["text/csv"]) {
            return Err(Problem::MediaType("text/csv"));
        }
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|_| Problem::TooLarge("1 MiB"))
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Options {
    /// The site whose places the rows name.
    site_id: String,
    /// Only look, save nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What a list would become, or has become.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ImportView {
    /// How many cameras were saved: none by a dry run.
    imported: u32,
    /// How many rows have errors. With any, nothing is saved.
    wrong: u32,
    /// Rows that were not looked at, because there were too many errors before.
    unchecked: u32,
    rows: Vec<ImportedView>,
}

/// One row of the list.
#[derive(Serialize, utoipa::ToSchema)]
struct ImportedView {
    /// As the spreadsheet counts: the header is row 1.
    row: u32,
    /// The camera, if the row is right.
    name: Option<String>,
    /// Its address, without credentials.
    main_url: Option<String>,
    /// The camera's id once it is saved.
    #[schema(value_type = Option<String>)]
    camera_id: Option<CameraId>,
    /// What is wrong; `pointer` is `/row/column`.
    errors: Vec<FieldError>,
    /// What may be a mistake, but is accepted.
    warnings: Vec<FieldError>,
}

/// Register the cameras of a CSV list: all of them, or none if any row is wrong.
/// UTF-8 or GBK, separated by comma, semicolon or tab, at most 2,000 rows. Columns
/// are the fields of a camera; `place` is a path of names, like `North yard/Gate`.
#[utoipa::path(post, path = "/api/v1/cameras/import", tag = "registry", operation_id = "import_cameras",
    params(Options), request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportView), (status = 404)))]
pub(crate) async fn import(
    State(app): State<App>,
    who: Who,
    Query(options): Query<Options>,
    Csv(body): Csv,
) -> Result<axum::Json<ImportView>, Problem> {
    let site = id(SiteId::parse, &options.site_id)?;
    who.must_manage(&app, &site)?;
    app.repository().site(&site).await?.ok_or(Problem::NotFound)?;
    let (cameras, mut view) = check(&app, &who, &site, &body).await?;
    if options.dry_run {
        for row in &mut view.rows {
            row.camera_id = None;
        }
        return Ok(axum::Json(view));
    }
    if view.wrong > 0 {
        return Err(Problem::Input(view.rows.into_iter().flat_map(|row| row.errors).collect()));
    }
    // One entry for the whole list: it is one act, and it is done whole or not at all.
    let ids: Vec<&CameraId> = cameras.iter().map(|camera| &camera.id).collect();
    let detail = json!({ "count": ids.len(), "cameras": ids });
    app.noting(Some(&who.person.id), Some(&site), "camera.import", site.as_str(), &detail)
        .add_cameras(&cameras)
        .await?;
    app.changed();
    view.imported = count(cameras.len());
    Ok(axum::Json(view))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Looks at every row as if it were sent to `POST /cameras`.
async fn check(
    app: &App,
    who: &Who,
    site: &SiteId,
    body: &[u8],
) -> Result<(Vec<Camera>, ImportView), Problem> {
    let rows = table::read(body, MOST)?;
    let Some((first, rows)) = rows.split_first() else {
        return Err(Problem::field("", "it is empty; the first row names the columns"));
    };
    let header = Header::read(first)?;
    if rows.is_empty() {
        return Err(Problem::field("", "it has no row below the names of the columns"));
    }
    let places = Places::of(site, &app.repository().places().await?);
    let registered = app.repository().cameras().await?;
    let mut addresses: HashSet<String> = registered
        .into_iter()
        .filter(|camera| camera.site_id == *site)
        .map(|camera| camera.main_url)
        .collect();
    let (mut cameras, mut errors) = (Vec::new(), 0);
    let mut view = ImportView { imported: 0, wrong: 0, unchecked: 0, rows: Vec::new() };
    for row in rows {
        if errors >= ERRORS {
            view.unchecked += 1;
            continue;
        }
        let (input, mut found) = input(&header, row, &places);
        let camera = match input {
            Ok(input) => {
                let id = CameraId::from_random(token::random());
                input.into_camera(app, who, id, None, app.now()).await
            }
            Err(why) => Err(why),
        };
        let mut seen = ImportedView {
            row: row.number,
            name: None,
            main_url: None,
            camera_id: None,
            errors: vec![],
            warnings: vec![],
        };
        match camera {
            Ok(camera) if found.is_empty() => {
                if !addresses.insert(camera.main_url.clone()) {
                    let detail = "the site has a camera with this address already";
                    seen.warnings.push(wrong(row.number, "main_url", detail));
                }
                seen.name = Some(camera.name.clone());
                seen.main_url = Some(camera.main_url.clone());
                seen.camera_id = Some(camera.id.clone());
                cameras.push(camera);
            }
            Ok(_) => {}
            Err(Problem::Input(more)) => {
                // A place that was not found by its path is said already.
                let said: HashSet<String> = found.iter().map(|error| error.pointer.clone()).collect();
                let more =
                    more.into_iter().map(|error| wrong(row.number, column(&error.pointer), error.detail));
                found.extend(more.filter(|error| !said.contains(&error.pointer)));
            }
            Err(other) => return Err(other),
        }
        errors += found.len();
        view.wrong += u32::from(!found.is_empty());
        seen.errors = found;
        view.rows.push(seen);
    }
    Ok((cameras, view))
}

/// For the fuzz target: a file, read as far as its header.
pub(crate) fn fuzz(bytes: &[u8]) {
    let rows = table::read(bytes, 500).unwrap_or_default();
    let _ = rows.first().map(columns::Header::read);
}
