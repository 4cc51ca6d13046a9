//! A whole node: owner, projectors and process, whatever runs in one process, behind gates.

use std::sync::Arc;
use std::time::Duration;

use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::fan_out::FanOut;
use eventsourcing::log::Log;
use eventsourcing::owner::{self, Service, Settings};
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::state_table::StateTable;
use eventsourcing::topic::TopicPartition;
use eventsourcing::{process, projection};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::bank::account::Account;
use crate::bank::transfers::{Carrier, Transfers};
use crate::clock::JumpingClock;
use crate::gated::{GatedAssignment, GatedCheckpoints, GatedLog, GatedReadModel, GatedStates};
use crate::life::Life;
use crate::routed::Routed;
use crate::world::World;

/// The parts of a node that share out the partitions, each in a group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Owners,
    Projectors,
    Processes,
}

impl Group {
    pub(crate) const ALL: [Self; 3] = [Self::Owners, Self::Projectors, Self::Processes];
}

/// One incarnation of a node.
pub(crate) struct Node {
    pub(crate) life: Arc<Life>,
    pub(crate) clock: Arc<JumpingClock>,
    pub(crate) service: Service<Account>,
    /// Who is told what the group decided; projectors of several read models are told the same.
    tell: Vec<(Group, mpsc::UnboundedSender<AssignmentChange>)>,
    shutdown: CancellationToken,
    tasks: Vec<AbortHandle>,
}

/// What the parts of a node under construction have in common.
struct Building<'a> {
    world: &'a Arc<World>,
    number: usize,
    life: Arc<Life>,
    log: Arc<dyn Log>,
    /// For its projectors and its process.
    followed: Arc<dyn Log>,
    shutdown: CancellationToken,
    tell: Vec<(Group, mpsc::UnboundedSender<AssignmentChange>)>,
    tasks: Vec<AbortHandle>,
}

impl Node {
    pub(crate) fn start(world: &Arc<World>, number: usize) -> Self {
        let life = Arc::new(world.life(number));
        let clock = Arc::new(JumpingClock::new(world.draw()));
        let log = Arc::new(GatedLog {
            log: world.log.clone(),
            life: Arc::clone(&life),
        });
        let mut building = Building {
            world,
            number,
            life,
            followed: Arc::new(FanOut::new(log.clone())),
            log,
            shutdown: CancellationToken::new(),
            tell: Vec::new(),
            tasks: Vec::new(),
        };
        let service = building.owner(Arc::clone(&clock));
        building.projectors();
        building.process();
        let Building {
            life,
            shutdown,
            tell,
            tasks,
            ..
        } = building;
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
    pub(crate) fn tell(&self, group: Group, change: &AssignmentChange) {
        for (_, tell) in self.tell.iter().filter(|(told, _)| *told == group) {
            // A node that is stopping listens no more.
            let _ = tell.send(change.clone());
        }
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
    pub(crate) async fn stop(self, patience: Duration) -> bool {
        self.shutdown.cancel();
        let ended = async {
            while !self.tasks.iter().all(AbortHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(patience, ended).await.is_ok();
        self.kill();
        in_time
    }
}

impl Building<'_> {
    fn owner(&mut self, clock: Arc<JumpingClock>) -> Service<Account> {
        let settings = Settings {
            log: Arc::clone(&self.log),
            environment: clock,
            topic: self.world.topic.clone(),
            partitions: self.world.profile.partitions,
            node: format!("node-{}", self.number),
            url: String::new(),
            routes: None,
            source: "/simulation".to_owned(),
            config: self.world.profile.owner.clone(),
        };
        let assignment = self.assignment(Group::Owners);
        let states = self.world.states.clone().map(|table| {
            let life = Arc::clone(&self.life);
            Arc::new(GatedStates { table, life }) as Arc<dyn StateTable<Account>>
        });
        let (service, running) = owner::spawn(settings, states.as_ref(), assignment, self.shutdown.clone());
        self.watch("owner", running);
        service
    }

    fn projectors(&mut self) {
        for rows in [&self.world.balances, &self.world.flow] {
            let settings = projection::runner::Settings {
                log: Arc::clone(&self.followed),
                topic: self.world.topic.clone(),
                read_model: Arc::new(GatedReadModel {
                    rows: rows.clone(),
                    life: Arc::clone(&self.life),
                }),
                config: projection::runner::Config {
                    batch_records_max: 5,
                    retry_pause: self.world.profile.owner.retry_pause,
                    linger: Duration::ZERO,
                    ..projection::runner::Config::default()
                },
            };
            let share = self.share(Group::Projectors);
            let (_, running) = projection::runner::spawn(settings, share, self.shutdown.clone());
            self.watch("projector", running);
        }
    }

    fn process(&mut self) {
        let settings = process::runner::Settings {
            log: Arc::clone(&self.followed),
            topic: self.world.topic.clone(),
            checkpoints: Arc::new(GatedCheckpoints {
                checkpoints: self.world.checkpoints.clone(),
                life: Arc::clone(&self.life),
            }),
            config: process::runner::Config {
                in_flight_max: 4,
                batch_records_max: 5,
                retry_pause: self.world.profile.owner.retry_pause,
            },
        };
        let (world, drawing) = (Arc::clone(self.world), Arc::clone(self.world));
        let carrier = Carrier {
            accounts: Arc::new(Routed {
                world,
                life: Arc::clone(&self.life),
            }),
            fresh: Arc::new(move || uuid::Uuid::from_u64_pair(drawing.draw(), drawing.draw())),
            bug: self.world.process_bug,
        };
        let share = self.share(Group::Processes);
        let (_, running) =
            process::runner::spawn::<Transfers>(settings, Arc::new(carrier), share, self.shutdown.clone());
        self.watch("process", running);
    }

    fn assignment(&mut self, group: Group) -> Box<dyn Assignment> {
        let (tell, told) = mpsc::unbounded_channel();
        self.tell.push((group, tell));
        Box::new(GatedAssignment::new(told, Arc::clone(&self.life)))
    }

    fn share(&mut self, group: Group) -> Share {
        let assignment = self.assignment(group);
        Share::follow(self.world.topic.clone(), assignment, Presumption::Nothing)
    }

    /// A part of a node that ends with an error has seen what must not be.
    fn watch<E>(&mut self, part: &'static str, running: JoinHandle<Result<(), E>>)
    where
        E: std::error::Error + Send + 'static,
    {
        self.tasks.push(running.abort_handle());
        let (world, number) = (Arc::clone(self.world), self.number);
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
}
