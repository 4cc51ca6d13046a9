//! The port through which commands reach their aggregate, wherever its owner is.

use std::time::Duration;

use async_trait::async_trait;

use crate::aggregate::Aggregate;
use crate::command::{Accepted, Context, Failure};
use crate::ids::AggregateId;

/// Executes commands of one aggregate type. The owner's handle implements it in process; a client
/// of another node implements it over the network.
#[async_trait]
pub trait Dispatch<A: Aggregate>: Send + Sync + 'static {
    /// Sends one command and waits for its outcome, bounded in time.
    async fn execute(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
    ) -> Result<Accepted, Failure<A::Refusal>>;

    /// The same for a caller who wants his answer within `limit`, where that is less than the bound. What
    /// cannot be begun by then is not attempted; an implementation that cannot tell does not know.
    async fn execute_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        tokio::time::timeout(limit, self.execute(aggregate, command, context))
            .await
            .unwrap_or(Err(Failure::Unknown))
    }

    /// The same for a command that was sent before and may have been accepted. Whoever remembers it answers as then;
    /// whoever may have forgotten it must not decide it anew, and says that the outcome is not known.
    async fn repeat_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>>;
}
