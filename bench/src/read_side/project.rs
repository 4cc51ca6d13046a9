//! G8: the live projector, from an empty table to the end of the log, against the slower of the two things that it cannot
//! do without: reading the records with librdkafka alone, and bringing the finished rows into a table with the same
//! indexes by `COPY` and one upsert a stretch.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgPool;

use super::limit::{Consuming, Slower, Upserting};
use super::past::Past;
use crate::cell::{Cell, Contender};
use crate::goals::Weight;
use crate::processor;
use crate::report::{Bar, Row};
use crate::series::alternate;
use crate::stage::{Durability, Grounds};

struct Projecting {
    past: Arc<Past>,
    rows: i64,
}

#[async_trait]
impl Contender for Projecting {
    fn name(&self) -> String {
        format!("the projector over {} events", self.past.events)
    }

    async fn run(&mut self, _: Duration) -> anyhow::Result<Cell> {
        let pool = PgPool::connect(&testkit::postgres().await.url).await?;
        eventsourcing_postgres::migrate::migrate(&pool).await?;
        let worked = processor::busy_seconds()?;
        let took = self.past.project_into(&pool).await?;
        let cpu_seconds = processor::busy_seconds()? - worked;
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM read.orders")
            .fetch_one(&pool)
            .await?;
        pool.close().await;
        Ok(Cell {
            acknowledged: self.past.events,
            worked: self.past.events,
            cpu_seconds,
            void: (rows != self.rows).then(|| format!("{rows} rows instead of {}", self.rows)),
            ..Cell::of_one(took)
        })
    }
}

/// G8.
pub(crate) async fn g8(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let past = Arc::new(Past::make(grounds, durability, weight.events).await?);
    let mut limit = Slower {
        consuming: Consuming::new(&past).await?,
        writing: Upserting::new(&past).await?,
    };
    let rows = past.rows().await?;
    let a = format!("projector, {rows} orders from {} events", past.events);
    let mut projecting = Projecting { past, rows };
    let series = alternate(&mut projecting, &mut limit, weight.plan).await?;
    let names = (a.as_str(), "the slower of: raw consume, COPY + upsert");
    let row = |unit, bar, figure: fn(&Cell) -> f64| {
        Row::of("G8", unit, bar, names, durability.text(), (&series, figure))
    };
    Ok(vec![row("events/s", Bar::AtLeast(0.6), Cell::rate)])
}
