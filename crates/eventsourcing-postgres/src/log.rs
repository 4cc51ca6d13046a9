//! The event log in one table. The append is a conditional insert: the primary key decides between
//! two writers, and the loser simply appends at the new end. Appends of several partitions share one
//! commit. Readers are woken by `NOTIFY`.

mod commit;
mod headers;
mod listen;
pub mod moves;
mod read;
mod topics;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Bounds, Log, LogError, Reader};
use eventsourcing::record::Record;
use eventsourcing::topic::{Topic, TopicPartition};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::{mpsc, oneshot, watch};

use crate::deadline::{lend, within};
use commit::Append;
use read::PostgresReader;
use topics::KnownTopic;

/// Limits of the log.
#[derive(Clone, Debug)]
pub struct Config {
    /// Tasks that commit. Two keep the server busy while one waits for its disk; more only contend.
    pub committers: usize,
    /// Records in one commit.
    pub commit_records_max: usize,
    /// Appends waiting for a committer.
    pub queue_max: usize,
    /// After this an append is `Unknown`.
    pub append_timeout: Duration,
    /// How long the server may take to answer a question; then the log is `Unavailable`.
    pub answer_timeout: Duration,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// Connections.
    pub connections_max: u32,
    /// A reader looks again after this even when no notification came.
    pub poll_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            committers: 2,
            commit_records_max: 4_000,
            queue_max: 1_024,
            append_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            connections_max: 24,
            poll_interval: Duration::from_millis(500),
        }
    }
}

/// The log. Clones share it.
#[derive(Clone)]
pub struct PostgresLog {
    pool: PgPool,
    config: Arc<Config>,
    committers: Arc<[mpsc::Sender<Append>]>,
    topics: Arc<RwLock<HashMap<Topic, KnownTopic>>>,
    grown: Arc<watch::Sender<u64>>,
}

/// The server's own limit, above ours: a client's time-out does not end a statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The channel that wakes readers in other processes.
pub(crate) const CHANNEL: &str = "daybook_log";

impl PostgresLog {
    /// Opens the log in this database; its tables must exist ([`crate::migrate`]). Needs a tokio
    /// runtime; connects when first used, so a server that is away is no error here.
    #[must_use]
    pub fn open(options: PgConnectOptions, config: Config) -> Self {
        let options = options.options([
            // An acknowledged record must survive the server: never less than `on`.
            ("synchronous_commit", "on"),
            // What was given up here must not go on there, one more with each new try.
            ("statement_timeout", &STATEMENT_TIMEOUT.as_millis().to_string()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(config.connections_max)
            .acquire_timeout(config.connect_timeout)
            .connect_lazy_with(options.clone());
        let grown = Arc::new(watch::Sender::new(0));
        let config = Arc::new(config);
        let committers = (0..config.committers)
            .map(|_| commit::spawn(options.clone(), Arc::clone(&config), Arc::clone(&grown)))
            .collect();
        listen::spawn(pool.clone(), &grown, Arc::clone(&config));
        Self {
            pool,
            config,
            committers,
            topics: Arc::default(),
            grown,
        }
    }
}

impl PostgresLog {
    /// Hands the append to its committer and waits for its answer.
    async fn queue(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        let topic = match self.place(to).await {
            Ok(topic) => topic,
            Err(error) => return Appended::Unknown(error.to_string()),
        };
        let partition = to.partition.cast_signed();
        let (reply, answer) = oneshot::channel();
        // One partition, one committer: its order is the order of the queue.
        let index = (topic.cast_unsigned() as usize + to.partition as usize) % self.committers.len();
        let append = Append {
            topic,
            partition,
            records,
            reply,
        };
        let gone = || Appended::Unknown("the committer is gone".to_owned());
        if self.committers[index].send(append).await.is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }
}

#[async_trait]
impl Log for PostgresLog {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        tokio::time::timeout(self.config.append_timeout, self.queue(to, records))
            .await
            .unwrap_or_else(|_| Appended::Unknown("PostgreSQL did not answer in time".to_owned()))
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        let mut cursors = Vec::with_capacity(from.len());
        for (at, asked) in from {
            let topic = self.place(&at).await?;
            let bounds = self.bounds(&at).await?;
            bounds.check(&at, asked)?;
            cursors.push(read::Cursor {
                at,
                topic,
                next: asked,
            });
        }
        let grown = self.grown.subscribe();
        Ok(Box::new(PostgresReader::new(self.clone(), cursors, grown)))
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        let topic = self.place(of).await?;
        let asking = sqlx::query_as(
            r#"SELECT (SELECT "offset" FROM daybook_log.records
                       WHERE topic = $1 AND partition = $2 ORDER BY "offset" LIMIT 1),
                      (SELECT "offset" FROM daybook_log.records
                       WHERE topic = $1 AND partition = $2 ORDER BY "offset" DESC LIMIT 1)"#,
        )
        .bind(topic)
        .bind(of.partition.cast_signed());
        let mut lent = lend(&self.pool).await.map_err(unavailable)?;
        let bounds = within(self.config.answer_timeout, asking.fetch_one(&mut *lent));
        let (first, last): (Option<i64>, Option<i64>) = bounds.await.map_err(unavailable)?;
        lent.give_back();
        let start = Offset(first.map_or(0, i64::cast_unsigned));
        Ok(Bounds {
            start,
            end: last.map_or(start, |last| Offset(last.cast_unsigned() + 1)),
        })
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        Ok(self.topic(of).await?.partitions)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(crate) fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(error.to_string())
}
