//! Passkeys.

use crate::act::Alone as _;
use crate::row::{get, time, time_opt, word};
use crate::{Store, changed, failed};
use async_trait::async_trait;
use domain::person::Passkey;
use domain::repository::{Passkeys, Result};
use domain::{PasskeyId, PersonId, Timestamp};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

fn passkey(row: &AnyRow) -> Result<Passkey> {
    Ok(Passkey {
        id: word(row, "id", PasskeyId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        credential_id: get(row, "credential_id")?,
        credential: get(row, "credential")?,
        name: get(row, "name")?,
        created_at: time(row, "created_at")?,
        used_at: time_opt(row, "used_at")?,
    })
}

/// Removes all passkeys of a person.
pub(crate) async fn remove_passkeys(connection: &mut AnyConnection, person: &PersonId) -> Result<()> {
    let done = sqlx::query("delete from passkeys where person_id = $1").bind(person.as_str());
    done.execute(connection).await.map(|_| ()).map_err(failed)
}

#[async_trait]
impl Passkeys for Store {
    async fn add_passkey(&self, passkey: &Passkey) -> Result<()> {
        sqlx::query(
            "insert into passkeys (id, person_id, credential_id, credential, name, created_at, used_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(passkey.id.as_str())
        .bind(passkey.person_id.as_str())
        .bind(passkey.credential_id.as_slice())
        .bind(passkey.credential.as_str())
        .bind(passkey.name.as_str())
        .bind(passkey.created_at.0)
        .bind(passkey.used_at.map(|at| at.0))
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn passkey_by_credential(&self, credential_id: &[u8]) -> Result<Option<Passkey>> {
        let row = sqlx::query("select * from passkeys where credential_id = $1")
            .bind(credential_id)
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(passkey).transpose()
    }

    async fn passkeys(&self, person: &PersonId) -> Result<Vec<Passkey>> {
        let rows = sqlx::query("select * from passkeys where person_id = $1 order by created_at desc, id")
            .bind(person.as_str())
            .fetch_all(&self.read)
            .await;
        rows.map_err(failed)?.iter().map(passkey).collect()
    }

    async fn use_passkey(&self, before: &Passkey, credential: &str, at: Timestamp) -> Result<bool> {
        let done = sqlx::query(
            "update passkeys set credential = $3, used_at = $4 where id = $1 and credential = $2",
        )
        .bind(before.id.as_str())
        .bind(before.credential.as_str())
        .bind(credential)
        .bind(at.0)
        .act(&self.write)
        .await;
        changed(&done?)
    }

    async fn remove_passkey(&self, person: &PersonId, id: &PasskeyId) -> Result<bool> {
        let done = sqlx::query("delete from passkeys where id = $1 and person_id = $2")
            .bind(id.as_str())
            .bind(person.as_str())
            .act(&self.write)
            .await;
        changed(&done?)
    }
}
