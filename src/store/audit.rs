//! The chain of the registers.

use crate::row::{get, time, word_opt};
use crate::{Store, failed, outbox};
use domain::audit::{Entry, GENESIS, Hash, Head, Link, seal};
use domain::notice::{Notice, Topic};
use domain::repository::{EntryFilter, Error, Result};
use domain::viewing::Purpose;
use domain::{PersonId, SiteId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

fn hash(row: &AnyRow) -> Result<Hash> {
    let bytes: Vec<u8> = get(row, "hash")?;
    bytes.try_into().map_err(|_| Error::Corrupt("a hash of the audit chain has not 32 bytes".to_owned()))
}

fn link(row: &AnyRow) -> Result<Link> {
    let entry = Entry {
        at: time(row, "at")?,
        actor: word_opt(row, "actor", PersonId::parse)?,
        site_id: word_opt(row, "site_id", SiteId::parse)?,
        action: get(row, "action")?,
        object: get(row, "object")?,
        detail: get(row, "detail")?,
    };
    Ok(Link { seq: get(row, "seq")?, entry, hash: hash(row)? })
}

/// Takes the lock that sealing takes anyway, before something is read that must not
/// change until the entry is sealed.
pub(crate) async fn lock(connection: &mut AnyConnection) -> Result<()> {
    let sql = "insert into audit_head (id, seq, hash) values (1, 0, $1)
               on conflict (id) do update set seq = audit_head.seq";
    sqlx::query(sql).bind(GENESIS.as_slice()).execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Seals an entry into the chain, within the transaction that makes it true.
/// The head's row is what writers queue for.
pub(crate) async fn append(connection: &mut AnyConnection, entry: &Entry) -> Result<Head> {
    sqlx::query("insert into audit_head (id, seq, hash) values (1, 0, $1) on conflict (id) do nothing")
        .bind(GENESIS.as_slice())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let row = sqlx::query("update audit_head set seq = seq + 1 where id = 1 returning seq, hash")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let seq: i64 = get(&row, "seq")?;
    let sealed = seal(seq, entry, &hash(&row)?);
    sqlx::query(
        "insert into audit (seq, at, actor, site_id, action, object, detail, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(seq)
    .bind(entry.at.0)
    .bind(entry.actor.as_ref().map(PersonId::as_str))
    .bind(entry.site_id.as_ref().map(SiteId::as_str))
    .bind(entry.action.as_str())
    .bind(entry.object.as_str())
    .bind(entry.detail.as_str())
    .bind(sealed.as_slice())
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::query("update audit_head set hash = $1 where id = 1")
        .bind(sealed.as_slice())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if let Some(notice) = told(entry) {
        outbox::post(connection, &[notice]).await?;
    }
    Ok(Head { seq, hash: sealed })
}

/// What is told of an entry by its being sealed: whatever is done with an approval.
fn told(entry: &Entry) -> Option<Notice> {
    let word = entry.action.strip_prefix("approval.")?;
    Some(Notice {
        at: entry.at,
        topic: Topic::Approval,
        site_id: entry.site_id.clone()?,
        place_id: None,
        object: entry.object.clone(),
        word: word.to_owned(),
        drill: false,
    })
}

/// The end of the chain.
pub(crate) async fn head(connection: &mut AnyConnection) -> Result<Head> {
    let row = sqlx::query("select seq, hash from audit_head where id = 1").fetch_optional(connection).await;
    match row.map_err(failed)? {
        Some(row) => Ok(Head { seq: get(&row, "seq")?, hash: hash(&row)? }),
        None => Ok(Head { seq: 0, hash: GENESIS }),
    }
}

impl Store {
    pub(crate) async fn links_after(&self, seq: i64, limit: u32) -> Result<Vec<Link>> {
        let rows = sqlx::query("select * from audit where seq > $1 order by seq limit $2")
            .bind(seq)
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await;
        rows.map_err(failed)?.iter().map(link).collect()
    }

    pub(crate) async fn entries(&self, filter: &EntryFilter) -> Result<Vec<Link>> {
        let mut bound = Vec::new();
        let mut mark = |text| {
            bound.push(text);
            format!("${}", bound.len())
        };
        let mut sql = format!("select * from audit where seq < {}", filter.before);
        if let Some(site) = &filter.site {
            sql.push_str(&format!(" and site_id = {}", mark(site.as_str())));
        }
        for hidden in &filter.hidden {
            let (incident, site) = (mark(hidden.incident.as_str()), mark(hidden.site.as_str()));
            sql.push_str(&format!(
                " and object <> {incident} and not exists (
                    select 1 from viewings v where v.id = audit.object and v.purpose = '{}' and v.started_at >= {}
                    and v.camera_id in (select id from cameras where site_id = {site}
                        union all select id from removed_cameras where site_id = {site}))",
                Purpose::Incident.word(),
                hidden.since.0,
            ));
        }
        sql.push_str(&format!(" order by seq desc limit {}", filter.limit));
        self.rows(sql, &bound).await?.iter().map(link).collect()
    }
}
