//! New rows by `COPY`, in its text format: PostgreSQL reads each column by the column's own type, so that no list of
//! types is kept here.

use std::borrow::Cow;

use eventsourcing::projection::{Row, Table};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::ProjectionError;
use super::columns::Columns;
use super::table::columns;

/// Bytes sent at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Streams rows into the table; none of them may be there.
pub(super) async fn copy_in<R: Row>(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
    rows: Vec<R>,
) -> Result<(), ProjectionError> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!("COPY {schema}.{} ({}) FROM STDIN", table.name, columns(table));
    let mut copy = connection.copy_in_raw(&sql).await?;
    let mut lines = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    let mut text = Vec::new();
    // One row at a time: as text all of them together take several times the memory of the rows.
    for row in rows {
        text.clear();
        let written = serde_json::to_writer(&mut text, &row).and_then(|()| line(&mut lines, table, &text));
        if let Err(source) = written {
            let table = table.name;
            copy.abort("a row has no text").await?;
            return Err(ProjectionError::Row { table, source });
        }
        if lines.len() >= CHUNK_BYTES {
            copy.send(&lines[..]).await?;
            lines.clear();
        }
    }
    copy.send(&lines[..]).await?;
    copy.finish().await?;
    Ok(())
}

/// A line from the row's JSON, whose values are taken as they are written.
fn line(out: &mut Vec<u8>, table: &Table, row: &[u8]) -> serde_json::Result<()> {
    let Columns(values) = serde_json::from_slice(row)?;
    for (number, (name, definition)) in table.columns.iter().enumerate() {
        if number > 0 {
            out.push(b'\t');
        }
        // A row's fields are the table's columns, in their order.
        let value = match values.get(number) {
            Some((field, value)) if field == name => Some(*value),
            _ => values
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| *value),
        };
        match value.map_or("null", RawValue::get) {
            "null" => out.extend_from_slice(br"\N"),
            text if text.starts_with('"') && !definition.starts_with("JSON") => {
                escaped(out, &serde_json::from_str::<Str<'_>>(text)?.0);
            }
            text => escaped(out, text),
        }
    }
    out.push(b'\n');
    Ok(())
}

/// Lent by the JSON where nothing in it is escaped.
#[derive(serde::Deserialize)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

/// What the format gives a meaning to is written with a backslash.
fn escaped(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_copy_reads() {
        let table = Table {
            name: "t",
            key: &["id"],
            columns: &[
                ("id", "TEXT NOT NULL"),
                ("n", "BIGINT"),
                ("j", "JSONB"),
                ("gone", "TEXT"),
            ],
            indexes: &[],
        };
        let mut out = Vec::new();
        let row = serde_json::json!({"id": "a\tb\\c\n", "n": -1, "j": ["\"x\\"], "gone": null});
        line(&mut out, &table, row.to_string().as_bytes()).expect("a row");
        let line = String::from_utf8(out).expect("text");
        assert_eq!(line, "a\\tb\\\\c\\n\t-1\t[\"\\\\\"x\\\\\\\\\"]\t\\N\n");
        let mut text = Vec::new();
        escaped(&mut text, "null");
        assert_eq!(text, b"null");
    }
}
