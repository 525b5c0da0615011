//! Devices, with the logins that are sealed; what they tell is in `door_event` and `device_event`.

use crate::act::Alone as _;
use crate::row::{get, time, word};
use crate::{Store, alarm_event, bookmark, changed, device_event, door_event, failed};
use async_trait::async_trait;
use domain::device::{Device, DeviceKind, Pull};
use domain::event::device::DeviceEvent;
use domain::event::door::{Bookmark, DoorEvent, Recorded};
use domain::event::{Event, Listing, Taken};
use domain::repository::{Devices, DoorEventFilter, Page, Result};
use domain::retention::Rows;
use domain::{DeviceId, DoorEventId, PlaceId, SiteId, Timestamp};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

pub(crate) const PASSWORD: &str = "device.pull_password";

impl Store {
    fn device_from(&self, row: &AnyRow) -> Result<Device> {
        let id = word(row, "id", DeviceId::parse)?;
        let (url, username): (Option<String>, Option<String>) =
            (get(row, "pull_url")?, get(row, "pull_username")?);
        let sealed: Option<Vec<u8>> = get(row, "pull_password_sealed")?;
        let pull = match (url, username, sealed) {
            (Some(url), Some(username), Some(sealed)) => {
                Some(Pull { url, username, password: self.sealing.open(&sealed, id.as_str(), PASSWORD)? })
            }
            _ => None,
        };
        Ok(Device {
            id,
            site_id: word(row, "site_id", SiteId::parse)?,
            place_id: word(row, "place_id", PlaceId::parse)?,
            name: get(row, "name")?,
            kind: word(row, "kind", DeviceKind::from_word)?,
            token_hash: get(row, "token_hash")?,
            mqtt_topic: get(row, "mqtt_topic")?,
            pull,
            created_at: time(row, "created_at")?,
        })
    }

    /// Binds the columns that both statements name, in their order.
    fn device_query<'q>(
        &self,
        sql: &'static str,
        device: &'q Device,
    ) -> Result<Query<'q, sqlx::Any, AnyArguments>> {
        let pull = device.pull.as_ref();
        let sealed =
            pull.map(|pull| self.sealing.seal(&pull.password, device.id.as_str(), PASSWORD)).transpose()?;
        Ok(sqlx::query(sql)
            .bind(device.id.as_str())
            .bind(device.site_id.as_str())
            .bind(device.place_id.as_str())
            .bind(device.name.as_str())
            .bind(device.kind.word())
            .bind(device.mqtt_topic.as_deref())
            .bind(pull.map(|pull| pull.url.as_str()))
            .bind(pull.map(|pull| pull.username.as_str()))
            .bind(sealed))
    }
}

#[async_trait]
impl Devices for Store {
    async fn devices(&self) -> Result<Vec<Device>> {
        let rows = sqlx::query("select * from devices order by name, id").fetch_all(&self.read).await;
        // One that cannot be read must not keep all others from being heard.
        self.all_understood("devices", "id", &rows.map_err(failed)?, |row| self.device_from(row))
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<Device>> {
        let row = sqlx::query("select * from devices where id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(|row| self.device_from(row)).transpose()
    }

    async fn device_by_token(&self, token_hash: &[u8]) -> Result<Option<Device>> {
        let row = sqlx::query("select * from devices where token_hash = $1")
            .bind(token_hash)
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(|row| self.device_from(row)).transpose()
    }

    async fn add_device(&self, device: &Device) -> Result<()> {
        self.device_query(
            "insert into devices (id, site_id, place_id, name, kind, mqtt_topic, pull_url, pull_username,
                pull_password_sealed, token_hash, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            device,
        )?
        .bind(device.token_hash.as_deref())
        .bind(device.created_at.0)
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn update_device(&self, device: &Device) -> Result<bool> {
        let query = self.device_query(
            "update devices set site_id = $2, place_id = $3, name = $4, kind = $5, mqtt_topic = $6,
                pull_url = $7, pull_username = $8, pull_password_sealed = $9
             where id = $1",
            device,
        )?;
        changed(&query.act(&self.write).await?)
    }

    async fn set_device_token(&self, id: &DeviceId, token_hash: &[u8]) -> Result<bool> {
        let done = sqlx::query("update devices set token_hash = $2 where id = $1")
            .bind(id.as_str())
            .bind(token_hash)
            .act(&self.write)
            .await;
        changed(&done?)
    }

    async fn record_events(&self, events: Vec<Taken>) -> Result<Vec<Recorded>> {
        self.intake.record(events).await
    }

    async fn door_events(&self, filter: &DoorEventFilter, page: &Page) -> Result<Vec<(i64, DoorEvent)>> {
        door_event::list(&self.read, filter, page).await
    }

    async fn door_event(&self, id: &DoorEventId) -> Result<Option<DoorEvent>> {
        door_event::one(&self.read, id).await
    }

    async fn add_bookmark(&self, bookmark: &Bookmark, jpeg: Option<&[u8]>) -> Result<()> {
        bookmark::insert(bookmark, jpeg).act(&self.write).await?;
        Ok(())
    }

    async fn bookmarks(&self, events: &[&DoorEventId]) -> Result<Vec<Bookmark>> {
        bookmark::list(&self.read, events).await
    }

    async fn door_picture(&self, id: &DoorEventId) -> Result<Option<Vec<u8>>> {
        bookmark::picture(&self.read, id).await
    }

    async fn newest_event(&self) -> Result<Option<Timestamp>> {
        self.newest_event_at().await
    }

    async fn event_rows(&self, before: Timestamp) -> Result<Rows> {
        self.count_events(before).await
    }

    async fn remove_old_events(&self, before: Timestamp) -> Result<u64> {
        self.remove_events(before).await
    }

    async fn device_events(&self, places: &[PlaceId], page: &Page) -> Result<Vec<(i64, DeviceEvent)>> {
        device_event::list(&self.read, places, page).await
    }

    async fn listed_events(
        &self,
        listing: Listing,
        places: &[PlaceId],
        before: Option<&(Timestamp, String)>,
        limit: u32,
    ) -> Result<Vec<Event>> {
        alarm_event::list(&self.read, listing, places, before, limit).await
    }
}
