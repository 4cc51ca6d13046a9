//! What the API asks of others beside executing commands.

use std::time::Duration;

use async_trait::async_trait;
use domain::money::{Currency, Price};
use domain::order::{Order, OrderState};
use domain::sku::Sku;
use eventsourcing::ids::AggregateId;
use eventsourcing::owner::Service;
use eventsourcing::position::{Position, Positions};

/// What published products cost.
#[async_trait]
pub trait PriceList: Send + Sync + 'static {
    /// The price of one unit; `None` when it is not on sale in this currency.
    fn price(&self, sku: &Sku, currency: Currency) -> Option<Price>;

    /// Waits until the list is complete as of these positions, at most `timeout`; says whether it is.
    async fn reached(&self, positions: &Positions, timeout: Duration) -> bool;
}

/// When read models show a position.
#[async_trait]
pub trait Visibility: Send + Sync + 'static {
    /// Waits until all of them do, at most `timeout`; says whether they do.
    async fn visible(&self, positions: &Positions, timeout: Duration) -> bool;
}

/// When an order is decided.
#[async_trait]
pub trait Settlement: Send + Sync + 'static {
    /// Waits until it is, at most `timeout`; a position at which it is.
    async fn settled(&self, order: &AggregateId, timeout: Duration) -> Option<Position>;
}

#[async_trait]
impl Settlement for Service<Order> {
    async fn settled(&self, order: &AggregateId, timeout: Duration) -> Option<Position> {
        self.wait_until(order, OrderState::is_settled, timeout).await
    }
}
