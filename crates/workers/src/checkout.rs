//! Carries out the plans of the checkout: commands to stock items, then to the order.

use std::sync::Arc;

use async_trait::async_trait;
use domain::checkout::{Checkout, Next, Plan};
use domain::ids::stock_of;
use domain::order::{Order, OrderCommand, OrderEvent};
use domain::stock_item::StockItem;
use eventsourcing::aggregate::Recorded;
use eventsourcing::command::{Context, Expected};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{AggregateId, Digest};
use eventsourcing::process::Process;
use eventsourcing::process::runner::Carry;
use eventsourcing::process::send::{Backoff, Definite, send};

/// Sends the checkout's commands.
pub struct CheckoutCarrier {
    /// To the stock.
    pub stock: Arc<dyn Dispatch<StockItem>>,
    /// To the orders.
    pub orders: Arc<dyn Dispatch<Order>>,
    /// Between tries.
    pub backoff: Backoff,
}

#[async_trait]
impl Carry<Checkout> for CheckoutCarrier {
    async fn carry_out(&self, cause: &Recorded<OrderEvent>, plan: Plan) {
        for item in &plan.items {
            let target = stock_of(&item.sku);
            let context = context(cause, plan.step(), &target);
            let command = plan.command(item);
            let stock = self.stock.as_ref();
            let answer = send(Checkout::NAME, stock, &target, &command, &context, self.backoff).await;
            let answer = match &answer {
                Ok(_) | Err(Definite::DecidedBefore) => Ok(()),
                Err(Definite::Refused(refusal)) => Err(refusal),
            };
            match plan.after(item, answer) {
                Next::Continue => {}
                Next::Decide(decision) => return self.decide(cause, &plan, &decision).await,
                Next::Stop => return,
            }
        }
        if let Some(decision) = plan.conclusion() {
            self.decide(cause, &plan, &decision).await;
        }
    }
}

impl CheckoutCarrier {
    async fn decide(&self, cause: &Recorded<OrderEvent>, plan: &Plan, decision: &OrderCommand) {
        let target = plan.order.aggregate();
        // One step for either decision: the first one that is accepted stands.
        let context = context(cause, "decide", &target);
        let orders = self.orders.as_ref();
        let answer = send(Checkout::NAME, orders, &target, decision, &context, self.backoff).await;
        let request_id = &cause.meta.correlation;
        match answer {
            Ok(accepted) => {
                tracing::debug!(order = %target, position = %accepted.position, %request_id, "decided");
            }
            // Somebody was faster, a cancellation for one; its event says what follows.
            Err(Definite::Refused(refusal)) => {
                tracing::debug!(order = %target, %refusal, %request_id, "was decided");
            }
            Err(Definite::DecidedBefore) => {
                tracing::debug!(order = %target, %request_id, "was decided before");
            }
        }
    }
}

/// The context of the command sent as `step` to `target` because of `cause`: the same in each repeat.
fn context(cause: &Recorded<OrderEvent>, step: &str, target: &AggregateId) -> Context {
    let id = Checkout::command_id(cause.id(), step, target);
    Context {
        id,
        // Of the id and not of the content: a repeat may find other numbers (units available, for
        // one) and is still the same command.
        digest: Digest::of(&[id.0.as_bytes()]),
        expected: Expected::Any,
        correlation: cause.meta.correlation.clone(),
        causation: Some(cause.id()),
        actor: format!("process:{}", Checkout::NAME).into(),
        traceparent: cause.traceparent.clone(),
    }
}
