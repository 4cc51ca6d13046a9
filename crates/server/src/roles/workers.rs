//! The processes.

use std::sync::Arc;
use std::time::Duration;

use domain::checkout::Checkout;
use domain::order::Order;
use domain::stock_item::StockItem;
use eventsourcing::dispatch::Dispatch;
use eventsourcing_postgres::process::PostgresCheckpoints;
use http_kit::health::Readiness;
use tokio::sync::watch;
use workers::Backoff;
use workers::checkout::CheckoutCarrier;
use workers::runner::{self, Config, Settings};

use super::Process;
use crate::supervisor::Stage;

/// Starts the checkout, whose commands go through `stock` and `orders`. The watch says whether it
/// tails the log.
pub fn start(
    process: &mut Process,
    stock: Arc<dyn Dispatch<StockItem>>,
    orders: Arc<dyn Dispatch<Order>>,
) -> watch::Receiver<bool> {
    let limits = &process.parts.config.process;
    let settings = Settings {
        log: process.parts.log.clone(),
        topic: process.parts.topic(domain::order::SERVICE),
        checkpoints: Arc::new(PostgresCheckpoints(process.parts.pool.clone())),
        config: Config {
            in_flight_max: limits.in_flight_max,
            batch_records_max: limits.batch_records_max,
            ..Config::default()
        },
    };
    let backoff = Backoff {
        first: Duration::from_millis(limits.retry_pause_ms),
        longest: Duration::from_millis(limits.retry_pause_max_ms),
    };
    let carrier = CheckoutCarrier {
        stock,
        orders,
        backoff,
    };
    let stop = process.supervisor.stop_of(Stage::Readers);
    let (tails, running) = runner::spawn::<Checkout>(settings, Arc::new(carrier), stop);
    process
        .supervisor
        .spawn(Stage::Readers, "checkout", async move { Ok(running.await??) });
    tails
}

/// Ready when the process tails the log.
#[must_use]
pub fn readiness(besides: Readiness, tails: watch::Receiver<bool>) -> Readiness {
    besides.check("checkout", move || std::future::ready(*tails.borrow()))
}
