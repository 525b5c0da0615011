//! The outbox as rows. Every notice gets its number from one row, which is locked
//! until the change that it tells of is committed: so whoever reads up to a number
//! will never find a lower one later. Whoever seals into the audit chain as well
//! takes that lock first.

use crate::act::Alone as _;
use crate::row::{get, marks, time, truth, word, word_opt};
use crate::{Store, failed};
use async_trait::async_trait;
use domain::incident::repository::Outbox;
use domain::notice::{Line, Notice, Notify, Posted, Range, Read, Topic};
use domain::repository::Result;
use domain::{PlaceId, SiteId, Words as _};
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

    async fn notices(&self, line: Line, after: i64, limit: u32) -> Result<Read> {
        let rest =
            Topic::WORDS.iter().filter(|word| Topic::from_word(word).map(Topic::line) == Some(Line::Rest));
        let rest = rest.map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
        let not = if line == Line::Alarms { "not" } else { "" };
        // The end of the outbox comes with it, so that what is written meanwhile is not passed over.
        // Only constants are put into the text.
        let sql = format!(
            "select h.seq as head, o.* from outbox_head h
             left join outbox o on o.seq > $1 and o.seq <= h.seq and o.topic {not} in ({rest})
             where h.id = 1 order by o.seq limit $2"
        );
        let mut rows = sqlx::query(AssertSqlSafe(sql))
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await
            .map_err(failed)?;
        let head = match rows.first() {
            Some(row) => get::<i64>(row, "head")?.max(after),
            None => after,
        };
        rows.retain(|row| !matches!(get::<Option<i64>>(row, "seq"), Ok(None)));
        let more = rows.len() >= limit as usize;
        let to = match rows.last() {
            Some(last) if more => get(last, "seq")?,
            _ => head,
        };
        let notices = self.all_understood("outbox", "seq", &rows, posted)?;
        let unreadable = rows.len().saturating_sub(notices.len()) as u64;
        // Numbers have no gaps: what is not there was removed.
        let there = match i64::try_from(rows.len()) {
            Ok(count) if count == to - after => count,
            _ => {
                let sql = "select count(*) as n from outbox where seq > $1 and seq <= $2";
                let row =
                    sqlx::query(sql).bind(after).bind(to).fetch_one(&self.read).await.map_err(failed)?;
                get(&row, "n")?
            }
        };
        let gone = u64::try_from(to - after - there).unwrap_or(0);
        Ok(Read { notices, to, more, gone, unreadable })
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
