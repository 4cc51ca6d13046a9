//! Its tables: the columns, the key and the indexes of Daybook's, in a schema of their own.

use std::sync::Arc;

use domain::order::Lines;
use eventsourcing::ids::Offset;
use eventsourcing::projection::Row as _;
use projections::orders::{OrderRow, Shortage};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool, Row as _};

/// Empty tables, whatever an earlier run left.
pub(super) async fn create(connection: &mut PgConnection, partitions: u32) -> anyhow::Result<()> {
    let table = OrderRow::TABLE;
    let columns = table
        .columns
        .iter()
        .map(|(name, definition)| format!("{name} {definition}"));
    let columns: Vec<String> = columns.collect();
    let index = |columns: &&str| format!("CREATE INDEX ON naive.orders {columns};");
    let indexes: String = table.indexes.iter().map(index).collect();
    let sql = format!(
        "DROP SCHEMA IF EXISTS naive CASCADE;
         CREATE SCHEMA naive;
         CREATE TABLE naive.orders ({}, PRIMARY KEY ({}));
         {indexes}
         CREATE TABLE naive.checkpoints (partition BIGINT PRIMARY KEY, next BIGINT NOT NULL);
         INSERT INTO naive.checkpoints SELECT *, 0 FROM generate_series(0, {partitions} - 1);",
        columns.join(", "),
        table.key.join(", "),
    );
    connection.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}

pub(super) async fn select(connection: &mut PgConnection, id: &str) -> anyhow::Result<Option<OrderRow>> {
    let row = sqlx::query("SELECT * FROM naive.orders WHERE id = $1").bind(id);
    let row = row.fetch_optional(connection).await?;
    Ok(row.map(|row| read(&row)).transpose()?)
}

fn read(row: &PgRow) -> Result<OrderRow, sqlx::Error> {
    let Json(lines): Json<Arc<Lines>> = row.try_get("lines")?;
    let shortage: Option<Json<Shortage>> = row.try_get("shortage")?;
    Ok(OrderRow {
        id: row.try_get("id")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        customer: row.try_get("customer")?,
        country: row.try_get("country")?,
        invoice: row.try_get("invoice")?,
        currency: row.try_get("currency")?,
        total: row.try_get("total")?,
        units: row.try_get("units")?,
        lines,
        sequence: row.try_get("sequence")?,
        placed_at: row.try_get("placed_at")?,
        updated_at: row.try_get("updated_at")?,
        shortage: shortage.map(|Json(shortage)| shortage),
    })
}

const UPSERT: &str = "
    INSERT INTO naive.orders (id, status, reason, customer, country, invoice, currency, total, units, lines, sequence,
                              placed_at, updated_at, shortage)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (id) DO UPDATE
    SET (status, reason, customer, country, invoice, currency, total, units, lines, sequence, placed_at, updated_at, shortage)
      = (EXCLUDED.status, EXCLUDED.reason, EXCLUDED.customer, EXCLUDED.country, EXCLUDED.invoice, EXCLUDED.currency,
         EXCLUDED.total, EXCLUDED.units, EXCLUDED.lines, EXCLUDED.sequence, EXCLUDED.placed_at, EXCLUDED.updated_at,
         EXCLUDED.shortage)";

pub(super) async fn upsert(connection: &mut PgConnection, row: &OrderRow) -> anyhow::Result<()> {
    let insert = sqlx::query(UPSERT)
        .bind(&row.id)
        .bind(&row.status)
        .bind(&row.reason)
        .bind(&row.customer)
        .bind(&row.country)
        .bind(&row.invoice)
        .bind(&row.currency)
        .bind(row.total)
        .bind(row.units)
        .bind(Json(&row.lines))
        .bind(row.sequence)
        .bind(row.placed_at)
        .bind(row.updated_at)
        .bind(row.shortage.as_ref().map(Json));
    insert.execute(connection).await?;
    Ok(())
}

/// Moves the checkpoint behind the record at `offset`.
pub(super) async fn advance(
    connection: &mut PgConnection,
    partition: u32,
    offset: Offset,
) -> anyhow::Result<()> {
    let update = sqlx::query("UPDATE naive.checkpoints SET next = $2 WHERE partition = $1")
        .bind(i64::from(partition))
        .bind(i64::try_from(offset.next().0)?);
    update.execute(connection).await?;
    Ok(())
}

