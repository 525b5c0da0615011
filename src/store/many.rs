//! Reads of many at once: what would be a statement for each of them is one for all.
//!
//! A row belongs to the key that the statement has found it by, so that one which cannot be
//! understood fails that key and no other. A statement that the database refuses, as for a
//! damaged page, is asked again for each half of its keys, down to the one that it fails for.

use crate::{Store, failed};
use domain::repository::{Each, Error, Result, TOGETHER};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr as _};
use std::collections::HashMap;
use std::hash::Hash;

/// Lists of keys are made so long, by naming the last key again: a connection keeps the plans
/// of a hundred statements, and a list of every length would be one of its own.
const LENGTHS: [usize; 3] = [1, 16, TOGETHER];

/// Why some keys could not be read together.
pub(crate) struct Unread {
    why: Error,
    /// Whether the database has answered, so that fewer keys may fare better.
    refused: bool,
}

impl From<sqlx::Error> for Unread {
    fn from(error: sqlx::Error) -> Self {
        let refused = matches!(error, sqlx::Error::Database(_));
        Self { why: failed(error), refused }
    }
}

impl From<Error> for Unread {
    fn from(why: Error) -> Self {
        Self { why, refused: false }
    }
}

/// Rows by the key that they were found by.
pub(crate) type Found = HashMap<String, Vec<AnyRow>>;

/// The rows of a key.
pub(crate) fn under<'f>(found: &'f Found, key: &impl AsRef<str>) -> &'f [AnyRow] {
    found.get(key.as_ref()).map(Vec::as_slice).unwrap_or_default()
}

/// `$1, $2, …`, and how many.
fn marks(keys: usize) -> (String, usize) {
    let length = LENGTHS.into_iter().find(|length| keys <= *length).unwrap_or(keys);
    let marks: Vec<String> = (1..=length).map(|n| format!("${n}")).collect();
    (marks.join(", "), length)
}

impl Store {
    /// The rows that `sql` finds for these keys, by its column `column`, which is the key. `sql`
    /// is given the marks of the keys, and is made of constants besides.
    pub(crate) async fn found<K: AsRef<str>>(
        &self,
        keys: &[K],
        column: &'static str,
        sql: impl Fn(&str) -> String,
    ) -> std::result::Result<Found, Unread> {
        let Some(last) = keys.last() else { return Ok(Found::new()) };
        let (marks, length) = marks(keys.len());
        let mut query = sqlx::query(AssertSqlSafe(sql(&marks)).into_sql_str());
        for key in keys.iter().chain(std::iter::repeat(last)).take(length) {
            query = query.bind(key.as_ref());
        }
        let mut found = Found::new();
        for row in query.fetch_all(&self.read).await? {
            found.entry(row.try_get(column)?).or_default().push(row);
        }
        Ok(found)
    }

    /// The row of each key, which is its column `id`.
    pub(crate) async fn each_row<K, T>(
        &self,
        keys: &[K],
        sql: impl Fn(&str) -> String,
        of: impl Fn(&AnyRow) -> Result<T>,
    ) -> Each<K, T>
    where
        K: AsRef<str> + Clone + Eq + Hash,
    {
        let mut asking = Asking::new(keys);
        while let Some(some) = asking.next() {
            let found = self.found(some, "id", &sql).await;
            asking.heard(some, found, |found, key| under(found, key).first().map(&of).transpose());
        }
        asking.each
    }
}

/// Many keys that are asked for some at a time.
pub(crate) struct Asking<'k, K, T> {
    left: Vec<&'k [K]>,
    /// What was answered so far.
    pub(crate) each: Each<K, T>,
}

impl<'k, K: Clone + Eq + Hash, T> Asking<'k, K, T> {
    pub(crate) fn new(keys: &'k [K]) -> Self {
        Self { left: keys.chunks(TOGETHER).collect(), each: Each::with_capacity(keys.len()) }
    }

    /// The keys to ask for next.
    pub(crate) fn next(&mut self) -> Option<&'k [K]> {
        self.left.pop()
    }

    /// Takes what was found for `some`: `of` says what that is for one of them.
    pub(crate) fn heard<F>(
        &mut self,
        some: &'k [K],
        found: std::result::Result<F, Unread>,
        of: impl Fn(&F, &K) -> Result<Option<T>>,
    ) {
        match found {
            Ok(found) => self.each.extend(some.iter().map(|key| (key.clone(), of(&found, key)))),
            Err(unread) if unread.refused && some.len() > 1 => {
                self.left.extend(<[_; 2]>::from(some.split_at(some.len() / 2)));
            }
            Err(unread) => {
                self.each.extend(some.iter().map(|key| (key.clone(), Err(unread.why.clone()))));
            }
        }
    }
}
