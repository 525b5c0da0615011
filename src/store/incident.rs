//! Alarms and incidents as rows.
//!
//! Every change takes the lock of the audit chain first, so changes come one after
//! the other: of two alarms from one point the second finds the first, and of two
//! acts on one version the second finds the version gone.

use crate::incident_row::{due, filtered, incident, log_row, reached, select};
use crate::person::AnyQuery;
use crate::row::{get, word_opt};
use crate::{Store, audit, changed, failed, idempotency, outbox};
use async_trait::async_trait;
use domain::audit::Entry;
use domain::event::alarm::{Alarm, AlarmKind, MERGE, Point};
use domain::incident::repository::{Filter, Incidents, Kept, Keyed, Raised};
use domain::incident::{Act, Answer, Change, Due, Incident, LogRow, Reached, State, Step};
use domain::notice::{Notice, Topic};
use domain::repository::{Error, Page, Result};
use domain::role::Role;
use domain::{GroupId, HouseholdId, IncidentId, PersonId, SiteId, Timestamp, Words as _};
use serde_json::{Value, json};
use sqlx::AnyConnection;
use std::borrow::Cow;
use std::collections::BTreeSet;
use tracing::error;

/// Repetitions of an alarm that are each told and sealed; after them the 16th, the
/// 32nd, … are: a button that is stuck, or pressed for an hour, fills nothing.
const EACH: i64 = 10;

/// Whether the nth alarm of an incident is told and sealed.
fn is_told(alarms: i64) -> bool {
    alarms <= EACH || alarms & (alarms - 1) == 0
}

fn notice(incident: &Incident, topic: Topic, at: Timestamp) -> Notice {
    let word = match topic {
        Topic::Alarm => incident.kind.word(),
        _ => incident.state.word(),
    };
    Notice {
        at,
        topic,
        site_id: incident.site_id.clone(),
        place_id: Some(incident.place_id.clone()),
        object: incident.id.to_string(),
        word: word.to_owned(),
        drill: incident.drill,
    }
}

fn entry(
    incident: &Incident,
    actor: Option<&PersonId>,
    at: Timestamp,
    action: &str,
    detail: &Value,
) -> Entry {
    Entry {
        at,
        actor: actor.cloned(),
        site_id: Some(incident.site_id.clone()),
        action: action.to_owned(),
        object: incident.id.to_string(),
        detail: detail.to_string(),
    }
}

fn insert_row<'q>(id: &'q IncidentId, row: &'q LogRow) -> AnyQuery<'q> {
    sqlx::query(
        "insert into incident_log (incident_id, version, at, actor, role, act, from_state, to_state, step,
            assignee, note) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(id.as_str())
    .bind(row.version)
    .bind(row.at.0)
    .bind(row.actor.as_ref().map(PersonId::as_str))
    .bind(row.role.map(Role::word))
    .bind(row.act.word())
    .bind(row.from.map(State::word))
    .bind(row.to.word())
    .bind(row.step.word())
    .bind(row.assignee.as_ref().map(PersonId::as_str))
    .bind(row.note.as_deref())
}

