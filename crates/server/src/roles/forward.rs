//! Any node takes any command: what it does not own it hands on to the owner, once.

use std::time::Duration;

use async_trait::async_trait;
use commands::ports::Settlement;
use domain::order::Order;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::command::{Accepted, Context, Failure};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::AggregateId;
use eventsourcing::owner::Service;
use eventsourcing::position::Position;
use eventsourcing::routes::Routes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::remote::Remote;

/// The owners of one service, wherever they are.
pub struct Forwarding<A: Aggregate> {
    /// Those of this node.
    pub local: Service<A>,
    /// To the others.
    pub routes: Routes,
    /// Where this node takes forwarded commands.
    pub own_url: String,
    /// For all hops.
    pub http: reqwest::Client,
    /// Whether nodes share the partitions out; else one owns them all and the others stand by.
    pub divided: bool,
}

impl<A: Aggregate> Forwarding<A> {
    /// How many partitions this node serves.
    pub fn serving(&self) -> u32 {
        self.local.status().borrow().serving
    }

    /// Whether every partition is served, here or where a route leads to.
    pub fn reaches_all(&self) -> bool {
        let total = self.local.status().borrow().total;
        (0..total).all(|number| {
            let at = self.local.topic().partition(number);
            let other = || self.routes.to(&at).filter(|route| route.url != self.own_url);
            self.local.serves(&at) || (self.divided && other().is_some())
        })
    }
}

#[async_trait]
impl<A: Aggregate> Dispatch<A> for Forwarding<A>
where
    A::Command: Serialize,
    A::Refusal: DeserializeOwned,
{
    async fn execute(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let at = self.local.partition(&aggregate);
        let route = if self.local.serves(&at) {
            None
        } else {
            self.routes.to(&at)
        };
        match route.filter(|route| route.url != self.own_url) {
            None => self.local.execute(aggregate, command, context).await,
            // The other node asks only its own owners, so there are no loops; the id goes along, so a
            // command that arrives twice is done once.
            Some(route) => {
                let owner = Remote::<A>::new(self.http.clone(), &route.url, at.topic.service());
                owner.execute(aggregate, command, context).await
            }
        }
    }
}

#[async_trait]
impl Settlement for Forwarding<Order> {
    /// Known where the order is owned; another node answers at once that it is not there yet.
    async fn settled(&self, order: &AggregateId, timeout: Duration) -> Option<Position> {
        let at = self.local.partition(order);
        if self.local.serves(&at) {
            self.local.settled(order, timeout).await
        } else {
            None
        }
    }
}
