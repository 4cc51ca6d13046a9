//! The processes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use domain::checkout::Checkout;
use domain::order::Order;
use domain::stock_item::StockItem;
use eventsourcing::dispatch::Dispatch;
use eventsourcing::process::Process as _;
use eventsourcing::process::runner::{self, Config, Settings};
use eventsourcing::process::send::Backoff;
use eventsourcing::readers::Status;
use eventsourcing_postgres::process::PostgresCheckpoints;
use http_kit::health::Readiness;
use tokio::sync::watch;
use workers::checkout::CheckoutCarrier;

use super::Process;
use super::shares::shares;
use crate::supervisor::Stage;

/// Starts the checkout, whose commands go through `stock` and `orders`. The watch says how it is.
pub fn start(
    process: &mut Process,
    stock: Arc<dyn Dispatch<StockItem>>,
    orders: Arc<dyn Dispatch<Order>>,
) -> anyhow::Result<watch::Receiver<Status>> {
    let topic = process.parts.topic(domain::order::SERVICE);
    let mut shares = shares(process, "processes", std::slice::from_ref(&topic))?;
    let limits = &process.parts.config.process;
    let share = shares.remove(&topic).context("a share of the topic asked for")?;
    let settings = Settings {
        log: process.parts.followed.clone(),
        topic,
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
    let (status, running) = runner::spawn::<Checkout>(settings, Arc::new(carrier), share, stop);
    process
        .supervisor
        .spawn(Stage::Readers, Checkout::NAME, async move { Ok(running.await??) });
    Ok(status)
}

/// Ready when the process works on what comes.
#[must_use]
pub fn readiness(besides: Readiness, status: watch::Receiver<Status>) -> Readiness {
    besides.check(Checkout::NAME, move || {
        std::future::ready(*status.borrow() == Status::Running)
    })
}
