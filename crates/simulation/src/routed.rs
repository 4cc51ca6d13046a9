//! Commands on their way from a node to whoever serves the account.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::command::{Accepted, Context, Failure};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::AggregateId;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bank::account::{Account, Command, Insufficient};
use crate::client::{Request, attempt, choose};
use crate::life::Life;
use crate::world::World;

/// How long a node waits for another one.
const PATIENCE: Duration = Duration::from_millis(700);

/// See the module.
pub(crate) struct Routed {
    pub(crate) world: Arc<World>,
    /// Of the node that sends.
    pub(crate) life: Arc<Life>,
}

#[async_trait]
impl Dispatch<Account> for Routed {
    async fn execute(
        &self,
        aggregate: AggregateId,
        command: Command,
        context: Context,
    ) -> Result<Accepted, Failure<Insufficient>> {
        self.life.gate().await;
        let request = Request {
            id: context.id,
            digest: context.digest,
            account: aggregate,
            content: command,
            expected: context.expected,
            causation: context.causation,
        };
        let node = choose(
            &self.world,
            &request,
            &mut StdRng::seed_from_u64(self.world.draw()),
        );
        let outcome = attempt(&self.world, &request, node, PATIENCE).await;
        self.life.gate().await;
        outcome
    }

    /// Nodes do not send a hop again here; the process repeats its commands as any client does.
    async fn repeat_within(
        &self,
        _: AggregateId,
        _: Command,
        _: Context,
        _: Duration,
    ) -> Result<Accepted, Failure<Insufficient>> {
        Err(Failure::Unknown)
    }
}
