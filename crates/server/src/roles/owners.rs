//! The owners of all partitions of the three topics.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use commands::internal::Destinations;
use domain::order::Order;
use domain::product::Product;
use domain::stock_item::StockItem;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::assignment::Assignment;
use eventsourcing::owner;
use eventsourcing::routes::Routes;
use eventsourcing::state_table::StateTable;
use eventsourcing::states::KeptState;
use eventsourcing_postgres::states::PostgresStates;
use tokio::sync::Semaphore;

use super::assignments::assignments;
use super::forward::{Forwarding, Limits, Peers};
use super::{Process, remote};
use crate::config::LogKind;
use crate::supervisor::Stage;

/// Handles to the owners in this process, and through them to those of other nodes.
#[derive(Clone)]
pub struct Owners {
    /// Of products.
    pub products: Arc<Forwarding<Product>>,
    /// Of stock items.
    pub stock: Arc<Forwarding<StockItem>>,
    /// Of orders.
    pub orders: Arc<Forwarding<Order>>,
}

impl Owners {
    /// Starts them.
    pub fn start(process: &mut Process) -> anyhow::Result<Self> {
        let topics = process.parts.all_topics();
        let mut assignments = assignments(process, Stage::Owners, "owners", &topics)?.into_iter();
        let mut assignment = || assignments.next().context("one assignment for each service");
        let peers = start_routes(process)?;
        Ok(Self {
            products: start(process, &peers, assignment()?, domain::product::SERVICE),
            stock: start(process, &peers, assignment()?, domain::stock_item::SERVICE),
            orders: start(process, &peers, assignment()?, domain::order::SERVICE),
        })
    }

    /// Whether a command can be taken for every partition: it is served here or, where others may own
    /// some, by a node that has said so.
    #[must_use]
    pub fn serving(&self) -> bool {
        let own = self.products.serving() + self.stock.serving() + self.orders.serving();
        // A node that was given nothing yet is not the one to ask.
        own > 0 && self.products.reaches_all() && self.stock.reaches_all() && self.orders.reaches_all()
    }

    /// Those of this node alone.
    #[must_use]
    pub fn local(&self) -> Destinations {
        Destinations {
            products: Arc::new(self.products.local().clone()),
            stock: Arc::new(self.stock.local().clone()),
            orders: Arc::new(self.orders.local().clone()),
            settlement: Arc::new(self.orders.local().clone()),
        }
    }
}

/// The way to the other nodes.
fn start_routes(process: &mut Process) -> anyhow::Result<Peers> {
    let config = &process.parts.config;
    let routes = Routes::default();
    let (following, log) = (routes.clone(), process.parts.log.clone());
    let topic = eventsourcing::routes::topic(&config.topics.prefix);
    let places = || Arc::new(Semaphore::new(config.owner.forwards_max));
    let peers = Peers {
        routes,
        http: remote::client()?,
        own_url: config.listen.own_url(),
        divided: config.log == LogKind::Kafka,
        commands: places(),
        waits: places(),
        limits: Limits {
            command_timeout: Duration::from_millis(config.owner.command_timeout_ms),
            route_wait: Duration::from_millis(config.owner.route_wait_ms),
            route_waiters_max: config.owner.route_waiters_max,
        },
    };
    let stop = process.supervisor.stop_of(Stage::Readers);
    process.supervisor.spawn(Stage::Readers, "routes", async move {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            Err(error) = following.follow(log, topic) => Err(error.into()),
        }
    });
    Ok(peers)
}

fn start<A: Aggregate<State: KeptState>>(
    process: &mut Process,
    peers: &Peers,
    assignment: Box<dyn Assignment>,
    service: &'static str,
) -> Arc<Forwarding<A>> {
    let parts = &process.parts;
    let (config, topic) = (&parts.config, parts.topic(service));
    let settings = owner::Settings {
        log: parts.log.clone(),
        environment: parts.environment.clone(),
        topic,
        partitions: config.topics.partitions,
        node: config.node.clone(),
        url: peers.own_url.clone(),
        routes: Some(eventsourcing::routes::topic(&config.topics.prefix)),
        source: format!("/{}/{service}", config.topics.prefix),
        config: limits(owner::Config::default(), &config.owner),
    };
    let stop = process.supervisor.stop_of(Stage::Owners);
    let states: Arc<dyn StateTable<A>> = Arc::new(PostgresStates::new(parts.pool.clone()));
    let (local, running) = owner::spawn(settings, Some(&states), assignment, stop);
    process
        .supervisor
        .spawn(Stage::Owners, service, async move { Ok(running.await??) });
    Arc::new(Forwarding::new(local, peers.clone()))
}

/// Over the defaults and not in a literal: builds for tests have a field more.
fn limits(mut limits: owner::Config, set: &crate::config::Owner) -> owner::Config {
    limits.mailbox_commands_max = set.mailbox_commands_max;
    limits.batch_commands_max = set.batch_commands_max;
    limits.batch_bytes_max = set.batch_bytes_max;
    limits.command_timeout = Duration::from_millis(set.command_timeout_ms);
    limits.handover_max = Duration::from_millis(set.handover_ms);
    limits.retry_pause = Duration::from_millis(set.retry_pause_ms);
    limits.waiters_max = set.waiters_max;
    limits.aggregates_max = set.aggregates_max;
    limits.states_timeout = Duration::from_millis(set.states_timeout_ms);
    limits
}
