//! Two versions made by one fold: all rows are compared at the same checkpoint, without holding the
//! live one up. A snapshot keeps the live rows as they are at some checkpoint; the new version folds
//! up to it; then both are hashed, and only what differs is looked at row by row.

use std::collections::{BTreeMap, BTreeSet};

use eventsourcing::projection::Table;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::build::Build;
use super::{RebuildError, Rebuilder};
use crate::deadline::lend;
use crate::projection::{Projection, read_checkpoints, schema, shape};

/// How many differing rows are named.
pub(super) const EXAMPLES_MAX: usize = 5;
/// Parts a table is hashed in: a difference costs a look at one part, not at the table.
const PARTS: i32 = 1_024;

/// Refuses a live table that is not as its projection made it: no rebuild could equal it.
pub(super) async fn refuse_altered(
    connection: &mut PgConnection,
    build: &Build<'_>,
    live: i32,
) -> Result<(), RebuildError> {
    let Projection { name, table, .. } = &build.rebuilder.projection;
    let name = name.as_str();
    let (live, made) = (schema(name, live), schema(name, build.version));
    let (there, expected) = (
        shape(&mut *connection, &live, table.name).await?,
        shape(&mut *connection, &made, table.name).await?,
    );
    let only = |some: &[(String, String)], others: &[(String, String)]| {
        let other = some.iter().find(|column| !others.contains(column));
        other.map(|(column, kind)| format!("{column} {kind}"))
    };
    let difference = match (only(&there, &expected), only(&expected, &there)) {
        (None, None) => return Ok(()),
        (Some(more), None) => format!("it has {more} beside the columns of its projection"),
        (None, Some(less)) => format!("it lacks {less}"),
        (Some(more), Some(less)) => format!("it has {more}, and lacks {less}"),
    };
    let table = format!("{live}.{}", table.name);
    Err(RebuildError::Altered { table, difference })
}

/// Folds to a checkpoint of the live version and compares there; the number of rows. The database hashes with as many
/// processes as there are workers: no more are to be taken from a shop that goes on.
pub(super) async fn with_live(
    connection: &mut PgConnection,
    build: &Build<'_>,
    live: i32,
    workers: usize,
) -> Result<i64, RebuildError> {
    let Rebuilder {
        pool,
        projection,
        topic,
        ..
    } = build.rebuilder;
    // As little to fold as can be while the snapshot is open.
    build.catch_up(&mut *connection).await?;
    let mut snapshot = lend(pool).await?;
    snapshot
        .execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let (name, table) = (projection.name.as_str(), &projection.table);
    let targets = read_checkpoints(&mut snapshot, name, live, topic).await?;
    build.fold_to(&mut *connection, &targets).await?;
    let (live, rebuilt) = (schema(name, live), schema(name, build.version));
    // Beside those who are asked; undone with the one transaction and with the other session.
    let helpers = (workers / 2).saturating_sub(1);
    let set = format!("SET max_parallel_workers_per_gather = {helpers}");
    for session in [&mut *snapshot, &mut *connection] {
        session.execute(AssertSqlSafe(set.clone())).await?;
    }
    let (before, after) = both(
        workers,
        whole(&mut snapshot, &live, table),
        whole(&mut *connection, &rebuilt, table),
    )
    .await?;
    let differing = if before == after {
        None
    } else {
        Some(differences(&mut snapshot, connection, (&live, &rebuilt), table, workers).await?)
    };
    snapshot.execute("ROLLBACK").await?;
    snapshot.give_back();
    let projection = projection.name.clone();
    differing.map_or(Ok(after.0), |examples| {
        Err(RebuildError::Differs { projection, examples })
    })
}

/// What both sessions come to: at once when there are workers for both, else one after the other.
async fn both<T>(
    workers: usize,
    before: impl Future<Output = Result<T, sqlx::Error>>,
    after: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<(T, T), sqlx::Error> {
    if workers > 1 {
        return tokio::try_join!(before, after);
    }
    Ok((before.await?, after.await?))
}

/// Some rows that differ, as text.
async fn differences(
    before: &mut PgConnection,
    after: &mut PgConnection,
    (live, rebuilt): (&str, &str),
    table: &Table,
    workers: usize,
) -> Result<Vec<String>, sqlx::Error> {
    let (parts_before, parts_after) = both(
        workers,
        parts(&mut *before, live, table),
        parts(&mut *after, rebuilt, table),
    )
    .await?;
    let numbers: BTreeSet<&i32> = parts_before.keys().chain(parts_after.keys()).collect();
    let differing = |part: &&i32| parts_before.get(part) != parts_after.get(part);
    let mut examples = Vec::new();
    for part in numbers.into_iter().filter(differing) {
        if examples.len() >= EXAMPLES_MAX {
            break;
        }
        let before = rows(&mut *before, live, table, *part).await?;
        let after = rows(&mut *after, rebuilt, table, *part).await?;
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys.into_iter().filter(|key| before.get(*key) != after.get(*key)) {
            let text = |row: Option<&String>| row.map_or_else(|| "no row".to_owned(), Clone::clone);
            examples.push(format!(
                "live {} / rebuilt {}",
                text(before.get(key)),
                text(after.get(key))
            ));
        }
    }
    if examples.is_empty() {
        examples.push("rows that differ, though not in their text".to_owned());
    }
    examples.sort();
    examples.truncate(EXAMPLES_MAX);
    Ok(examples)
}

fn key_columns(table: &Table) -> String {
    let columns: Vec<String> = table.key.iter().map(|column| format!("t.{column:?}")).collect();
    columns.join(", ")
}

/// A row's key as text.
fn key(table: &Table) -> String {
    format!("jsonb_build_array({})::text", key_columns(table))
}

fn part(table: &Table) -> String {
    format!("hash_record(ROW({})) & {}", key_columns(table), PARTS - 1)
}

/// Number of rows, and the sum of their 64-bit hashes, whatever their order. The hash of a record is that of its
/// columns, whatever their types: several times as fast as that of its text.
const HASHED: &str = "count(*), coalesce(sum(hash_record_extended(t, 0)), 0)::text";

/// Of the whole table: one number costs no sorting.
async fn whole(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
) -> Result<(i64, String), sqlx::Error> {
    let sql = format!("SELECT {HASHED} FROM {schema}.{} t", table.name);
    sqlx::query_as(AssertSqlSafe(sql)).fetch_one(connection).await
}

/// Of each part.
async fn parts(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
) -> Result<BTreeMap<i32, (i64, String)>, sqlx::Error> {
    let (part, name) = (part(table), table.name);
    let sql = format!("SELECT {part}, {HASHED} FROM {schema}.{name} t GROUP BY 1");
    let parts: Vec<(i32, i64, String)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    Ok(parts
        .into_iter()
        .map(|(part, rows, hashes)| (part, (rows, hashes)))
        .collect())
}

async fn rows(
    connection: &mut PgConnection,
    schema: &str,
    table: &Table,
    number: i32,
) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let sql = format!(
        "SELECT {}, to_jsonb(t)::text FROM {schema}.{} t WHERE {} = $1",
        key(table),
        table.name,
        part(table)
    );
    let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(number)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().collect())
}
