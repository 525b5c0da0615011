//! A site's code, and the registrations that were made with it.

use crate::act::Alone as _;
use crate::audit::append;
use crate::person::{insert_person, person};
use crate::rights::{insert_household, insert_member, insert_unit};
use crate::row::{get, time, time_opt, word, word_opt};
use crate::{Store, changed, failed};
use async_trait::async_trait;
use domain::audit::Entry;
use domain::household::{Household, Unit};
use domain::person::Person;
use domain::registration::{Filed, JoinCode, Registration, State, WAITING};
use domain::repository::{Error, Joining, Result};
use domain::{HouseholdId, PersonId, RegistrationId, SiteId, Timestamp};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

fn join_code(row: &AnyRow) -> Result<JoinCode> {
    Ok(JoinCode {
        site_id: word(row, "site_id", SiteId::parse)?,
        token_hash: get(row, "token_hash")?,
        created_by: word(row, "created_by", PersonId::parse)?,
        created_at: time(row, "created_at")?,
    })
}

fn registration(row: &AnyRow) -> Result<Registration> {
    Ok(Registration {
        id: word(row, "id", RegistrationId::parse)?,
        site_id: word(row, "site_id", SiteId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        unit: get(row, "unit")?,
        message: get(row, "message")?,
        state: word(row, "state", State::from_word)?,
        created_at: time(row, "created_at")?,
        decided_by: word_opt(row, "decided_by", PersonId::parse)?,
        decided_at: time_opt(row, "decided_at")?,
        reason: get(row, "reason")?,
    })
}

/// Decides a registration that waits. False if it does not.
async fn decide(connection: &mut AnyConnection, decided: &Registration) -> Result<bool> {
    let done = sqlx::query(
        "update registrations set state = $2, decided_by = $3, decided_at = $4, reason = $5
         where id = $1 and state = 'waiting'",
    )
    .bind(decided.id.as_str())
    .bind(decided.state.word())
    .bind(decided.decided_by.as_ref().map(PersonId::as_str))
    .bind(decided.decided_at.map(|t| t.0))
    .bind(decided.reason.as_deref())
    .execute(&mut *connection)
    .await;
    changed(&done.map_err(failed)?)
}

/// Tables in which a person has something that outlives their registrations.
const ROOTS: &[&str] = &[
    "select count(*) from registrations where person_id = $1",
    "select count(*) from grants where person_id = $1",
    "select count(*) from household_members where person_id = $1",
    "select count(*) from approvals where person_id = $1 or requested_by = $1",
    "select count(*) from invitations where created_by = $1 or used_by = $1",
    "select count(*) from join_codes where created_by = $1",
];

/// Removes an account that has nothing, and what it signs in with.
async fn remove_empty_account(connection: &mut AnyConnection, id: &str) -> Result<bool> {
    for sql in ROOTS {
        let held: i64 =
            sqlx::query_scalar(*sql).bind(id).fetch_one(&mut *connection).await.map_err(failed)?;
        if held > 0 {
            return Ok(false);
        }
    }
    for sql in [
        "delete from sessions where person_id = $1",
        "delete from viewer_keys where person_id = $1",
        "delete from passkeys where person_id = $1",
        "delete from persons where id = $1",
    ] {
        sqlx::query(sql).bind(id).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(true)
}

#[async_trait]
impl Joining for Store {
    async fn set_join_code(&self, code: &JoinCode) -> Result<()> {
        sqlx::query(
            "insert into join_codes (site_id, token_hash, created_by, created_at) values ($1, $2, $3, $4)
             on conflict (site_id) do update set token_hash = excluded.token_hash,
                created_by = excluded.created_by, created_at = excluded.created_at",
        )
        .bind(code.site_id.as_str())
        .bind(code.token_hash.as_slice())
        .bind(code.created_by.as_str())
        .bind(code.created_at.0)
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn join_code(&self, site: &SiteId) -> Result<Option<JoinCode>> {
        let row = sqlx::query("select * from join_codes where site_id = $1")
            .bind(site.as_str())
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(join_code).transpose()
    }

    async fn join_code_by_token(&self, token_hash: &[u8]) -> Result<Option<JoinCode>> {
        let row = sqlx::query("select * from join_codes where token_hash = $1")
            .bind(token_hash)
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(join_code).transpose()
    }

    async fn remove_join_code(&self, site: &SiteId) -> Result<bool> {
        let done = sqlx::query("delete from join_codes where site_id = $1")
            .bind(site.as_str())
            .act(&self.write)
            .await;
        changed(&done?)
    }

    async fn register(
        &self,
        token_hash: &[u8],
        registration: &Registration,
        person: Option<&Person>,
    ) -> Result<Filed> {
        let mut tx = self.write.begin().await?;
        // The code's row is what those who register queue for, so that the count holds.
        let code = sqlx::query(
            "update join_codes set created_at = created_at where token_hash = $1 and site_id = $2",
        )
        .bind(token_hash)
        .bind(registration.site_id.as_str())
        .execute(&mut *tx)
        .await;
        if !changed(&code.map_err(failed)?)? {
            return Ok(Filed::WrongCode);
        }
        let waiting: i64 =
            sqlx::query_scalar("select count(*) from registrations where site_id = $1 and state = 'waiting'")
                .bind(registration.site_id.as_str())
                .fetch_one(&mut *tx)
                .await
                .map_err(failed)?;
        if waiting >= i64::from(WAITING) {
            return Ok(Filed::Full);
        }
        if let Some(person) = person {
            insert_person(person).execute(&mut *tx).await.map_err(failed)?;
        } else {
            let own: i64 = sqlx::query_scalar(
                "select count(*) from registrations where site_id = $1 and state = 'waiting' and person_id = $2",
            )
            .bind(registration.site_id.as_str())
            .bind(registration.person_id.as_str())
            .fetch_one(&mut *tx)
            .await
            .map_err(failed)?;
            if own > 0 {
                return Ok(Filed::Already);
            }
        }
        sqlx::query(
            "insert into registrations (id, site_id, person_id, unit, message, state, created_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(registration.id.as_str())
        .bind(registration.site_id.as_str())
        .bind(registration.person_id.as_str())
        .bind(registration.unit.as_str())
        .bind(registration.message.as_str())
        .bind(registration.state.word())
        .bind(registration.created_at.0)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await?;
        Ok(Filed::Waiting)
    }

    async fn registration(&self, id: &RegistrationId) -> Result<Option<Registration>> {
        let row = sqlx::query("select * from registrations where id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(registration).transpose()
    }

    async fn registrations(&self, site: &SiteId) -> Result<Vec<(Registration, Person)>> {
        let rows = sqlx::query("select * from registrations where site_id = $1 order by seq")
            .bind(site.as_str())
            .fetch_all(&self.read)
            .await;
        let people = sqlx::query(
            "select * from persons where id in (select person_id from registrations where site_id = $1)",
        )
        .bind(site.as_str())
        .fetch_all(&self.read)
        .await;
        let people = people.map_err(failed)?.iter().map(person).collect::<Result<Vec<_>>>()?;
        let mut found = Vec::new();
        for row in &rows.map_err(failed)? {
            let registration = registration(row)?;
            // One that was removed between the two questions is not shown.
            if let Some(person) = people.iter().find(|person| person.id == registration.person_id) {
                found.push((registration, person.clone()));
            }
        }
        Ok(found)
    }

    async fn registrations_of(&self, person: &PersonId) -> Result<Vec<Registration>> {
        let rows = sqlx::query("select * from registrations where person_id = $1 order by seq desc")
            .bind(person.as_str())
            .fetch_all(&self.read)
            .await;
        rows.map_err(failed)?.iter().map(registration).collect()
    }

    async fn refuse_registration(&self, refused: &Registration) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        let done = decide(&mut tx, refused).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn accept_registration(
        &self,
        accepted: &Registration,
        unit: Option<&Unit>,
        new: Option<&Household>,
        household: &HouseholdId,
    ) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        if !decide(&mut tx, accepted).await? {
            return Ok(false);
        }
        if let Some(unit) = unit {
            insert_unit(unit).execute(&mut *tx).await.map_err(failed)?;
        }
        if let Some(new) = new {
            insert_household(new).execute(&mut *tx).await.map_err(failed)?;
        }
        let from = accepted.decided_at.unwrap_or(accepted.created_at);
        insert_member(household, &accepted.person_id, from).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await?;
        Ok(true)
    }

    async fn remove_old_registrations(&self, before: Timestamp, now: Timestamp) -> Result<u64> {
        let old = sqlx::query(
            "select * from registrations where coalesce(decided_at, created_at) < $1 order by seq",
        )
        .bind(before.0)
        .fetch_all(&self.read)
        .await;
        let mut removed = 0;
        for row in &old.map_err(failed)? {
            let old = registration(row)?;
            // An account that something else still refers to stays; the claim goes all the same.
            match self.remove_registration(&old, true, now).await {
                Err(Error::Reference) => self.remove_registration(&old, false, now).await?,
                other => other?,
            }
            removed += 1;
        }
        Ok(removed)
    }
}

impl Store {
    /// Removes a registration, with its account if that is wished and it has nothing else.
    async fn remove_registration(&self, old: &Registration, account: bool, now: Timestamp) -> Result<()> {
        let mut tx = self.write.begin_sealing().await?;
        sqlx::query("delete from registrations where id = $1")
            .bind(old.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        let account = account && remove_empty_account(&mut tx, old.person_id.as_str()).await?;
        let entry = Entry {
            at: now,
            actor: None,
            site_id: Some(old.site_id.clone()),
            action: "registration.remove".to_owned(),
            object: old.id.to_string(),
            // Words, which need no escapes.
            detail: format!("{{\"state\":\"{}\",\"account\":{account}}}", old.state.word()),
        };
        append(&mut tx, &entry).await?;
        tx.commit().await
    }
}
