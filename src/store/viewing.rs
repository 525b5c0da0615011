//! The viewing register: rows for reading, sealed into the chain as they begin and end.

use crate::audit::{append, head};
use crate::row::{get, time, time_opt, word, word_opt};
use crate::{Store, failed};
use async_trait::async_trait;
use domain::audit::{Entry, Head, Link};
use domain::camera::StreamKind;
use domain::repository::{EntryFilter, Error, Registers, Result, ViewingFilter};
use domain::role::Role;
use domain::viewing::{Purpose, Viewing, ViewingTransport};
use domain::{CameraId, PersonId, SiteId, Timestamp, ViewingId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

fn viewing(row: &AnyRow) -> Result<Viewing> {
    let bytes: i64 = get(row, "bytes")?;
    Ok(Viewing {
        id: word(row, "id", ViewingId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        role: word(row, "role", Role::from_word)?,
        camera_id: word(row, "camera_id", CameraId::parse)?,
        stream: word(row, "stream", StreamKind::from_word)?,
        transport: word(row, "transport", ViewingTransport::from_word)?,
        purpose: word_opt(row, "purpose", Purpose::from_word)?,
        started_at: time(row, "started_at")?,
        ended_at: time_opt(row, "ended_at")?,
        bytes: u64::try_from(bytes).map_err(|_| Error::Corrupt("bytes is negative".to_owned()))?,
    })
}

/// Ends a viewing that is open. False if there is none.
async fn end(connection: &mut AnyConnection, id: &str, at: Timestamp, bytes: u64) -> Result<bool> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let row = sqlx::query(
        "update viewings set ended_at = $2, bytes = $3 where id = $1 and ended_at is null
         returning person_id, camera_id",
    )
    .bind(id)
    .bind(at.0)
    .bind(bytes)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(false) };
    let entry = Entry {
        at,
        actor: Some(word(&row, "person_id", PersonId::parse)?),
        site_id: None,
        action: Viewing::ENDED.to_owned(),
        object: id.to_owned(),
        detail: Viewing::end_detail(at, u64::try_from(bytes).unwrap_or(0)),
    };
    append(connection, &entry).await?;
    Ok(true)
}

#[async_trait]
impl Registers for Store {
    async fn record(&self, entry: &Entry) -> Result<Head> {
        let mut tx = self.write.begin_sealing().await?;
        let head = append(&mut tx, entry).await?;
        tx.commit().await?;
        Ok(head)
    }

    async fn head(&self) -> Result<Head> {
        let mut connection = self.read.acquire().await.map_err(failed)?;
        head(&mut connection).await
    }

    async fn chain(&self, after: i64, limit: u32) -> Result<Vec<Link>> {
        self.links_after(after, limit).await
    }

    async fn audit(&self, filter: &EntryFilter) -> Result<Vec<Link>> {
        self.entries(filter).await
    }

    async fn begin_viewing(&self, viewing: &Viewing, site: &SiteId) -> Result<()> {
        let mut tx = self.write.begin_sealing().await?;
        sqlx::query(
            "insert into viewings (id, person_id, role, camera_id, stream, transport, started_at, purpose)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(viewing.id.as_str())
        .bind(viewing.person_id.as_str())
        .bind(viewing.role.word())
        .bind(viewing.camera_id.as_str())
        .bind(viewing.stream.word())
        .bind(viewing.transport.word())
        .bind(viewing.started_at.0)
        .bind(viewing.purpose.map(Purpose::word))
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        let entry = Entry {
            at: viewing.started_at,
            actor: Some(viewing.person_id.clone()),
            site_id: Some(site.clone()),
            action: Viewing::BEGAN.to_owned(),
            object: viewing.id.to_string(),
            detail: viewing.begin_detail(),
        };
        append(&mut tx, &entry).await?;
        tx.commit().await
    }

    async fn end_viewing(&self, id: &ViewingId, at: Timestamp, bytes: u64) -> Result<()> {
        let mut tx = self.write.begin_sealing().await?;
        end(&mut tx, id.as_str(), at, bytes).await?;
        tx.commit().await
    }

    async fn open_viewings(&self) -> Result<Vec<ViewingId>> {
        let open = sqlx::query("select id from viewings where ended_at is null order by seq");
        let open = open.fetch_all(&self.read).await.map_err(failed)?;
        open.iter().map(|row| word(row, "id", ViewingId::parse)).collect()
    }

    async fn end_viewings(&self, ids: &[ViewingId], at: Timestamp) -> Result<u64> {
        let mut tx = self.write.begin_sealing().await?;
        let mut ended = 0;
        for id in ids {
            ended += u64::from(end(&mut tx, id.as_str(), at, 0).await?);
        }
        tx.commit().await?;
        Ok(ended)
    }

    async fn viewings(&self, filter: &ViewingFilter) -> Result<Vec<(i64, Viewing)>> {
        // Nothing begins at the end of the stretch, so the first page is after its end.
        let (began, seq) = filter.after.unwrap_or((filter.until, 0));
        let rows = sqlx::query(
            "select * from viewings where camera_id = $1 and (ended_at is null or ended_at >= $2)
                and started_at < $3 and (started_at < $4 or started_at = $4 and seq < $5)
                and (purpose is null or purpose <> $6 or started_at < $7)
             order by started_at desc, seq desc limit $8",
        )
        .bind(filter.camera.as_str())
        .bind(filter.since.0)
        .bind(filter.until.0)
        .bind(began.0)
        .bind(seq)
        .bind(Purpose::Incident.word())
        .bind(filter.no_incident_since.map_or(i64::MAX, |since| since.0))
        .bind(i64::from(filter.limit))
        .fetch_all(&self.read)
        .await;
        rows.map_err(failed)?.iter().map(|row| Ok((get(row, "seq")?, viewing(row)?))).collect()
    }

    async fn viewings_and_head(&self) -> Result<(Vec<Viewing>, Head)> {
        let mut tx = self.read.begin().await.map_err(failed)?;
        if self.write.is_postgres() {
            // What SQLite's readers have anyway.
            let still = sqlx::query("set transaction isolation level repeatable read, read only");
            still.execute(&mut *tx).await.map_err(failed)?;
        }
        let head = head(&mut tx).await?;
        let rows = sqlx::query("select * from viewings order by seq").fetch_all(&mut *tx).await;
        let viewings = rows.map_err(failed)?.iter().map(viewing).collect::<Result<_>>()?;
        tx.commit().await.map_err(failed)?;
        Ok((viewings, head))
    }
}
