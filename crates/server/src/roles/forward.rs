//! Any node takes any command: what it does not own it hands on to the owner, in one hop. While a partition
//! goes from one owner to the next its commands wait, within their time, and go where it went.

mod search;
mod suspects;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use commands::internal::{Forwarded, Reach};
use commands::ports::Settlement;
use domain::order::Order;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::command::{Accepted, Context, Failure, Unavailable};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::AggregateId;
use eventsourcing::owner::Service;
use eventsourcing::position::Position;
use eventsourcing::routes::{Route, Routes};
use eventsourcing::topic::TopicPartition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::remote::{Broken, Remote, failure};
use search::{Place, Search};
use suspects::Suspects;

/// How often one command is sent again after it may have arrived. Tries that were refused are bounded by time, and
/// paced by [`Suspects`].
const DOUBTS_MAX: u32 = 8;
/// How long an owner that was replaced may still answer what it had begun.
const REPLACED_GRACE: Duration = Duration::from_millis(100);

/// Limits of handing on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most that a caller waits.
    pub command_timeout: Duration,
    /// How long a command waits for its partition to have an owner again.
    pub route_wait: Duration,
    /// Commands that wait so, per partition.
    pub route_waiters_max: usize,
}

/// The other nodes: what the forwarding of all services shares.
#[derive(Clone)]
pub struct Peers {
    /// To the owners among them.
    pub routes: Routes,
    /// Where this node takes forwarded commands.
    pub own_url: String,
    /// For all hops.
    pub http: reqwest::Client,
    /// Whether nodes share the partitions out; else one owns them all and the others stand by.
    pub divided: bool,
    /// Commands on their way at once.
    pub commands: Arc<Semaphore>,
    /// Waits for orders at once.
    pub waits: Arc<Semaphore>,
    /// For each command.
    pub limits: Limits,
}

/// The owners of one service, wherever they are.
pub struct Forwarding<A: Aggregate> {
    local: Service<A>,
    peers: Peers,
    suspects: Suspects,
    /// Places to wait, by partition.
    waiting: Vec<Semaphore>,
}

impl<A: Aggregate> Forwarding<A> {
    /// To the owners of this node, and through `peers` to the others.
    pub fn new(local: Service<A>, peers: Peers) -> Self {
        let partitions = local.status().borrow().total;
        let places = || Semaphore::new(peers.limits.route_waiters_max);
        Self {
            waiting: (0..partitions).map(|_| places()).collect(),
            suspects: Suspects::of(partitions),
            local,
            peers,
        }
    }

    /// The owners of this node.
    pub const fn local(&self) -> &Service<A> {
        &self.local
    }

    /// How many partitions this node serves.
    pub fn serving(&self) -> u32 {
        self.local.status().borrow().serving
    }

    /// Whether every partition is served, here or where a route leads to.
    pub fn reaches_all(&self) -> bool {
        let total = self.local.status().borrow().total;
        (0..total).all(|number| match self.place(&self.local.topic().partition(number)) {
            Some(Place::Here) => true,
            Some(Place::There(_)) => self.peers.divided,
            None => false,
        })
    }

    fn place(&self, at: &TopicPartition) -> Option<Place> {
        if self.local.serves(at) {
            return Some(Place::Here);
        }
        let route = self.peers.routes.to(at)?;
        (route.url != self.peers.own_url).then_some(Place::There(route))
    }

    fn remote(&self, route: &Route) -> Remote<A> {
        let service = self.local.topic().bare_service();
        Remote::new(self.peers.http.clone(), &route.url, service, Reach::Here)
    }

    /// Ends a moment after somebody else has come to own the partition: whoever still waits for the owner at
    /// `route` had better ask the new one.
    async fn replaced(&self, at: &TopicPartition, route: &Route) {
        let mut news = search::News::of(self, at);
        while !match self.place(at) {
            Some(Place::Here) => true,
            Some(Place::There(now)) => now.epoch > route.epoch && now.url != route.url,
            None => false,
        } {
            news.next().await;
        }
        tokio::time::sleep(REPLACED_GRACE).await;
    }
}

