//! Live: each projection tails its topic in a task of its own, for ever.

use std::sync::Arc;
use std::time::Duration;

use eventsourcing::log::{Log, LogError};
use eventsourcing::topic::{Topic, TopicPartition};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::checkpoint;
use super::scan::Scan;
use super::{Projection, ProjectionError, ensure_active, transact};
use crate::deadline::within;

/// Limits of the runner.
#[derive(Clone, Debug)]
pub struct Config {
    /// Records in one transaction.
    pub batch_records_max: usize,
    /// Pause after an error that may pass; doubled with each further one, up to ten seconds.
    pub retry_pause: Duration,
    /// How long PostgreSQL may take for one transaction; then its connection is given up.
    pub database_timeout: Duration,
}

/// The longest pause between two tries.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_records_max: 1_000,
            retry_pause: Duration::from_millis(500),
            database_timeout: Duration::from_secs(30),
        }
    }
}

/// How a projection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not yet reading.
    Starting,
    /// Applying what comes.
    Running,
    /// Waiting for something that is away; says for what.
    Waiting(String),
}

/// Runs projections until told to stop.
pub struct Runner {
    pool: PgPool,
    log: Arc<dyn Log>,
    prefix: String,
    config: Config,
    projections: Vec<(Arc<Projection>, watch::Sender<Status>)>,
}

impl Runner {
    /// A runner of these projections over the topics with `prefix`.
    pub fn new(
        pool: PgPool,
        log: Arc<dyn Log>,
        prefix: &str,
        projections: Vec<Projection>,
        config: Config,
    ) -> Self {
        let projections = projections
            .into_iter()
            .map(|projection| (Arc::new(projection), watch::Sender::new(Status::Starting)))
            .collect();
        Self {
            pool,
            log,
            prefix: prefix.to_owned(),
            config,
            projections,
        }
    }

    /// Watches each projection by name.
    pub fn statuses(&self) -> Vec<(&'static str, watch::Receiver<Status>)> {
        self.projections
            .iter()
            .map(|(projection, status)| (projection.name, status.subscribe()))
            .collect()
    }

    /// Runs until `shutdown`. An error is final: the process should go down with it.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ProjectionError> {
        let mut tasks = JoinSet::new();
        for (projection, status) in self.projections {
            let topic = Topic::events(&self.prefix, projection.service);
            let (pool, log, config) = (self.pool.clone(), Arc::clone(&self.log), self.config.clone());
            let live = Live {
                projection,
                status,
                topic,
                pool,
                log,
                config,
            };
            tasks.spawn(live.run(shutdown.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or_else(|death| std::panic::resume_unwind(death.into_panic()))?;
        }
        Ok(())
    }
}

struct Live {
    projection: Arc<Projection>,
    status: watch::Sender<Status>,
    topic: Topic,
    pool: PgPool,
    log: Arc<dyn Log>,
    config: Config,
}

impl Live {
    async fn run(self, shutdown: CancellationToken) -> Result<(), ProjectionError> {
        let mut pause = self.config.retry_pause;
        loop {
            // Dropping the future rolls an open transaction back: nothing is half applied.
            let ended = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                ended = self.tail() => ended,
            };
            let Err(error) = ended;
            if error.is_final() {
                return Err(error);
            }
            // It ran in between: what happens now is a new misfortune.
            if *self.status.borrow() == Status::Running {
                pause = self.config.retry_pause;
            }
            if matches!(
                error,
                ProjectionError::Switched(_) | ProjectionError::Overtaken(_)
            ) {
                tracing::info!(projection = self.projection.name, %error, "reading the checkpoint again");
            } else {
                tracing::warn!(projection = self.projection.name, %error, "waiting");
                self.status.send_replace(Status::Waiting(error.to_string()));
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Does `work` on a connection, both in bounded time. After an error the connection is closed: what
    /// it was sent may yet be carried out, even a commit, and then the checkpoint has moved.
    async fn on_database<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, ProjectionError>,
    ) -> Result<T, ProjectionError> {
        let limit = self.config.database_timeout;
        let mut connection = within(limit, self.pool.acquire()).await?;
        let outcome = within(limit, work(&mut connection)).await;
        if outcome.is_err() {
            drop(connection.detach());
        }
        outcome
    }

    async fn tail(&self) -> Result<std::convert::Infallible, ProjectionError> {
        let name = self.projection.name;
        let partitions = self.log.partitions(&self.topic).await?;
        let start = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            let version = ensure_active(&mut transaction, &self.projection).await?;
            let checkpoints =
                checkpoint::load(&mut transaction, name, version, &self.topic, partitions).await?;
            transaction.commit().await?;
            Ok::<_, ProjectionError>((version, checkpoints))
        };
        let (version, checkpoints) = self.on_database(start).await?;
        let mut scan = Scan { checkpoints };
        let mut reader = self.log.reader(self.places(&scan).await?).await?;
        self.status.send_replace(Status::Running);
        loop {
            let records = reader.next(self.config.batch_records_max).await?;
            #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52")]
            metrics::histogram!("daybook_projection_batch_records", "projection" => name)
                .record(records.len() as f64);
            let scanned = scan.judge(records);
            if scanned.moves.is_empty() {
                continue;
            }
            self.on_database(async |connection| {
                transact(connection, &self.projection, version, &self.topic, &scanned, true).await
            })
            .await?;
            scan.moved(&scanned.moves);
        }
    }

    /// Where to read on; refuses a log that is not the one the checkpoints were made on.
    async fn places(
        &self,
        scan: &Scan,
    ) -> Result<Vec<(TopicPartition, eventsourcing::ids::Offset)>, ProjectionError> {
        let mut places = Vec::new();
        for (partition, checkpoint) in &scan.checkpoints {
            let at = self.topic.partition(*partition);
            let bounds = self.log.bounds(&at).await?;
            let asked = checkpoint.next;
            if asked > bounds.end || asked < bounds.start {
                return Err(LogError::OutOfRange {
                    at,
                    start: bounds.start,
                    end: bounds.end,
                    asked,
                }
                .into());
            }
            places.push((at, asked));
        }
        Ok(places)
    }
}
