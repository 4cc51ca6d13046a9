//! New rows by `COPY`, in its text format: PostgreSQL reads each column by the column's own type, so that no list of
//! types is kept here.

mod line;

use eventsourcing::projection::{Row, Table};
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
    rows: &[&R],
) -> Result<(), ProjectionError> {
    let sql = format!("COPY {schema}.{} ({}) FROM STDIN", table.name, columns(table));
    let mut copy = connection.copy_in_raw(&sql).await?;
    let mut lines = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    for row in rows {
        if let Err(source) = line::write(&mut lines, table, row) {
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
