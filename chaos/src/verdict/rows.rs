//! The read models as they are.

use std::collections::BTreeMap;

use checker::Checkpoints;
use eventsourcing::ids::AggregateId;
use eventsourcing::projection::{Row, View};
use eventsourcing::record::Stored;
use projections::availability::AvailabilityRow;
use projections::order_history::OrderHistoryRow;
use projections::orders::OrderRow;
use projections::sales::SalesRow;
use sqlx::{Connection, PgConnection};
use time::{Duration, OffsetDateTime};

use crate::lag::{self, Readers};

/// Of the projections under load.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) availability: BTreeMap<AggregateId, AvailabilityRow>,
    pub(crate) orders: BTreeMap<AggregateId, OrderRow>,
    pub(crate) histories: BTreeMap<AggregateId, OrderHistoryRow>,
    pub(crate) sales: Vec<SalesRow>,
}

/// The rows and the checkpoints beside them, of one snapshot.
pub(super) async fn read(url: &str) -> anyhow::Result<(Rows, Readers)> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .execute(&mut connection)
        .await?;
    let readers = lag::readers_of(&mut connection).await?;
    let rows = Rows {
        availability: keyed(&mut connection, |row: &AvailabilityRow| &row.id).await?,
        orders: keyed(&mut connection, |row: &OrderRow| &row.id).await?,
        histories: keyed(&mut connection, |row: &OrderHistoryRow| &row.now.id).await?,
        sales: all(&mut connection).await?,
    };
    sqlx::query("COMMIT").execute(&mut connection).await?;
    connection.close().await?;
    Ok((rows, readers))
}

async fn keyed<R: Row>(
    connection: &mut PgConnection,
    id: impl Fn(&R) -> &String,
) -> anyhow::Result<BTreeMap<AggregateId, R>> {
    let rows = all(connection).await?.into_iter();
    rows.map(|row| Ok((id(&row).parse()?, row))).collect()
}

async fn all<R: Row>(connection: &mut PgConnection) -> anyhow::Result<Vec<R>> {
    let sql = format!("SELECT to_jsonb(t)::text FROM read.{} t", R::TABLE.name);
    let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(serde_json::from_str(row)?)).collect()
}

/// A row of a view, whose times PostgreSQL keeps to the microsecond.
pub(super) trait Timed: Row {
    fn times(&mut self) -> Vec<&mut OffsetDateTime>;
}

impl Timed for AvailabilityRow {
    fn times(&mut self) -> Vec<&mut OffsetDateTime> {
        vec![&mut self.updated_at]
    }
}

impl Timed for OrderRow {
    fn times(&mut self) -> Vec<&mut OffsetDateTime> {
        vec![&mut self.placed_at, &mut self.updated_at]
    }
}

impl Timed for OrderHistoryRow {
    /// Those of the entries are text in JSON, and exact.
    fn times(&mut self) -> Vec<&mut OffsetDateTime> {
        self.now.times()
    }
}

/// I6: says which rows are not the fold of the log up to their checkpoint.
pub(super) fn compare<V>(
    log: &[Stored],
    at: &Checkpoints,
    rows: &BTreeMap<AggregateId, V::Row>,
) -> Vec<String>
where
    V: View,
    V::Row: Timed,
{
    let mut folded = checker::fold_view::<V>(log, at);
    let mut differences = Vec::new();
    for (id, row) in rows {
        let mut due = folded.remove(id);
        if let Some(due) = &mut due {
            keep_microseconds(due, row);
        }
        let (found, due) = (text(Some(row)), text(due.as_ref()));
        if found != due {
            differences.push(format!("I6: {} has {found}, the log folds to {due}", V::NAME));
        }
    }
    let missing = folded
        .values()
        .map(|due| format!("I6: {} does not have {}", V::NAME, text(Some(due))));
    differences.extend(missing);
    differences
}

fn keep_microseconds<R: Timed>(due: &mut R, found: &R) {
    let mut found = found.clone();
    for (due, found) in due.times().into_iter().zip(found.times()) {
        if (*due - *found).abs() < Duration::MICROSECOND {
            *due = *found;
        }
    }
}

fn text<R: Row>(row: Option<&R>) -> String {
    serde_json::to_string(&row).expect("a row is plain JSON")
}
