//! Columns into domain types.

use domain::Timestamp;
use domain::repository::{Error, Result};
use sqlx::any::AnyRow;
use sqlx::{ColumnIndex, Decode, Row, Type};

/// Reads a column of a type the driver knows.
pub(crate) fn get<'r, T>(row: &'r AnyRow, column: &'static str) -> Result<T>
where
    T: Decode<'r, sqlx::Any> + Type<sqlx::Any>,
    &'static str: ColumnIndex<AnyRow>,
{
    row.try_get(column).map_err(crate::failed)
}

/// Reads a text column through `parse`.
pub(crate) fn word<T>(row: &AnyRow, column: &'static str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text: String = get(row, column)?;
    parse(&text).ok_or_else(|| Error::Corrupt(format!("{column} holds {text:?}")))
}

/// Reads a text column that may be null through `parse`.
pub(crate) fn word_opt<T>(
    row: &AnyRow,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| parse(&text).ok_or_else(|| Error::Corrupt(format!("{column} holds {text:?}"))))
        .transpose()
}

/// Marks of the parameters of several rows in one insert: `($1, $2), ($3, $4)`.
pub(crate) fn marks(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let marks: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", marks.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// Reads a truth value: 0 or 1.
pub(crate) fn truth(row: &AnyRow, column: &'static str) -> Result<bool> {
    Ok(get::<i64>(row, column)? != 0)
}

/// Reads a count that is never negative.
pub(crate) fn count(row: &AnyRow, column: &'static str) -> Result<u32> {
    u32::try_from(get::<i64>(row, column)?).map_err(|_| Error::Corrupt(format!("{column} is out of range")))
}

/// Reads a moment.
pub(crate) fn time(row: &AnyRow, column: &'static str) -> Result<Timestamp> {
    Ok(Timestamp(get(row, column)?))
}

/// Reads a moment that may be null.
pub(crate) fn time_opt(row: &AnyRow, column: &'static str) -> Result<Option<Timestamp>> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp))
}
