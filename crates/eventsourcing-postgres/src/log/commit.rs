//! Group commit: whatever waits goes into one insert, one commit.

use std::collections::HashMap;
use std::sync::Arc;

use eventsourcing::ids::Offset;
use eventsourcing::log::Appended;
use eventsourcing::record::Record;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{CHANNEL, Config, headers};
use crate::deadline::within;

/// Another writer keeps taking the offsets first: give up after so many tries and say "unknown".
const TRIES_MAX: usize = 16;

/// One append on its way.
pub(super) struct Append {
    pub(super) topic: i32,
    pub(super) partition: i32,
    pub(super) records: Vec<Record>,
    pub(super) reply: oneshot::Sender<Appended>,
}

/// Starts a task that commits until its queue is closed.
pub(super) fn spawn(
    options: PgConnectOptions,
    config: Arc<Config>,
    grown: Arc<watch::Sender<u64>>,
) -> mpsc::Sender<Append> {
    let (queue, mut waiting) = mpsc::channel::<Append>(config.queue_max);
    let mut committer = Committer {
        options,
        config: Arc::clone(&config),
        connection: None,
        ends: HashMap::new(),
    };
    tokio::spawn(async move {
        while let Some(first) = waiting.recv().await {
            let mut records = first.records.len();
            let mut group = vec![first];
            while records < config.commit_records_max {
                let Ok(next) = waiting.try_recv() else { break };
                records += next.records.len();
                group.push(next);
            }
            // Whoever gave up was told "unknown" and fences; what is not sent is not in the way then.
            group.retain(|append| !append.reply.is_closed());
            if group.is_empty() {
                continue;
            }
            let outcomes = committer.commit(&group).await;
            grown.send_modify(|commits| *commits += 1);
            for (append, outcome) in group.into_iter().zip(outcomes) {
                // An owner that is gone needs no answer; its successor reads the log.
                let _ = append.reply.send(outcome);
            }
        }
    });
    queue
}

struct Committer {
    options: PgConnectOptions,
    config: Arc<Config>,
    /// Its own, so that no commit pays for the questions a pool asks of its connections.
    connection: Option<PgConnection>,
    /// The next offset of each partition as last seen here. Another process may have gone on; the
    /// primary key says so.
    ends: HashMap<(i32, i32), i64>,
}

impl Committer {
    async fn commit(&mut self, group: &[Append]) -> Vec<Appended> {
        let mut last = String::new();
        let deadline = Instant::now() + self.config.append_timeout;
        for _ in 0..TRIES_MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            match within(left, self.try_commit(group)).await {
                Ok(offsets) => return offsets.into_iter().map(Appended::At).collect(),
                Err(error) => {
                    self.ends.clear();
                    last = error.to_string();
                    // Nothing of a refused insert is there, so trying again at the new end is safe.
                    // After any other error nobody knows, and only the protocol above can find out.
                    if !error
                        .as_database_error()
                        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
                    {
                        // An answer may still be on its way to it.
                        self.connection = None;
                        break;
                    }
                }
            }
        }
        group.iter().map(|_| Appended::Unknown(last.clone())).collect()
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let connecting = PgConnection::connect_with(&self.options);
            within(self.config.connect_timeout, connecting).await?
        };
        Ok(self.connection.insert(connection))
    }

    async fn try_commit(&mut self, group: &[Append]) -> Result<Vec<Vec<Offset>>, sqlx::Error> {
        self.look_up_ends(group).await?;
        let mut columns = Columns::default();
        let mut offsets = Vec::with_capacity(group.len());
        let mut ends = self.ends.clone();
        for append in group {
            let end = ends
                .get_mut(&(append.topic, append.partition))
                .expect("looked up above");
            let first = end.cast_unsigned();
            for record in &append.records {
                columns.push(append, *end, record);
                *end += 1;
            }
            offsets.push((first..end.cast_unsigned()).map(Offset).collect());
        }
        columns.insert(self.connection().await?).await?;
        self.ends = ends;
        Ok(offsets)
    }

    async fn look_up_ends(&mut self, group: &[Append]) -> Result<(), sqlx::Error> {
        for append in group {
            let place = (append.topic, append.partition);
            if !self.ends.contains_key(&place) {
                let end: i64 = sqlx::query_scalar(
                    r#"SELECT coalesce(max("offset") + 1, 0) FROM daybook_log.records
                       WHERE topic = $1 AND partition = $2"#,
                )
                .bind(place.0)
                .bind(place.1)
                .fetch_one(self.connection().await?)
                .await?;
                self.ends.insert(place, end);
            }
        }
        Ok(())
    }
}

/// The rows of one insert, column by column.
#[derive(Default)]
struct Columns {
    topics: Vec<i32>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    keys: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
    headers: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, append: &Append, offset: i64, record: &Record) {
        self.topics.push(append.topic);
        self.partitions.push(append.partition);
        self.offsets.push(offset);
        self.keys.push(record.key.to_vec());
        self.values.push(record.value.to_vec());
        self.headers.push(headers::encode(&record.headers));
    }

    /// One statement, so one round trip and one commit; the notification goes out with it.
    async fn insert(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            r#"WITH written AS (
                   INSERT INTO daybook_log.records (topic, partition, "offset", key, value, headers)
                   SELECT * FROM UNNEST($1::integer[], $2::integer[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[]))
               SELECT pg_notify($7, '')"#,
        )
        .bind(self.topics)
        .bind(self.partitions)
        .bind(self.offsets)
        .bind(self.keys)
        .bind(self.values)
        .bind(self.headers)
        .bind(CHANNEL)
        .execute(connection)
        .await?;
        Ok(())
    }
}
