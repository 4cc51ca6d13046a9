//! The states of all aggregates of a service as a projection like any other: a table beside its checkpoint.
//! A new owner starts from it and replays only what came after ([`crate::state_table`]).

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Recorded};
use crate::ids::{AggregateId, Offset, Sequence};
use crate::memory::{Memory, Remembered};
use crate::projection::{Change, FoldError, Row, Table, View, Written};

/// A state that can be kept in a table.
pub trait KeptState: Serialize + DeserializeOwned + Default + Clone + Send + Sync + Unpin + 'static {
    /// The name of the table and of its projection, `order_states`.
    const NAME: &'static str;
    /// The service whose topic it folds.
    const SERVICE: &'static str;
    /// Raise it when the same events come to give another state, or the state another JSON. Owners then
    /// replay from the beginning until `daybook rebuild` has made the table anew.
    const VERSION: u32;
}

/// One aggregate as of its last event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateRow<S> {
    /// The aggregate.
    pub id: AggregateId,
    /// The sequence of its last event.
    pub sequence: Sequence,
    /// The offset of its last event.
    pub offset: Offset,
    /// The commands it remembers.
    pub commands: Memory,
    /// Its state.
    pub state: S,
}

impl<S: KeptState> Row for StateRow<S> {
    const TABLE: Table = Table {
        name: S::NAME,
        key: &["id"],
        columns: &[
            ("id", "TEXT COLLATE \"C\""),
            ("sequence", "BIGINT NOT NULL"),
            ("offset", "BIGINT NOT NULL"),
            ("commands", "BYTEA NOT NULL"),
            ("state", "JSONB NOT NULL"),
        ],
        indexes: &[],
    };
}

/// The projection.
pub struct States<A>(PhantomData<fn() -> A>);

impl<A: Aggregate> View for States<A>
where
    A::State: KeptState,
{
    const NAME: &'static str = A::State::NAME;
    const SERVICE: &'static str = A::State::SERVICE;
    const FOLD: u32 = A::State::VERSION;
    // The state of a popular stock item is large, and changes all the time.
    const WRITTEN: Written = Written::AfterTheBatch;
    type Event = A::Event;
    type Row = StateRow<A::State>;

    fn fold(row: Option<&Self::Row>, event: &Recorded<A::Event>) -> Result<Change<Self::Row>, FoldError> {
        let mut row = row.cloned().unwrap_or_else(|| StateRow {
            id: event.aggregate.clone(),
            sequence: Sequence(0),
            offset: event.offset,
            commands: Memory::default(),
            state: A::State::default(),
        });
        let sequence = event.meta.sequence;
        if sequence != row.sequence.next() {
            return Err(FoldError::new(format!(
                "event {sequence} follows {}",
                row.sequence
            )));
        }
        A::evolve(&mut row.state, &event.event);
        row.sequence = sequence;
        row.offset = event.offset;
        row.commands.remember(Remembered::of(event));
        Ok(Change::Put(row))
    }
}
