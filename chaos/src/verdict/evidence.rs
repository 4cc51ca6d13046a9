//! Everything that is held against each other.

use std::fmt;

use checker::{Attempt, History, Question, read_topic};
use domain::order::{self, Order};
use domain::stock_item::{self, StockItem};
use eventsourcing::aggregate::Aggregate;
use eventsourcing::log::Log;
use eventsourcing::record::Stored;
use eventsourcing::topic::Topic;

use super::rows::{self, Rows};
use crate::cluster::{Cluster, PREFIX};
use crate::lag::Readers;
use crate::workload::{Shared, Shown};

/// See the module.
pub(crate) struct Evidence {
    /// What clients asked of stock, were told, and read.
    pub(crate) stock: History<StockItem>,
    /// The same of orders.
    pub(crate) orders: History<Order>,
    pub(crate) inventory_log: Vec<Stored>,
    pub(crate) orders_log: Vec<Stored>,
    /// Stock as readers saw it.
    pub(crate) shown: Vec<Shown>,
    /// The read models.
    pub(crate) rows: Rows,
    /// How far their projections have come.
    pub(crate) readers: Readers,
}

impl Evidence {
    /// Reads it all. The clients must have ended, and nobody be behind.
    pub(crate) async fn gather(cluster: &Cluster, log: &dyn Log, shared: &Shared) -> anyhow::Result<Self> {
        let topic = |service| Topic::events(PREFIX, service);
        // Before the log, which then holds all that they show.
        let (rows, readers) = rows::read(&cluster.database.url).await?;
        Ok(Self {
            stock: shared.record.stock.take(),
            orders: shared.record.orders.take(),
            inventory_log: read_topic(log, &topic(stock_item::SERVICE)).await?,
            orders_log: read_topic(log, &topic(order::SERVICE)).await?,
            shown: shared.record.take_shown(),
            rows,
            readers,
        })
    }

    /// The attempts of every command that is named in `text`.
    pub(super) fn told_of(&self, text: &str) -> Vec<String> {
        let mut told = attempts_of(&self.stock, text);
        told.extend(attempts_of(&self.orders, text));
        told
    }

    /// To lie about.
    pub(super) fn copy(&self) -> Self {
        Self {
            stock: copy(&self.stock),
            orders: copy(&self.orders),
            inventory_log: self.inventory_log.clone(),
            orders_log: self.orders_log.clone(),
            shown: self.shown.clone(),
            rows: self.rows.clone(),
            readers: self.readers.clone(),
        }
    }
}

fn attempts_of<A: Aggregate>(history: &History<A>, text: &str) -> Vec<String>
where
    A::Command: fmt::Debug,
{
    let named = |attempt: &&Attempt<A>| text.contains(&attempt.question.command.to_string());
    let attempts = history.attempts.iter().filter(named);
    attempts.map(|attempt| format!("{attempt:?}")).collect()
}

fn copy<A: Aggregate>(history: &History<A>) -> History<A> {
    History {
        attempts: history.attempts.iter().map(copy_attempt).collect(),
        reads: history.reads.clone(),
        moves: history.moves.clone(),
    }
}

pub(super) fn copy_attempt<A: Aggregate>(attempt: &Attempt<A>) -> Attempt<A> {
    let Question {
        command,
        digest,
        aggregate,
        at,
        content,
        expected,
        node,
    } = &attempt.question;
    Attempt {
        question: Question {
            command: *command,
            digest: *digest,
            aggregate: aggregate.clone(),
            at: at.clone(),
            content: content.clone(),
            expected: *expected,
            node: node.clone(),
        },
        sent: attempt.sent,
        answered: attempt.answered,
        outcome: attempt.outcome.clone(),
    }
}
