//! The router, its state and its description.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use domain::order::Order;
use domain::product::Product;
use domain::stock_item::StockItem;
use eventsourcing::clock::Environment;
use eventsourcing::dispatch::Dispatch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::ports::{PriceList, Settlement, Visibility};
use crate::{credit_notes, internal, orders, products, stock};

/// Limits of the command API.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a look-up of prices may wait for the position the client asks for.
    pub price_wait_max: Duration,
    /// How long an answer waits for `visible` or `settled` when the client does not say.
    pub wait_default: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            price_wait_max: Duration::from_secs(2),
            wait_default: Duration::from_secs(5),
        }
    }
}

/// Where commands go, and what the API asks besides.
pub struct CommandApi {
    /// Products.
    pub products: Arc<dyn Dispatch<Product>>,
    /// Stock.
    pub stock: Arc<dyn Dispatch<StockItem>>,
    /// Orders.
    pub orders: Arc<dyn Dispatch<Order>>,
    /// What things cost.
    pub prices: Arc<dyn PriceList>,
    /// When the read models show it; `None` where this node cannot tell.
    pub visibility: Option<Arc<dyn Visibility>>,
    /// When an order is decided.
    pub settlement: Arc<dyn Settlement>,
    /// Time and ids.
    pub environment: Arc<dyn Environment>,
    /// Limits.
    pub config: Config,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Daybook commands",
    description = "What can be asked of a Daybook. An accepted command is one event in the log; the answer says where \
                   (`Daybook-Position`). Send an `Idempotency-Key` and repeat a request whose outcome you do not \
                   know: it has one outcome, however often it is sent.",
    version = "1",
    license(name = "Apache-2.0 OR MIT")
))]
struct Description;

fn described() -> OpenApiRouter<Arc<CommandApi>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(products::router())
        .merge(stock::router())
        .merge(orders::router())
        .merge(credit_notes::router())
}

/// The endpoints, bare, and those for other nodes over the owners of this one: put `http_kit::conventions` around them.
pub fn router(api: CommandApi, here: internal::Destinations) -> Router {
    let (router, _) = described().split_for_parts();
    let anywhere = internal::Destinations {
        products: Arc::clone(&api.products),
        stock: Arc::clone(&api.stock),
        orders: Arc::clone(&api.orders),
        settlement: Arc::clone(&api.settlement),
    };
    router
        .with_state(Arc::new(api))
        .merge(internal::router(here, anywhere))
}

/// The API's description, as committed under `schemas/openapi/commands.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, description) = described().split_for_parts();
    description
}
