//! Orders of the past on several partitions, and a live read model that has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::{Country, CustomerId};
use domain::money::Price;
use domain::order::{Line, Lines, Order, OrderCommand, Sale};
use domain::quantity::Quantity;
use domain::sku::Sku;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::ids::{AggregateId, Sequence};
use eventsourcing::log::Log;
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::rebuild::Rebuilder;
use projections::orders::Orders;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::history::{BATCH, History};
use crate::projector;
use crate::stage::{Durability, Grounds, kafka};

/// Each order is placed and confirmed.
pub(super) const EVENTS_OF_AN_ORDER: u64 = 2;
/// An order has one to so many lines.
const LINES_MAX: u64 = 5;

pub(super) struct Past {
    pub(super) brokers: String,
    pub(super) database: String,
    /// Orders of each partition.
    pub(super) orders: u64,
    pub(super) partitions: u32,
    pub(super) events: u64,
    pub(super) rebuilder: Rebuilder,
}

impl Past {
    /// About so many events, and the live version that has them.
    pub(super) async fn make(grounds: &Grounds, durability: Durability, events: u64) -> anyhow::Result<Self> {
        let (brokers, topic) = grounds.topic(durability, "rebuild").await?;
        let log = kafka(&brokers)?;
        let database = testkit::postgres().await.url;
        let pool = PgPool::connect(&database).await?;
        eventsourcing_postgres::migrate::migrate(&pool).await?;
        let partitions = grounds.partitions;
        let orders = events.div_ceil(EVENTS_OF_AN_ORDER * u64::from(partitions));
        let events = orders * EVENTS_OF_AN_ORDER * u64::from(partitions);
        eprintln!("{events} events in {partitions} partitions of {topic}");
        let began = Instant::now();
        write_all(&log, &topic, partitions, orders).await?;
        eprintln!("written in {:.1} s", began.elapsed().as_secs_f64());
        let rebuilder = Rebuilder {
            pool,
            log,
            topic,
            projection: Projection::view::<Orders>(),
        };
        let past = Self {
            brokers,
            database,
            orders,
            partitions,
            events,
            rebuilder,
        };
        past.project_into(&past.rebuilder.pool).await?;
        Ok(past)
    }

    /// Rows of the live version.
    pub(super) async fn rows(&self) -> anyhow::Result<i64> {
        let count = sqlx::query_scalar("SELECT count(*) FROM read.orders");
        Ok(count.fetch_one(&self.rebuilder.pool).await?)
    }

    /// What the first orders that have so many events come to. They are counted across the partitions, one of each in turn.
    pub(super) async fn total(&self, events: u64) -> anyhow::Result<i64> {
        let sum = "SELECT coalesce(sum(total), 0)::BIGINT FROM read.orders
                   WHERE split_part(id, '_', 3)::BIGINT * $1 + split_part(id, '_', 2)::BIGINT < $2";
        let sum = sqlx::query_scalar(sum)
            .bind(i64::from(self.partitions))
            .bind(i64::try_from(events / EVENTS_OF_AN_ORDER)?);
        Ok(sum.fetch_one(&self.rebuilder.pool).await?)
    }

    /// Runs the live projector on the tables in this database until it has all there is; how long that took.
    pub(super) async fn project_into(&self, pool: &PgPool) -> anyhow::Result<Duration> {
        let Rebuilder {
            log,
            topic,
            projection,
            ..
        } = &self.rebuilder;
        // Each partition holds a fence besides.
        let expected = i64::try_from(self.events)? + i64::from(self.partitions);
        let is_done = || done(pool, topic, expected);
        projector::catch_up((pool, log, topic), self.partitions, projection.clone(), is_done).await
    }
}

/// The id of an order of this partition.
pub(super) fn order(partition: u32, number: u64) -> String {
    format!("order_{partition}_{number:08}")
}

/// Whether the live version has folded so many records.
async fn done(pool: &PgPool, topic: &Topic, expected: i64) -> anyhow::Result<bool> {
    let sum = r#"SELECT coalesce(sum("offset" + 1), 0)::BIGINT FROM read.checkpoints WHERE topic = $1"#;
    let done: i64 = sqlx::query_scalar(sum)
        .bind(topic.as_str())
        .fetch_one(pool)
        .await?;
    Ok(done == expected)
}

/// All partitions at once, each by a task of its own: a partition waits for each of its appends.
async fn write_all(log: &Arc<dyn Log>, topic: &Topic, partitions: u32, orders: u64) -> anyhow::Result<()> {
    let mut writing = JoinSet::new();
    for partition in 0..partitions {
        writing.spawn(write(Arc::clone(log), topic.partition(partition), orders));
    }
    while let Some(written) = writing.join_next().await {
        written??;
    }
    Ok(())
}

async fn write(log: Arc<dyn Log>, at: TopicPartition, orders: u64) -> anyhow::Result<()> {
    let partition = at.partition;
    let history = History::begin(log, at).await?;
    let mut batch = Vec::with_capacity(BATCH);
    for number in 0..orders {
        let id: AggregateId = order(partition, number).parse()?;
        let mut state = <Order as Aggregate>::State::default();
        for (sequence, command) in [
            (1, OrderCommand::Place(sale(number)?)),
            (2, OrderCommand::Confirm),
        ] {
            let event = Order::decide(&state, &command)?;
            Order::evolve(&mut state, &event);
            batch.push(history.record(&id, Sequence(sequence), &event));
        }
        if batch.len() >= BATCH {
            history.append(std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        history.append(batch).await?;
    }
    Ok(())
}

fn sale(number: u64) -> anyhow::Result<Arc<Sale>> {
    let line = |line: u64| {
        let sku = Sku::new(format!("BENCH-{:04}", (number * 7 + line * 131) % 4_000))?;
        let quantity = Quantity::new(i64::try_from(1 + (number + line) % 12)?)?;
        let unit_price = Price::new(i64::try_from(99 + (number * 13 + line) % 5_000)?)?;
        Ok(Line {
            sku,
            quantity,
            unit_price,
        })
    };
    let lines: anyhow::Result<Vec<Line>> = (0..=number % LINES_MAX).map(line).collect();
    Ok(Arc::new(Sale {
        customer: Some(CustomerId::new(format!("customer-{}", number % 10_000))?),
        country: Some(Country::new("United Kingdom")?),
        currency: "GBP".parse()?,
        lines: Lines::new(lines?)?.into(),
    }))
}
