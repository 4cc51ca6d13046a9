//! What can be wrong, each with the invariant it breaks and the place to look at.

use std::fmt;

use eventsourcing::ids::{AggregateId, CommandId, Offset, Sequence};
use eventsourcing::position::Position;
use eventsourcing::rule::Term;
use eventsourcing::topic::TopicPartition;
use thiserror::Error;

/// The invariants, by their numbers in the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Acknowledged means present.
    I1,
    /// Definitely refused means absent, and the refusal was true.
    I2,
    /// A command has one outcome.
    I3,
    /// Sequences without a gap, events as decided.
    I4,
    /// Nothing of an earlier term after a later fence.
    I5,
    /// Rows are the fold of the log.
    I6,
    /// Checkpoints only rise.
    I7,
    /// Reads with a position show nothing older.
    I8,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its partition.
    pub at: TopicPartition,
    /// Its offset.
    pub offset: Offset,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.at, self.offset)
    }
}

/// One breach of one invariant.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say what the messages say")]
pub enum Breach {
    /// I1.
    #[error("I1: {command} of {aggregate} was acknowledged at {claimed}, but is not in the log")]
    AcknowledgedAbsent {
        aggregate: AggregateId,
        command: CommandId,
        claimed: Position,
    },
    /// I1.
    #[error(
        "I1: {command} of {aggregate} was acknowledged at {claimed} as {sequence}, but lies at {found} as \
         {found_sequence}"
    )]
    AcknowledgedElsewhere {
        aggregate: AggregateId,
        command: CommandId,
        claimed: Position,
        sequence: Sequence,
        found: Place,
        found_sequence: Sequence,
    },
    /// I1.
    #[error("I1: {command} was acknowledged at {place} when the log ended at {end}")]
    AcknowledgedEarly {
        command: CommandId,
        place: Place,
        end: Offset,
    },
    /// I1: the order of answers is the order of the log.
    #[error("I1: {command} was sent after the record at {later} had been acknowledged, but lies at {place}")]
    OutOfOrder {
        command: CommandId,
        place: Place,
        later: Offset,
    },
    /// I2.
    #[error("I2: {command} of {aggregate} was refused for sure, but lies at {place}")]
    RefusedPresent {
        aggregate: AggregateId,
        command: CommandId,
        place: Place,
    },
    /// I2.
    #[error(
        "I2: {command} of {aggregate} was refused, but no state of {at} between {from} and {to} refuses it"
    )]
    RefusedFalsely {
        at: TopicPartition,
        aggregate: AggregateId,
        command: CommandId,
        from: Offset,
        to: Offset,
    },
    /// I3.
    #[error("I3: {command} of {aggregate} made two events, at {first} and {second}")]
    Doubled {
        aggregate: AggregateId,
        command: CommandId,
        first: Place,
        second: Place,
    },
    /// I3.
    #[error("I3: {command} of {aggregate} lay at {place} already, but its repeat was refused")]
    RepeatRefused {
        aggregate: AggregateId,
        command: CommandId,
        place: Place,
    },
    /// I3.
    #[error("I3: {command} of {aggregate} was accepted twice as if for the first time")]
    FreshTwice {
        aggregate: AggregateId,
        command: CommandId,
    },
    /// I3.
    #[error("I3: {command} of {aggregate} was refused as a key used for another request, which it was not")]
    KeyNotReused {
        aggregate: AggregateId,
        command: CommandId,
    },
    /// I3.
    #[error("I3: another request than the one at {place} came under {command} and was told its outcome")]
    AnsweredForAnother { command: CommandId, place: Place },
    /// I4: the log holds what nobody can read, or a node stopped because of what it read.
    #[error("I4: {place} cannot be read: {defect}")]
    Unreadable { place: Place, defect: String },
    /// I4.
    #[error("I4: {found} of {aggregate} at {place} follows {last}")]
    Gap {
        aggregate: AggregateId,
        place: Place,
        last: Sequence,
        found: Sequence,
    },
    /// I4.
    #[error("I4: {aggregate} has events in {at} and at {place}")]
    TwoPartitions {
        aggregate: AggregateId,
        at: TopicPartition,
        place: Place,
    },
    /// I4.
    #[error("I4: the event of {command} of {aggregate} at {place} is not what its prefix decides: {why}")]
    WronglyDecided {
        aggregate: AggregateId,
        command: CommandId,
        place: Place,
        why: String,
    },
    /// I4.
    #[error("I4: nobody asked for {command} of {aggregate} at {place}")]
    Unasked {
        aggregate: AggregateId,
        command: CommandId,
        place: Place,
    },
    /// I5.
    #[error("I5: the fence at {place} opens {opened:?} after {before:?}")]
    EpochSkipped {
        place: Place,
        before: Option<Term>,
        opened: Term,
    },
    /// I5.
    #[error("I5: {place} is of {written:?} and counts, though {newest:?} is open")]
    TermReturned {
        place: Place,
        written: Term,
        newest: Option<Term>,
    },
    /// I6.
    #[error("I6: row {key} of {projection} is {found}, but the log up to its checkpoint folds to {folded}")]
    RowDiffers {
        projection: &'static str,
        key: String,
        found: String,
        folded: String,
    },
    /// I7.
    #[error("I7: the checkpoint of {reader} in {at} went from {from} back to {to}")]
    CheckpointWentBack {
        reader: Box<str>,
        at: TopicPartition,
        from: Offset,
        to: Offset,
    },
    /// I7.
    #[error("I7: the checkpoint of {reader} in {at} is {to}, but the log ends at {end}")]
    CheckpointBeyondEnd {
        reader: Box<str>,
        at: TopicPartition,
        to: Offset,
        end: Offset,
    },
    /// I8.
    #[error("I8: {by} asked {at} for {asked} and was shown {shown}")]
    ReadTooOld {
        by: Box<str>,
        at: TopicPartition,
        asked: Offset,
        shown: String,
    },
    /// I8.
    #[error("I8: {by} was shown {aggregate} as of {place} with sequence {shown}, but {held} was there")]
    ReadMisses {
        by: Box<str>,
        aggregate: AggregateId,
        place: Place,
        shown: Sequence,
        held: Sequence,
    },
}

impl Breach {
    /// The invariant it breaks.
    pub const fn invariant(&self) -> Invariant {
        match self {
            Self::AcknowledgedAbsent { .. }
            | Self::AcknowledgedElsewhere { .. }
            | Self::AcknowledgedEarly { .. }
            | Self::OutOfOrder { .. } => Invariant::I1,
            Self::RefusedPresent { .. } | Self::RefusedFalsely { .. } => Invariant::I2,
            Self::Doubled { .. }
            | Self::RepeatRefused { .. }
            | Self::FreshTwice { .. }
            | Self::KeyNotReused { .. }
            | Self::AnsweredForAnother { .. } => Invariant::I3,
            Self::Unreadable { .. }
            | Self::Gap { .. }
            | Self::TwoPartitions { .. }
            | Self::WronglyDecided { .. }
            | Self::Unasked { .. } => Invariant::I4,
            Self::EpochSkipped { .. } | Self::TermReturned { .. } => Invariant::I5,
            Self::RowDiffers { .. } => Invariant::I6,
            Self::CheckpointWentBack { .. } | Self::CheckpointBeyondEnd { .. } => Invariant::I7,
            Self::ReadTooOld { .. } | Self::ReadMisses { .. } => Invariant::I8,
        }
    }
}
