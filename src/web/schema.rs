//! How the domain's types look in the OpenAPI document, and lists.

use domain::Words;
use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// A closed set of words.
pub(crate) fn word<W: Words>() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(W::WORDS.iter().copied())).into()
}

/// A list: all there is, or a page of it.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// What to send as `cursor` for the next page; null at the end.
    pub(crate) next: Option<String>,
}

impl<T> List<T> {
    /// A list that is not paged.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// The next page's cursor, if this one is full.
pub(crate) fn next_after<T>(rows: &[T], limit: u32, cursor: impl Fn(&T) -> String) -> Option<String> {
    let full = u32::try_from(rows.len()).is_ok_and(|n| n == limit);
    rows.last().filter(|_| full).map(cursor)
}
