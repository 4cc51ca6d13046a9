//! The runner: tails a topic, keys in order, different keys at once, checkpoint last.

mod batch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::aggregate::Recorded;
use eventsourcing::checkpoint::{CheckpointError, ProcessCheckpoint, ProcessCheckpoints};
use eventsourcing::codec::CorruptRecord;
use eventsourcing::log::{Log, LogError, Reader};
use eventsourcing::process::Process;
use eventsourcing::topic::{Topic, TopicPartition};
use futures::{StreamExt, stream};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use batch::Batch;

/// Limits of a runner.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Keys worked on at once.
    pub in_flight_max: usize,
    /// Records read at once; a checkpoint is stored after each batch.
    pub batch_records_max: usize,
    /// Pause before another try when log or checkpoints are away.
    pub retry_pause: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            in_flight_max: 64,
            batch_records_max: 500,
            retry_pause: Duration::from_millis(200),
        }
    }
}

/// What a runner works on.
#[derive(Clone)]
pub struct Settings {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The topic whose events the process reacts to.
    pub topic: Topic,
    /// How far it has come.
    pub checkpoints: Arc<dyn ProcessCheckpoints>,
    /// Limits.
    pub config: Config,
}

/// Does what a process plans.
#[async_trait]
pub trait Carry<P: Process>: Send + Sync + 'static {
    /// Carries out `plan` completely: returns when the outcome of every command is known. May be
    /// dropped at any await, and called again with the same event.
    async fn carry_out(&self, cause: &Recorded<P::Event>, plan: P::Plan);
}

/// Why a runner stopped for good.
#[derive(Debug, Error)]
pub enum RunError {
    /// A record that cannot be judged or decoded. Going on would skip what it says.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// The log is not the one it was: cut, recreated, reconfigured.
    #[error(transparent)]
    Log(LogError),
}

/// What ends a turn of the outer loop.
enum Interrupted {
    /// Try again after a pause.
    Away(String),
    /// For good.
    Fatal(RunError),
}

impl From<LogError> for Interrupted {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(why) => Self::Away(why),
            LogError::NoSuchTopic(_) | LogError::OutOfRange { .. } | LogError::Misconfigured(_) => {
                Self::Fatal(RunError::Log(error))
            }
        }
    }
}

impl From<CheckpointError> for Interrupted {
    fn from(error: CheckpointError) -> Self {
        match error {
            // Another runner is at it: its work has the same ids as ours, so all that is lost is time.
            CheckpointError::Unavailable(_) | CheckpointError::Overtaken => Self::Away(error.to_string()),
        }
    }
}

/// Starts the runner of `P`; it runs until `shutdown`. The watch says whether it tails the log.
pub fn spawn<P: Process>(
    settings: Settings,
    carrier: Arc<dyn Carry<P>>,
    shutdown: CancellationToken,
) -> (watch::Receiver<bool>, JoinHandle<Result<(), RunError>>) {
    let (tails, tails_seen) = watch::channel(false);
    let running = tokio::spawn(async move {
        tokio::select! {
            // Whatever is in flight is repeated by the next start.
            () = shutdown.cancelled() => Ok(()),
            Err(error) = run::<P>(&settings, carrier.as_ref(), &tails) => Err(error),
        }
    });
    (tails_seen, running)
}

async fn run<P: Process>(
    settings: &Settings,
    carrier: &dyn Carry<P>,
    tails: &watch::Sender<bool>,
) -> Result<std::convert::Infallible, RunError> {
    loop {
        let Err(interrupted) = tail::<P>(settings, carrier, tails).await;
        tails.send_replace(false);
        match interrupted {
            Interrupted::Fatal(error) => return Err(error),
            Interrupted::Away(why) => {
                tracing::warn!(process = P::NAME, why, "process pauses");
                tokio::time::sleep(settings.config.retry_pause).await;
            }
        }
    }
}

async fn tail<P: Process>(
    settings: &Settings,
    carrier: &dyn Carry<P>,
    tails: &watch::Sender<bool>,
) -> Result<std::convert::Infallible, Interrupted> {
    let mut stored = load::<P>(settings).await?;
    let mut rules: BTreeMap<_, _> = stored
        .iter()
        .map(|(at, checkpoint)| (at.clone(), checkpoint.rule))
        .collect();
    let from = stored
        .iter()
        .map(|(at, checkpoint)| (at.clone(), checkpoint.next))
        .collect();
    let mut reader: Box<dyn Reader> = settings.log.reader(from).await?;
    tails.send_replace(true);
    loop {
        let records = reader.next(settings.config.batch_records_max).await?;
        let batch = Batch::<P>::judge(&records, &mut rules);
        let batch = batch.map_err(|corrupt| Interrupted::Fatal(corrupt.into()))?;
        carry_out(settings, carrier, batch.keys).await;
        for (at, next) in batch.ends {
            let Some(stored) = stored.get_mut(&at) else {
                continue;
            };
            let rule = rules.get(&at).copied().unwrap_or_default();
            let to = ProcessCheckpoint { next, rule };
            settings.checkpoints.store(P::NAME, &at, *stored, to).await?;
            *stored = to;
        }
    }
}

async fn load<P: Process>(
    settings: &Settings,
) -> Result<BTreeMap<TopicPartition, ProcessCheckpoint>, Interrupted> {
    let partitions = settings.log.partitions(&settings.topic).await?;
    let mut known = BTreeMap::new();
    for number in 0..partitions {
        let at = settings.topic.partition(number);
        let stored = settings.checkpoints.load(P::NAME, &at).await?;
        known.insert(at, stored);
    }
    Ok(known)
}

/// Each key's events one after the other, `in_flight_max` keys at once.
async fn carry_out<P: Process>(
    settings: &Settings,
    carrier: &dyn Carry<P>,
    keys: Vec<Vec<batch::Planned<P>>>,
) {
    stream::iter(keys)
        .for_each_concurrent(settings.config.in_flight_max, async |events| {
            for planned in events {
                carrier.carry_out(&planned.event, planned.plan).await;
            }
        })
        .await;
}