/// sqlx cuts what is finer than a microsecond; where Daybook writes, PostgreSQL rounds it.
const ROUNDING_S: f64 = 2e-6;

/// What its table is like, held against the live one.
pub(super) struct Found {
    /// Events in its rows.
    folded: i64,
    /// Rows that the live version has not, or has otherwise at the same sequence.
    wrong: i64,
}

pub(super) async fn judge(pool: &PgPool) -> anyhow::Result<Found> {
    let found = sqlx::query_as(
        "SELECT coalesce(sum(n.sequence), 0)::BIGINT,
                count(*) FILTER (WHERE o.id IS NULL OR n.sequence > o.sequence
                                    OR n.sequence = o.sequence AND NOT (same AND abs(placed) < $1 AND abs(updated) < $1))
         FROM naive.orders n LEFT JOIN read.orders o USING (id), LATERAL (
              SELECT to_jsonb(n) - '{placed_at,updated_at}'::TEXT[] = to_jsonb(o) - '{placed_at,updated_at}'::TEXT[] AS same,
                     extract(epoch FROM n.placed_at - o.placed_at) AS placed,
                     extract(epoch FROM n.updated_at - o.updated_at) AS updated) AS held",
    )
    .bind(ROUNDING_S);
    let (folded, wrong) = found.fetch_one(pool).await?;
    Ok(Found { folded, wrong })
}

impl Found {
    /// Why it does not count when it says that it applied so many events.
    pub(super) fn fault(&self, events: u64) -> Option<String> {
        let Self { folded, wrong } = *self;
        let sound = wrong == 0 && folded > 0 && u64::try_from(folded) == Ok(events);
        (!sound).then(|| format!("{folded} of {events} events in its rows, {wrong} of which are wrong"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::order::Line;
    use domain::quantity::Quantity;
    use sqlx::Connection as _;
    use sqlx::types::time::OffsetDateTime;

    fn row(status: &str, sequence: i64) -> OrderRow {
        let line = Line {
            sku: domain::sku::Sku::new("BENCH-0001").expect("a SKU"),
            quantity: Quantity::new(2).expect("a quantity"),
            unit_price: domain::money::Price::new(250).expect("a price"),
        };
        OrderRow {
            id: "order_0_00000001".to_owned(),
            status: status.to_owned(),
            reason: Some("insufficient_stock".to_owned()),
            customer: Some("ada".to_owned()),
            country: Some("United Kingdom".to_owned()),
            invoice: None,
            currency: "GBP".to_owned(),
            total: 500,
            units: 2,
            lines: Arc::new(Lines::new(vec![line]).expect("lines")),
            sequence,
            placed_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
            shortage: Some(Shortage {
                sku: "BENCH-0001".to_owned(),
                requested: 2,
                available: 1,
            }),
        }
    }

    #[tokio::test]
    async fn a_row_comes_back_as_it_was_written_last() {
        let database = testkit::postgres().await.url;
        let mut connection = PgConnection::connect(&database).await.expect("connects");
        create(&mut connection, 2).await.expect("creates");
        let none = select(&mut connection, "order_0_00000001").await;
        assert_eq!(none.expect("selects"), None);
        for written in [row("placed", 1), row("rejected", 2)] {
            upsert(&mut connection, &written).await.expect("writes");
            let read = select(&mut connection, &written.id).await.expect("selects");
            assert_eq!(read, Some(written));
        }
        advance(&mut connection, 1, Offset(41)).await.expect("moves");
        let next: Vec<i64> = sqlx::query_scalar("SELECT next FROM naive.checkpoints ORDER BY partition")
            .fetch_all(&mut connection)
            .await
            .expect("reads");
        assert_eq!(next, [0, 42]);
    }

    #[test]
    fn it_counts_only_when_every_event_is_in_a_right_row() {
        let fault = |folded, wrong, events| Found { folded, wrong }.fault(events).is_some();
        assert!(!fault(7, 0, 7));
        assert!(fault(6, 0, 7) && fault(7, 1, 7) && fault(0, 0, 0));
    }
}
