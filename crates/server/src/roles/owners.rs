//! The owners of all partitions of the three topics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use commands::internal::Local;
use domain::order::Order;
use domain::product::Product;
use domain::stock_item::StockItem;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::assignment::Assignment;
use eventsourcing::owner;
use eventsourcing::routes::Routes;
use eventsourcing::state_table::StateTable;
use eventsourcing::states::KeptState;
use eventsourcing::topic::Topic;
use eventsourcing_kafka::GroupConfig;
use eventsourcing_postgres::assignment::ProcessLock;
use eventsourcing_postgres::states::PostgresStates;

use super::forward::Forwarding;
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
        let config = Arc::clone(&process.parts.config);
        let topics = process.parts.all_topics();
        let mut assignments: VecDeque<Box<dyn Assignment>> = match config.log {
            // One lock for all: a process owns the whole shop or stands by.
            LogKind::Postgres => {
                let lock = format!("daybook.{}", config.topics.prefix);
                let lock = ProcessLock::compete(&process.parts.pool, lock);
                let all = |topic: &Topic| {
                    (0..config.topics.partitions)
                        .map(|n| topic.partition(n))
                        .collect()
                };
                let assigned = |topic| Box::new(lock.assignment(all(topic))) as Box<dyn Assignment>;
                topics.iter().map(assigned).collect()
            }
            LogKind::Kafka => {
                let group = format!("{}.owners", config.topics.prefix);
                let group = GroupConfig {
                    session_timeout: Duration::from_millis(config.kafka.session_timeout_ms),
                    heartbeat_interval: Duration::from_millis(config.kafka.session_timeout_ms / 3),
                    ..GroupConfig::new(&config.kafka.brokers, group)
                };
                let joined = eventsourcing_kafka::join(&group, &topics)?;
                joined
                    .into_iter()
                    .map(|of| Box::new(of) as Box<dyn Assignment>)
                    .collect()
            }
        };
        let mut assignment = || assignments.pop_front().context("one assignment for each service");
        let shared = Shared::start(process)?;
        Ok(Self {
            products: start(process, &shared, assignment()?, domain::product::SERVICE),
            stock: start(process, &shared, assignment()?, domain::stock_item::SERVICE),
            orders: start(process, &shared, assignment()?, domain::order::SERVICE),
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
    pub fn local(&self) -> Local {
        Local {
            products: Arc::new(self.products.local.clone()),
            stock: Arc::new(self.stock.local.clone()),
            orders: Arc::new(self.orders.local.clone()),
        }
    }
}

/// What the owners of all services have in common.
struct Shared {
    routes: Routes,
    http: reqwest::Client,
    own_url: String,
    /// Another node may own some of the partitions while this one owns others.
    divided: bool,
}

impl Shared {
    fn start(process: &mut Process) -> anyhow::Result<Self> {
        let config = &process.parts.config;
        let routes = Routes::default();
        let (following, log) = (routes.clone(), process.parts.log.clone());
        let topic = eventsourcing::routes::topic(&config.topics.prefix);
        let shared = Self {
            routes,
            http: remote::client()?,
            own_url: config.listen.own_url(),
            divided: config.log == LogKind::Kafka,
        };
        let stop = process.supervisor.stop_of(Stage::Readers);
        process.supervisor.spawn(Stage::Readers, "routes", async move {
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                Err(error) = following.follow(log, topic) => Err(error.into()),
            }
        });
        Ok(shared)
    }
}

fn start<A: Aggregate<State: KeptState>>(
    process: &mut Process,
    shared: &Shared,
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
        url: shared.own_url.clone(),
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
    Arc::new(Forwarding {
        local,
        routes: shared.routes.clone(),
        own_url: shared.own_url.clone(),
        http: shared.http.clone(),
        divided: shared.divided,
    })
}

/// Over the defaults and not in a literal: builds for tests have a field more.
fn limits(mut limits: owner::Config, set: &crate::config::Owner) -> owner::Config {
    limits.mailbox_commands_max = set.mailbox_commands_max;
    limits.batch_commands_max = set.batch_commands_max;
    limits.batch_bytes_max = set.batch_bytes_max;
    limits.command_timeout = Duration::from_millis(set.command_timeout_ms);
    limits.retry_pause = Duration::from_millis(set.retry_pause_ms);
    limits.waiters_max = set.waiters_max;
    limits.aggregates_max = set.aggregates_max;
    limits.states_timeout = Duration::from_millis(set.states_timeout_ms);
    limits
}
