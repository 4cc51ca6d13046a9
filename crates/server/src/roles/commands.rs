//! The command API over the owners in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use commands::CommandApi;
use commands::ports::Visibility;
use commands::price_list::InMemoryPriceList;
use eventsourcing::position::Positions;
use http_kit::health::Readiness;
use queries::Reads;

use super::Process;
use super::owners::Owners;
use crate::parts::generation::Outlived;
use crate::supervisor::Stage;

/// The command API.
pub struct Started {
    /// Its endpoints.
    pub router: Router,
    /// What it sells at.
    pub prices: InMemoryPriceList,
}

/// What `Daybook-Wait: visible` asks.
struct ReadModels(Reads);

#[async_trait]
impl Visibility for ReadModels {
    async fn visible(&self, positions: &Positions, timeout: Duration) -> bool {
        self.0.visible(positions, timeout).await
    }
}

/// Starts following the prices; the endpoints over `owners`.
pub fn start(process: &mut Process, owners: &Owners, reads: Option<Reads>) -> Started {
    let prices = InMemoryPriceList::default();
    let (log, topic) = (
        process.parts.followed.clone(),
        process.parts.topic(domain::product::SERVICE),
    );
    let (following, stop) = (prices.clone(), process.supervisor.stop_of(Stage::Readers));
    process
        .supervisor
        .spawn(Stage::Readers, "price list", async move {
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                Err(error) = following.follow(log, topic) => Err(error.into()),
            }
        });
    let api = CommandApi {
        products: owners.products.clone(),
        stock: owners.stock.clone(),
        orders: owners.orders.clone(),
        prices: Arc::new(prices.clone()),
        visibility: reads.map(|reads| Arc::new(ReadModels(reads)) as Arc<dyn Visibility>),
        settlement: owners.orders.clone(),
        environment: process.parts.environment.clone(),
        config: commands::Config::default(),
    };
    let router = commands::router(api, owners.local());
    Started { router, prices }
}

/// Ready when every partition is owned here, none of them being sealed, and the price list is complete.
#[must_use]
pub fn readiness(owners: &Owners, prices: &InMemoryPriceList, outlived: &Outlived) -> Readiness {
    let (owners, prices, outlived) = (owners.clone(), prices.clone(), outlived.clone());
    Readiness::new()
        .check("partitions", move || {
            std::future::ready(owners.serving() && !outlived.is())
        })
        .check("price_list", move || std::future::ready(prices.is_complete()))
}
