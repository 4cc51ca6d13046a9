//! Making faults happen, and undoing them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use eventsourcing::routes::Routes;
use eventsourcing::topic::{Topic, TopicPartition};
use testkit::proxy::{Passage, Passages};
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, Kind};
use super::schedule::Step;
use crate::cluster::{Cluster, Death, PARTITIONS, PREFIX, READY_MAX};
use crate::recovery::Cause;
use crate::workload::Shared;

/// How often it is looked whether a node has ended by itself.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is said why a node is not ready.
const TELL: Duration = Duration::from_secs(5);

/// How often each fault has struck.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
    pub(crate) terminations: u64,
    pub(crate) broker_restarts: u64,
    pub(crate) database_restarts: u64,
    pub(crate) cuts: u64,
    pub(crate) black_holes: u64,
    pub(crate) delays: u64,
    /// Starts that failed while a part was away; they were tried again.
    pub(crate) failed_starts: u64,
    /// Longest time from a start to readiness.
    pub(crate) slowest_start: Duration,
}

/// The cluster, and what was done to it.
pub(crate) struct Nemesis<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) shared: &'a Shared,
    /// Who serves what, as the nodes say themselves.
    pub(crate) routes: Routes,
    pub(crate) stop: CancellationToken,
    pub(crate) done: Done,
    started: Instant,
    ended: Instant,
}

impl<'a> Nemesis<'a> {
    pub(crate) fn new(
        cluster: &'a mut Cluster,
        shared: &'a Shared,
        routes: Routes,
        stop: CancellationToken,
    ) -> Self {
        Self {
            cluster,
            shared,
            routes,
            stop,
            done: Done::default(),
            started: Instant::now(),
            ended: Instant::now(),
        }
    }

    /// Says what happens, with the time and what the clients saw so far.
    pub(crate) fn say(&self, what: &str) {
        let counts = self.shared.record.counts.now();
        println!(
            "{:7.1} s  {what}  [{} accepted, {} refused, {} not attempted, {} unknown]",
            self.started.elapsed().as_secs_f64(),
            counts.accepted,
            counts.refused,
            counts.not_attempted,
            counts.unknown,
        );
    }

