//! What is asked of the shop: as a request, and as the checker has to know it.

use std::sync::Arc;

use domain::ids::{CustomerId, OrderId, stock_of};
use domain::money::{Currency, Price};
use domain::order::{self, Line, Lines, OrderCommand, Sale};
use domain::quantity::Quantity;
use domain::sku::Sku;
use domain::stock_item::{self, StockCommand};
use eventsourcing::ids::{AggregateId, CommandId, Digest};
use eventsourcing::topic::{Topic, TopicPartition, partition_of};
use serde_json::json;

use crate::cluster::{PARTITIONS, PREFIX};

/// Everybody is the same client while there are no identities.
const CLIENT: &str = "dev";
/// What the ids of new orders are scoped to.
const NEW_ORDER: &str = "orders";
/// Of everything, in pence.
pub(crate) const PRICE: i64 = 1_295;
pub(crate) const CURRENCY: &str = "GBP";

/// One command; a repeat is the same one again.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) id: CommandId,
    pub(crate) digest: Digest,
    pub(crate) aggregate: AggregateId,
    pub(crate) at: TopicPartition,
    pub(crate) content: Content,
}

/// What the aggregate is asked.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Stock(Arc<StockCommand>),
    Order(Arc<OrderCommand>),
}

impl Command {
    /// `units` more of `sku`.
    pub(crate) fn receive(key: String, sku: &Sku, units: i64) -> Self {
        let command = StockCommand::Receive {
            quantity: quantity(units),
        };
        Self::stock(key, sku, "receive", &json!({ "quantity": units }), command)
    }

    /// `units` of `sku` for `order`.
    pub(crate) fn reserve(key: String, sku: &Sku, order: OrderId, units: i64) -> Self {
        let command = StockCommand::Reserve {
            order,
            quantity: quantity(units),
        };
        let body = json!({ "order": order.to_string(), "quantity": units });
        Self::stock(key, sku, "reserve", &body, command)
    }

    /// What `order` holds of `sku`.
    pub(crate) fn release(key: String, sku: &Sku, order: OrderId) -> Self {
        let body = json!({ "order": order.to_string() });
        Self::stock(key, sku, "release", &body, StockCommand::Release { order })
    }

    fn stock(key: String, sku: &Sku, verb: &str, body: &serde_json::Value, content: StockCommand) -> Self {
        let aggregate = stock_of(sku);
        let path = format!("/v1/stock/{sku}/{verb}");
        let id = CommandId::of_key(CLIENT, &format!("{aggregate}\n{key}"));
        let content = Content::Stock(Arc::new(content));
        Self::new(path, key, body, (id, aggregate, stock_item::SERVICE), content)
    }

    /// An order of one of each `skus`.
    pub(crate) fn order(key: String, customer: &str, skus: &[Sku]) -> Self {
        let line = |sku: &Sku| json!({ "sku": sku.as_str(), "quantity": 1 });
        let lines: Vec<_> = skus.iter().map(line).collect();
        let body = json!({ "customer": customer, "currency": CURRENCY, "lines": lines });
        let line = |sku: &Sku| Line {
            sku: sku.clone(),
            quantity: quantity(1),
            unit_price: Price::new(PRICE).expect("a price within its limits"),
        };
        let sale = Sale {
            customer: Some(CustomerId::new(customer).expect("a short text")),
            country: None,
            currency: CURRENCY.parse::<Currency>().expect("a currency"),
            lines: Lines::new(skus.iter().map(line).collect())
                .expect("few lines")
                .into(),
        };
        let id = CommandId::of_key(CLIENT, &format!("{NEW_ORDER}\n{key}"));
        let aggregate = OrderId::created_by(id).aggregate();
        let content = Content::Order(Arc::new(OrderCommand::Place(Arc::new(sale))));
        let path = "/v1/orders".to_owned();
        Self::new(path, key, &body, (id, aggregate, order::SERVICE), content)
    }

    fn new(
        path: String,
        key: String,
        body: &serde_json::Value,
        (id, aggregate, service): (CommandId, AggregateId, &str),
        content: Content,
    ) -> Self {
        let body = body.to_string();
        let digest = Digest::of(&[format!("POST {path}\n").as_bytes(), body.as_bytes()]);
        let at = Topic::events(PREFIX, service).partition(partition_of(&aggregate, PARTITIONS));
        Self {
            path,
            key,
            body,
            id,
            digest,
            aggregate,
            at,
            content,
        }
    }

    /// The page of the aggregate at the query API.
    pub(crate) fn page(&self) -> String {
        match &self.content {
            Content::Stock(_) => {
                let sku = self
                    .aggregate
                    .as_str()
                    .trim_start_matches(domain::ids::STOCK_PREFIX);
                format!("/v1/stock/{sku}")
            }
            Content::Order(_) => format!("/v1/orders/{}", self.aggregate),
        }
    }
}

fn quantity(units: i64) -> Quantity {
    Quantity::new(units).expect("a few units")
}
