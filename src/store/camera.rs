//! Cameras. Their passwords are sealed on the way in and opened on the way out.

use crate::act::Alone as _;
use crate::row::{count, get, time, truth, word};
use crate::{Store, changed, failed};
use async_trait::async_trait;
use domain::camera::{Camera, Position, Pull, Removed, Retention, Transport, Visibility};
use domain::repository::{Cameras, Each, Result};
use domain::{CameraId, PlaceId, SiteId, Timestamp};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

pub(crate) const PASSWORD: &str = "camera.password";

const INSERT: &str = "
    insert into cameras (id, site_id, place_id, name, main_url, sub_url, username, password_sealed,
        allow_basic, transport, pull, purpose, responsible_unit, visibility, audio_reason,
        floor_days, ceiling_days, latitude, longitude, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";

fn removed(row: &AnyRow) -> Result<Removed> {
    Ok(Removed {
        id: word(row, "id", CameraId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        name: get(row, "name")?,
        visibility: word(row, "visibility", Visibility::from_word)?,
        removed_at: time(row, "removed_at")?,
    })
}

impl Store {
    fn camera_from(&self, row: &AnyRow) -> Result<Camera> {
        let id = word(row, "id", CameraId::parse)?;
        let sealed: Option<Vec<u8>> = get(row, "password_sealed")?;
        let password = sealed.map(|sealed| self.sealing.open(&sealed, id.as_str(), PASSWORD)).transpose()?;
        let (lat, lon): (Option<f64>, Option<f64>) = (get(row, "latitude")?, get(row, "longitude")?);
        Ok(Camera {
            id,
            site_id: word(row, "site_id", SiteId::parse)?,
            place_id: word(row, "place_id", PlaceId::parse)?,
            name: get(row, "name")?,
            main_url: get(row, "main_url")?,
            sub_url: get(row, "sub_url")?,
            username: get(row, "username")?,
            password,
            allow_basic: truth(row, "allow_basic")?,
            transport: word(row, "transport", Transport::from_word)?,
            pull: word(row, "pull", Pull::from_word)?,
            purpose: get(row, "purpose")?,
            responsible_unit: get(row, "responsible_unit")?,
            visibility: word(row, "visibility", Visibility::from_word)?,
            audio_reason: get(row, "audio_reason")?,
            retention: Retention {
                floor_days: count(row, "floor_days")?,
                ceiling_days: count(row, "ceiling_days")?,
            },
            position: lat.zip(lon).map(|(lat, lon)| Position { lat, lon }),
            created_at: time(row, "created_at")?,
        })
    }

    /// Binds all columns in the order both statements name them.
    fn camera_query<'q>(
        &self,
        sql: &'static str,
        camera: &'q Camera,
    ) -> Result<Query<'q, sqlx::Any, AnyArguments>> {
        let password = camera.password.as_ref();
        let sealed = password.map(|p| self.sealing.seal(p, camera.id.as_str(), PASSWORD)).transpose()?;
        Ok(sqlx::query(sql)
            .bind(camera.id.as_str())
            .bind(camera.site_id.as_str())
            .bind(camera.place_id.as_str())
            .bind(camera.name.as_str())
            .bind(camera.main_url.as_str())
            .bind(camera.sub_url.as_deref())
            .bind(camera.username.as_deref())
            .bind(sealed)
            .bind(i64::from(camera.allow_basic))
            .bind(camera.transport.word())
            .bind(camera.pull.word())
            .bind(camera.purpose.as_str())
            .bind(camera.responsible_unit.as_str())
            .bind(camera.visibility.word())
            .bind(camera.audio_reason.as_deref())
            .bind(i64::from(camera.retention.floor_days))
            .bind(i64::from(camera.retention.ceiling_days))
            .bind(camera.position.map(|p| p.lat))
            .bind(camera.position.map(|p| p.lon))
            .bind(camera.created_at.0))
    }
}

#[async_trait]
impl Cameras for Store {
    async fn cameras(&self) -> Result<Vec<Camera>> {
        let rows = sqlx::query("select * from cameras order by name, id").fetch_all(&self.read).await;
        rows.map_err(failed)?.iter().map(|row| self.camera_from(row)).collect()
    }

    async fn each_camera(&self, ids: &[CameraId]) -> Each<CameraId, Camera> {
        let sql = |marks: &str| format!("select * from cameras where id in ({marks})");
        self.each_row(ids, sql, |row| self.camera_from(row)).await
    }

    async fn add_camera(&self, camera: &Camera) -> Result<()> {
        self.camera_query(INSERT, camera)?.act(&self.write).await?;
        Ok(())
    }

    async fn add_cameras(&self, cameras: &[Camera]) -> Result<()> {
        let mut tx = self.write.begin().await?;
        for camera in cameras {
            self.camera_query(INSERT, camera)?.execute(&mut *tx).await.map_err(failed)?;
        }
        tx.commit().await
    }

    async fn update_camera(&self, camera: &Camera) -> Result<bool> {
        let query = self.camera_query(
            "update cameras set site_id = $2, place_id = $3, name = $4, main_url = $5, sub_url = $6,
                username = $7, password_sealed = $8, allow_basic = $9, transport = $10, pull = $11,
                purpose = $12, responsible_unit = $13, visibility = $14, audio_reason = $15,
                floor_days = $16, ceiling_days = $17, latitude = $18, longitude = $19, created_at = $20
             where id = $1",
            camera,
        )?;
        changed(&query.act(&self.write).await?)
    }

    async fn remove_camera(&self, id: &CameraId, at: Timestamp) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        let done = sqlx::query(
            "insert into removed_cameras (id, site_id, name, visibility, removed_at)
             select id, site_id, name, visibility, $2 from cameras where id = $1",
        )
        .bind(id.as_str())
        .bind(at.0)
        .execute(&mut *tx)
        .await;
        if !changed(&done.map_err(failed)?)? {
            return Ok(false);
        }
        let done = sqlx::query("delete from cameras where id = $1").bind(id.as_str()).execute(&mut *tx).await;
        done.map_err(failed)?;
        tx.commit().await?;
        Ok(true)
    }

    async fn removed_camera(&self, id: &CameraId) -> Result<Option<Removed>> {
        let rows = self.rows("select * from removed_cameras where id = $1", &[id.as_str()]).await?;
        rows.first().map(removed).transpose()
    }

    async fn removed_cameras(&self, site: &SiteId) -> Result<Vec<Removed>> {
        let sql = "select * from removed_cameras where site_id = $1 order by removed_at desc, id";
        self.rows(sql, &[site.as_str()]).await?.iter().map(removed).collect()
    }
}
