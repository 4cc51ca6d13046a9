//! New rows by `COPY`, in its text format: PostgreSQL reads each column by the column's own type, so that no list of
//! types is kept here.

use eventsourcing::projection::{Row, Table};
use serde_json::Value;
use sqlx::PgConnection;

use super::ProjectionError;
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
    // One row at a time: as text all of them together take several times the memory of the rows.
    for row in rows {
        let row = match serde_json::to_value(row) {
            Ok(row) => row,
            Err(source) => {
                let table = table.name;
                copy.abort("a row has no text").await?;
                return Err(ProjectionError::Row { table, source });
            }
        };
        line(&mut lines, table, &row);
        if lines.len() >= CHUNK_BYTES {
            copy.send(&lines[..]).await?;
            lines.clear();
        }
    }
    copy.send(&lines[..]).await?;
    copy.finish().await?;
    Ok(())
}

fn line(out: &mut Vec<u8>, table: &Table, row: &Value) {
    for (number, (name, definition)) in table.columns.iter().enumerate() {
        if number > 0 {
            out.push(b'\t');
        }
        match row.get(name) {
            None | Some(Value::Null) => out.extend_from_slice(br"\N"),
            Some(Value::String(text)) if !definition.starts_with("JSON") => escaped(out, text),
            Some(value) => escaped(out, &value.to_string()),
        }
    }
    out.push(b'\n');
}

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
        line(&mut out, &table, &row);
        let line = String::from_utf8(out).expect("text");
        assert_eq!(line, "a\\tb\\\\c\\n\t-1\t[\"\\\\\"x\\\\\\\\\"]\t\\N\n");
        let mut text = Vec::new();
        escaped(&mut text, "null");
        assert_eq!(text, b"null");
    }
}
