//! A command on its way to its aggregate, and the answers it can get.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{CommandId, Digest, EventId, Sequence};
use crate::position::Position;

/// What the sender says of the aggregate's present state (`If-Match`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// Nothing: whatever the state, let the rules decide.
    #[default]
    Any,
    /// The command was made for exactly this sequence.
    Exactly(Sequence),
}

/// Everything about a command but its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Names the command; a repeat carries the same.
    pub id: CommandId,
    /// Of the request; tells a repeat from another request under the same key.
    pub digest: Digest,
    /// `If-Match`.
    pub expected: Expected,
    /// The request id, carried through every record, command and log line that follows from it.
    pub correlation: Arc<str>,
    /// The event that made a process send this command.
    pub causation: Option<EventId>,
    /// Who asked.
    pub actor: Arc<str>,
    /// W3C trace context.
    pub traceparent: Option<Arc<str>>,
}

/// The event of this command is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The event's number within the aggregate.
    pub sequence: Sequence,
    /// Where the event lies.
    #[serde(with = "position_text")]
    pub position: Position,
    /// Whether this answers a repeat of a command accepted before.
    pub replayed: bool,
}

/// No event was written for sure, or nobody knows.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure<R> {
    /// The rules say no. Definite.
    #[error("{0}")]
    Refused(R),
    /// `If-Match` names another sequence than the current one. Definite.
    #[error("the aggregate is at sequence {current}")]
    VersionConflict {
        /// The sequence it has.
        current: Sequence,
    },
    /// The same `Idempotency-Key` came with another request before. Definite.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Not attempted: overload, or no owner at the moment. Definite; try again later.
    #[error("not attempted: {reason}")]
    NotAttempted {
        /// Why.
        reason: Unavailable,
        /// When a retry is worth it.
        retry_after: Duration,
    },
    /// The outcome is not known; a retry with the same key settles it.
    #[error("the outcome is not known")]
    Unknown,
}

/// Why a command was not attempted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unavailable {
    /// The mailbox of the partition is full.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The partition has no serving owner here: starting, re-fencing, or the log is away.
    #[error("the partition has no serving owner")]
    NoOwner,
    /// The aggregate is not in memory, and the table of states is away.
    #[error("the state of the aggregate cannot be read at the moment")]
    NoState,
    /// Another owner took the partition; the command is void.
    #[error("another owner took the partition")]
    Deposed,
    /// The process is stopping.
    #[error("shutting down")]
    Stopping,
}

mod position_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::position::Position;

    pub(super) fn serialize<S: Serializer>(position: &Position, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(position)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Position, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
