//! The projector that one writes first: for each event a transaction that selects its row, folds, upserts it and moves the
//! checkpoint. It reads the topic as Daybook does, folds with the same function, and prepares each statement once.

mod table;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;
use async_trait::async_trait;
use clap::Args;
use domain::order::OrderEvent;
use eventsourcing::aggregate::Recorded;
use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::Offset;
use eventsourcing::projection::{Change, View as _};
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::{Topic, TopicPartition};
use projections::orders::Orders;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::super::past::Past;
use super::child;
use crate::cell::{Cell, Contender};
use crate::processor;
use crate::stage::kafka;

/// Records asked for at once.
const RECORDS_MAX: usize = 1_000;

/// One in a process of its own.
#[derive(Args)]
pub(crate) struct Naive {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    partitions: u32,
    /// It ends after so long, however far it is.
    #[arg(long)]
    seconds: f64,
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database: String,
}

/// What it did.
#[derive(Serialize, Deserialize)]
struct Projected {
    events: u64,
    seconds: f64,
}

/// Projects from the first record on until there are no more or the time is over, and prints what it did.
pub(crate) async fn project(naive: Naive) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&naive.database).await?;
    table::create(&mut connection, naive.partitions).await?;
    let (log, topic) = (kafka(&naive.brokers)?, Topic::named(&naive.topic));
    let all: Vec<_> = (0..naive.partitions)
        .map(|partition| topic.partition(partition))
        .collect();
    let mut left = 0;
    for at in &all {
        left += log.bounds(at).await?.end.0;
    }
    let limit = Duration::from_secs_f64(naive.seconds);
    let (began, mut events) = (Instant::now(), 0);
    let mut rules: BTreeMap<TopicPartition, Rule> = BTreeMap::new();
    let mut reader = log
        .reader(all.into_iter().map(|at| (at, Offset(0))).collect())
        .await?;
    'all: while left > 0 {
        for stored in reader.next(RECORDS_MAX).await? {
            if began.elapsed() >= limit {
                break 'all;
            }
            left -= 1;
            let parsed = codec::parse(&stored)?;
            let verdict = rules.entry(stored.at.clone()).or_default().judge(parsed.claim());
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) {
                let event = codec::decode(&stored, envelope)?;
                apply(&mut connection, &event, &stored.at, stored.offset).await?;
                events += 1;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&Projected { events, seconds })?);
    Ok(())
}

async fn apply(
    connection: &mut PgConnection,
    event: &Recorded<OrderEvent>,
    at: &TopicPartition,
    offset: Offset,
) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await?;
    let row = table::select(&mut transaction, event.aggregate.as_str()).await?;
    match Orders::fold(row.as_ref(), event)? {
        Change::Put(row) => table::upsert(&mut transaction, &row).await?,
        change @ (Change::Delete | Change::Keep) => bail!("no event of an order asks for {change:?}"),
    }
    table::advance(&mut transaction, at.partition, offset).await?;
    Ok(transaction.commit().await?)
}

/// It as a contender.
pub(super) struct Projecting {
    pool: PgPool,
    database: String,
    brokers: String,
    topic: Topic,
    partitions: u32,
}

impl Projecting {
    pub(super) fn of(past: &Past) -> Self {
        Self {
            pool: past.rebuilder.pool.clone(),
            database: past.database.clone(),
            brokers: past.brokers.clone(),
            topic: past.rebuilder.topic.clone(),
            partitions: past.partitions,
        }
    }

    fn command(&self, duration: Duration) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args([
                "naive",
                "--brokers",
                &self.brokers,
                "--topic",
                self.topic.as_str(),
            ])
            .args(["--partitions", &self.partitions.to_string()])
            .args(["--seconds", &duration.as_secs_f64().to_string()])
            .env("DATABASE_URL", &self.database);
        Ok(command)
    }
}

#[async_trait]
impl Contender for Projecting {
    fn name(&self) -> String {
        "a transaction an event".to_owned()
    }

    /// Its first events, as many as the time allows.
    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let mut command = self.command(duration)?;
        let worked = processor::busy_seconds()?;
        let ended = tokio::task::spawn_blocking(move || child::run(&mut command)).await??;
        let cpu_seconds = processor::busy_seconds()? - worked;
        let Projected { events, seconds } = ended.answer()?;
        let found = table::judge(&self.pool).await?;
        Ok(Cell {
            acknowledged: events,
            worked: events,
            cpu_seconds,
            bytes: ended.peak_bytes,
            void: found.fault(events),
            ..Cell::of_one(Duration::from_secs_f64(seconds))
        })
    }
}
