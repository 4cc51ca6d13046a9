//! The owner: the one writer of a partition, in the epoch its fence opened.
//!
//! Each owned partition is one task with at most one batch in flight. While a batch waits for its
//! acknowledgement the next one is decided on the *speculative* state; what came back decides what
//! of it becomes state:
//!
//! ```text
//! acknowledged, offsets contiguous   nobody came between: commit, answer
//! acknowledged, with a gap           read the gap under R: the log says what happened
//! unknown                            never guess: fence again as a barrier, read up to it under R
//! ```
//!
//! A refusal is an answer too: it waits for the batch it was decided with, or for a look at the high
//! watermark when nothing is to be appended. So every answer is linearizable per aggregate.

mod acquire;
mod batch;
mod book;
mod bug;
mod cold;
mod decide;
mod land;
mod mailbox;
mod partition;
mod serve;
mod supervise;
mod tail;
mod upkeep;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aggregate::Aggregate;
use crate::assignment::Assignment;
use crate::clock::Environment;
use crate::codec::CorruptRecord;
use crate::command::{Accepted, Context, Failure, Unavailable};
use crate::dispatch::Dispatch;
use crate::ids::AggregateId;
use crate::log::{Log, LogError};
use crate::position::Position;
use crate::state_table::StateTable;
use crate::topic::{Topic, TopicPartition, partition_of};
pub use bug::SeededBug;
use mailbox::{Claim, Execute, Message, Sent, Waiter};
use partition::{Partition, Role};
use supervise::{Roles, supervise};

/// Limits of an owner. Every queue has one.
#[derive(Clone, Debug)]
pub struct Config {
    /// Commands waiting per partition before new ones are refused with `overloaded`.
    pub mailbox_commands_max: usize,
    /// Commands in one batch.
    pub batch_commands_max: usize,
    /// Bytes of records in one batch.
    pub batch_bytes_max: usize,
    /// The most that a caller waits. Then it is told that nothing was attempted, when the command was still
    /// waiting, else "unknown".
    pub command_timeout: Duration,
    /// How long a partition that is to go to another node is still served, unless that node fences first.
    pub handover_max: Duration,
    /// Pause before another try when the log is away.
    pub retry_pause: Duration,
    /// Callers of [`Service::wait_until`] per partition.
    pub waiters_max: usize,
    /// Aggregates in memory per partition, beyond which those that the table of states has are forgotten.
    pub aggregates_max: usize,
    /// Events above the table's checkpoint that a new owner keeps until somebody asks for their aggregates; beyond
    /// them it looks the aggregates up itself.
    pub tail_events_max: usize,
    /// How long a new owner waits for a table of states that is away before it reads the whole log instead.
    pub states_timeout: Duration,
    /// Breaks one rule of the protocol, so that a test can show that its checkers notice.
    #[cfg(feature = "seeded-bugs")]
    pub bug: Option<SeededBug>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mailbox_commands_max: 4_096,
            batch_commands_max: 1_024,
            batch_bytes_max: 900_000,
            command_timeout: Duration::from_secs(10),
            handover_max: Duration::from_secs(3),
            retry_pause: Duration::from_millis(100),
            waiters_max: 10_000,
            aggregates_max: 500_000,
            tail_events_max: 50_000,
            states_timeout: Duration::from_secs(10),
            #[cfg(feature = "seeded-bugs")]
            bug: None,
        }
    }
}

impl Config {
    #[cfg(feature = "seeded-bugs")]
    fn has(&self, bug: SeededBug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "seeded-bugs"))]
    #[expect(
        clippy::unused_self,
        reason = "the shape of its twin, which asks the configuration"
    )]
    const fn has(&self, _bug: SeededBug) -> bool {
        false
    }
}

/// Where an owner lives and what it works on.
#[derive(Clone)]
pub struct Settings {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Time and ids.
    pub environment: Arc<dyn Environment>,
    /// The topic of this aggregate type.
    pub topic: Topic,
    /// Its pinned number of partitions.
    pub partitions: u32,
    /// This node's name, written into fences.
    pub node: String,
    /// Where this node takes forwarded commands, written into fences.
    pub url: String,
    /// Where owners say what they serve ([`crate::routes`]); `None` where nobody forwards.
    pub routes: Option<Topic>,
    /// `ce_source` of the events.
    pub source: String,
    /// Limits.
    pub config: Config,
}

/// How many partitions are being served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Served now.
    pub serving: u32,
    /// Of the topic.
    pub total: u32,
}

