//! What clients saw.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use eventsourcing::aggregate::Aggregate;
use eventsourcing::command::{Accepted, Expected, Failure, Unavailable};
use eventsourcing::ids::{AggregateId, CommandId, Digest, Offset, Sequence};
use eventsourcing::topic::TopicPartition;

/// A command as it was asked, once.
pub struct Question<A: Aggregate> {
    /// Names the command; a repeat carries the same.
    pub command: CommandId,
    /// Of the request; `None` when only the server knows it. Then all attempts under one command id are
    /// taken for the same request.
    pub digest: Option<Digest>,
    /// Where it was sent.
    pub aggregate: AggregateId,
    /// The partition of the aggregate.
    pub at: TopicPartition,
    /// What was asked; `None` when it cannot be told from outside.
    pub content: Option<Arc<A::Command>>,
    /// `If-Match`.
    pub expected: Expected,
    /// Which node was asked, for people.
    pub node: Box<str>,
}

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the recorder was made.
    pub elapsed: Duration,
    /// Where the partition ended then, where that is known exactly.
    pub end: Option<Offset>,
}

/// What the client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is in the log.
    Accepted(Accepted),
    /// The rules say no.
    Refused,
    /// `If-Match` named another sequence; which one the aggregate has, where the answer says so.
    Conflict(Option<Sequence>),
    /// The key was used for another request.
    KeyReused,
    /// Nothing was attempted; why, where the answer says so.
    NotAttempted(Option<Unavailable>),
    /// No answer, or one that says nothing.
    Unknown,
}

impl<R> From<&Result<Accepted, Failure<R>>> for Outcome {
    fn from(outcome: &Result<Accepted, Failure<R>>) -> Self {
        match outcome {
            Ok(accepted) => Self::Accepted(accepted.clone()),
            Err(Failure::Refused(_)) => Self::Refused,
            Err(Failure::VersionConflict { current }) => Self::Conflict(Some(*current)),
            Err(Failure::KeyReused) => Self::KeyReused,
            Err(Failure::NotAttempted { reason, .. }) => Self::NotAttempted(Some(*reason)),
            Err(Failure::Unknown) => Self::Unknown,
        }
    }
}

/// One attempt of one command, as its client saw it.
pub struct Attempt<A: Aggregate> {
    /// What was asked.
    pub question: Question<A>,
    /// When.
    pub sent: Moment,
    /// When the answer came, or the client gave up.
    pub answered: Moment,
    /// The answer.
    pub outcome: Outcome,
}

impl<A: Aggregate> fmt::Debug for Attempt<A>
where
    A::Command: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question {
            command,
            digest,
            aggregate,
            at: _,
            content,
            expected,
            node,
        } = &self.question;
        let (sent, answered) = (self.sent, self.answered);
        write!(
            f,
            "{node} {command} {digest:?} {aggregate} {content:?} {expected:?} "
        )?;
        write!(f, "{:?}@{:?} ", sent.elapsed, sent.end.map(|end| end.0))?;
        write!(f, "{:?}@{:?} ", answered.elapsed, answered.end.map(|end| end.0))?;
        write!(f, "{:?}", self.outcome)
    }
}

/// One read of one aggregate's row that carried a position.
#[derive(Clone, Debug)]
pub struct Read {
    /// Who read.
    pub by: Box<str>,
    /// The aggregate's partition.
    pub at: TopicPartition,
    /// Whose row.
    pub aggregate: AggregateId,
    /// The position it carried: the answer must include that record.
    pub asked: Option<Offset>,
    /// The newest record the answer says it includes; `None` for none.
    pub shown: Option<Offset>,
    /// The aggregate's sequence as shown, where the row has it. 0 for no row.
    pub sequence: Option<Sequence>,
}

/// A checkpoint that a reader was seen to have, in the order seen.
#[derive(Clone, Debug)]
pub struct CheckpointMove {
    /// The projection or process, with its version.
    pub reader: Box<str>,
    /// In this partition.
    pub at: TopicPartition,
    /// The next offset it will look at.
    pub next: Offset,
}

/// Everything that was recorded.
pub struct History<A: Aggregate> {
    /// Commands.
    pub attempts: Vec<Attempt<A>>,
    /// Reads.
    pub reads: Vec<Read>,
    /// Checkpoints.
    pub moves: Vec<CheckpointMove>,
}

impl<A: Aggregate> Default for History<A> {
    fn default() -> Self {
        Self {
            attempts: Vec::new(),
            reads: Vec::new(),
            moves: Vec::new(),
        }
    }
}

/// Whether the history holds every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    /// It does: an event that nobody asked for is a breach.
    All,
    /// Others, such as processes, sent commands of their own.
    Some,
}
