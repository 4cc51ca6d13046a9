//! Commands between Daybook's own processes: from a worker of its own to the owner, and (with several
//! nodes) from the node that was asked to the node that owns. Not part of the public API.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use domain::order::Order;
use domain::product::Product;
use domain::stock_item::StockItem;
use domain::{order, product, stock_item};
use eventsourcing::aggregate::Aggregate;
use eventsourcing::command::{Accepted, Context, Failure};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::AggregateId;
use http_kit::json::Json;
use http_kit::prefer::{Prefer, WAIT_MAX};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ports::Settlement;

/// One command on its way to its owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded<C> {
    /// The aggregate.
    pub aggregate: AggregateId,
    /// What is asked.
    pub command: C,
    /// Everything else; the command id makes a repeat safe.
    pub context: Context,
    /// It was sent before, and the answer was lost.
    #[serde(default)]
    pub again: bool,
}

/// The answer: as the owner gave it.
pub type Answered<R> = Result<Accepted, Failure<R>>;

/// Which order to wait for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Awaited {
    /// The order.
    pub order: AggregateId,
}

/// The answer: where the order was decided; nothing when it was not in time, or is not owned here any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettledAt {
    /// As in `orders/3@1042`.
    pub position: Option<String>,
}

/// Where one waits for an order to be decided.
pub const SETTLED: &str = "/internal/v1/settled/orders";

/// How far a command may go from the node it is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To an owner of that node and no further: it has made its one hop.
    Here,
    /// To wherever its owner is: it comes from a process that has no owners and knows none.
    Anywhere,
}

/// The path for the commands of one service.
pub fn path(service: &str, reach: Reach) -> String {
    match reach {
        Reach::Here => format!("/internal/v1/commands/{service}"),
        Reach::Anywhere => format!("/internal/v1/commands/{service}/anywhere"),
    }
}

/// Where the commands of each service go.
#[derive(Clone)]
pub struct Destinations {
    /// Of products.
    pub products: Arc<dyn Dispatch<Product>>,
    /// Of stock.
    pub stock: Arc<dyn Dispatch<StockItem>>,
    /// Of orders.
    pub orders: Arc<dyn Dispatch<Order>>,
    /// When an order is decided.
    pub settlement: Arc<dyn Settlement>,
}

/// `here` are the owners of this node and nobody else, `anywhere` hands on what is owned elsewhere.
pub(crate) fn router(here: Destinations, anywhere: Destinations) -> Router {
    let settled = Router::new()
        .route(SETTLED, post(settled))
        .with_state(Arc::new(here.clone()));
    settled
        .merge(services(here, Reach::Here))
        .merge(services(anywhere, Reach::Anywhere))
}

fn services(to: Destinations, reach: Reach) -> Router {
    let path = |service| path(service, reach);
    Router::new()
        .route(
            &path(product::SERVICE),
            post(async |State(to): To, prefer: Prefer, Json { value, .. }| {
                execute(&*to.products, value, prefer).await
            }),
        )
        .route(
            &path(stock_item::SERVICE),
            post(async |State(to): To, prefer: Prefer, Json { value, .. }| {
                execute(&*to.stock, value, prefer).await
            }),
        )
        .route(
            &path(order::SERVICE),
            post(async |State(to): To, prefer: Prefer, Json { value, .. }| {
                execute(&*to.orders, value, prefer).await
            }),
        )
        .with_state(Arc::new(to))
}

type To = State<Arc<Destinations>>;

async fn execute<A: Aggregate>(
    dispatch: &dyn Dispatch<A>,
    forwarded: Forwarded<A::Command>,
    prefer: Prefer,
) -> axum::Json<Answered<A::Refusal>>
where
    A::Command: DeserializeOwned,
    A::Refusal: Serialize,
{
    let Forwarded {
        aggregate,
        command,
        context,
        again,
    } = forwarded;
    // The hop has taken some of the caller's time: what is left of it comes along.
    let limit = prefer.limit();
    axum::Json(if again {
        dispatch.repeat_within(aggregate, command, context, limit).await
    } else {
        dispatch.execute_within(aggregate, command, context, limit).await
    })
}

async fn settled(
    State(here): To,
    prefer: Prefer,
    Json { value, .. }: Json<Awaited>,
) -> axum::Json<SettledAt> {
    let limit = prefer.limit().min(WAIT_MAX);
    let position = here.settlement.settled(&value.order, limit).await;
    axum::Json(SettledAt {
        position: position.map(|position| position.to_string()),
    })
}
