//! What a partition's task is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use tokio::time::Instant;

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
    pub(super) claim: Claim,
    /// Later than this there is no use in beginning.
    pub(super) deadline: Instant,
}

impl<A: Aggregate> Execute<A> {
    /// Whether the owner may begin: the caller is there, has time left, and has not taken the command back.
    pub(super) fn begins(&self) -> bool {
        !self.reply.is_closed() && Instant::now() < self.deadline && self.claim.take()
    }
}

/// Whose a waiting command is. The owner claims it before it does anything with it, the caller before it
/// goes away: so whoever goes away knows whether anything can have been written.
#[derive(Clone, Default)]
pub(super) struct Claim(Arc<AtomicBool>);

impl Claim {
    /// True for the first who asks.
    pub(super) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
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
