//! Acts: whatever changes the database. An act that is noted is one transaction with
//! its entry in the chain: both happen, or neither.
//!
//! The pool that writes is private to this file, so that no act can leave its note out.

use crate::audit::{append, lock};
use crate::failed;
use crate::person::AnyQuery;
use domain::audit::Entry;
use domain::repository::Result;
use sqlx::any::AnyQueryResult;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use std::ops::{Deref, DerefMut};

/// Who writes.
#[derive(Debug)]
pub(crate) struct Writer {
    pool: AnyPool,
    note: Option<Entry>,
}

impl Writer {
    pub(crate) fn new(pool: AnyPool) -> Self {
        Self { pool, note: None }
    }

    /// The same; what it does is noted.
    pub(crate) fn noting(&self, entry: Entry) -> Self {
        Self { pool: self.pool.clone(), note: Some(entry) }
    }

    /// An act that will be noted takes the head of the chain first, as everybody does who
    /// seals: whoever takes rows before it and rows after it would wait in a circle.
    pub(crate) async fn begin(&self) -> Result<Act<'_>> {
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        if self.note.is_some() {
            lock(&mut transaction).await?;
        }
        Ok(Act { transaction, note: self.note.as_ref() })
    }

    /// An act that seals an entry of its own.
    pub(crate) async fn begin_sealing(&self) -> Result<Act<'_>> {
        let mut act = self.begin().await?;
        lock(&mut act).await?;
        Ok(act)
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.pool.connect_options().database_url.scheme().starts_with("postgres")
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A change that is not made until [`Self::commit`]; dropped, it never was.
pub(crate) struct Act<'w> {
    transaction: Transaction<'static, Any>,
    note: Option<&'w Entry>,
}

impl Act<'_> {
    /// Makes the change, with its note.
    pub(crate) async fn commit(mut self) -> Result<()> {
        if let Some(entry) = self.note {
            append(&mut self.transaction, entry).await?;
        }
        self.transaction.commit().await.map_err(failed)
    }
}

impl Deref for Act<'_> {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Act<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

/// A statement that is an act by itself.
pub(crate) trait Alone {
    /// Executes it. What changes nothing is not noted.
    async fn act(self, by: &Writer) -> Result<AnyQueryResult>;
}

impl Alone for AnyQuery<'_> {
    async fn act(self, by: &Writer) -> Result<AnyQueryResult> {
        if by.note.is_none() {
            return self.execute(&by.pool).await.map_err(failed);
        }
        let mut act = by.begin().await?;
        let done = self.execute(&mut *act).await.map_err(failed)?;
        if done.rows_affected() > 0 {
            act.commit().await?;
        }
        Ok(done)
    }
}
