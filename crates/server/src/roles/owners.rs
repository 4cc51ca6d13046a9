//! The owners of all partitions of the three topics.

use std::time::Duration;

use domain::order::Order;
use domain::product::Product;
use domain::stock_item::StockItem;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::owner::{self, Service};
use eventsourcing_postgres::assignment::ProcessLock;

use super::Process;
use crate::supervisor::Stage;

/// Handles to the owners in this process.
#[derive(Clone)]
pub struct Owners {
    /// Of products.
    pub products: Service<Product>,
    /// Of stock items.
    pub stock: Service<StockItem>,
    /// Of orders.
    pub orders: Service<Order>,
}

impl Owners {
    /// Starts them.
    pub fn start(process: &mut Process) -> Self {
        let parts = &process.parts;
        // One for all three: a process owns the whole shop or stands by.
        let lock = format!("daybook.{}", parts.config.topics.prefix);
        let lock = ProcessLock::compete(&parts.pool, lock);
        Self {
            products: start(process, &lock, domain::product::SERVICE),
            stock: start(process, &lock, domain::stock_item::SERVICE),
            orders: start(process, &lock, domain::order::SERVICE),
        }
    }

    /// Whether every partition is being served.
    #[must_use]
    pub fn serving(&self) -> bool {
        let all = |status: owner::Status| status.serving == status.total;
        [self.products.status(), self.stock.status(), self.orders.status()]
            .iter()
            .all(|status| all(*status.borrow()))
    }
}

fn start<A: Aggregate>(process: &mut Process, lock: &ProcessLock, service: &'static str) -> Service<A> {
    let parts = &process.parts;
    let (config, topic) = (&parts.config, parts.topic(service));
    let settings = owner::Settings {
        log: parts.log.clone(),
        environment: parts.environment.clone(),
        topic: topic.clone(),
        partitions: config.topics.partitions,
        node: config.node.clone(),
        url: config.listen.commands_url.clone(),
        source: format!("/{}/{service}", config.topics.prefix),
        config: limits(owner::Config::default(), &config.owner),
    };
    let partitions = (0..config.topics.partitions)
        .map(|number| topic.partition(number))
        .collect();
    let assignment = lock.assignment(partitions);
    let stop = process.supervisor.stop_of(Stage::Owners);
    let (handle, running) = owner::spawn::<A>(settings, Box::new(assignment), stop);
    process
        .supervisor
        .spawn(Stage::Owners, service, async move { Ok(running.await??) });
    handle
}

/// Over the defaults and not in a literal: builds for tests have a field more.
fn limits(mut limits: owner::Config, set: &crate::config::Owner) -> owner::Config {
    limits.mailbox_commands_max = set.mailbox_commands_max;
    limits.batch_commands_max = set.batch_commands_max;
    limits.batch_bytes_max = set.batch_bytes_max;
    limits.command_timeout = Duration::from_millis(set.command_timeout_ms);
    limits.retry_pause = Duration::from_millis(set.retry_pause_ms);
    limits.waiters_max = set.waiters_max;
    limits
}
