//! One role in a process of its own.

use std::sync::Arc;

use ::commands::internal::Reach;
use axum::Router;
use domain::order::Order;
use domain::stock_item::StockItem;
use http_kit::health::Readiness;

use super::owners::Owners;
use super::remote::{self, Remote};
use super::{Api, Endpoint, Process, commands, projections, queries, workers};
use crate::admin;
use crate::config::Config;

/// Ready as long as its topics are the shop's.
fn current(process: &Process) -> Readiness {
    let outlived = process.outlived.clone();
    Readiness::new().check("generation", move || std::future::ready(!outlived.is()))
}

/// `daybook commands`.
pub async fn run_commands(config: Config) -> anyhow::Result<()> {
    let mut process = Process::start(config, &[Api::Commands]).await?;
    let owners = Owners::start(&mut process)?;
    // Only to tell what the read models show; they are another process's work.
    let (reads, _) = queries::start(&mut process)?;
    let started = commands::start(&mut process, &owners, Some(reads));
    let readiness = commands::readiness(&owners, &started.prices, &process.outlived);
    process.serve(Endpoint {
        api: Api::Commands,
        router: started.router,
        readiness,
    })?;
    process.run().await
}

/// `daybook queries`.
pub async fn run_queries(config: Config) -> anyhow::Result<()> {
    let mut process = Process::start(config, &[Api::Queries]).await?;
    let (reads, router) = queries::start(&mut process)?;
    process.serve(Endpoint {
        api: Api::Queries,
        router,
        readiness: queries::readiness(&reads),
    })?;
    process.run().await
}

/// `daybook projections`.
pub async fn run_projections(config: Config) -> anyhow::Result<()> {
    let mut process = Process::start(config, &[Api::Projections]).await?;
    let projecting = projections::start(&mut process)?;
    let readiness = projections::readiness(current(&process), projecting);
    process.serve(Endpoint {
        api: Api::Projections,
        router: admin::router(process.parts.clone()),
        readiness,
    })?;
    process.run().await
}

/// `daybook workers`.
pub async fn run_workers(config: Config) -> anyhow::Result<()> {
    let mut process = Process::start(config, &[Api::Workers]).await?;
    let url = process.parts.config.listen.commands_url.clone();
    let http = remote::client()?;
    let stock = Remote::<StockItem>::new(http.clone(), &url, domain::stock_item::SERVICE, Reach::Anywhere);
    let orders = Remote::<Order>::new(http, &url, domain::order::SERVICE, Reach::Anywhere);
    let status = workers::start(&mut process, Arc::new(stock), Arc::new(orders))?;
    let readiness = workers::readiness(current(&process), status);
    process.serve(Endpoint {
        api: Api::Workers,
        router: Router::new(),
        readiness,
    })?;
    process.run().await
}
