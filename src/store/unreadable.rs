//! Rows that cannot be understood: a bug, or another hand in the database. Where many rows
//! are worked through for ever, one of them must not keep all others from being read: it is
//! left out, counted, and said once.

use crate::Store;
use domain::repository::{Error, Result};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tracing::error;

/// The most rows that are remembered as said; of more it is only said that there are.
const MOST: usize = 1_000;

/// Rows that were left out.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Mutex<HashSet<(&'static str, String)>>);

impl Unreadable {
    /// Whether this row is left out for the first time; the count is what is said with it.
    fn is_new(&self, table: &'static str, key: String) -> Option<usize> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (said.len() < MOST && said.insert((table, key))).then_some(said.len())
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// What names a row.
fn name(row: &AnyRow, column: &'static str) -> String {
    let text = row.try_get::<String, _>(column);
    text.or_else(|_| row.try_get::<i64, _>(column).map(|n| n.to_string())).unwrap_or_default()
}

impl Store {
    /// How many different rows were left out since the start, as far as they are remembered.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable.count()
    }

    /// A row by `of`; nothing if it cannot be understood. `column` names it within its table.
    pub(crate) fn understood<T>(
        &self,
        table: &'static str,
        column: &'static str,
        row: &AnyRow,
        of: impl Fn(&AnyRow) -> Result<T>,
    ) -> Result<Option<T>> {
        match of(row) {
            Err(Error::Corrupt(why)) => {
                let name = name(row, column);
                if let Some(count) = self.unreadable.is_new(table, name.clone()) {
                    error!(
                        table,
                        row = name,
                        why,
                        count,
                        "a row of the database cannot be understood and is left out; correct it, or restore a backup"
                    );
                }
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// The rows that can be understood.
    pub(crate) fn all_understood<T>(
        &self,
        table: &'static str,
        column: &'static str,
        rows: &[AnyRow],
        of: impl Fn(&AnyRow) -> Result<T>,
    ) -> Result<Vec<T>> {
        rows.iter().filter_map(|row| self.understood(table, column, row, &of).transpose()).collect()
    }
}
