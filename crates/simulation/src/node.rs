//! A whole node: whatever runs in one process, behind gates.

use std::sync::Arc;

use eventsourcing::assignment::AssignmentChange;
use eventsourcing::owner::{self, Service, Settings};
use eventsourcing::topic::TopicPartition;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::bank::account::Account;
use crate::clock::JumpingClock;
use crate::gated::{GatedAssignment, GatedLog};
use crate::life::Life;
use crate::world::World;

/// One incarnation of a node.
pub(crate) struct Node {
    pub(crate) life: Arc<Life>,
    pub(crate) clock: Arc<JumpingClock>,
    pub(crate) service: Service<Account>,
    tell: mpsc::UnboundedSender<AssignmentChange>,
    shutdown: CancellationToken,
    tasks: Vec<AbortHandle>,
}

impl Node {
    pub(crate) fn start(world: &Arc<World>, number: usize) -> Self {
        let life = Arc::new(world.life(number));
        let clock = Arc::new(JumpingClock::new(world.draw()));
        let shutdown = CancellationToken::new();
        let (tell, told) = mpsc::unbounded_channel();
        let settings = Settings {
            log: Arc::new(GatedLog {
                log: world.log.clone(),
                life: Arc::clone(&life),
            }),
            environment: clock.clone(),
            topic: world.topic.clone(),
            partitions: world.profile.partitions,
            node: format!("node-{number}"),
            url: String::new(),
            routes: None,
            source: "/simulation".to_owned(),
            config: world.profile.owner.clone(),
        };
        let assignment = Box::new(GatedAssignment::new(told, Arc::clone(&life)));
        let (service, running) = owner::spawn(settings, None, assignment, shutdown.clone());
        let tasks = vec![running.abort_handle()];
        watch(world, number, "owner", running);
        Self {
            life,
            clock,
            service,
            tell,
            shutdown,
            tasks,
        }
    }

    /// Tells it what the group decided.
    pub(crate) fn tell(&self, change: AssignmentChange) {
        // A node that is stopping listens no more.
        let _ = self.tell.send(change);
    }

    pub(crate) fn serves(&self, at: &TopicPartition) -> bool {
        self.service.serves(at)
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        self.life.end();
        self.tasks.iter().for_each(AbortHandle::abort);
    }

    /// SIGTERM; true when it ended in time by itself.
    pub(crate) async fn stop(self, patience: std::time::Duration) -> bool {
        self.shutdown.cancel();
        let ended = async {
            while !self.tasks.iter().all(AbortHandle::is_finished) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(patience, ended).await.is_ok();
        self.kill();
        in_time
    }
}

/// A part of a node that ends with an error has seen what must not be.
fn watch<E: std::error::Error + Send + 'static>(
    world: &Arc<World>,
    number: usize,
    part: &'static str,
    running: JoinHandle<Result<(), E>>,
) {
    let world = Arc::clone(world);
    tokio::spawn(async move {
        match running.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => world.ended(number, part, &error.to_string()),
            Err(death) if death.is_panic() => world.ended(number, part, "a panic"),
            // Killed.
            Err(_) => {}
        }
    });
}
