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
use sqlx::{AssertSqlSafe, Connection, Executor, PgPool};

use crate::cell::{Cell, Contender};
use crate::processor;

use super::past::Past;

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

/// Rows on their way into a table.
#[async_trait]
pub(super) trait Writing: Send + Sync {
    /// Writes all of them; how long that took.
    async fn write(&self) -> anyhow::Result<Duration>;
}

/// The rows of the live version as `COPY` writes them, one after the other.
async fn rows(past: &Past) -> anyhow::Result<Vec<Bytes>> {
    let pool = &past.rebuilder.pool;
    let rows = pool
        .copy_out_raw("COPY (SELECT * FROM read.orders) TO STDOUT")
        .await?;
    Ok(rows.try_collect().await?)
}

/// Copies the finished rows into a table without an index.
pub(super) struct Copying {
    pool: PgPool,
    rows: Vec<Bytes>,
}

impl Copying {
    pub(super) async fn new(past: &Past) -> anyhow::Result<Self> {
        let pool = past.rebuilder.pool.clone();
        let rows = rows(past).await?;
        Ok(Self { pool, rows })
    }
}

#[async_trait]
impl Writing for Copying {
    async fn write(&self) -> anyhow::Result<Duration> {
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

/// Rows of one transaction of [`Upserting`]: more made it no faster.
const STRETCH_ROWS: usize = 5_000;

/// Brings the finished rows into a table with the indexes of the live one: stretch by stretch by `COPY` and one upsert.
pub(super) struct Upserting {
    pool: PgPool,
    stretches: Vec<Vec<u8>>,
}

impl Upserting {
    pub(super) async fn new(past: &Past) -> anyhow::Result<Self> {
        let pool = past.rebuilder.pool.clone();
        let rows = rows(past).await?;
        let stretches = rows.chunks(STRETCH_ROWS).map(<[Bytes]>::concat).collect();
        Ok(Self { pool, stretches })
    }
}

#[async_trait]
impl Writing for Upserting {
    async fn write(&self) -> anyhow::Result<Duration> {
        let mut connection = self.pool.acquire().await?;
        let create = "DROP TABLE IF EXISTS bench_upsert, bench_stretch;
                      CREATE TABLE bench_upsert (LIKE orders_v1.orders INCLUDING ALL);
                      CREATE TEMPORARY TABLE bench_stretch (LIKE orders_v1.orders) ON COMMIT DELETE ROWS";
        connection.execute(create).await?;
        let set: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I = EXCLUDED.%I', attname, attname) FROM pg_attribute
             WHERE attrelid = 'bench_upsert'::regclass AND attnum > 0 AND attname <> 'id'",
        )
        .fetch_all(&mut *connection)
        .await?;
        let upsert = format!(
            "INSERT INTO bench_upsert SELECT * FROM bench_stretch ON CONFLICT (id) DO UPDATE SET {}",
            set.join(", ")
        );
        let began = Instant::now();
        for stretch in &self.stretches {
            let mut transaction = connection.begin().await?;
            let mut copy = transaction.copy_in_raw("COPY bench_stretch FROM STDIN").await?;
            copy.send(&stretch[..]).await?;
            copy.finish().await?;
            transaction.execute(AssertSqlSafe(upsert.clone())).await?;
            transaction.commit().await?;
        }
        let took = began.elapsed();
        connection
            .execute("DROP TABLE bench_upsert, bench_stretch")
            .await?;
        Ok(took)
    }
}

/// Both, one after the other; the slower one counts.
pub(super) struct Slower<W> {
    pub(super) consuming: Consuming,
    pub(super) writing: W,
}

#[async_trait]
impl<W: Writing> Contender for Slower<W> {
    fn name(&self) -> String {
        "the slower of reading the records and writing the rows".to_owned()
    }

    async fn run(&mut self, _: Duration) -> anyhow::Result<Cell> {
        let worked = processor::busy_seconds()?;
        let consumed = tokio::task::block_in_place(|| self.consuming.consume())?;
        let written = self.writing.write().await?;
        eprintln!(
            "  read in {:.2} s, written in {:.2} s",
            consumed.as_secs_f64(),
            written.as_secs_f64()
        );
        Ok(Cell {
            acknowledged: self.consuming.records,
            worked: self.consuming.records,
            cpu_seconds: processor::busy_seconds()? - worked,
            ..Cell::of_one(consumed.max(written))
        })
    }
}
