//! What a domain writes: pure decisions and pure folds.

use std::sync::Arc;

use thiserror::Error;
use time::OffsetDateTime;

use crate::codec::Meta;
use crate::ids::{AggregateId, EventId, Offset, Sequence};
use crate::position::Position;
use crate::topic::TopicPartition;

/// A consistency boundary. One command makes at most one event, so every change is one record and
/// atomic by nature.
pub trait Aggregate: Send + Sync + 'static {
    /// The state a decision needs; nothing else belongs in it. Cloned when it is first touched in a
    /// batch, so large parts should be cheap to clone (persistent collections).
    type State: Default + Clone + Send + Sync + 'static;
    /// What can be asked of it.
    type Command: Send + Sync + 'static;
    /// What can have happened to it.
    type Event: Event;
    /// Why a command is not accepted.
    type Refusal: std::error::Error + Clone + Send + Sync + 'static;

    /// The event this command makes in this state, or why it makes none.
    fn decide(state: &Self::State, command: &Self::Command) -> Result<Self::Event, Self::Refusal>;

    /// The state after `event`. Total: an event is a fact and cannot be refused.
    fn evolve(state: &mut Self::State, event: &Self::Event);
}

/// A fact as the log stores it: a CloudEvents type and JSON data.
pub trait Event: Send + Sync + Sized + 'static {
    /// Each type it can have, as [`Event::event_type`] says it.
    const TYPES: &'static [&'static str];

    /// The versioned type, as in `daybook.order.placed.v1`.
    fn event_type(&self) -> &'static str;

    /// When it happened, where that is not when it was recorded: history that is imported, for one. A function of
    /// nothing but the event, so that all readers of all time agree.
    fn happened_at(&self) -> Option<OffsetDateTime> {
        None
    }

    /// The data as JSON, appended to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The event of this type from its data; older versions are upcast here.
    fn decode(event_type: &str, data: &[u8]) -> Result<Self, DecodeError>;
}

/// Why stored data is not an event.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// This build does not know the type.
    #[error("unknown event type {0:?}: this build does not read it, a newer one may")]
    UnknownType(String),
    /// This build knows the event, but only in older versions.
    #[error(
        "{event_type} was written by a newer build (this one reads up to v{newest}): deploy it here, too"
    )]
    NewerVersion {
        /// The type.
        event_type: String,
        /// The newest version of it that this build reads.
        newest: u32,
    },
    /// The data does not have the shape of its type.
    #[error("malformed data of {event_type}: {source}")]
    Malformed {
        /// The type.
        event_type: String,
        /// What JSON says.
        source: serde_json::Error,
    },
}

impl DecodeError {
    /// What to say of a type that is not among those that are `read`.
    #[must_use]
    pub fn unknown(event_type: &str, read: &[&str]) -> Self {
        let newer = versioned(event_type).and_then(|(name, version)| {
            let versions = read.iter().filter_map(|read| versioned(read));
            let newest = versions
                .filter(|(read, _)| *read == name)
                .map(|(_, version)| version);
            newest.max().filter(|newest| *newest < version)
        });
        let event_type = event_type.to_owned();
        match newer {
            Some(newest) => Self::NewerVersion { event_type, newest },
            None => Self::UnknownType(event_type),
        }
    }
}

/// `daybook.order.placed.v1` is version 1 of `daybook.order.placed`.
fn versioned(event_type: &str) -> Option<(&str, u32)> {
    let (name, version) = event_type.rsplit_once(".v")?;
    let plain = version.bytes().all(|byte| byte.is_ascii_digit());
    Some((name, version.parse().ok().filter(|_| plain)?))
}

/// An accepted event with everything the log knows of it.
#[derive(Clone, Debug)]
pub struct Recorded<E> {
    /// The fact.
    pub event: E,
    /// Its aggregate.
    pub aggregate: AggregateId,
    /// When it was decided (`ce_time`).
    pub time: OffsetDateTime,
    /// Where it lies.
    pub at: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// Sequence, term, command, correlation, actor.
    pub meta: Meta,
    /// W3C trace context of the request that caused it.
    pub traceparent: Option<Arc<str>>,
}

impl<E: Event> Recorded<E> {
    /// When it happened: as the event says, or when it was decided.
    pub fn happened_at(&self) -> OffsetDateTime {
        self.event.happened_at().unwrap_or(self.time)
    }
}

impl<E> Recorded<E> {
    /// Its number within its aggregate.
    pub fn sequence(&self) -> Sequence {
        self.meta.sequence
    }

    /// Its `ce_id`.
    pub fn id(&self) -> EventId {
        self.meta.command.event_id()
    }

    /// Its place, as clients see it.
    pub fn position(&self) -> Position {
        Position::new(&self.at, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_version_is_told_from_an_unknown_event() {
        let read = [
            "shop.order.placed.v1",
            "shop.order.rejected.v2",
            "shop.order.rejected.v10",
        ];
        let said = |event_type: &str| DecodeError::unknown(event_type, &read).to_string();
        let newer = "shop.order.rejected.v11 was written by a newer build (this one reads up to v10): deploy it here, too";
        assert_eq!(said("shop.order.rejected.v11"), newer);
        for unknown in [
            "shop.order.rejected.v1",
            "shop.order.rejected.v+11",
            "shop.order.rejected",
            "shop.order.lost.v2",
            "",
        ] {
            let expected =
                format!("unknown event type {unknown:?}: this build does not read it, a newer one may");
            assert_eq!(said(unknown), expected);
        }
    }
}