/// Why an owner stopped for good. Losing a partition to another node is not among them.
#[derive(Debug, Error)]
pub enum OwnerError {
    /// The log holds a record that cannot be folded; serving on would break P4.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// The log is not the one it was: cut, recreated, reconfigured.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A cheap handle to all partitions of one aggregate type on this node.
pub struct Service<A: Aggregate> {
    mailboxes: Arc<[mpsc::Sender<Message<A>>]>,
    serving: Arc<[watch::Receiver<bool>]>,
    status: watch::Receiver<Status>,
    config: Arc<Config>,
    topic: Topic,
}

impl<A: Aggregate> Clone for Service<A> {
    fn clone(&self) -> Self {
        Self {
            mailboxes: Arc::clone(&self.mailboxes),
            serving: Arc::clone(&self.serving),
            status: self.status.clone(),
            config: Arc::clone(&self.config),
            topic: self.topic.clone(),
        }
    }
}

/// Starts one task per partition. They own what `assignment` assigns, until `shutdown`; the handle
/// then ends with `Ok`. An error means that the process should go down. Without `states` each of them reads
/// its whole partition first, and memory has every aggregate.
pub fn spawn<A: Aggregate>(
    settings: Settings,
    states: Option<&Arc<dyn StateTable<A>>>,
    assignment: Box<dyn Assignment>,
    shutdown: CancellationToken,
) -> (Service<A>, JoinHandle<Result<(), OwnerError>>) {
    let config = Arc::new(settings.config.clone());
    let (status, status_seen) = watch::channel(Status {
        serving: 0,
        total: settings.partitions,
    });
    let status = Arc::new(status);
    let mut mailboxes = Vec::new();
    let mut serving = Vec::new();
    let mut roles = Vec::new();
    let mut tasks = JoinSet::new();
    for number in 0..settings.partitions {
        let (mailbox, inbox) = mpsc::channel(config.mailbox_commands_max);
        let (serves, serves_seen) = watch::channel(false);
        let (role, role_seen) = watch::channel(Role::Idle);
        let partition = Partition::<A>::new(
            settings.topic.partition(number),
            settings.clone(),
            states.cloned(),
            Bytes::from(settings.source.clone()),
            inbox,
            role_seen,
            partition::Signals {
                serves,
                status: Arc::clone(&status),
            },
        );
        tasks.spawn(partition.run());
        mailboxes.push(mailbox);
        serving.push(serves_seen);
        roles.push(role);
    }
    let topic = settings.topic;
    let service = Service {
        mailboxes: mailboxes.into(),
        serving: serving.into(),
        status: status_seen,
        config,
        topic: topic.clone(),
    };
    let roles = Roles {
        topic,
        of: roles,
        handover_max: settings.config.handover_max,
    };
    let supervisor = tokio::spawn(supervise(roles, tasks, assignment, shutdown));
    (service, supervisor)
}

impl<A: Aggregate> Service<A> {
    /// The topic of this aggregate type.
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The partition of an aggregate.
    pub fn partition(&self, aggregate: &AggregateId) -> TopicPartition {
        let index = u32::try_from(self.index(aggregate)).expect("made from a u32");
        self.topic.partition(index)
    }

    /// Whether this node serves the partition at the moment.
    pub fn serves(&self, at: &TopicPartition) -> bool {
        self.serving
            .get(at.partition as usize)
            .is_some_and(|serving| *serving.borrow())
    }

    /// Watches whether this node serves the partition; `None` for one the topic does not have.
    pub fn watch(&self, at: &TopicPartition) -> Option<watch::Receiver<bool>> {
        self.serving.get(at.partition as usize).cloned()
    }

    fn index(&self, aggregate: &AggregateId) -> usize {
        let partitions = u32::try_from(self.mailboxes.len()).expect("made from a u32");
        partition_of(aggregate, partitions) as usize
    }

    /// A refusal at the door: nothing was attempted.
    fn not_attempted<R>(&self, reason: Unavailable) -> Failure<R> {
        let retry_after = match reason {
            Unavailable::Overloaded => self.config.retry_pause,
            Unavailable::NoOwner | Unavailable::NoState | Unavailable::Deposed | Unavailable::Stopping => {
                Duration::from_secs(1)
            }
        };
        Failure::NotAttempted { reason, retry_after }
    }

    /// Watches how many partitions are being served.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until the aggregate's committed state satisfies `reached`, at most `timeout`. Returns a
    /// position at which it does; `None` when it does not in time.
    pub async fn wait_until(
        &self,
        aggregate: &AggregateId,
        reached: fn(&A::State) -> bool,
        timeout: Duration,
    ) -> Option<Position> {
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter {
            aggregate: aggregate.clone(),
            reached,
            reply,
        };
        let index = self.index(aggregate);
        self.mailboxes[index].try_send(Message::Wait(waiter)).ok()?;
        let offset = tokio::time::timeout(timeout, answer).await.ok()?.ok()?;
        let partition = u32::try_from(index).expect("made from a u32");
        Some(Position {
            service: self.topic.service().to_owned(),
            partition,
            offset,
        })
    }

    async fn send(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
        sent: Sent,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let index = self.index(&aggregate);
        let serves = || *self.serving[index].borrow();
        if !serves() {
            return Err(self.not_attempted(Unavailable::NoOwner));
        }
        let (reply, answer) = oneshot::channel();
        let claim = Claim::default();
        let deadline = Instant::now() + limit.min(self.config.command_timeout);
        let message = Message::Execute(Execute {
            aggregate,
            command,
            context,
            reply,
            claim: claim.clone(),
            deadline,
            sent,
        });
        if let Err(refused) = self.mailboxes[index].try_send(message) {
            return Err(self.not_attempted(match refused {
                mpsc::error::TrySendError::Full(_) => Unavailable::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Unavailable::Stopping,
            }));
        }
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(outcome)) => outcome,
            // Too late, or the task died with the command. What it had not begun it never will.
            Ok(Err(_)) | Err(_) if claim.take() => Err(self.not_attempted(if serves() {
                Unavailable::Overloaded
            } else {
                Unavailable::NoOwner
            })),
            // It may have been appended.
            Ok(Err(_)) | Err(_) => Err(Failure::Unknown),
        }
    }
}

#[async_trait]
impl<A: Aggregate> Dispatch<A> for Service<A> {
    async fn execute(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let limit = self.config.command_timeout;
        self.execute_within(aggregate, command, context, limit).await
    }

    async fn execute_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        self.send(aggregate, command, context, limit, Sent::First).await
    }

    async fn repeat_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        self.send(aggregate, command, context, limit, Sent::Again).await
    }
}
