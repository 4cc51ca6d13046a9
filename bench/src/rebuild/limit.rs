//! What every rebuild has to do at least, done by nothing but a client of the broker and a client of the database.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::postgres::PgPoolCopyExt;
use sqlx::{Executor, PgPool};

use super::past::Past;
use crate::cell::{Cell, Contender};
use crate::processor;

/// A message comes within this time, or something is wrong.
const MESSAGE_MAX: Duration = Duration::from_secs(30);

/// Reads all records of the topic's partitions, and does nothing with them.
pub(super) struct Consuming {
    brokers: String,
    topic: String,
    partitions: u32,
    records: u64,
}

impl Consuming {
    pub(super) async fn new(past: &Past) -> anyhow::Result<Self> {
        let mut records = 0;
        for partition in 0..past.partitions {
            let at = past.rebuilder.topic.partition(partition);
            records += past.rebuilder.log.bounds(&at).await?.end.0;
        }
        Ok(Self {
            brokers: past.brokers.clone(),
            topic: past.rebuilder.topic.as_str().to_owned(),
            partitions: past.partitions,
            records,
        })
    }

    fn consume(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "bench")
            .set("enable.auto.commit", "false")
            .set("check.crcs", "true")
            .create()?;
        let mut all = TopicPartitionList::new();
        for partition in 0..self.partitions {
            all.add_partition_offset(&self.topic, partition.cast_signed(), Offset::Beginning)?;
        }
        consumer.assign(&all)?;
        let (mut records, mut bytes) = (0, 0);
        while records < self.records {
            let message = consumer.poll(MESSAGE_MAX).context("no message comes")??;
            records += 1;
            bytes += message.payload_len();
        }
        ensure!(bytes > 0, "records without values");
        Ok(began.elapsed())
    }
}

/// Copies the finished rows into a table without an index.
pub(super) struct Copying {
    pool: PgPool,
    rows: Vec<Bytes>,
}

impl Copying {
    pub(super) async fn new(past: &Past) -> anyhow::Result<Self> {
        let pool = past.rebuilder.pool.clone();
        let rows = pool
            .copy_out_raw("COPY (SELECT * FROM read.orders) TO STDOUT")
            .await?;
        let rows = rows.try_collect().await?;
        Ok(Self { pool, rows })
    }

    async fn copy(&self) -> anyhow::Result<Duration> {
        let create = "DROP TABLE IF EXISTS bench_copy; CREATE TABLE bench_copy (LIKE read.orders)";
        self.pool.execute(create).await?;
        let began = Instant::now();
        let mut copy = self.pool.copy_in_raw("COPY bench_copy FROM STDIN").await?;
        for rows in &self.rows {
            copy.send(&rows[..]).await?;
        }
        copy.finish().await?;
        let took = began.elapsed();
        self.pool.execute("DROP TABLE bench_copy").await?;
        Ok(took)
    }
}

/// Both, one after the other; the slower one counts.
pub(super) struct Slower {
    pub(super) consuming: Consuming,
    pub(super) copying: Copying,
}

#[async_trait]
impl Contender for Slower {
    fn name(&self) -> String {
        "the slower of raw consume and COPY".to_owned()
    }

    async fn run(&mut self, _: Duration) -> anyhow::Result<Cell> {
        let worked = processor::busy_seconds()?;
        let consumed = tokio::task::block_in_place(|| self.consuming.consume())?;
        let copied = self.copying.copy().await?;
        eprintln!(
            "  consumed in {:.2} s, copied in {:.2} s",
            consumed.as_secs_f64(),
            copied.as_secs_f64()
        );
        Ok(Cell {
            acknowledged: self.consuming.records,
            worked: self.consuming.records,
            cpu_seconds: processor::busy_seconds()? - worked,
            ..Cell::of_one(consumed.max(copied))
        })
    }
}
