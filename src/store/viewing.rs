//! The viewing register.

use crate::row::{time, time_opt, word};
use crate::{Store, failed};
use async_trait::async_trait;
use domain::camera::StreamKind;
use domain::repository::{Result, Viewings};
use domain::role::Role;
use domain::viewing::{Viewing, ViewingTransport};
use domain::{CameraId, PersonId, Timestamp, ViewingId};
use sqlx::any::AnyRow;

fn viewing(row: &AnyRow) -> Result<Viewing> {
    Ok(Viewing {
        id: word(row, "id", ViewingId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        role: word(row, "role", Role::from_word)?,
        camera_id: word(row, "camera_id", CameraId::parse)?,
        stream: word(row, "stream", StreamKind::from_word)?,
        transport: word(row, "transport", ViewingTransport::from_word)?,
        started_at: time(row, "started_at")?,
        ended_at: time_opt(row, "ended_at")?,
    })
}

#[async_trait]
impl Viewings for Store {
    async fn begin_viewing(&self, viewing: &Viewing) -> Result<()> {
        sqlx::query(
            "insert into viewings (id, person_id, role, camera_id, stream, transport, started_at, ended_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(viewing.id.as_str())
        .bind(viewing.person_id.as_str())
        .bind(viewing.role.word())
        .bind(viewing.camera_id.as_str())
        .bind(viewing.stream.word())
        .bind(viewing.transport.word())
        .bind(viewing.started_at.0)
        .bind(viewing.ended_at.map(|t| t.0))
        .execute(&self.write)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn end_viewing(&self, id: &ViewingId, at: Timestamp) -> Result<()> {
        sqlx::query("update viewings set ended_at = $2 where id = $1 and ended_at is null")
            .bind(id.as_str())
            .bind(at.0)
            .execute(&self.write)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn end_open_viewings(&self, at: Timestamp) -> Result<u64> {
        let done = sqlx::query("update viewings set ended_at = $1 where ended_at is null")
            .bind(at.0)
            .execute(&self.write)
            .await;
        Ok(done.map_err(failed)?.rows_affected())
    }

    async fn viewings(&self, camera: &CameraId, limit: u32) -> Result<Vec<Viewing>> {
        let rows = sqlx::query("select * from viewings where camera_id = $1 order by seq desc limit $2")
            .bind(camera.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await;
        rows.map_err(failed)?.iter().map(viewing).collect()
    }
}
