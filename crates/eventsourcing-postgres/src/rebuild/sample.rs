//! A changed fold has nothing to be equal to: a sample of keys is folded again, plainly, and compared.

use std::collections::HashSet;

use eventsourcing::checkpoint::Checkpoint;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::build::{Build, stored};
use super::compare::EXAMPLES_MAX;
use super::course::BATCH_RECORDS_MAX;
use super::reading::Reading;
use super::{RebuildError, versions};
use crate::projection::{Admitted, schema, skipped_of};

/// Where temporary tables are.
const REFERENCE: &str = "pg_temp";

/// The rows of the new version, how many of them were checked, and what a snapshot's filter let through.
pub(super) async fn check(
    connection: &mut PgConnection,
    build: &Build<'_>,
) -> Result<(i64, u64, Admitted), RebuildError> {
    let Build {
        rebuilder, version, ..
    } = *build;
    let projection = &rebuilder.projection.name;
    let differs = |examples| RebuildError::SampleDiffers {
        projection: projection.clone(),
        examples,
    };
    let rebuilt = schema(projection.as_str(), version);
    let targets = stored(&mut *connection, rebuilder, version).await?;
    let parked = parked(&mut *connection, build).await?;
    let skipped = skipped_of(&mut *connection, projection.base(), &rebuilder.topic).await?;
    let mut reference = rebuilder.projection.fold.reference();
    let start = |partition: &u32| (*partition, Checkpoint::default());
    let from = targets.keys().map(start).collect();
    let mut reading = Reading::begin(rebuilder, from, &targets).await?;
    while !reading.is_over() {
        let batch = reading.next(BATCH_RECORDS_MAX).await?;
        for event in &batch.scanned.events {
            let place = (
                event.stored.at.partition.cast_signed(),
                event.stored.offset.0.cast_signed(),
            );
            if !parked.contains(&place) && !skipped.contains(event) {
                let at = format!("{}@{}", event.stored.at, event.stored.offset);
                reference
                    .apply(event)
                    .map_err(|error| differs(vec![format!("{at} was applied, but: {error}")]))?;
            }
        }
        reading.moved(&batch);
    }
    let table = &rebuilder.projection.table;
    let name = table.name;
    let create = format!("CREATE TEMPORARY TABLE {name} (LIKE {rebuilt}.{name} INCLUDING ALL)");
    connection.execute(AssertSqlSafe(create)).await?;
    let absent = reference.write(&mut *connection, REFERENCE).await?;
    let keys: Vec<String> = table
        .key
        .iter()
        .map(|key| format!("a.{key:?} = b.{key:?}"))
        .collect();
    let differing = format!(
        "SELECT to_jsonb(a), to_jsonb(b) FROM {REFERENCE}.{name} a LEFT JOIN {rebuilt}.{name} b ON {}
         WHERE to_jsonb(a) IS DISTINCT FROM to_jsonb(b)
         UNION ALL SELECT NULL, to_jsonb(b) FROM {rebuilt}.{name} b WHERE b.{:?} = ANY($1) LIMIT {EXAMPLES_MAX}",
        keys.join(" AND "),
        table.key[0]
    );
    let differing: Vec<(Option<Value>, Option<Value>)> = sqlx::query_as(AssertSqlSafe(differing))
        .bind(absent)
        .fetch_all(&mut *connection)
        .await?;
    if !differing.is_empty() {
        let text = |row: Option<Value>| row.map_or_else(|| "no row".to_owned(), |row| row.to_string());
        let example = |(plain, rebuilt)| format!("plain {} / rebuilt {}", text(plain), text(rebuilt));
        return Err(differs(differing.into_iter().map(example).collect()));
    }
    let sampled = versions::rows(&mut *connection, REFERENCE, table).await?;
    let rows = versions::rows(&mut *connection, &rebuilt, table).await?;
    let drop = format!("DROP TABLE {REFERENCE}.{name}");
    connection.execute(AssertSqlSafe(drop)).await?;
    Ok((rows, sampled.cast_unsigned(), reading.admitted()))
}

/// Partition and offset of what the new version parked.
async fn parked(
    connection: &mut PgConnection,
    build: &Build<'_>,
) -> Result<HashSet<(i32, i64)>, sqlx::Error> {
    let parked: Vec<(i32, i64)> = sqlx::query_as(
        r#"SELECT partition, "offset" FROM daybook.parked_events WHERE projection = $1 AND version = $2"#,
    )
    .bind(build.rebuilder.projection.name.as_str())
    .bind(build.version)
    .fetch_all(connection)
    .await?;
    Ok(parked.into_iter().collect())
}
