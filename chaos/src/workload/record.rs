//! Everything that clients asked and were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use checker::{Pending, Question, Read, Recorder};
use domain::order::Order;
use domain::stock_item::StockItem;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::command::{Expected, Unavailable};
use eventsourcing::ids::{AggregateId, Sequence};
use std::sync::Arc;

use super::command::{Command, Content};
use super::told::{Doubt, Told};

/// See the module.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) stock: Recorder<StockItem>,
    pub(crate) orders: Recorder<Order>,
    pub(crate) counts: Counts,
    /// Units as the query API showed them at a sequence.
    shown: Mutex<Vec<Shown>>,
    /// Why commands were not attempted, and why nobody knew.
    reasons: Mutex<Reasons>,
    /// What must not be, noticed by a client itself.
    wrong: Mutex<Vec<String>>,
}

/// Stock as it was shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) aggregate: AggregateId,
    pub(crate) sequence: Sequence,
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons {
    pub(crate) not_attempted: BTreeMap<&'static str, u64>,
    pub(crate) unknown: BTreeMap<Doubt, u64>,
    pub(crate) refused: BTreeMap<String, u64>,
}

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// How often.
        #[derive(Debug, Default)]
        pub(crate) struct Counts { $($(#[$doc])* pub(crate) $name: AtomicU64,)+ }

        /// The same at one moment.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct Snapshot { $($(#[$doc])* pub(crate) $name: u64,)+ }

        impl Counts {
            pub(crate) fn now(&self) -> Snapshot {
                Snapshot { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl Snapshot {
            /// What happened since `earlier`.
            pub(crate) const fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name - earlier.$name,)+ }
            }
        }
    };
}

counts!(
    /// Attempts accepted, repeats among them.
    accepted,
    /// Accepted attempts that were repeats.
    replayed,
    /// Attempts refused by the rules.
    refused,
    /// Attempts of which nothing was written, for sure.
    not_attempted,
    /// Attempts without an outcome.
    unknown,
    /// Commands once unknown whose repeat found them written.
    resolved_written,
    /// Commands once unknown that were written by a repeat.
    resolved_anew,
    /// Commands once unknown whose repeat was refused.
    resolved_refused,
    /// Commands that stayed unknown.
    unresolved,
    /// Commands that were sent to two nodes at once.
    crossing,
    /// Reads that were answered.
    reads,
    /// Reads that were refused because the position was not reached in time.
    reads_late,
    /// Reads without an answer.
    reads_failed,
);

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// An attempt without an answer yet. Dropped without one, its outcome is unknown.
pub(crate) enum Asked {
    Stock(Pending<StockItem>),
    Order(Pending<Order>),
}

impl Record {
    /// `command` is being sent to `node`.
    pub(crate) fn ask(&self, command: &Command, node: &str) -> Asked {
        match &command.content {
            Content::Stock(content) => Asked::Stock(self.stock.ask(question(command, content, node), None)),
            Content::Order(content) => Asked::Order(self.orders.ask(question(command, content, node), None)),
        }
    }

    /// What came back.
    pub(crate) fn answered(&self, asked: Asked, told: &Told) {
        match asked {
            Asked::Stock(pending) => pending.answered(told.outcome(), None),
            Asked::Order(pending) => pending.answered(told.outcome(), None),
        }
        let counts = &self.counts;
        match told {
            Told::Accepted(accepted) => {
                count(&counts.accepted);
                if accepted.replayed {
                    count(&counts.replayed);
                }
            }
            Told::Refused(code) => {
                count(&counts.refused);
                *self.reasons().refused.entry(code.clone()).or_default() += 1;
            }
            Told::NotAttempted(why) => {
                count(&counts.not_attempted);
                *self.reasons().not_attempted.entry(reason(*why)).or_default() += 1;
            }
            Told::Unknown(doubt) => {
                count(&counts.unknown);
                *self.reasons().unknown.entry(*doubt).or_default() += 1;
            }
        }
    }

    pub(crate) fn read(&self, command: &Command, read: Read, shown: Option<Shown>) {
        match command.content {
            Content::Stock(_) => self.stock.read(read),
            Content::Order(_) => self.orders.read(read),
        }
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(shown);
        count(&self.counts.reads);
    }

    /// Something must not be.
    pub(crate) fn wrong(&self, what: String) {
        eprintln!("WRONG: {what}");
        self.wrong
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(what);
    }

    pub(crate) fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.wrong.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take_shown(&self) -> Vec<Shown> {
        std::mem::take(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn reasons(&self) -> MutexGuard<'_, Reasons> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn question<A: Aggregate>(command: &Command, content: &Arc<A::Command>, node: &str) -> Question<A> {
    Question {
        command: command.id,
        digest: Some(command.digest),
        aggregate: command.aggregate.clone(),
        at: command.at.clone(),
        content: Some(Arc::clone(content)),
        expected: Expected::Any,
        node: node.into(),
    }
}

const fn reason(why: Option<Unavailable>) -> &'static str {
    match why {
        Some(Unavailable::Overloaded) => "overloaded",
        Some(Unavailable::NoOwner) => "no_owner",
        Some(Unavailable::NoState) => "state_unavailable",
        Some(Unavailable::Deposed) => "deposed",
        Some(Unavailable::Stopping) => "stopping",
        None => "no connection, or another reason",
    }
}
