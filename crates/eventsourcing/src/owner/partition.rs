//! The task of one partition: idle, acquire, serve, and again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::aggregate::Aggregate;
use crate::command::Unavailable;
use crate::ids::AggregateId;
use crate::routes::{self, Route};
use crate::rule::Term;
use crate::state_table::StateTable;
use crate::topic::TopicPartition;

use super::book::Book;
use super::cold::{Cold, turn_away};
use super::mailbox::{Message, Waiter};
use super::serve::Ended;
use super::upkeep::Upkeep;
use super::{OwnerError, Settings, Status};

/// What the supervisor wants of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Not ours.
    Idle,
    /// Fence and serve.
    Own,
    /// Finish what is in flight and end.
    Stop,
}

/// What the task tells the handles.
pub(super) struct Signals {
    pub(super) serves: watch::Sender<bool>,
    pub(super) status: Arc<watch::Sender<Status>>,
}

impl Signals {
    pub(super) fn serving(&self, now: bool) {
        if self.serves.send_replace(now) != now {
            self.status.send_modify(|status| {
                status.serving = if now {
                    status.serving + 1
                } else {
                    status.serving - 1
                };
            });
        }
    }
}

/// Everything the task of one partition has.
pub(super) struct Partition<A: Aggregate> {
    pub(super) at: TopicPartition,
    pub(super) settings: Settings,
    pub(super) states: Option<Arc<dyn StateTable<A>>>,
    pub(super) source: Bytes,
    pub(super) inbox: mpsc::Receiver<Message<A>>,
    pub(super) role: watch::Receiver<Role>,
    pub(super) signals: Signals,
    pub(super) book: Book<A>,
    pub(super) cold: Cold<A>,
    pub(super) upkeep: Upkeep,
    /// The term of the last fence that was ours.
    pub(super) term: Option<Term>,
    pub(super) waiters: HashMap<AggregateId, Vec<Waiter<A>>>,
    pub(super) waiting: usize,
}

impl<A: Aggregate> Partition<A> {
    pub(super) fn new(
        at: TopicPartition,
        settings: Settings,
        states: Option<Arc<dyn StateTable<A>>>,
        source: Bytes,
        inbox: mpsc::Receiver<Message<A>>,
        role: watch::Receiver<Role>,
        signals: Signals,
    ) -> Self {
        Self {
            upkeep: Upkeep::of(&at),
            at,
            settings,
            states,
            source,
            inbox,
            role,
            signals,
            book: Book::new(),
            cold: Cold::default(),
            term: None,
            waiters: HashMap::new(),
            waiting: 0,
        }
    }

    /// Runs until told to stop. An error is fatal for the whole process.
    pub(super) async fn run(mut self) -> Result<(), OwnerError> {
        loop {
            // The channel closes with the supervisor, and then there is nobody to serve.
            let Ok(role) = self
                .role
                .wait_for(|role| *role != Role::Idle)
                .await
                .map(|role| *role)
            else {
                return Ok(());
            };
            if role == Role::Stop {
                self.turn_away(Unavailable::Stopping);
                return Ok(());
            }
            if !self.acquire().await? {
                // A lost race: whether to try again is the assignment's to say; give it the time.
                tokio::time::sleep(self.settings.config.retry_pause).await;
                continue;
            }
            self.signals.serving(true);
            self.announce();
            let ended = self.serve().await;
            self.signals.serving(false);
            match ended? {
                Ended::Released => self.turn_away(Unavailable::NoOwner),
                Ended::Reopen => {
                    self.book = Book::new();
                    self.turn_away(Unavailable::NoOwner);
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                }
                Ended::Deposed => {
                    tracing::warn!(partition = %self.at, "another owner took the partition");
                    self.turn_away(Unavailable::Deposed);
                    // Whether to fight for it is the assignment's to say; do not race its answer.
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                }
            }
        }
    }

    /// Tells the others, beside the work: a hint that comes late does no harm.
    fn announce(&self) {
        let (Some(routes), Some(term)) = (self.settings.routes.clone(), self.term) else {
            return;
        };
        let route = Route {
            epoch: term.epoch,
            node: self.settings.node.clone(),
            url: self.settings.url.clone(),
        };
        let (log, at) = (Arc::clone(&self.settings.log), self.at.clone());
        tokio::spawn(async move { routes::announce(&*log, &routes, &at, &route).await });
    }

    /// Answers whoever waits in the mailbox; none of it was attempted.
    fn turn_away(&mut self, reason: Unavailable) {
        self.cold.turn_away(reason);
        while let Ok(message) = self.inbox.try_recv() {
            turn_away(message, reason);
        }
        self.waiters.clear();
        self.waiting = 0;
    }

    /// Whether the supervisor still wants this partition served.
    pub(super) fn wanted(&self) -> bool {
        *self.role.borrow() == Role::Own
    }
}
