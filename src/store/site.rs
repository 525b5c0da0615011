//! Sites and places.

use crate::act::Alone as _;
use crate::row::{get, time, word, word_opt};
use crate::{Store, changed, failed};
use async_trait::async_trait;
use domain::place::{Place, PlaceKind};
use domain::repository::{Result, Sites};
use domain::scene::Scene;
use domain::site::{ResidentPolicy, Site, SiteKind};
use domain::{PlaceId, SiteId};
use sqlx::any::AnyRow;

fn site(row: &AnyRow) -> Result<Site> {
    Ok(Site {
        id: word(row, "id", SiteId::parse)?,
        name: get(row, "name")?,
        kind: word(row, "kind", SiteKind::from_word)?,
        time_zone: get(row, "time_zone")?,
        resident_policy: word(row, "resident_policy", ResidentPolicy::from_word)?,
        created_at: time(row, "created_at")?,
    })
}

fn place(row: &AnyRow) -> Result<Place> {
    Ok(Place {
        id: word(row, "id", PlaceId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        parent_id: word_opt(row, "parent_id", PlaceId::parse)?,
        name: get(row, "name")?,
        kind: word(row, "kind", PlaceKind::from_word)?,
        created_at: time(row, "created_at")?,
    })
}

#[async_trait]
impl Sites for Store {
    async fn sites(&self) -> Result<Vec<Site>> {
        let rows = sqlx::query("select * from sites order by name, id").fetch_all(&self.read).await;
        // One that cannot be read must not stop what is done for all of them.
        self.all_understood("sites", "id", &rows.map_err(failed)?, site)
    }

    async fn site(&self, id: &SiteId) -> Result<Option<Site>> {
        let row = sqlx::query("select * from sites where id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(site).transpose()
    }

    async fn add_site(&self, site: &Site) -> Result<()> {
        sqlx::query(
            "insert into sites (id, name, kind, time_zone, resident_policy, created_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(site.id.as_str())
        .bind(site.name.as_str())
        .bind(site.kind.word())
        .bind(site.time_zone.as_str())
        .bind(site.resident_policy.word())
        .bind(site.created_at.0)
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn update_site(&self, site: &Site) -> Result<bool> {
        let done = sqlx::query(
            "update sites set name = $2, kind = $3, time_zone = $4, resident_policy = $5 where id = $1",
        )
        .bind(site.id.as_str())
        .bind(site.name.as_str())
        .bind(site.kind.word())
        .bind(site.time_zone.as_str())
        .bind(site.resident_policy.word())
        .act(&self.write)
        .await;
        changed(&done?)
    }

    async fn remove_site(&self, id: &SiteId) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        // A removed camera keeps its site as long as there is somebody's watching to read about.
        let unseen = sqlx::query(
            "delete from removed_cameras where site_id = $1
                and not exists (select 1 from viewings where camera_id = removed_cameras.id)",
        );
        unseen.bind(id.as_str()).execute(&mut *tx).await.map_err(failed)?;
        let done = sqlx::query("delete from sites where id = $1").bind(id.as_str()).execute(&mut *tx).await;
        if !changed(&done.map_err(failed)?)? {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn scene(&self) -> Result<Scene> {
        // A drill opens no camera, and a silent alarm shows nothing on a resident's phone.
        let open = sqlx::query(
            "select distinct site_id from incidents
             where closed_at is null and drill = 0 and kind <> 'duress'",
        );
        let open = open.fetch_all(&self.read).await.map_err(failed)?;
        let incidents = open.iter().map(|row| word(row, "site_id", SiteId::parse)).collect::<Result<_>>()?;
        Ok(Scene::new(self.sites().await?, self.places().await?, incidents))
    }

    async fn places(&self) -> Result<Vec<Place>> {
        let rows = sqlx::query("select * from places order by name, id").fetch_all(&self.read).await;
        rows.map_err(failed)?.iter().map(place).collect()
    }

    async fn place(&self, id: &PlaceId) -> Result<Option<Place>> {
        let row = sqlx::query("select * from places where id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(place).transpose()
    }

    async fn add_place(&self, place: &Place) -> Result<()> {
        sqlx::query(
            "insert into places (id, site_id, parent_id, name, kind, created_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(place.id.as_str())
        .bind(place.site_id.as_str())
        .bind(place.parent_id.as_ref().map(PlaceId::as_str))
        .bind(place.name.as_str())
        .bind(place.kind.word())
        .bind(place.created_at.0)
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn update_place(&self, place: &Place) -> Result<bool> {
        let done = sqlx::query("update places set parent_id = $2, name = $3, kind = $4 where id = $1")
            .bind(place.id.as_str())
            .bind(place.parent_id.as_ref().map(PlaceId::as_str))
            .bind(place.name.as_str())
            .bind(place.kind.word())
            .act(&self.write)
            .await;
        changed(&done?)
    }

    async fn remove_place(&self, id: &PlaceId) -> Result<bool> {
        let done = sqlx::query("delete from places where id = $1").bind(id.as_str()).act(&self.write).await;
        changed(&done?)
    }
}
