//! The queue of messages as rows.

use crate::act::Alone as _;
use crate::incident_row::{incident, select};
use crate::row::{get, time, time_opt, truth, word};
use crate::{Store, changed, failed};
use async_trait::async_trait;
use domain::incident::Incident;
use domain::message::repository::Messages;
use domain::message::{LONGEST, Message, Receiver, State};
use domain::repository::Result;
use domain::{IncidentId, MessageId, PersonId, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use std::collections::BTreeSet;

/// A lane's messages that wait. Nothing urgent waits longer than it may, so what is due
/// later than that was made before the clock was set back.
const DUE: &str = "lane = $1 and state = 'waiting' and (due_at <= $2 or (urgent = 1 and due_at > $3))";

/// A receiver as it is kept.
fn receiver(receiver: &Receiver) -> &str {
    match receiver {
        Receiver::Person(person) => person.as_str(),
        Receiver::Channel => "",
    }
}

fn message(row: &AnyRow) -> Result<Message> {
    let person = |text: &str| match text {
        "" => Some(Receiver::Channel),
        id => PersonId::parse(id).map(Receiver::Person),
    };
    Ok(Message {
        id: word(row, "id", MessageId::parse)?,
        incident_id: word(row, "incident_id", IncidentId::parse)?,
        version: get(row, "version")?,
        lane: get(row, "lane")?,
        receiver: word(row, "receiver", person)?,
        device: get(row, "device")?,
        urgent: truth(row, "urgent")?,
        state: word(row, "state", State::from_word)?,
        attempt: get(row, "attempt")?,
        due_at: time(row, "due_at")?,
        made_at: time(row, "made_at")?,
        tried_at: time_opt(row, "tried_at")?,
        reason: get(row, "reason")?,
    })
}

impl Store {
    /// Gives up a message that cannot be read.
    async fn give_up(&self, seq: i64) -> Result<()> {
        let sql = "update messages set state = 'failed', reason = 'it cannot be read' where seq = $1";
        sqlx::query(sql).bind(seq).act(&self.write).await?;
        Ok(())
    }
}

#[async_trait]
impl Messages for Store {
    async fn read_up_to(&self) -> Result<i64> {
        let row = sqlx::query("select seq from messages_read where id = 1").fetch_one(&self.read).await;
        get(&row.map_err(failed)?, "seq")
    }

    async fn has_read(&self, from: i64, to: i64) -> Result<bool> {
        let sql = "update messages_read set seq = $2 where id = 1 and seq = $1";
        changed(&sqlx::query(sql).bind(from).bind(to).act(&self.write).await?)
    }

    async fn queue(&self, messages: &[Message]) -> Result<usize> {
        let mut tx = self.write.begin().await?;
        let mut new = 0;
        for message in messages {
            let done = sqlx::query(
                "insert into messages (id, incident_id, version, lane, receiver, device, urgent, state, attempt,
                    due_at, made_at, tried_at, reason)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                 on conflict (incident_id, version, lane, receiver, device) do nothing",
            )
            .bind(message.id.as_str())
            .bind(message.incident_id.as_str())
            .bind(message.version)
            .bind(message.lane.as_str())
            .bind(receiver(&message.receiver))
            .bind(message.device.as_str())
            .bind(i64::from(message.urgent))
            .bind(message.state.word())
            .bind(message.attempt)
            .bind(message.due_at.0)
            .bind(message.made_at.0)
            .bind(message.tried_at.map(|at| at.0))
            .bind(message.reason.as_deref())
            .execute(&mut *tx)
            .await;
            new += usize::from(changed(&done.map_err(failed)?)?);
        }
        tx.commit().await?;
        Ok(new)
    }

    async fn stop_all_but(&self, id: &IncidentId, calls: &BTreeSet<i64>, up_to: i64) -> Result<u64> {
        let calls: Vec<String> = calls.iter().map(i64::to_string).collect();
        // Numbers, and nothing else.
        let others = if calls.is_empty() {
            String::new()
        } else {
            format!("and version not in ({})", calls.join(", "))
        };
        let sql = AssertSqlSafe(format!(
            "update messages set state = 'stopped'
             where incident_id = $1 and state = 'waiting' and version <= $2 {others}"
        ));
        let done = sqlx::query(sql.into_sql_str()).bind(id.as_str()).bind(up_to).act(&self.write).await;
        Ok(done?.rows_affected())
    }

    async fn waiting(&self, lane: &str) -> Result<u64> {
        let sql = "select count(*) as n from messages where lane = $1 and state = 'waiting'";
        let row = sqlx::query(sql).bind(lane).fetch_one(&self.read).await.map_err(failed)?;
        Ok(u64::try_from(get::<i64>(&row, "n")?).unwrap_or(0))
    }

    async fn due(&self, lane: &str, now: Timestamp, limit: u32) -> Result<Vec<Message>> {
        let sql = format!("select * from messages where {DUE} order by urgent desc, due_at, seq limit $4");
        loop {
            let rows = sqlx::query(AssertSqlSafe(sql.clone()).into_sql_str())
                .bind(lane)
                .bind(now.0)
                .bind(now.after(LONGEST).0)
                .bind(i64::from(limit))
                .fetch_all(&self.read)
                .await
                .map_err(failed)?;
            let due = self.all_understood("messages", "seq", &rows, message)?;
            if due.len() == rows.len() {
                return Ok(due);
            }
            // It would stand before all others for ever.
            for row in rows.iter().filter(|row| message(row).is_err()) {
                self.give_up(get(row, "seq")?).await?;
            }
        }
    }

    async fn claim(&self, message: &Message, now: Timestamp, next: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "update messages set attempt = attempt + 1, tried_at = $3, due_at = $4
             where id = $1 and attempt = $2 and due_at = $5 and state = 'waiting'",
        )
        .bind(message.id.as_str())
        .bind(message.attempt)
        .bind(now.0)
        .bind(next.0)
        .bind(message.due_at.0)
        .act(&self.write)
        .await;
        changed(&done?)
    }

    async fn settle(&self, id: &MessageId, state: State, reason: Option<&str>) -> Result<()> {
        sqlx::query("update messages set state = $2, reason = $3 where id = $1 and state = 'waiting'")
            .bind(id.as_str())
            .bind(state.word())
            .bind(reason)
            .act(&self.write)
            .await?;
        Ok(())
    }

    async fn postpone(&self, id: &MessageId, due: Timestamp, reason: &str, counts: bool) -> Result<()> {
        sqlx::query(
            "update messages set due_at = $2, reason = $3, attempt = attempt - $4
             where id = $1 and state = 'waiting'",
        )
        .bind(id.as_str())
        .bind(due.0)
        .bind(reason)
        .bind(i64::from(!counts))
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn tried_since(&self, lane: &str, since: Timestamp) -> Result<u64> {
        let sql = "select count(*) as n from messages where lane = $1 and tried_at > $2";
        let row = sqlx::query(sql).bind(lane).bind(since.0).fetch_one(&self.read).await.map_err(failed)?;
        Ok(u64::try_from(get::<i64>(&row, "n")?).unwrap_or(0))
    }

    async fn calling(&self) -> Result<Vec<Incident>> {
        let sql = select(
            "where i.closed_at is null and i.drill = 0
             and i.state in ('open', 'reopened', 'acked', 'dispatched', 'accepted', 'on_scene', 'transferred')
             order by i.seq",
        );
        let rows = sqlx::query(sql).fetch_all(&self.read).await;
        self.all_understood("incidents", "id", &rows.map_err(failed)?, incident)
    }

    async fn messages(&self, id: &IncidentId) -> Result<Vec<Message>> {
        let sql = "select * from messages where incident_id = $1 order by seq";
        self.rows(sql, &[id.as_str()]).await?.iter().map(message).collect()
    }

    async fn remove_old_messages(&self, before: Timestamp) -> Result<u64> {
        let sql = "delete from messages where state <> 'waiting' and made_at < $1";
        Ok(sqlx::query(sql).bind(before.0).act(&self.write).await?.rows_affected())
    }
}
