//! The outbox as rows. Every notice gets its number from one row, which is locked
//! until the change that it tells of is committed: so whoever reads up to a number
//! will never find a lower one later. Whoever seals into the audit chain as well
//! takes that lock first.

use crate::act::Alone as _;
use crate::row::{get, marks, time, truth, word, word_opt};
use crate::{Store, failed};
use async_trait::async_trait;
use domain::incident::repository::Outbox;
use domain::notice::{Notice, Notify, Page, Posted, Range, Topic};
use domain::repository::Result;
use domain::{PlaceId, SiteId};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

/// Columns of one row in the insert.
const COLUMNS: usize = 8;
/// Rows in one insert.
const ROWS: usize = 500;

/// Adds notices within the transaction that makes them true.
pub(crate) async fn post(connection: &mut AnyConnection, notices: &[Notice]) -> Result<()> {
    for notices in notices.chunks(ROWS) {
        let count = i64::try_from(notices.len()).unwrap_or(0);
        let row = sqlx::query("update outbox_head set seq = seq + $1 where id = 1 returning seq")
            .bind(count)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        let first = get::<i64>(&row, "seq")? - count + 1;
        // Only numbers of parameters are put into the text.
        let mut query = sqlx::query(AssertSqlSafe(format!(
            "insert into outbox (seq, at, topic, site_id, place_id, object, word, drill) values {}",
            marks(notices.len(), COLUMNS)
        )));
        for (seq, notice) in (first..).zip(notices) {
            query = query
                .bind(seq)
                .bind(notice.at.0)
                .bind(notice.topic.word())
                .bind(notice.site_id.as_str())
                .bind(notice.place_id.as_ref().map(PlaceId::as_str))
                .bind(notice.object.as_str())
                .bind(notice.word.as_str())
                .bind(i64::from(notice.drill));
        }
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

fn posted(row: &AnyRow) -> Result<Posted> {
    let notice = Notice {
        at: time(row, "at")?,
        topic: word(row, "topic", Topic::from_word)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        place_id: word_opt(row, "place_id", PlaceId::parse)?,
        object: get(row, "object")?,
        word: get(row, "word")?,
        drill: truth(row, "drill")?,
    };
    Ok(Posted { seq: get(row, "seq")?, notice })
}

#[async_trait]
impl Outbox for Store {
    async fn post(&self, notices: &[Notice]) -> Result<()> {
        let mut tx = self.write.begin().await?;
        post(&mut tx, notices).await?;
        tx.commit().await
    }

    async fn notices(&self, after: i64, limit: u32) -> Result<Page> {
        let rows = sqlx::query("select * from outbox where seq > $1 order by seq limit $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await
            .map_err(failed)?;
        let to = rows.last().map_or(Ok(after), |row| get(row, "seq"))?;
        let is_full = rows.len() >= limit as usize;
        Ok(Page { notices: self.all_understood("outbox", "seq", &rows, posted)?, to, is_full })
    }

    async fn last_notice(&self) -> Result<i64> {
        let row = sqlx::query("select seq from outbox_head where id = 1").fetch_one(&self.read).await;
        get(&row.map_err(failed)?, "seq")
    }

    async fn trim_outbox(&self, keep: u32) -> Result<u64> {
        // By number and not by age: a clock that jumps removes nothing.
        let sql = "delete from outbox where seq <= (select seq from outbox_head where id = 1) - $1";
        let done = sqlx::query(sql).bind(i64::from(keep)).act(&self.write).await;
        Ok(done?.rows_affected())
    }
}

/// Pages of signed-in people read the outbox.
#[async_trait]
impl Notify for Store {
    fn range(&self) -> Range {
        Range::House
    }

    async fn notify(&self, notices: &[Notice]) -> Result<()> {
        Outbox::post(self, notices).await
    }
}
