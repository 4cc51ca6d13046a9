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
    /// Another is about to fence: go on serving until it does, or until told to be idle.
    Yield,
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
    /// The last fence there can be was read: there is nothing to serve any more, for anybody.
    sealed: bool,
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
            sealed: false,
        }
    }

    /// Runs until told to stop. An error is fatal for the whole process.
    pub(super) async fn run(mut self) -> Result<(), OwnerError> {
        loop {
            // The channel closes with the supervisor, and then there is nobody to serve.
            let Some(role) = self.idle().await else {
                return Ok(());
            };
            if role == Role::Stop {
                // Whoever comes later finds it closed.
                self.inbox.close();
                self.turn_away(Unavailable::Stopping);
                return Ok(());
            }
            if !self.acquire().await? {
                self.notice_seal();
                // A lost race: whether to try again is the assignment's to say; give it the time.
                tokio::time::sleep(self.settings.config.retry_pause).await;
                continue;
            }
            self.signals.serving(true);
            self.announce();
            let ended = self.serve().await;
            self.signals.serving(false);
            match ended? {
                Ended::Released => {
                    tracing::info!(partition = %self.at, "let go");
                    self.turn_away(match self.role() {
                        Role::Stop => Unavailable::Stopping,
                        Role::Own | Role::Yield | Role::Idle => Unavailable::NoOwner,
                    });
                }
                Ended::Reopen => {
                    self.book = Book::new();
                    self.turn_away(Unavailable::NoOwner);
                    tokio::time::sleep(self.settings.config.retry_pause).await;
                }
                Ended::Deposed if self.role() == Role::Yield => {
                    tracing::info!(partition = %self.at, "handed over");
                    self.turn_away(Unavailable::Deposed);
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

    /// A sealed partition has moved, and readers here may still have to catch up with it: no reason to end.
    fn notice_seal(&mut self) {
        if !self.sealed && self.book.rule.is_sealed() {
            self.sealed = true;
            tracing::warn!(
                partition = %self.at,
                "sealed for good: its topic goes on with another number of partitions. When the repartitioning has ended, \
                 start this node with the new generation"
            );
        }
    }

    /// Waits until there is something to do. Whoever came when the partition was just let go is sent away.
    async fn idle(&mut self) -> Option<Role> {
        loop {
            let role = *self.role.borrow_and_update();
            match role {
                Role::Stop => return Some(role),
                Role::Own if !self.sealed => return Some(role),
                Role::Own | Role::Idle | Role::Yield => {}
            }
            tokio::select! {
                changed = self.role.changed() => changed.ok()?,
                Some(message) = self.inbox.recv() => turn_away(message, Unavailable::NoOwner),
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
        // Their dropped replies send them to the next owner.
        self.waiters.clear();
        self.waiting = 0;
    }

    fn role(&self) -> Role {
        *self.role.borrow()
    }

    /// Whether the supervisor still wants this partition served.
    pub(super) fn wanted(&self) -> bool {
        match self.role() {
            Role::Own | Role::Yield => true,
            Role::Idle | Role::Stop => false,
        }
    }
}
