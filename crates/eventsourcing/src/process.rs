//! A process (process manager, saga): a pure reaction from events to commands.

#[cfg(feature = "runtime")]
mod plans;
#[cfg(feature = "runtime")]
pub mod runner;
#[cfg(feature = "runtime")]
pub mod send;

use crate::aggregate::Recorded;
use crate::ids::{AggregateId, CommandId, EventId};

/// Reacts to the events of one aggregate type. It holds no state of its own: an event carries what
/// the reaction needs, so a crash at any point repeats the same commands under the same ids.
pub trait Process: Send + Sync + 'static {
    /// Names the process in command ids, checkpoints and metrics.
    const NAME: &'static str;
    /// The events it reacts to.
    type Event: crate::aggregate::Event;
    /// Its plan for one event, see the domain for its shape.
    type Plan: Send + 'static;

    /// What is to be done about `event`; `None` for nothing.
    fn react(event: &Recorded<Self::Event>) -> Option<Self::Plan>;

    /// The id of the command sent as `step` to `target` because of `cause`.
    fn command_id(cause: EventId, step: &str, target: &AggregateId) -> CommandId {
        CommandId::of_process(Self::NAME, cause, &format!("{step}:{target}"))
    }
}
