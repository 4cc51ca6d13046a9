//! The owners of all partitions of a topic, in this process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use eventsourcing::aggregate::Aggregate;
use eventsourcing::assignment::Everything;
use eventsourcing::clock::System;
use eventsourcing::log::Log;
use eventsourcing::owner::{self, OwnerError, Service, Settings};
use eventsourcing::state_table::StateTable;
use eventsourcing::topic::Topic;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Partitions must be served within this time.
const SERVING_MAX: Duration = Duration::from_mins(5);

/// They own the partitions until this is dropped.
pub(crate) struct Owners<A: Aggregate> {
    service: Service<A>,
    stop: DropGuard,
    ended: JoinHandle<Result<(), OwnerError>>,
}

impl<A: Aggregate> Owners<A> {
    /// Returns when all partitions are served.
    pub(crate) async fn serve(
        log: Arc<dyn Log>,
        topic: Topic,
        partitions: u32,
        states: Option<&Arc<dyn StateTable<A>>>,
    ) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let all = (0..partitions).map(|number| topic.partition(number)).collect();
        let settings = Settings {
            log,
            environment: Arc::new(System),
            topic,
            partitions,
            node: "bench".to_owned(),
            url: String::new(),
            routes: None,
            source: "daybook/bench".to_owned(),
            config: owner::Config::default(),
        };
        let assignment = Box::new(Everything::of(all));
        let (service, ended) = owner::spawn(settings, states, assignment, stop.clone());
        let owners = Self {
            service,
            stop: stop.drop_guard(),
            ended,
        };
        let mut status = owners.service.status();
        let serving = status.wait_for(|status| status.serving == status.total);
        let serving = tokio::time::timeout(SERVING_MAX, serving);
        serving.await.context("the partitions are not served in time")??;
        Ok(owners)
    }

    /// The handle to them.
    pub(crate) const fn service(&self) -> &Service<A> {
        &self.service
    }

    /// Stops them; says when one had failed.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        drop(self.stop);
        Ok(self.ended.await??)
    }
}
