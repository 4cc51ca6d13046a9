//! G9: a whole rebuild (read, fold, write, index, verify, switch) of the orders' read model, against the slower of the two
//! things that it cannot do without: reading the records with librdkafka alone, and writing the finished rows by `COPY`
//! into a table without an index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use eventsourcing_postgres::rebuild::{Limits, Rebuilder, Verified};

use crate::cell::{Cell, Contender};
use crate::goals::Weight;
use crate::processor;
use crate::report::{Bar, Row};
use crate::series::alternate;
use crate::stage::{Durability, Grounds};

use super::limit::{Consuming, Copying, Slower};
use super::past::Past;

struct Rebuilding {
    rebuilder: Arc<Rebuilder>,
    rows: i64,
    events: u64,
}

#[async_trait]
impl Contender for Rebuilding {
    fn name(&self) -> String {
        format!("a rebuild from {} events", self.events)
    }

    async fn run(&mut self, _: Duration) -> anyhow::Result<Cell> {
        let (began, worked) = (Instant::now(), processor::busy_seconds()?);
        let rebuilt = self.rebuilder.rebuild(&Limits::default(), |_| ()).await?;
        let took = began.elapsed();
        let cpu_seconds = processor::busy_seconds()? - worked;
        self.rebuilder.drop_retired().await?;
        let expected = (self.rows, Verified::EqualToLive);
        let found = (rebuilt.rows, rebuilt.verified);
        Ok(Cell {
            acknowledged: self.events,
            worked: self.events,
            cpu_seconds,
            void: (found != expected).then(|| format!("{found:?} instead of {expected:?}")),
            ..Cell::of_one(took)
        })
    }
}

/// G9.
pub(crate) async fn g9(
    grounds: &Grounds,
    weight: Weight,
    durability: Durability,
) -> anyhow::Result<Vec<Row>> {
    let past = Past::make(grounds, durability, weight.events).await?;
    let (events, rows) = (past.events, past.rows().await?);
    ensure!(rows > 0, "the live version has no rows");
    let consuming = Consuming::new(&past).await?;
    let copying = Copying::new(&past).await.context("the rows to be copied")?;
    let mut limit = Slower {
        consuming,
        writing: copying,
    };
    let mut rebuilding = Rebuilding {
        rebuilder: Arc::new(past.rebuilder),
        rows,
        events,
    };
    let series = alternate(&mut rebuilding, &mut limit, weight.plan).await?;
    let a = format!("rebuild of {rows} orders from {events} events");
    let names = (a.as_str(), "the slower of: raw consume, COPY of the rows");
    let row = |unit, bar, figure: fn(&Cell) -> f64| {
        Row::of("G9", unit, bar, names, durability.text(), (&series, figure))
    };
    Ok(vec![row("s", Bar::AtMost(2.0), Cell::seconds)])
}
