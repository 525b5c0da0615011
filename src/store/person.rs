//! People, their roles, sessions and keys.

use crate::act::Alone as _;
use crate::passkey::remove_passkeys;
use crate::rights::insert_grant;
use crate::row::{get, time, truth, word};
use crate::{Store, changed, failed};
use async_trait::async_trait;
use domain::person::{IDLE, Person, Session, SignedInBy, ViewerKey};
use domain::repository::{Each, Error, Persons, Result};
use domain::role::Grant;
use domain::{PersonId, Secret, SessionId, Timestamp, ViewerKeyId};
use sqlx::AnyConnection;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

pub(crate) const HA1_MD5: &str = "viewer_key.ha1_md5";
pub(crate) const HA1_SHA256: &str = "viewer_key.ha1_sha256";

pub(crate) fn person(row: &AnyRow) -> Result<Person> {
    Ok(Person {
        id: word(row, "id", PersonId::parse)?,
        login: get(row, "login")?,
        name: get(row, "name")?,
        locale: get(row, "locale")?,
        password_hash: Secret::new(get::<String>(row, "password_hash")?),
        disabled: truth(row, "disabled")?,
        created_at: time(row, "created_at")?,
    })
}

fn session(row: &AnyRow) -> Result<Session> {
    Ok(Session {
        id: word(row, "id", SessionId::parse)?,
        person_id: word(row, "person_id", PersonId::parse)?,
        token_hash: get(row, "token_hash")?,
        by: word(row, "begun_by", SignedInBy::from_word)?,
        user_agent: get(row, "user_agent")?,
        created_at: time(row, "created_at")?,
        seen_at: time(row, "seen_at")?,
        expires_at: time(row, "expires_at")?,
    })
}

pub(crate) type AnyQuery<'q> = Query<'q, sqlx::Any, AnyArguments>;

pub(crate) fn insert_person(person: &Person) -> AnyQuery<'_> {
    sqlx::query(
        "insert into persons (id, login, name, locale, password_hash, disabled, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(person.id.as_str())
    .bind(person.login.as_str())
    .bind(person.name.as_str())
    .bind(person.locale.as_str())
    .bind(person.password_hash.expose())
    .bind(i64::from(person.disabled))
    .bind(person.created_at.0)
}

impl Store {
    fn viewer_key_from(&self, row: &AnyRow) -> Result<ViewerKey> {
        let id = word(row, "id", ViewerKeyId::parse)?;
        let open = |column, field| -> Result<Secret> {
            self.sealing.open(&get::<Vec<u8>>(row, column)?, id.as_str(), field)
        };
        Ok(ViewerKey {
            ha1_md5: open("ha1_md5_sealed", HA1_MD5)?,
            ha1_sha256: open("ha1_sha256_sealed", HA1_SHA256)?,
            person_id: word(row, "person_id", PersonId::parse)?,
            login: get(row, "login")?,
            name: get(row, "name")?,
            created_at: time(row, "created_at")?,
            id,
        })
    }
}

#[async_trait]
impl Persons for Store {
    async fn add_first_owner(&self, person: &Person, grant: &Grant) -> Result<()> {
        let mut tx = self.write.begin().await?;
        // The insert is conditional, so two who hold the same token cannot both win:
        // SQLite has one writer, and in PostgreSQL the lock orders them.
        if self.write.is_postgres() {
            sqlx::query("lock table persons in exclusive mode").execute(&mut *tx).await.map_err(failed)?;
        }
        let known: i64 =
            sqlx::query_scalar("select count(*) from persons").fetch_one(&mut *tx).await.map_err(failed)?;
        if known > 0 {
            return Err(Error::Exists);
        }
        insert_person(person).execute(&mut *tx).await.map_err(failed)?;
        insert_grant(grant).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await
    }

    async fn add_owner(&self, person: &Person, grant: &Grant) -> Result<()> {
        let mut tx = self.write.begin().await?;
        insert_person(person).execute(&mut *tx).await.map_err(failed)?;
        insert_grant(grant).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await
    }

    async fn anybody(&self) -> Result<bool> {
        let known: i64 =
            sqlx::query_scalar("select count(*) from persons").fetch_one(&self.read).await.map_err(failed)?;
        Ok(known > 0)
    }

    async fn add_person(&self, person: &Person) -> Result<()> {
        insert_person(person).act(&self.write).await?;
        Ok(())
    }

