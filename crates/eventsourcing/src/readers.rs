//! What a projector and a process have in common. Both follow the log behind the owners: each works on a
//! [`Share`] of a topic's partitions, passes records under R ([`Scan`]), and moves its checkpoints by
//! compare-and-set when the work is done. The share decides who works, for liveness only; whoever works on
//! a partition that is another's by now fails to move its checkpoint, and with it everything it did.

mod scan;
mod share;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::log::LogError;

pub use scan::{Event, Key, Move, Scan, Scanned};
pub use share::{Presumption, Share};

/// How often it is said that a reader still waits for another build.
const REMINDER: Duration = Duration::from_mins(1);
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
    /// Standing still, because what it would write is another build's work.
    Foreign {
        /// Whose.
        why: String,
        /// Since when, if it was its own work until then.
        relieved: Option<Instant>,
    },
}

/// What ends a turn: from the checkpoints on, until something is in the way.
pub(crate) enum Interrupted<E> {
    /// The share has changed.
    Reassigned,
    /// Somebody else moved a checkpoint, or what is to be written has changed: read it again.
    Overtaken(String),
    /// Nobody works on these partitions: they are worked on here, too, until somebody does.
    Stranded(BTreeSet<u32>),
    /// What is to be written is another build's work; says what.
    Foreign(String),
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
    /// Partitions beyond the share, on which nobody else works.
    adopted: BTreeSet<u32>,
    /// Whether it was another build's work until now: those who were given the other partitions may have to stand still in
    /// their turn, so it works on all of them until somebody overtakes it.
    returning: bool,
    /// What it worked on last.
    partitions: Option<BTreeSet<u32>>,
    /// When it was last said that it waits for another build.
    told: Option<Instant>,
    /// Whether a checkpoint has moved since it was last overtaken.
    advanced: bool,
}

impl Stance {
    /// Everything is open, records of `partitions` may come.
    pub(crate) fn running(&mut self, reader: &str, partitions: BTreeSet<u32>) {
        self.status.send_replace(Status::Running);
        if self.partitions.as_ref() != Some(&partitions) {
            tracing::info!(reader, ?partitions, "reading");
            self.partitions = Some(partitions);
        }
    }

    /// What to work on now, of a topic with `total` partitions.
    pub(crate) fn work(&mut self, total: u32) -> BTreeSet<u32> {
        let mut work = self.share.now(total);
        if self.returning {
            work.extend(0..total);
        }
        work.extend(self.adopted.range(..total));
        work
    }

    /// Stands still for another build. It is asked often whether it still has to, and says so now and then.
    fn foreign(&mut self, reader: &str, why: String) {
        let (now, before) = (Instant::now(), self.status.borrow().clone());
        let relieved = match &before {
            Status::Running => Some(now),
            Status::Foreign { relieved, .. } => *relieved,
            Status::Starting | Status::Waiting(_) => None,
        };
        let said = matches!(&before, Status::Foreign { why: said, .. } if *said == why);
        if !said || self.told.is_none_or(|told| now - told >= REMINDER) {
            tracing::warn!(reader, why, "waiting");
            self.told = Some(now);
        }
        self.status.send_replace(Status::Foreign { why, relieved });
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
        adopted: BTreeSet::new(),
        returning: false,
        partitions: None,
        told: None,
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
        // What is away says nothing of who else is there.
        if !matches!(interrupted, Interrupted::Stranded(_) | Interrupted::Away(_)) {
            stance.adopted.clear();
            stance.returning = matches!(interrupted, Interrupted::Foreign(_));
        }
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
            Interrupted::Stranded(partitions) => {
                tracing::warn!(
                    reader,
                    ?partitions,
                    "nobody works on these: they are read here, too"
                );
                stance.adopted.extend(partitions);
            }
            Interrupted::Foreign(why) => {
                stance.foreign(reader, why);
                // Not ever longer: who sends requests here or there goes by it.
                pause = retry_pause;
                tokio::time::sleep(pause).await;
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
