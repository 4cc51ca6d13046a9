//! The projector: folds what comes in its share of a topic into a read model, for ever.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::read_model::{Prepared, ReadModel, ReadModelError, Started};
use crate::log::{Log, LogError, Reader};
use crate::readers::{self, Interrupted, Scan, Share, Stance, Status, Turn};
use crate::record::Stored;
use crate::topic::Topic;

/// Limits of a projector.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Records in one transaction, of those that are waiting.
    pub batch_records_max: usize,
    /// Pause after an error that may pass; doubled with each further one, up to ten seconds.
    pub retry_pause: Duration,
    /// How long a batch that is not full waits for company: for rows that nobody waits for.
    pub linger: Duration,
    /// How long a partition of somebody else's share may stand still with records to read; then it is read here, too.
    pub stranded_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_records_max: 5_000,
            retry_pause: Duration::from_millis(500),
            linger: Duration::ZERO,
            stranded_after: Duration::from_secs(5),
        }
    }
}

/// What a projector works on.
#[derive(Clone)]
pub struct Settings {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The topic it folds.
    pub topic: Topic,
    /// Where rows and checkpoints are.
    pub read_model: Arc<dyn ReadModel>,
    /// Limits.
    pub config: Config,
}

/// Why a projector stopped for good.
#[derive(Debug, Error)]
pub enum RunError {
    /// The log is not the one it was: cut, recreated, reconfigured.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The read model cannot go on.
    #[error("{0}")]
    ReadModel(String),
}

impl From<ReadModelError> for Interrupted<RunError> {
    fn from(error: ReadModelError) -> Self {
        match error {
            ReadModelError::Overtaken | ReadModelError::Switched => Self::Overtaken(error.to_string()),
            ReadModelError::Foreign(why) => Self::Foreign(why),
            ReadModelError::Away(why) => Self::Away(why),
            ReadModelError::Final(why) => Self::Final(RunError::ReadModel(why)),
        }
    }
}

/// Starts a projector of `share`; it runs until `shutdown`. The watch says how it is.
pub fn spawn(
    settings: Settings,
    share: Share,
    shutdown: CancellationToken,
) -> (watch::Receiver<Status>, JoinHandle<Result<(), RunError>>) {
    let retry_pause = settings.config.retry_pause;
    readers::spawn(settings, share, retry_pause, shutdown)
}

#[async_trait]
impl Turn for Settings {
    type Error = RunError;

    fn name(&self) -> &'static str {
        self.read_model.name()
    }

    async fn turn(&self, stance: &mut Stance) -> Result<Infallible, Interrupted<RunError>> {
        let partitions = self.log.partitions(&self.topic).await?;
        let work = stance.work(partitions);
        let Started { version, checkpoints } = self.read_model.start(&self.topic, partitions).await?;
        let scan = Scan::of_share(checkpoints, &work);
        let mut elsewhere = pin!(self.watch_others(version, partitions, work.clone()));
        if work.is_empty() {
            stance.running(self.name(), work);
            return Err(tokio::select! {
                biased;
                () = stance.share.changed() => Interrupted::Reassigned,
                interrupted = &mut elsewhere => interrupted,
            });
        }
        // Refuses a log that is not the one the checkpoints were made on.
        let mut reader = self.log.reader(scan.places(&self.topic)).await?;
        stance.running(self.name(), work);
        // The next batch is read, judged and prepared while one is being applied.
        let (sender, receiver) = mpsc::channel(1);
        let advanced = AtomicBool::new(false);
        let why = {
            let mut applying = pin!(self.apply_all(version, receiver, &advanced));
            let reading = async {
                tokio::select! {
                    biased;
                    () = stance.share.changed() => Interrupted::Reassigned,
                    interrupted = &mut elsewhere => interrupted,
                    Err(why) = self.prepare_all(version, &mut *reader, scan, sender) => why,
                }
            };
            tokio::select! {
                biased;
                Err(why) = &mut applying => why,
                // Not cut off by a change of the share: the next one reads what this one has stored.
                why = reading => applying.await.err().unwrap_or(why),
            }
        };
        if advanced.into_inner() {
            stance.advanced();
        }
        Err(why)
    }
}

impl Settings {
    async fn prepare_all(
        &self,
        version: i32,
        reader: &mut dyn Reader,
        mut scan: Scan,
        prepared: mpsc::Sender<Prepared>,
    ) -> Result<Infallible, Interrupted<RunError>> {
        loop {
            let records = self.gather(&mut *reader).await?;
            #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52")]
            metrics::histogram!("daybook_projection_batch_records", "projection" => self.name())
                .record(records.len() as f64);
            let scanned = scan.judge(records);
            if scanned.moves.is_empty() {
                continue;
            }
            // Supposing that it will be applied: if not, everything begins again at the checkpoints.
            scan.moved(&scanned.moves);
            let batch = self.read_model.prepare(&self.topic, version, scanned).await?;
            if prepared.send(batch).await.is_err() {
                // Whoever applies has an error to tell.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Records of one batch: what is waiting, and what comes in the time that it may wait for company.
    async fn gather(&self, reader: &mut dyn Reader) -> Result<Vec<Stored>, LogError> {
        let most = self.config.batch_records_max;
        let mut records = reader.next(most).await?;
        let until = Instant::now() + self.config.linger;
        while records.len() < most && !self.config.linger.is_zero() {
            match tokio::time::timeout_at(until, reader.next(most - records.len())).await {
                Ok(more) => records.extend(more?),
                Err(_) => break,
            }
        }
        Ok(records)
    }

    /// Until nothing more is prepared.
    async fn apply_all(
        &self,
        version: i32,
        mut prepared: mpsc::Receiver<Prepared>,
        advanced: &AtomicBool,
    ) -> Result<(), Interrupted<RunError>> {
        while let Some(batch) = prepared.recv().await {
            self.read_model.apply(&self.topic, version, batch).await?;
            advanced.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