    async fn person(&self, id: &PersonId) -> Result<Option<Person>> {
        let row = sqlx::query("select * from persons where id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(person).transpose()
    }

    async fn person_by_login(&self, login: &str) -> Result<Option<Person>> {
        let row = sqlx::query("select * from persons where login = $1")
            .bind(login)
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(person).transpose()
    }

    async fn persons(&self) -> Result<Vec<Person>> {
        let rows = sqlx::query("select * from persons order by login, id").fetch_all(&self.read).await;
        rows.map_err(failed)?.iter().map(person).collect()
    }

    async fn set_password(
        &self,
        person: &PersonId,
        before: &Secret,
        after: &Secret,
        lost: bool,
    ) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        let done = sqlx::query("update persons set password_hash = $3 where id = $1 and password_hash = $2")
            .bind(person.as_str())
            .bind(before.expose())
            .bind(after.expose())
            .execute(&mut *tx)
            .await;
        if !changed(&done.map_err(failed)?)? {
            return Ok(false);
        }
        end_credentials(&mut tx, person).await?;
        if lost {
            remove_passkeys(&mut tx, person).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn set_disabled(&self, person: &PersonId, disabled: bool) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        let done = sqlx::query("update persons set disabled = $2 where id = $1")
            .bind(person.as_str())
            .bind(i64::from(disabled))
            .execute(&mut *tx)
            .await;
        if !changed(&done.map_err(failed)?)? {
            return Ok(false);
        }
        if disabled {
            end_credentials(&mut tx, person).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn add_session(&self, session: &Session, password_hash: &Secret) -> Result<bool> {
        let mut tx = self.write.begin().await?;
        // Changes nothing, but holds the row until the session is there: whoever resets
        // the password or switches the account off comes before or after, not between.
        let valid = sqlx::query(
            "update persons set login = login where id = $1 and password_hash = $2 and disabled = 0",
        );
        let valid =
            valid.bind(session.person_id.as_str()).bind(password_hash.expose()).execute(&mut *tx).await;
        if !changed(&valid.map_err(failed)?)? {
            return Ok(false);
        }
        sqlx::query(
            "insert into sessions (id, person_id, token_hash, begun_by, user_agent, created_at, seen_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(session.id.as_str())
        .bind(session.person_id.as_str())
        .bind(session.token_hash.as_slice())
        .bind(session.by.word())
        .bind(session.user_agent.as_str())
        .bind(session.created_at.0)
        .bind(session.seen_at.0)
        .bind(session.expires_at.0)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await?;
        Ok(true)
    }

    async fn session_by_token(&self, token_hash: &[u8]) -> Result<Option<Session>> {
        let row = sqlx::query("select * from sessions where token_hash = $1")
            .bind(token_hash)
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(session).transpose()
    }

    async fn each_session(&self, ids: &[SessionId]) -> Each<SessionId, Session> {
        let sql = |marks: &str| format!("select * from sessions where id in ({marks})");
        self.each_row(ids, sql, session).await
    }

    async fn remove_ended_sessions(&self, now: Timestamp) -> Result<u64> {
        let done = sqlx::query("delete from sessions where expires_at <= $1 or seen_at <= $2")
            .bind(now.0)
            .bind(now.before(IDLE).0)
            .act(&self.write)
            .await;
        Ok(done?.rows_affected())
    }

    async fn sessions(&self, person: &PersonId) -> Result<Vec<Session>> {
        let rows = sqlx::query("select * from sessions where person_id = $1 order by created_at desc, id")
            .bind(person.as_str())
            .fetch_all(&self.read)
            .await;
        rows.map_err(failed)?.iter().map(session).collect()
    }

    async fn touch_session(&self, id: &SessionId, at: Timestamp) -> Result<()> {
        sqlx::query("update sessions set seen_at = $2 where id = $1")
            .bind(id.as_str())
            .bind(at.0)
            .act(&self.write)
            .await?;
        Ok(())
    }

    async fn remove_session(&self, person: &PersonId, id: &SessionId) -> Result<bool> {
        let done = sqlx::query("delete from sessions where id = $1 and person_id = $2")
            .bind(id.as_str())
            .bind(person.as_str())
            .act(&self.write)
            .await;
        changed(&done?)
    }

    async fn remove_credentials(&self, person: &PersonId) -> Result<()> {
        let mut tx = self.write.begin().await?;
        end_credentials(&mut tx, person).await?;
        tx.commit().await
    }

    async fn add_viewer_key(&self, key: &ViewerKey) -> Result<()> {
        let row = key.id.as_str();
        sqlx::query(
            "insert into viewer_keys (id, person_id, login, name, ha1_md5_sealed, ha1_sha256_sealed, created_at)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(row)
        .bind(key.person_id.as_str())
        .bind(key.login.as_str())
        .bind(key.name.as_str())
        .bind(self.sealing.seal(&key.ha1_md5, row, HA1_MD5)?)
        .bind(self.sealing.seal(&key.ha1_sha256, row, HA1_SHA256)?)
        .bind(key.created_at.0)
        .act(&self.write)
        .await?;
        Ok(())
    }

    async fn viewer_key_by_login(&self, login: &str) -> Result<Option<ViewerKey>> {
        let row = sqlx::query("select * from viewer_keys where login = $1")
            .bind(login)
            .fetch_optional(&self.read)
            .await;
        row.map_err(failed)?.as_ref().map(|row| self.viewer_key_from(row)).transpose()
    }

    async fn viewer_keys(&self, person: &PersonId) -> Result<Vec<ViewerKey>> {
        let rows = sqlx::query("select * from viewer_keys where person_id = $1 order by created_at desc, id")
            .bind(person.as_str())
            .fetch_all(&self.read)
            .await;
        rows.map_err(failed)?.iter().map(|row| self.viewer_key_from(row)).collect()
    }

    async fn each_key_holder(&self, ids: &[ViewerKeyId]) -> Each<ViewerKeyId, PersonId> {
        let sql = |marks: &str| format!("select id, person_id from viewer_keys where id in ({marks})");
        self.each_row(ids, sql, |row| word(row, "person_id", PersonId::parse)).await
    }

    async fn remove_viewer_key(&self, person: &PersonId, id: &ViewerKeyId) -> Result<bool> {
        let done = sqlx::query("delete from viewer_keys where id = $1 and person_id = $2")
            .bind(id.as_str())
            .bind(person.as_str())
            .act(&self.write)
            .await;
        changed(&done?)
    }
}

/// Ends every session and every player key of somebody.
async fn end_credentials(connection: &mut AnyConnection, person: &PersonId) -> Result<()> {
    for sql in ["delete from sessions where person_id = $1", "delete from viewer_keys where person_id = $1"] {
        sqlx::query(sql).bind(person.as_str()).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}
