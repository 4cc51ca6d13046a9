//! What a partition's task is asked.

use tokio::sync::oneshot;

use crate::aggregate::Aggregate;
use crate::command::{Accepted, Context, Failure};
use crate::ids::{AggregateId, Offset};

/// The answer to a command.
pub(super) type Outcome<A> = Result<Accepted, Failure<<A as Aggregate>::Refusal>>;

/// Where the answer goes. A caller that gave up is no longer there.
pub(super) type Reply<A> = oneshot::Sender<Outcome<A>>;

/// One command.
pub(super) struct Execute<A: Aggregate> {
    pub(super) aggregate: AggregateId,
    pub(super) command: A::Command,
    pub(super) context: Context,
    pub(super) reply: Reply<A>,
}

/// Someone who waits for a committed state.
pub(super) struct Waiter<A: Aggregate> {
    pub(super) aggregate: AggregateId,
    pub(super) reached: fn(&A::State) -> bool,
    /// Gets the offset of a record at or after the one that made it so.
    pub(super) reply: oneshot::Sender<Offset>,
}

/// Either.
pub(super) enum Message<A: Aggregate> {
    Execute(Execute<A>),
    Wait(Waiter<A>),
}

impl<A: Aggregate> Message<A> {
    /// Whom it is about.
    pub(super) const fn aggregate(&self) -> &AggregateId {
        match self {
            Self::Execute(execute) => &execute.aggregate,
            Self::Wait(waiter) => &waiter.aggregate,
        }
    }
}
