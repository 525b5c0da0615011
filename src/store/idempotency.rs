//! What was answered under a key, for a day: the same question gets the same answer.

use crate::act::Alone as _;
use crate::row::get;
use crate::{Store, failed};
use domain::Timestamp;
use domain::incident::repository::{Kept, Keyed};
use domain::repository::Result;
use sqlx::{Any, AnyConnection, Executor};
use std::time::Duration;

/// How long an answer is kept.
pub(crate) const LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Keys of one person. Further acts are done and their keys not kept, so that nobody
/// fills the disk; the version, and putting alarms together, keep them from being done twice.
const MOST: i64 = 1_000;

/// What was answered under this key, if anything was.
pub(crate) async fn find<'c, T>(
    connection: impl Executor<'c, Database = Any>,
    keyed: &Keyed,
) -> Result<Option<Kept<T>>> {
    let row =
        sqlx::query("select hash, answer from idempotency where person_id = $1 and key = $2 and at > $3")
            .bind(keyed.person_id.as_str())
            .bind(keyed.key.as_str())
            .bind(keyed.at.before(LIFE).0)
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let same = get::<Vec<u8>>(&row, "hash")? == keyed.hash;
    Ok(Some(if same { Kept::Answered(get(&row, "answer")?) } else { Kept::OtherRequest }))
}

/// Keeps an answer, within the transaction of what it answers.
pub(crate) async fn keep(connection: &mut AnyConnection, keyed: &Keyed, answer: &str) -> Result<()> {
    let row = sqlx::query("select count(*) as kept from idempotency where person_id = $1")
        .bind(keyed.person_id.as_str())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if get::<i64>(&row, "kept")? >= MOST {
        return Ok(());
    }
    sqlx::query(
        "insert into idempotency (person_id, key, hash, answer, at) values ($1, $2, $3, $4, $5)
         on conflict (person_id, key) do update
             set hash = excluded.hash, answer = excluded.answer, at = excluded.at",
    )
    .bind(keyed.person_id.as_str())
    .bind(keyed.key.as_str())
    .bind(keyed.hash.as_slice())
    .bind(answer)
    .bind(keyed.at.0)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    Ok(())
}

impl Store {
    pub(crate) async fn remove_keys(&self, before: Timestamp) -> Result<u64> {
        let done = sqlx::query("delete from idempotency where at < $1").bind(before.0);
        Ok(done.act(&self.write).await?.rows_affected())
    }
}
