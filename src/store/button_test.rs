//! Tests of alarm buttons as rows: those that go on, and the ledger of those that have ended.

use crate::person::AnyQuery;
use crate::row::{get, time, truth, word};
use crate::{Store, audit, failed};
use domain::audit::Entry;
use domain::drill::{ButtonTest, Trial};
use domain::event::alarm::{Alarm, Point};
use domain::incident::repository::Trials;
use domain::repository::Result;
use domain::role::Role;
use domain::{ButtonTestId, DeviceId, PersonId, SiteId, Timestamp};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

pub(crate) fn test(row: &AnyRow) -> Result<ButtonTest> {
    Ok(ButtonTest {
        id: word(row, "id", ButtonTestId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        device_id: word(row, "device_id", DeviceId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        role: word(row, "role", Role::from_word)?,
        worked: truth(row, "worked")?,
        note: get(row, "note")?,
        at: time(row, "at")?,
    })
}

pub(crate) fn trial(row: &AnyRow) -> Result<Trial> {
    Ok(Trial {
        id: word(row, "id", ButtonTestId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        device_id: word(row, "device_id", DeviceId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        role: word(row, "role", Role::from_word)?,
        from: time(row, "from_at")?,
        until: time(row, "until_at")?,
    })
}

pub(crate) fn insert(test: &ButtonTest) -> AnyQuery<'_> {
    sqlx::query(
        "insert into button_tests (id, site_id, device_id, person_id, role, worked, note, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(test.id.as_str())
    .bind(test.site_id.as_str())
    .bind(test.device_id.as_str())
    .bind(test.person_id.as_str())
    .bind(test.role.word())
    .bind(i64::from(test.worked))
    .bind(test.note.as_deref())
    .bind(test.at.0)
}

pub(crate) fn insert_trial(trial: &Trial) -> AnyQuery<'_> {
    sqlx::query(
        "insert into button_trials (device_id, id, site_id, person_id, role, from_at, until_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (device_id) do nothing",
    )
    .bind(trial.device_id.as_str())
    .bind(trial.id.as_str())
    .bind(trial.site_id.as_str())
    .bind(trial.person_id.as_str())
    .bind(trial.role.word())
    .bind(trial.from.0)
    .bind(trial.until.0)
}

/// Ends a trial within a transaction that holds the lock of the audit chain, and notes how it
/// went. False if it has ended already.
async fn end(connection: &mut AnyConnection, trial: Trial, worked: bool, at: Timestamp) -> Result<bool> {
    let done = sqlx::query("delete from button_trials where id = $1")
        .bind(trial.id.as_str())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let test = trial.test(worked, at);
    insert(&test).execute(&mut *connection).await.map_err(failed)?;
    let entry = Entry {
        at,
        actor: Some(test.person_id.clone()),
        site_id: Some(test.site_id.clone()),
        action: "button_test.end".to_owned(),
        object: test.id.to_string(),
        detail: serde_json::json!({ "device": test.device_id, "worked": worked }).to_string(),
    };
    audit::append(connection, &entry).await?;
    Ok(true)
}

/// Whether an alarm is the press that a test waits for: then it is noted, and is no alarm.
pub(crate) async fn takes(connection: &mut AnyConnection, alarm: &Alarm) -> Result<bool> {
    let Point::Device { id: device, .. } = &alarm.point else { return Ok(false) };
    let row = sqlx::query("select * from button_trials where device_id = $1")
        .bind(device.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    // A row that cannot be read holds up no alarm.
    let trial = row.as_ref().and_then(|row| trial(row).ok()).filter(|trial| trial.takes(alarm));
    match trial {
        Some(trial) => end(connection, trial, true, alarm.received_at).await,
        None => Ok(false),
    }
}

impl Store {
    /// Ends trials whose time is over at `now`, or that have not begun by far: the clock was set back.
    pub(crate) async fn end_old_trials(&self, now: Timestamp) -> Result<Trials> {
        let rows = sqlx::query("select * from button_trials").fetch_all(&self.read).await.map_err(failed)?;
        let trials = self.all_understood("button_trials", "device_id", &rows, trial)?;
        let (open, over) = trials.into_iter().partition::<Vec<_>, _>(|trial| trial.goes_on(now));
        let mut ended = 0;
        for trial in over {
            let mut tx = self.write.begin_sealing().await?;
            ended += u64::from(end(&mut tx, trial, false, now).await?);
            tx.commit().await?;
        }
        Ok(Trials { ended, open: open.len() as u64 })
    }
}
