//! The projector: folds what comes in its share of a topic into a read model, for ever.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::read_model::{ReadModel, ReadModelError, Started};
use crate::log::{Log, LogError};
use crate::readers::{self, Interrupted, Scan, Share, Stance, Status, Turn};
use crate::topic::Topic;

/// Limits of a projector.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Records in one transaction.
    pub batch_records_max: usize,
    /// Pause after an error that may pass; doubled with each further one, up to ten seconds.
    pub retry_pause: Duration,
    /// Pause after a batch that was not full, so that the next one has company: for rows that nobody waits for.
    pub linger: Duration,
    /// How long a partition of somebody else's share may stand still with records to read; then it is read here, too.
    pub stranded_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_records_max: 1_000,
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
        let mut scan = Scan::of_share(checkpoints, &work);
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
        loop {
            let records = tokio::select! {
                biased;
                () = stance.share.changed() => return Err(Interrupted::Reassigned),
                interrupted = &mut elsewhere => return Err(interrupted),
                records = reader.next(self.config.batch_records_max) => records?,
            };
            #[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52")]
            metrics::histogram!("daybook_projection_batch_records", "projection" => self.name())
                .record(records.len() as f64);
            let full = records.len() >= self.config.batch_records_max;
            let scanned = scan.judge(records);
            if scanned.moves.is_empty() {
                continue;
            }
            // Not cut off by a change of the share: the next one reads what this one has stored.
            self.read_model.apply(&self.topic, version, &scanned).await?;
            scan.moved(&scanned.moves);
            stance.advanced();
            if !full && !self.config.linger.is_zero() {
                tokio::select! {
                    biased;
                    () = stance.share.changed() => return Err(Interrupted::Reassigned),
                    () = tokio::time::sleep(self.config.linger) => {}
                }
            }
        }
    }
}
