//! The runner of a process: follows its share of a topic, keys in order, different keys at once, the
//! checkpoint last.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Process;
use super::plans::{Planned, plans};
use crate::aggregate::Recorded;
use crate::checkpoint::{Checkpoint, CheckpointError, ProcessCheckpoints};
use crate::codec::CorruptRecord;
use crate::log::{Log, LogError};
use crate::readers::{self, Interrupted, Move, Scan, Share, Stance, Status, Turn};
use crate::topic::Topic;

/// Limits of a process.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Keys worked on at once.
    pub in_flight_max: usize,
    /// Records read at once; the checkpoints are stored after each batch.
    pub batch_records_max: usize,
    /// Pause after an error that may pass; doubled with each further one, up to ten seconds.
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

/// What a process works on.
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
    /// dropped at any await, and called again with the same event, here or on another node, even at once:
    /// the ids of its commands come from the event and the step, so a repeat has no second effect.
    async fn carry_out(&self, cause: &Recorded<P::Event>, plan: P::Plan);
}

/// Why a process stopped for good.
#[derive(Debug, Error)]
pub enum RunError {
    /// A record that cannot be judged or decoded. Going on would skip what it says.
    #[error(transparent)]
    Corrupt(#[from] Arc<CorruptRecord>),
    /// The log is not the one it was: cut, recreated, reconfigured.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<CheckpointError> for Interrupted<RunError> {
    fn from(error: CheckpointError) -> Self {
        match error {
            // Another runner is at it: its commands have the same ids as ours, so all that is lost is time.
            CheckpointError::Overtaken => Self::Overtaken(error.to_string()),
            CheckpointError::Unavailable(_) => Self::Away(error.to_string()),
        }
    }
}

/// Starts the process `P` on `share`; it runs until `shutdown`. The watch says how it is.
pub fn spawn<P: Process>(
    settings: Settings,
    carrier: Arc<dyn Carry<P>>,
    share: Share,
    shutdown: CancellationToken,
) -> (watch::Receiver<Status>, JoinHandle<Result<(), RunError>>) {
    let retry_pause = settings.config.retry_pause;
    let runner = Runner {
        settings,
        carrier,
        process: PhantomData,
    };
    readers::spawn(runner, share, retry_pause, shutdown)
}

struct Runner<P> {
    settings: Settings,
    carrier: Arc<dyn Carry<P>>,
    process: PhantomData<fn() -> P>,
}

#[async_trait]
impl<P: Process> Turn for Runner<P> {
    type Error = RunError;

    fn name(&self) -> &'static str {
        P::NAME
    }

    async fn turn(&self, stance: &mut Stance) -> Result<Infallible, Interrupted<RunError>> {
        let Settings { log, topic, .. } = &self.settings;
        let share = stance.share.now(log.partitions(topic).await?);
        if share.is_empty() {
            stance.running();
            stance.share.changed().await;
            return Err(Interrupted::Reassigned);
        }
        let mut scan = self.load(share).await?;
        // Refuses a log that is not the one the checkpoints were made on.
        let mut reader = log.reader(scan.places(topic)).await?;
        stance.running();
        loop {
            let scanned = tokio::select! {
                biased;
                () = stance.share.changed() => return Err(Interrupted::Reassigned),
                records = reader.next(self.settings.config.batch_records_max) => scan.judge(records?),
            };
            let plans = plans::<P>(&scanned.events).map_err(|corrupt| Interrupted::Final(corrupt.into()))?;
            tokio::select! {
                biased;
                // What is in flight is repeated, under the same ids, by whoever has the partition now.
                () = stance.share.changed() => return Err(Interrupted::Reassigned),
                () = self.carry_out(plans) => {}
            }
            for step in &scanned.moves {
                let Move { partition, from, to } = *step;
                let at = topic.partition(partition);
                self.settings.checkpoints.store(P::NAME, &at, from, to).await?;
                scan.moved(&[*step]);
                stance.advanced();
            }
        }
    }
}

impl<P: Process> Runner<P> {
    async fn load(&self, share: impl IntoIterator<Item = u32>) -> Result<Scan, CheckpointError> {
        let Settings {
            topic, checkpoints, ..
        } = &self.settings;
        let mut known: Vec<(u32, Checkpoint)> = Vec::new();
        for number in share {
            known.push((number, checkpoints.load(P::NAME, &topic.partition(number)).await?));
        }
        Ok(Scan::of(known.into_iter().collect()))
    }

    /// Each key's events one after the other, `in_flight_max` keys at once.
    async fn carry_out(&self, keys: Vec<Vec<Planned<P>>>) {
        stream::iter(keys)
            .for_each_concurrent(self.settings.config.in_flight_max, async |events| {
                for planned in events {
                    self.carrier.carry_out(&planned.event, planned.plan).await;
                }
            })
            .await;
    }
}