impl<A: Aggregate> Forwarding<A>
where
    A::Command: Serialize + Clone,
    A::Refusal: DeserializeOwned,
{
    /// One try. The other node asks only its own owners, so there are no loops; the id goes along, so a command
    /// that arrives twice is done once.
    async fn hop(
        &self,
        at: &TopicPartition,
        route: &Route,
        forwarded: &Forwarded<A::Command>,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let Ok(_permit) = self.peers.commands.try_acquire() else {
            return Err(failure(Broken::NotSent(Unavailable::Overloaded)));
        };
        let remote = self.remote(route);
        tokio::select! {
            biased;
            answered = remote.answer(forwarded, limit) => {
                answered.unwrap_or_else(|broken| Err(failure(broken)))
            }
            () = self.replaced(at, route) => Err(Failure::Unknown),
        }
    }

    /// To whoever owns the aggregate, again and again while there is time and use in it.
    async fn send(
        &self,
        mut forwarded: Forwarded<A::Command>,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let at = self.local.partition(&forwarded.aggregate);
        let limits = &self.peers.limits;
        let deadline = Instant::now() + limit.min(limits.command_timeout);
        let mut search = Search::new(self, &at, deadline.min(Instant::now() + limits.route_wait));
        // Where it may have been done, though we were not told.
        let mut doubt: Option<Place> = None;
        let mut last = failure(Broken::NotSent(Unavailable::NoOwner));
        let mut doubts = 0;
        while doubts < DOUBTS_MAX
            && let Some(place) = search.next().await
        {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.ask(&at, &place, &forwarded, left).await {
                Ok(accepted) => {
                    search.answered();
                    return Ok(accepted);
                }
                Err(refused @ Failure::NotAttempted { reason, .. }) => {
                    last = refused;
                    match reason {
                        Unavailable::Overloaded | Unavailable::NoState => break,
                        Unavailable::NoOwner | Unavailable::Deposed | Unavailable::Stopping => {}
                    }
                }
                // Under its id it can be asked for again: whoever owns the aggregate remembers.
                Err(Failure::Unknown) => {
                    doubts += 1;
                    doubt = Some(place.clone());
                    forwarded.again = true;
                    search.until(deadline);
                }
                Err(refused) => {
                    search.answered();
                    // Where a first copy may still come in after this one, "no" need not be the last word.
                    let settled = doubt.is_none_or(|doubt| !doubt.is_same_node(&place));
                    return Err(if settled { refused } else { Failure::Unknown });
                }
            }
            search.failed(place);
        }
        Err(if doubt.is_some() { Failure::Unknown } else { last })
    }

    async fn ask(
        &self,
        at: &TopicPartition,
        place: &Place,
        forwarded: &Forwarded<A::Command>,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        match place {
            Place::Here => {
                let Forwarded {
                    aggregate,
                    command,
                    context,
                    again,
                } = forwarded.clone();
                let local = &self.local;
                if again {
                    local.repeat_within(aggregate, command, context, limit).await
                } else {
                    local.execute_within(aggregate, command, context, limit).await
                }
            }
            Place::There(route) => self.hop(at, route, forwarded, limit).await,
        }
    }
}

#[async_trait]
impl<A: Aggregate> Dispatch<A> for Forwarding<A>
where
    A::Command: Serialize + Clone,
    A::Refusal: DeserializeOwned,
{
    async fn execute(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        self.execute_within(aggregate, command, context, Duration::MAX)
            .await
    }

    async fn execute_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let forwarded = Forwarded {
            aggregate,
            command,
            context,
            again: false,
        };
        self.send(forwarded, limit).await
    }

    async fn repeat_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let forwarded = Forwarded {
            aggregate,
            command,
            context,
            again: true,
        };
        self.send(forwarded, limit).await
    }
}

#[async_trait]
impl Settlement for Forwarding<Order> {
    /// Waits where the order is owned, and goes where its partition goes.
    async fn settled(&self, order: &AggregateId, timeout: Duration) -> Option<Position> {
        let at = self.local.partition(order);
        let deadline = Instant::now() + timeout;
        let mut search = Search::new(self, &at, deadline);
        loop {
            let place = search.next().await?;
            let left = deadline.saturating_duration_since(Instant::now());
            let settled = match &place {
                Place::Here => self.local.settled(order, left).await,
                Place::There(route) => {
                    let _permit = self.peers.waits.try_acquire().ok()?;
                    let remote = self.remote(route);
                    tokio::select! {
                        biased;
                        settled = remote.settled(order, left) => settled.ok().flatten(),
                        () = self.replaced(&at, route) => None,
                    }
                }
            };
            if settled.is_some() {
                search.answered();
                return settled;
            }
            // It may only not be owned there any more.
            search.failed(place);
        }
    }
}
