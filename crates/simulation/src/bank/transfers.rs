//! Transfers: what one account sends another one receives, or the first one takes it back.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::aggregate::Recorded;
use eventsourcing::command::{Context, Expected};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{AggregateId, CommandId, Digest};
use eventsourcing::process::Process;
use eventsourcing::process::runner::Carry;
use eventsourcing::process::send::{Backoff, send};
use uuid::Uuid;

use super::account::{Account, Command, Moved, Then};
use crate::bug::ProcessBug;

/// The process.
pub(crate) struct Transfers;

/// One command.
pub(crate) struct Plan {
    step: &'static str,
    to: AggregateId,
    command: Command,
}

impl Process for Transfers {
    const NAME: &'static str = "transfers";
    type Event = Moved;
    type Plan = Plan;

    fn react(event: &Recorded<Moved>) -> Option<Plan> {
        let plan = match event.event.then.clone()? {
            Then::Deliver { to, amount } => Plan {
                step: "receive",
                to,
                command: Command::Receive {
                    from: event.aggregate.clone(),
                    amount,
                },
            },
            Then::GiveBack { to, amount } => Plan {
                step: "take back",
                to,
                command: Command::TakeBack(amount),
            },
        };
        Some(plan)
    }
}

/// Carries the plans out.
pub(crate) struct Carrier {
    pub(crate) accounts: Arc<dyn Dispatch<Account>>,
    /// Draws ids that are never the same, see [`ProcessBug::FreshIds`].
    pub(crate) fresh: Arc<dyn Fn() -> Uuid + Send + Sync>,
    pub(crate) bug: Option<ProcessBug>,
}

const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_millis(200),
};

#[async_trait]
impl Carry<Transfers> for Carrier {
    async fn carry_out(&self, cause: &Recorded<Moved>, plan: Plan) {
        let id = match self.bug {
            Some(ProcessBug::FreshIds) => CommandId((self.fresh)()),
            Some(ProcessBug::CheckpointFirst) | None => {
                Transfers::command_id(cause.id(), plan.step, &plan.to)
            }
        };
        let context = Context {
            id,
            digest: Digest::of(&[id.0.as_bytes()]),
            expected: Expected::Any,
            correlation: cause.meta.correlation.clone(),
            causation: Some(cause.id()),
            actor: "".into(),
            traceparent: None,
        };
        let accounts = Arc::clone(&self.accounts);
        let sending = async move {
            let Plan { to, command, .. } = plan;
            // Neither command is ever refused.
            let answer = send(Transfers::NAME, &*accounts, &to, &command, &context, BACKOFF).await;
            answer
                .map_err(|_| "refused")
                .expect("these commands make an event in every state");
        };
        match self.bug {
            // Nobody waits, so the checkpoint moves at once; what a crash cuts off is lost.
            Some(ProcessBug::CheckpointFirst) => drop(tokio::spawn(sending)),
            Some(ProcessBug::FreshIds) | None => sending.await,
        }
    }
}
