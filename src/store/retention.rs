//! How old what is kept of devices is, and its end.

use crate::act::Alone as _;
use crate::row::get;
use crate::{Store, failed};
use domain::Timestamp;
use domain::repository::Result;
use domain::retention::Rows;
use sqlx::AssertSqlSafe;

/// The tables of what devices tell. Bookmarks and pictures go with their event.
const TABLES: [&str; 2] = ["door_events", "device_events"];
/// Rows that go in one statement, so that nothing else waits long.
const CHUNK: i64 = 1_000;

impl Store {
    /// When the newest event came, if there is one.
    pub(crate) async fn newest_event_at(&self) -> Result<Option<Timestamp>> {
        let mut newest = None;
        for table in TABLES {
            let sql = format!("select max(received_at) as at from {table}");
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.read).await.map_err(failed)?;
            newest = newest.max(get::<Option<i64>>(&row, "at")?.map(Timestamp));
        }
        Ok(newest)
    }

    pub(crate) async fn count_events(&self, before: Timestamp) -> Result<Rows> {
        let mut rows = Rows { all: 0, old: 0 };
        for table in TABLES {
            let all = format!("select count(*) as n from {table}");
            let old = format!("{all} where received_at < $1");
            let all = sqlx::query(AssertSqlSafe(all)).fetch_one(&self.read).await.map_err(failed)?;
            let old = sqlx::query(AssertSqlSafe(old)).bind(before.0).fetch_one(&self.read).await;
            let n = |row| get::<i64>(row, "n").map(|n| u64::try_from(n).unwrap_or(0));
            rows.all += n(&all)?;
            rows.old += n(&old.map_err(failed)?)?;
        }
        Ok(rows)
    }

    pub(crate) async fn remove_events(&self, before: Timestamp) -> Result<u64> {
        let mut removed = 0;
        for table in TABLES {
            loop {
                let sql = format!(
                    "delete from {table} where seq in
                        (select seq from {table} where received_at < $1 order by received_at limit {CHUNK})"
                );
                let done =
                    sqlx::query(AssertSqlSafe(sql)).bind(before.0).act(&self.write).await?.rows_affected();
                removed += done;
                if done == 0 {
                    break;
                }
            }
        }
        Ok(removed)
    }
}
