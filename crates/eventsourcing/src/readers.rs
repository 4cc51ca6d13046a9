//! What a projector and a process have in common. Both follow the log behind the owners: each works on a
//! [`Share`] of a topic's partitions, passes records under R ([`Scan`]), and moves its checkpoints by
//! compare-and-set when the work is done. The share decides who works, for liveness only; whoever works on
//! a partition that is another's by now fails to move its checkpoint, and with it everything it did.

mod scan;
mod share;

use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::log::LogError;

pub use scan::{Event, Key, Move, Scan, Scanned};
pub use share::{Presumption, Share};

/// The longest pause between two tries.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How a reader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not yet reading.
    Starting,
    /// Working on what comes in its share, which may be empty.
    Running,
    /// Waiting for something that is away; says for what.
    Waiting(String),
}

/// What ends a turn: from the checkpoints on, until something is in the way.
pub(crate) enum Interrupted<E> {
    /// The share has changed.
    Reassigned,
    /// Somebody else moved a checkpoint, or what is to be written has changed: read it again.
    Overtaken(String),
    /// Something is away.
    Away(String),
    /// For good: the process should go down with it.
    Final(E),
}

impl<E: From<LogError>> From<LogError> for Interrupted<E> {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable(_) | LogError::NoSuchTopic(_) => Self::Away(error.to_string()),
            LogError::OutOfRange { .. } | LogError::Misconfigured(_) => Self::Final(error.into()),
        }
    }
}

/// What a reader shows of itself, and what it is to work on.
pub(crate) struct Stance {
    pub(crate) share: Share,
    status: watch::Sender<Status>,
    /// Whether a checkpoint has moved since it was last overtaken.
    advanced: bool,
}

impl Stance {
    /// Everything is open, records may come.
    pub(crate) fn running(&self) {
        self.status.send_replace(Status::Running);
    }

    /// A checkpoint has moved.
    pub(crate) const fn advanced(&mut self) {
        self.advanced = true;
    }
}

/// A reader, one turn at a time.
#[async_trait]
pub(crate) trait Turn: Send + Sync + 'static {
    /// Why it stops for good.
    type Error: Send + 'static;

    /// For people.
    fn name(&self) -> &'static str;

    /// Works on the share from its checkpoints on. May be dropped at any await.
    async fn turn(&self, stance: &mut Stance) -> Result<Infallible, Interrupted<Self::Error>>;
}

/// Takes turns until `shutdown`. An error is final.
pub(crate) fn spawn<T: Turn>(
    reader: T,
    share: Share,
    retry_pause: Duration,
    shutdown: CancellationToken,
) -> (watch::Receiver<Status>, JoinHandle<Result<(), T::Error>>) {
    let (status, seen) = watch::channel(Status::Starting);
    let stance = Stance {
        share,
        status,
        advanced: true,
    };
    let running = tokio::spawn(async move {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            Err(error) = take_turns(&reader, stance, retry_pause) => Err(error),
        }
    });
    (seen, running)
}

async fn take_turns<T: Turn>(
    reader: &T,
    mut stance: Stance,
    retry_pause: Duration,
) -> Result<Infallible, T::Error> {
    let mut pause = retry_pause;
    loop {
        let Err(interrupted) = reader.turn(&mut stance).await;
        let (reader, running) = (reader.name(), *stance.status.borrow() == Status::Running);
        match interrupted {
            Interrupted::Final(error) => return Err(error),
            Interrupted::Reassigned => {}
            Interrupted::Overtaken(why) => {
                tracing::info!(reader, why, "reading the checkpoints again");
                stance.share.give_way();
                // Once is what happens when partitions change hands. Again and again is a fight.
                if !std::mem::replace(&mut stance.advanced, false) {
                    tokio::time::sleep(retry_pause).await;
                }
            }
            Interrupted::Away(why) => {
                tracing::warn!(reader, why, "waiting");
                stance.status.send_replace(Status::Waiting(why));
                // It ran in between: what happens now is a new misfortune.
                pause = if running { retry_pause } else { pause };
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_PAUSE_MAX);
            }
        }
    }
}