async fn set_timer(connection: &mut AnyConnection, incident: &Incident) -> Result<()> {
    sqlx::query("delete from incident_timers where incident_id = $1")
        .bind(incident.id.as_str())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let Some(timer) = incident.timer else { return Ok(()) };
    sqlx::query("insert into incident_timers (incident_id, kind, due_at, version) values ($1, $2, $3, $4)")
        .bind(incident.id.as_str())
        .bind(timer.kind.word())
        .bind(timer.due.0)
        .bind(timer.version)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Parts of one device that have incidents of their own at one time. A device that names another
/// part with each alarm is one incident beyond them: it is not lost, and floods nobody.
const PARTS: i64 = 64;

/// The point of an alarm that opens another incident, with which it is looked for once more:
/// that of the device as a whole, if too many of its parts have one already.
async fn wider(connection: &mut AnyConnection, alarm: &Alarm) -> Result<Option<Point>> {
    let Point::Device { id, part: Some(_) } = &alarm.point else { return Ok(None) };
    let sql = "select count(*) as n from incidents
               where site_id = $1 and closed_at is null and last_alarm_at >= $2 and point like $3";
    let row = sqlx::query(sql)
        .bind(alarm.site_id.as_str())
        .bind(alarm.received_at.before(MERGE).0)
        .bind(format!("device:{id}:%"))
        .fetch_one(&mut *connection)
        .await;
    let open: i64 = get(&row.map_err(failed)?, "n")?;
    Ok((open >= PARTS).then(|| Point::Device { id: id.clone(), part: None }))
}

/// The incident that an alarm belongs to, if there is one. One that cannot be read is none, or
/// it would take in no alarm and keep all of that place from being heard.
async fn mergeable(
    connection: &mut AnyConnection,
    alarm: &Alarm,
    group: Option<&GroupId>,
) -> Result<Option<Incident>> {
    let handled: Vec<String> = State::WORDS
        .iter()
        .filter(|word| State::from_word(word).is_some_and(State::is_handled))
        .map(|word| format!("'{word}'"))
        .collect();
    let sql = select(&format!(
        "where i.point = $1 and i.kind = $2 and i.drill = $3 and i.last_alarm_at >= $4
         and coalesce(i.group_id, '') = $5 and i.state in ({}) order by i.seq desc limit 1",
        handled.join(", ")
    ));
    let row = sqlx::query(sql)
        .bind(alarm.point.word())
        .bind(alarm.kind.word())
        .bind(i64::from(alarm.drill))
        .bind(alarm.received_at.before(MERGE).0)
        // Two groups that practise at one place practise each for itself.
        .bind(group.map_or("", GroupId::as_str))
        .fetch_optional(&mut *connection)
        .await;
    match row.map_err(failed)?.as_ref().map(incident).transpose() {
        Err(Error::Corrupt(why)) => {
            error!(why, "an incident cannot be understood; the alarm opens another one");
            Ok(None)
        }
        found => found,
    }
}

async fn insert(connection: &mut AnyConnection, new: &Change, reach: &BTreeSet<HouseholdId>) -> Result<()> {
    let Change { incident, row } = new;
    sqlx::query(
        "insert into incidents (id, site_id, place_id, household_id, point, kind, drill, late, group_id,
            reporter, state, version, step, assignee, cancel_asked, reference, alarms, opened_at,
            last_alarm_at, closed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
    )
    .bind(incident.id.as_str())
    .bind(incident.site_id.as_str())
    .bind(incident.place_id.as_str())
    .bind(incident.point.household().map(HouseholdId::as_str))
    .bind(incident.point.word())
    .bind(incident.kind.word())
    .bind(i64::from(incident.drill))
    .bind(i64::from(incident.late))
    .bind(incident.group.as_ref().map(GroupId::as_str))
    .bind(incident.reporter.as_ref().map(PersonId::as_str))
    .bind(incident.state.word())
    .bind(incident.version)
    .bind(incident.step.word())
    .bind(incident.assignee.as_ref().map(PersonId::as_str))
    .bind(i64::from(incident.cancel_asked))
    .bind(incident.reference.as_deref())
    .bind(incident.alarms)
    .bind(incident.opened_at.0)
    .bind(incident.last_alarm_at.0)
    .bind(incident.closed_at.map(|at| at.0))
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    insert_row(&incident.id, row).execute(&mut *connection).await.map_err(failed)?;
    set_timer(connection, incident).await?;
    for household in reach {
        let sql = "insert into incident_reach (incident_id, household_id, answer, asked_at) values ($1, $2, $3, $4)";
        sqlx::query(sql)
            .bind(incident.id.as_str())
            .bind(household.as_str())
            .bind(Answer::Queued.word())
            .bind(incident.opened_at.0)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Whoever presses again does not take it back any more. Whoever is about to believe that
/// they do has seen an older version.
async fn not_taken_back(
    connection: &mut AnyConnection,
    incident: &mut Incident,
    alarm: &Alarm,
    opened: &Change,
) -> Result<()> {
    (incident.cancel_asked, incident.version) = (false, incident.version + 1);
    sqlx::query("update incidents set cancel_asked = 0, version = $2 where id = $1")
        .bind(incident.id.as_str())
        .bind(incident.version)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let row = LogRow {
        version: incident.version,
        at: alarm.received_at,
        actor: alarm.reporter.clone(),
        role: opened.row.role,
        act: Act::Reopen,
        from: Some(incident.state),
        to: incident.state,
        step: incident.step,
        assignee: incident.assignee.clone(),
        note: None,
    };
    insert_row(&incident.id, &row).execute(&mut *connection).await.map_err(failed)?;
    Ok(())
}

/// How many households an incident was sent to.
async fn sent_to(connection: &mut AnyConnection, id: &IncidentId) -> Result<usize> {
    let sql = "select count(*) as n from incident_reach where incident_id = $1";
    let row = sqlx::query(sql).bind(id.as_str()).fetch_one(&mut *connection).await.map_err(failed)?;
    Ok(usize::try_from(get::<i64>(&row, "n")?).unwrap_or(0))
}

/// Takes an alarm within a transaction that holds the lock of the audit chain.
pub(crate) async fn raise(
    connection: &mut AnyConnection,
    alarm: &Alarm,
    opened: &Change,
    reach: &BTreeSet<HouseholdId>,
) -> Result<Raised> {
    let mut found = mergeable(connection, alarm, opened.incident.group.as_ref()).await?;
    let (mut alarm, mut opened) = (Cow::Borrowed(alarm), Cow::Borrowed(opened));
    if found.is_none()
        && let Some(point) = wider(connection, &alarm).await?
    {
        alarm.to_mut().point = point.clone();
        opened.to_mut().incident.point = point;
        found = mergeable(connection, &alarm, opened.incident.group.as_ref()).await?;
    }
    let (alarm, opened) = (&*alarm, &*opened);
    let mut again = false;
    let raised = match found {
        Some(mut incident) => {
            // What was kept on the way may come after what is newer.
            incident.last_alarm_at = incident.last_alarm_at.max(alarm.received_at);
            incident.alarms += 1;
            // Somebody asks now: that the first came late is not what is to be known any more.
            again = incident.late && !alarm.late;
            incident.late &= alarm.late;
            // Not a new version: whoever is acting on it must not be told that they are late.
            sqlx::query("update incidents set alarms = $2, last_alarm_at = $3, late = $4 where id = $1")
                .bind(incident.id.as_str())
                .bind(incident.alarms)
                .bind(incident.last_alarm_at.0)
                .bind(i64::from(incident.late))
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            if incident.cancel_asked {
                not_taken_back(connection, &mut incident, alarm, opened).await?;
                again = true;
            }
            let households = sent_to(connection, &incident.id).await?;
            Raised { incident, merged: true, households }
        }
        None => {
            insert(connection, opened, reach).await?;
            Raised { incident: opened.incident.clone(), merged: false, households: reach.len() }
        }
    };
    let incident = &raised.incident;
    if again || is_told(incident.alarms) {
        let detail = json!({
            "kind": incident.kind, "drill": incident.drill, "late": alarm.late, "point": alarm.point.word(),
            "merged": raised.merged, "alarms": incident.alarms,
            "households": if raised.merged { 0 } else { reach.len() },
        });
        let at = alarm.received_at;
        audit::append(connection, &entry(incident, alarm.reporter.as_ref(), at, "alarm.raise", &detail))
            .await?;
        outbox::post(connection, &[notice(incident, Topic::Alarm, at)]).await?;
    }
    Ok(raised)
}

#[async_trait]
impl Incidents for Store {
    async fn answered(&self, keyed: &Keyed) -> Result<Option<Kept<()>>> {
        idempotency::find(&self.read, keyed).await
    }

    async fn raise(
        &self,
        alarm: &Alarm,
        opened: &Change,
        reach: &BTreeSet<HouseholdId>,
        keyed: Option<&Keyed>,
        answer: &(dyn for<'r> Fn(&'r Raised) -> String + Send + Sync),
    ) -> Result<Kept<Raised>> {
        let mut tx = self.write.begin_sealing().await?;
        if let Some(keyed) = keyed
            && let Some(before) = idempotency::find(&mut *tx, keyed).await?
        {
            return Ok(before);
        }
        let raised = raise(&mut tx, alarm, opened, reach).await?;
        if let Some(keyed) = keyed {
            idempotency::keep(&mut tx, keyed, &answer(&raised)).await?;
        }
        tx.commit().await?;
        Ok(Kept::Done(raised))
    }

    async fn change(&self, change: &Change, keyed: Option<&Keyed>, answer: &str) -> Result<Kept<()>> {
        let Change { incident, row } = change;
        let mut tx = self.write.begin_sealing().await?;
        if let Some(keyed) = keyed
            && let Some(before) = idempotency::find(&mut *tx, keyed).await?
        {
            return Ok(before);
        }
        // What repeated alarms count is not touched: they go on meanwhile.
        let done = sqlx::query(
            "update incidents set state = $3, version = $2, step = $4, assignee = $5, cancel_asked = $6,
                reference = $7, closed_at = $8 where id = $1 and version = $2 - 1",
        )
        .bind(incident.id.as_str())
        .bind(incident.version)
        .bind(incident.state.word())
        .bind(incident.step.word())
        .bind(incident.assignee.as_ref().map(PersonId::as_str))
        .bind(i64::from(incident.cancel_asked))
        .bind(incident.reference.as_deref())
        .bind(incident.closed_at.map(|at| at.0))
        .execute(&mut *tx)
        .await;
        if !changed(&done.map_err(failed)?)? {
            return Ok(Kept::Stale);
        }
        insert_row(&incident.id, row).execute(&mut *tx).await.map_err(failed)?;
        set_timer(&mut tx, incident).await?;
        let detail = json!({
            "version": row.version, "from": row.from, "to": row.to, "step": row.step, "role": row.role,
            "assignee": row.assignee, "reference": incident.reference, "note": row.note,
        });
        let action = format!("incident.{}", row.act.word());
        audit::append(&mut tx, &entry(incident, row.actor.as_ref(), row.at, &action, &detail)).await?;
        outbox::post(&mut tx, &[notice(incident, Topic::Incident, row.at)]).await?;
        if let Some(keyed) = keyed {
            idempotency::keep(&mut tx, keyed, answer).await?;
        }
        tx.commit().await?;
        Ok(Kept::Done(()))
    }

    async fn incident(&self, id: &IncidentId) -> Result<Option<Incident>> {
        let row = sqlx::query(select("where i.id = $1")).bind(id.as_str()).fetch_optional(&self.read).await;
        row.map_err(failed)?.as_ref().map(incident).transpose()
    }

    async fn incidents(&self, filter: &Filter, page: &Page) -> Result<(Vec<Incident>, Option<i64>)> {
        let rows = filtered(&self.read, filter, page).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|n| n == page.limit);
        let next = rows.last().filter(|_| full).map(seq).transpose()?;
        // One that cannot be read must not empty the desk.
        Ok((self.all_understood("incidents", "id", &rows, incident)?, next))
    }

    async fn silent_incidents(&self, site: Option<&SiteId>) -> Result<Vec<Incident>> {
        let of_site = if site.is_some() { "and i.site_id = $2" } else { "" };
        let sql = select(&format!("where i.closed_at is null and i.kind = $1 {of_site} order by i.seq"));
        let mut query = sqlx::query(sql).bind(AlarmKind::Duress.word());
        if let Some(site) = site {
            query = query.bind(site.as_str());
        }
        query.fetch_all(&self.read).await.map_err(failed)?.iter().map(incident).collect()
    }

    async fn incident_log(&self, id: &IncidentId) -> Result<Vec<LogRow>> {
        let sql = "select * from incident_log where incident_id = $1 order by version";
        self.rows(sql, &[id.as_str()]).await?.iter().map(log_row).collect()
    }

    async fn reached(&self, id: &IncidentId) -> Result<Vec<Reached>> {
        let sql = "select r.*, u.label from incident_reach r join households h on h.id = r.household_id
                   join units u on u.id = h.unit_id where r.incident_id = $1 order by u.label, h.id";
        self.rows(sql, &[id.as_str()]).await?.iter().map(reached).collect()
    }

    async fn answer(
        &self,
        incident: &Incident,
        household: &HouseholdId,
        answer: Answer,
        by: &PersonId,
        at: Timestamp,
    ) -> Result<bool> {
        let mut tx = self.write.begin_sealing().await?;
        let row =
            sqlx::query("select answer from incident_reach where incident_id = $1 and household_id = $2")
                .bind(incident.id.as_str())
                .bind(household.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed)?;
        let before =
            row.as_ref().map(|row| word_opt(row, "answer", Answer::from_word)).transpose()?.flatten();
        if !before.is_some_and(|before| answer.follows(before)) {
            return Ok(false);
        }
        sqlx::query(
            "update incident_reach set answer = $3, answered_at = $4
             where incident_id = $1 and household_id = $2",
        )
        .bind(incident.id.as_str())
        .bind(household.as_str())
        .bind(answer.word())
        .bind(at.0)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        let detail = json!({ "household": household, "answer": answer });
        audit::append(&mut tx, &entry(incident, Some(by), at, "incident.answer", &detail)).await?;
        outbox::post(&mut tx, &[notice(incident, Topic::Incident, at)]).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn timers(&self) -> Result<Vec<Due>> {
        let sql = "select t.*, s.kind as site_kind from incident_timers t
                   join incidents i on i.id = t.incident_id join sites s on s.id = i.site_id";
        // One that cannot be read must not keep all others from running out.
        self.all_understood("incident_timers", "incident_id", &self.rows(sql, &[]).await?, due)
    }

    async fn forget_keys(&self, before: Timestamp) -> Result<u64> {
        self.remove_keys(before).await
    }
}

/// The number of a row in the order of its table.
pub(crate) fn seq(row: &sqlx::any::AnyRow) -> Result<i64> {
    get(row, "seq")
}

/// A step that is kept as a word.
pub(crate) fn step(row: &sqlx::any::AnyRow) -> Result<Step> {
    crate::row::word(row, "step", Step::from_word)
}

/// What cannot be understood.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::Corrupt(what.to_owned())
}
