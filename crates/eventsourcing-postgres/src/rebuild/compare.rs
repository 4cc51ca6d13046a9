//! Two versions of a table, row for row.

use eventsourcing::projection::Table;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

/// How many differing rows are named.
const EXAMPLES_MAX: i32 = 5;

/// The number of rows when both hold the same ones; otherwise the first that differ.
pub(super) async fn compare(
    connection: &mut PgConnection,
    live: &str,
    rebuilt: &str,
    table: &Table,
) -> Result<Result<i64, Vec<String>>, sqlx::Error> {
    let name = table.name;
    let keys: Vec<String> = table
        .key
        .iter()
        .map(|key| format!("a.{key:?} = b.{key:?}"))
        .collect();
    let sql = format!(
        "SELECT to_jsonb(a), to_jsonb(b) FROM {live}.{name} a FULL JOIN {rebuilt}.{name} b ON {}
         WHERE to_jsonb(a) IS DISTINCT FROM to_jsonb(b) LIMIT {EXAMPLES_MAX}",
        keys.join(" AND ")
    );
    let differing: Vec<(Option<Value>, Option<Value>)> = sqlx::query_as(AssertSqlSafe(sql))
        .fetch_all(&mut *connection)
        .await?;
    if !differing.is_empty() {
        let text = |row: Option<Value>| row.map_or_else(|| "no row".to_owned(), |row| row.to_string());
        let example = |(live, rebuilt)| format!("live {} / rebuilt {}", text(live), text(rebuilt));
        return Ok(Err(differing.into_iter().map(example).collect()));
    }
    let count = format!("SELECT count(*) FROM {rebuilt}.{name}");
    sqlx::query_scalar(AssertSqlSafe(count))
        .fetch_one(connection)
        .await
        .map(Ok)
}