    /// Waits; starts again what ends meanwhile. Whether it is to go on.
    pub(crate) async fn wait(&mut self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        loop {
            self.mend();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stop.is_cancelled() {
                return !self.stop.is_cancelled();
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }

    /// A node may end while a part it cannot start without is away; one that was ready must not.
    fn mend(&mut self) {
        for death in self.cluster.mend() {
            let Death {
                node,
                status,
                tail,
                was_ready,
            } = death;
            if was_ready {
                let what = format!("{node} ended by itself with {status}:\n{tail}");
                self.shared.record.wrong(what);
            } else {
                self.done.failed_starts += 1;
            }
        }
    }

    /// One step: quiet, then one fault or two, then everything as it was. Whether it is to go on.
    pub(crate) async fn step(&mut self, step: Step) -> anyhow::Result<bool> {
        let Step { calm, fault, another } = step;
        if !self.wait(calm).await {
            return Ok(false);
        }
        self.begin(fault).await?;
        let mut left = fault.lasts;
        if let Some((after, another)) = another
            && can_meet(fault.kind, another.kind)
        {
            self.wait(after).await;
            self.begin(another).await?;
            self.wait(another.lasts.min(left.saturating_sub(after))).await;
            self.end(another).await?;
            left = Duration::ZERO;
        }
        self.wait(left).await;
        self.end(fault).await?;
        self.all_ready().await?;
        Ok(!self.stop.is_cancelled())
    }

    pub(crate) async fn begin(&mut self, fault: Fault) -> anyhow::Result<()> {
        self.say(&fault.to_string());
        match fault.kind {
            Kind::Kill(node) => {
                self.done.kills += 1;
                self.orphan(node, Cause::Killed);
                self.cluster.nodes[node].kill();
            }
            Kind::Freeze(node) => {
                self.done.pauses += 1;
                self.orphan(node, Cause::Asleep);
                self.cluster.nodes[node].freeze();
            }
            Kind::Terminate(node) => {
                self.done.terminations += 1;
                self.orphan(node, Cause::Stopped);
                let ended = self.cluster.nodes[node].terminate().await;
                if let Err(error) = ended {
                    self.shared.record.wrong(format!("{error:#}"));
                }
            }
            Kind::Broker => {
                self.done.broker_restarts += 1;
                self.cluster.broker.kill()?;
            }
            Kind::Database => {
                self.done.database_restarts += 1;
                self.cluster.database.stop().await?;
            }
            Kind::Cut(node, link) => {
                self.done.cuts += 1;
                self.cluster.nodes[node].link(link).cut();
            }
            Kind::Block(node, link, passages) => {
                self.done.black_holes += 1;
                self.cluster.nodes[node].link(link).set(passages);
            }
            Kind::Delay(node, link, by) => {
                self.done.delays += 1;
                let late = Passages::both(Passage::Delayed(by));
                self.cluster.nodes[node].link(link).set(late);
            }
        }
        Ok(())
    }

    /// When the last fault ended.
    pub(crate) const fn last_end(&self) -> Instant {
        self.ended
    }

    pub(crate) async fn end(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault.kind {
            Kind::Kill(node) | Kind::Terminate(node) => self.cluster.nodes[node].start()?,
            Kind::Freeze(node) => self.cluster.nodes[node].thaw(),
            Kind::Broker => self.cluster.broker.restart().await?,
            Kind::Database => self.cluster.database.restart().await?,
            Kind::Cut(node, link) => self.cluster.nodes[node].link(link).cut(),
            Kind::Block(node, link, _) | Kind::Delay(node, link, _) => {
                self.cluster.nodes[node].link(link).set(Passages::default());
            }
        }
        self.ended = Instant::now();
        Ok(())
    }

    /// Waits until every node is ready: nothing is wrong any more, so each must become so.
    pub(crate) async fn all_ready(&mut self) -> anyhow::Result<()> {
        let since = Instant::now();
        for node in 0..self.cluster.nodes.len() {
            let mut told = Instant::now();
            while let Err(why) = self.cluster.nodes[node].ready().await {
                let name = &self.cluster.nodes[node].name;
                ensure!(
                    since.elapsed() < READY_MAX,
                    "{name} is not ready {READY_MAX:?} after the last fault: {why}"
                );
                if told.elapsed() > TELL {
                    told = Instant::now();
                    self.say(&format!("{name} is not ready yet: {why}"));
                }
                self.mend();
                tokio::time::sleep(LOOK).await;
            }
        }
        self.done.slowest_start = self.done.slowest_start.max(since.elapsed());
        Ok(())
    }

    fn orphan(&self, node: usize, cause: Cause) {
        self.shared.recovery.orphaned(self.owned_by(node), cause);
    }

    /// The partitions under load that the node serves, as far as is known.
    pub(crate) fn owned_by(&self, node: usize) -> Vec<TopicPartition> {
        let url = &self.cluster.nodes[node].url;
        let services = [domain::stock_item::SERVICE, domain::order::SERVICE];
        let partitions = services.iter().flat_map(|service| {
            let topic = Topic::events(PREFIX, service);
            (0..PARTITIONS).map(move |number| topic.partition(number))
        });
        let served = |at: &TopicPartition| self.routes.to(at).is_some_and(|route| route.url == *url);
        partitions.filter(served).collect()
    }
}

/// Not twice the same part: what ends the one must not end the other.
fn can_meet(one: Kind, other: Kind) -> bool {
    let part = |kind| match kind {
        Kind::Kill(node) | Kind::Freeze(node) | Kind::Terminate(node) => (0, node),
        Kind::Broker => (1, 0),
        Kind::Database => (2, 0),
        Kind::Cut(node, link) | Kind::Block(node, link, _) | Kind::Delay(node, link, _) => {
            (3 + link as usize, node)
        }
    };
    part(one) != part(other)
}
