//! The port through which commands reach their aggregate, wherever its owner is.

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
}
