//! Devices, with the logins that are sealed; what they tell is in `door_event` and `device_event`.

use crate::act::Alone as _;
use crate::row::{get, time, word, word_opt};
use crate::{Store, alarm_event, bookmark, changed, device_event, door_event, failed};
use async_trait::async_trait;
use domain::device::{Device, DeviceKind, Names, Part, Pull};
use domain::event::device::DeviceEvent;
use domain::event::door::{Bookmark, DoorEvent, Recorded};
use domain::event::{Event, Listing, Taken};
use domain::repository::{Devices, DoorEventFilter, Page, Result};
use domain::retention::Rows;
use domain::{DeviceId, DoorEventId, HouseholdId, PlaceId, SiteId, Timestamp};
use sqlx::AnyConnection;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use std::collections::HashMap;

pub(crate) const PASSWORD: &str = "device.pull_password";

fn part(row: &AnyRow) -> Result<Part> {
    Ok(Part {
        part: get(row, "part")?,
        name: get(row, "name")?,
        place_id: word(row, "place_id", PlaceId::parse)?,
        household_id: word_opt(row, "household_id", HouseholdId::parse)?,
    })
}

async fn insert_parts(connection: &mut AnyConnection, device: &Device) -> Result<()> {
    for part in &device.parts {
        let sql = "insert into device_parts (device_id, part, name, place_id, household_id)
                   values ($1, $2, $3, $4, $5)";
        sqlx::query(sql)
            .bind(device.id.as_str())
            .bind(part.part.as_str())
            .bind(part.name.as_deref())
            .bind(part.place_id.as_str())
            .bind(part.household_id.as_ref().map(HouseholdId::as_str))
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

impl Store {
    /// The device that a statement finds by a value, with its parts.
    async fn device_where<'q, V>(&self, sql: &'static str, value: V) -> Result<Option<Device>>
    where
        V: sqlx::Encode<'q, sqlx::Any> + sqlx::Type<sqlx::Any> + 'q,
    {
        let row = sqlx::query(sql).bind(value).fetch_optional(&self.read).await.map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let mut device = self.device_from(&row)?;
        if get::<i64>(&row, "parts")? > 0 {
            let sql = "select * from device_parts where device_id = $1 order by part";
            let rows = self.rows(sql, &[device.id.as_str()]).await?;
            device.parts = self.all_understood("device_parts", "part", &rows, part)?;
        }
        Ok(Some(device))
    }

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
            household_id: word_opt(row, "household_id", HouseholdId::parse)?,
            parts: Vec::new(),
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
            .bind(sealed)
            .bind(device.household_id.as_ref().map(HouseholdId::as_str)))
    }
}

#[async_trait]
impl Devices for Store {
    async fn devices(&self) -> Result<Vec<Device>> {
        let rows = self.rows("select * from devices order by name, id", &[]).await?;
        // One that cannot be read must not keep all others from being heard.
        let mut devices = self.all_understood("devices", "id", &rows, |row| self.device_from(row))?;
        let rows = self.rows("select * from device_parts order by part", &[]).await?;
        let of = |row: &AnyRow| Ok((word(row, "device_id", DeviceId::parse)?, part(row)?));
        let mut parts: HashMap<DeviceId, Vec<Part>> = HashMap::new();
        for (device, part) in self.all_understood("device_parts", "part", &rows, of)? {
            parts.entry(device).or_default().push(part);
        }
        for device in &mut devices {
            device.parts = parts.remove(&device.id).unwrap_or_default();
        }
        Ok(devices)
    }

    async fn device(&self, id: &DeviceId) -> Result<Option<Device>> {
        self.device_where(
            "select d.*, (select count(*) from device_parts p where p.device_id = d.id) as parts
                   from devices d where d.id = $1",
            id.as_str(),
        )
        .await
    }

    async fn device_by_token(&self, token_hash: &[u8]) -> Result<Option<Device>> {
        self.device_where(
            "select d.*, (select count(*) from device_parts p where p.device_id = d.id) as parts
                   from devices d where d.token_hash = $1",
            token_hash,
        )
        .await
    }

    async fn names_of_device(&self, id: &DeviceId, part: Option<&str>) -> Result<Option<Names>> {
        let sql = "select d.name, p.name as part_name from devices d
                   left join device_parts p on p.device_id = d.id and p.part = $2 where d.id = $1";
        let rows = self.rows(sql, &[id.as_str(), part.unwrap_or_default()]).await?;
        let names = |row: &AnyRow| Ok(Names { device: get(row, "name")?, part: get(row, "part_name")? });
        rows.first().map(names).transpose()
    }

    async fn add_device(&self, device: &Device) -> Result<()> {
        let query = self.device_query(
            "insert into devices (id, site_id, place_id, name, kind, mqtt_topic, pull_url, pull_username,
                pull_password_sealed, household_id, token_hash, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            device,
        )?;
        let mut tx = self.write.begin().await?;
        let query = query.bind(device.token_hash.as_deref()).bind(device.created_at.0);
        query.execute(&mut *tx).await.map_err(failed)?;
        insert_parts(&mut tx, device).await?;
        tx.commit().await
    }

    async fn update_device(&self, device: &Device) -> Result<bool> {
        let query = self.device_query(
            "update devices set site_id = $2, place_id = $3, name = $4, kind = $5, mqtt_topic = $6,
                pull_url = $7, pull_username = $8, pull_password_sealed = $9, household_id = $10
             where id = $1",
            device,
        )?;
        let mut tx = self.write.begin().await?;
        let done = query.execute(&mut *tx).await.map_err(failed)?;
        if !changed(&done)? {
            return Ok(false);
        }
        sqlx::query("delete from device_parts where device_id = $1")
            .bind(device.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        insert_parts(&mut tx, device).await?;
        tx.commit().await?;
        Ok(true)
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
