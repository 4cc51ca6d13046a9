//! Newtypes for every number and id the protocol speaks of, so that they cannot be swapped.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// The longest aggregate id, in bytes.
pub const AGGREGATE_ID_BYTES_MAX: usize = 128;

/// The id of one aggregate; also the key of its records, and so what chooses their partition.
/// 1 to [`AGGREGATE_ID_BYTES_MAX`] bytes of printable text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AggregateId(Arc<str>);

/// Why a text is not an aggregate id.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("an aggregate id is 1 to {AGGREGATE_ID_BYTES_MAX} bytes of printable text")]
pub struct InvalidAggregateId;

impl AggregateId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AggregateId {
    type Err = InvalidAggregateId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=AGGREGATE_ID_BYTES_MAX).contains(&text.len());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(Arc::from(text)))
        } else {
            Err(InvalidAggregateId)
        }
    }
}

impl TryFrom<String> for AggregateId {
    type Error = InvalidAggregateId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AggregateId> for String {
    fn from(id: AggregateId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for AggregateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number!(
    /// An event's number within its aggregate, from 1; 0 is the sequence of an aggregate with no event.
    Sequence
);
number!(
    /// A record's place in its partition, from 0.
    Offset
);
number!(
    /// The term of a partition's owner; rises by one with each valid fence, until [`Epoch::LAST`]. 0 before the
    /// first.
    Epoch
);

impl Sequence {
    /// The number that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Offset {
    /// The number that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Epoch {
    /// The epoch that seals a partition: none follows. As large as a `BIGINT` of a checkpoint can be.
    pub const LAST: Self = Self(i64::MAX.cast_unsigned());

    /// The epoch that follows; after the last one there is none, and this is the last one again.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < Self::LAST.0 {
            Self(self.0 + 1)
        } else {
            Self::LAST
        }
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// Drawn afresh each time a process acquires a partition, so two owners never share one.
    OwnerId
);
uuid_id!(
    /// Names one command for ever: a repeat carries the same id and gets the same outcome.
    CommandId
);
uuid_id!(
    /// The `ce_id` of an event, derived from its command's id so that a consumer can dedupe on it.
    EventId
);

/// The namespace under which every derived id of Daybook is drawn (version 5).
pub const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_9a52_7c0e_5b34_9f18_2ac4_d370_e6b1);

impl CommandId {
    /// The id of the command that `client` names by its `Idempotency-Key`.
    #[must_use]
    pub fn of_key(client: &str, key: &str) -> Self {
        // The length keeps ("a", "bc") and ("ab", "c") apart.
        let name = format!("key:{}:{client}{key}", client.len());
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The id of the command that `process` sends as `step` of its answer to the event `cause`.
    #[must_use]
    pub fn of_process(process: &str, cause: EventId, step: &str) -> Self {
        let name = format!("process:{process}:{cause}:{step}");
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The id of the one event this command can make.
    #[must_use]
    pub fn event_id(self) -> EventId {
        EventId(Uuid::new_v5(&NAMESPACE, self.0.as_bytes()))
    }
}

/// The first eight bytes of a request's SHA-256: tells a repeat from another request under the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub u64);

impl Digest {
    /// The digest of a request's bytes, given in parts: where one ends and the next begins does not count.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        use sha2::{Digest as _, Sha256};
        let hash = parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        Self(u64::from_be_bytes(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_id_has_limits() {
        assert!("order_1".parse::<AggregateId>().is_ok());
        assert_eq!("".parse::<AggregateId>(), Err(InvalidAggregateId));
        assert_eq!("a\nb".parse::<AggregateId>(), Err(InvalidAggregateId));
        assert_eq!("x".repeat(129).parse::<AggregateId>(), Err(InvalidAggregateId));
    }

    #[test]
    fn keys_of_different_clients_never_meet() {
        assert_ne!(CommandId::of_key("a", "bc"), CommandId::of_key("ab", "c"));
        assert_eq!(CommandId::of_key("a", "b"), CommandId::of_key("a", "b"));
    }
}
