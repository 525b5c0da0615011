//! Bookmarks of door events as rows, and their pictures.

use crate::failed;
use crate::person::AnyQuery;
use crate::row::{get, time, time_opt, word};
use domain::event::door::Bookmark;
use domain::repository::Result;
use domain::{CameraId, DoorEventId};
use sqlx::any::AnyRow;
use sqlx::{AnyPool, AssertSqlSafe};

pub(crate) fn insert<'q>(bookmark: &'q Bookmark, jpeg: Option<&'q [u8]>) -> AnyQuery<'q> {
    sqlx::query(
        "insert into door_bookmarks (door_event_id, camera_id, from_at, until_at, taken_at, jpeg)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(bookmark.door_event_id.as_str())
    .bind(bookmark.camera_id.as_str())
    .bind(bookmark.from.0)
    .bind(bookmark.until.0)
    .bind(bookmark.taken_at.map(|at| at.0))
    .bind(jpeg)
}

fn bookmark(row: &AnyRow) -> Result<Bookmark> {
    Ok(Bookmark {
        door_event_id: word(row, "door_event_id", DoorEventId::parse)?,
        camera_id: word(row, "camera_id", CameraId::parse)?,
        from: time(row, "from_at")?,
        until: time(row, "until_at")?,
        taken_at: time_opt(row, "taken_at")?,
    })
}

/// Without the pictures: they are large, and seldom looked at.
pub(crate) async fn list(pool: &AnyPool, events: &[&DoorEventId]) -> Result<Vec<Bookmark>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let marks: Vec<String> = (1..=events.len()).map(|n| format!("${n}")).collect();
    // Only numbers of parameters are put into the text.
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "select door_event_id, camera_id, from_at, until_at, taken_at from door_bookmarks
         where door_event_id in ({})",
        marks.join(", ")
    )));
    for id in events {
        query = query.bind(id.as_str());
    }
    query.fetch_all(pool).await.map_err(failed)?.iter().map(bookmark).collect()
}

pub(crate) async fn picture(pool: &AnyPool, id: &DoorEventId) -> Result<Option<Vec<u8>>> {
    let sql = "select jpeg from door_bookmarks where door_event_id = $1 and jpeg is not null";
    let row = sqlx::query(sql).bind(id.as_str()).fetch_optional(pool).await.map_err(failed)?;
    row.as_ref().map(|row| get(row, "jpeg")).transpose()
}
