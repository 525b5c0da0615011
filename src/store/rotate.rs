//! A new sealing key for everything that is sealed.
//!
//! Two things change and no transaction spans them: the key's file and the rows.
//! So the new key is first written beside the old one; then all rows, and a check
//! that tells which key they are sealed with, change in one transaction; then the
//! new file takes the old one's place. Whatever step a crash comes after, the next
//! start reads the check and knows which of the two files is the key.

use crate::camera::PASSWORD;
use crate::device;
use crate::person::{HA1_MD5, HA1_SHA256};
use crate::row::get;
use crate::seal::{KeyError, SealingKey};
use crate::{OpenError, Store, failed};
use domain::Secret;
use domain::repository::{Error, Result};
use sqlx::{AnyPool, AssertSqlSafe};

/// Every sealed column: table, column, and the field that is sealed into it.
pub const SEALED: [(&str, &str, &str); 4] = [
    ("cameras", "password_sealed", PASSWORD),
    ("devices", "pull_password_sealed", device::PASSWORD),
    ("viewer_keys", "ha1_md5_sealed", HA1_MD5),
    ("viewer_keys", "ha1_sha256_sealed", HA1_SHA256),
];

/// What is sealed into the check.
const CHECK: (&str, &str, &str) = ("sharp-eyes", "1", "sealing_check.sealed");

fn seal_check(key: &SealingKey) -> Result<Vec<u8>> {
    let (text, row, field) = CHECK;
    key.seal(&Secret::new(text), row, field)
}

fn fits(key: &SealingKey, sealed: &[u8]) -> bool {
    let (_, row, field) = CHECK;
    key.open(sealed, row, field).is_ok()
}

/// Finds out which key the rows are sealed with, and ends a change that a crash
/// interrupted. A key that is not theirs is refused here and not camera by camera.
pub(crate) async fn settle(write: &AnyPool, key: SealingKey) -> std::result::Result<SealingKey, OpenError> {
    let wrong = || OpenError::Key(key.name());
    let check = sqlx::query("select sealed from sealing_check where id = 1").fetch_optional(write).await;
    let Some(row) = check.map_err(OpenError::Connect)? else {
        // A database from before there was a check, or a new one.
        for (table, column, field) in SEALED {
            let sql = format!("select id, {column} from {table} where {column} is not null limit 1");
            let row =
                sqlx::query(AssertSqlSafe(sql)).fetch_optional(write).await.map_err(OpenError::Connect)?;
            let Some(row) = row else { continue };
            let (id, sealed) = (get::<String>(&row, "id"), get::<Vec<u8>>(&row, column));
            if !matches!((id, sealed), (Ok(id), Ok(sealed)) if key.open(&sealed, &id, field).is_ok()) {
                return Err(wrong());
            }
        }
        let sealed = seal_check(&key).map_err(|_| wrong())?;
        sqlx::query("insert into sealing_check (id, sealed) values (1, $1) on conflict (id) do nothing")
            .bind(sealed)
            .execute(write)
            .await
            .map_err(OpenError::Connect)?;
        return Ok(key);
    };
    let sealed: Vec<u8> = get(&row, "sealed").map_err(|_| wrong())?;
    if fits(&key, &sealed) {
        key.drop_next();
        return Ok(key);
    }
    match key.next() {
        Some(next) if fits(&next, &sealed) => Ok(key.adopt_next()?),
        _ => Err(wrong()),
    }
}

/// Why the key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The key's file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Repository(#[from] Error),
}

/// A change of key, step by step: [`Self::begin`], [`Self::reseal`], [`Self::finish`].
/// Dropped between two steps it is as if the power had gone.
#[derive(Debug)]
pub struct Rotation {
    store: Store,
    next: SealingKey,
}

impl Rotation {
    /// Writes a new key beside the one in force, which nobody else may use.
    pub fn begin(store: Store) -> std::result::Result<Self, RotateError> {
        let next = store.sealing.write_next()?;
        Ok(Self { store, next })
    }

    /// Seals everything with the new key, all or nothing. Answers how many secrets.
    pub async fn reseal(&self) -> Result<u64> {
        let mut tx = self.store.write.begin().await?;
        let mut count = 0;
        for (table, column, field) in SEALED {
            let sql = format!("select id, {column} from {table} where {column} is not null");
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *tx).await.map_err(failed)?;
            for row in &rows {
                let (id, sealed): (String, Vec<u8>) = (get(row, "id")?, get(row, column)?);
                let secret = self.store.sealing.open(&sealed, &id, field)?;
                let sealed = self.next.seal(&secret, &id, field)?;
                let sql = format!("update {table} set {column} = $2 where id = $1");
                let update = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(sealed);
                update.execute(&mut *tx).await.map_err(failed)?;
                count += 1;
            }
        }
        let check =
            sqlx::query("update sealing_check set sealed = $1 where id = 1").bind(seal_check(&self.next)?);
        check.execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await?;
        Ok(count)
    }

    /// Puts the new key in the place of the old one.
    pub async fn finish(self) -> std::result::Result<(), RotateError> {
        self.store.sealing.clone().adopt_next()?;
        self.store.close().await;
        Ok(())
    }
}
