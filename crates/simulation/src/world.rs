//! The world: the log, the nodes, and what is noted of both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use checker::Recorder;
use eventsourcing::ids::Offset;
use eventsourcing::process::Process;
use eventsourcing::simulated::SimulatedStates;
use eventsourcing::simulated::{SimulatedCheckpoints, SimulatedLog, SimulatedReadModel};
use eventsourcing::topic::{Topic, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::bank::account::Account;
use crate::bank::transfers::Transfers;
use crate::bank::views::{Balances, Flow};
use crate::bug::{Bug, ProcessBug};
use crate::life::Life;
use crate::node::{Group, Node};
use crate::profile::Profile;
use crate::snapshot::Snapshot;
use crate::statistics::Statistics;

/// Nodes of the group.
pub(crate) const NODES: usize = 3;

/// See the module.
pub(crate) struct World {
    pub(crate) profile: Profile,
    pub(crate) log: SimulatedLog,
    pub(crate) topic: Topic,
    pub(crate) recorder: Recorder<Account>,
    pub(crate) balances: SimulatedReadModel,
    pub(crate) flow: SimulatedReadModel,
    pub(crate) checkpoints: SimulatedCheckpoints,
    /// In some runs: aggregates go from memory and come back.
    pub(crate) states: Option<SimulatedStates<Account>>,
    pub(crate) process_bug: Option<ProcessBug>,
    pub(crate) deaths: mpsc::UnboundedSender<usize>,
    started: Instant,
    /// Whether nodes may die at gates: not when nothing is to go wrong any more.
    mortal: Arc<AtomicBool>,
    held: Mutex<Held>,
}

struct Held {
    nodes: [Option<Node>; NODES],
    random: StdRng,
    happened: Statistics,
    trace: Vec<String>,
    ended: Vec<String>,
    /// Which node was the last one told to work on a partition.
    assigned: Vec<(Group, TopicPartition, usize)>,
    snapshots: Vec<Snapshot>,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        profile: Profile,
        bug: Option<Bug>,
        deaths: mpsc::UnboundedSender<usize>,
    ) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let balances = SimulatedReadModel::view::<Balances>(random.random(), profile.store);
        let flow = SimulatedReadModel::tally::<Flow>(random.random(), profile.store);
        if let Some(bug) = bug.and_then(Bug::of_projection) {
            balances.set_bug(bug);
            flow.set_bug(bug);
        }
        let topic = Topic::events("simulation", "accounts");
        let log = SimulatedLog::new(random.random(), profile.partitions, profile.faults);
        let states = profile.states.map(|faults| {
            let partitions = (0..profile.partitions).map(|number| topic.partition(number));
            SimulatedStates::new(random.random(), log.clone(), partitions, faults)
        });
        Self {
            balances,
            flow,
            states,
            checkpoints: SimulatedCheckpoints::new(random.random(), profile.store),
            process_bug: bug.and_then(Bug::of_process),
            log,
            topic,
            recorder: Recorder::new(),
            deaths,
            started: Instant::now(),
            mortal: Arc::new(AtomicBool::new(true)),
            held: Mutex::new(Held {
                nodes: Default::default(),
                random,
                happened: Statistics::default(),
                trace: vec![format!("{profile:?}")],
                ended: Vec::new(),
                assigned: Vec::new(),
                snapshots: Vec::new(),
            }),
            profile,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }

    /// The next number of the seed.
    pub(crate) fn draw(&self) -> u64 {
        self.held().random.random()
    }

    /// Notes what happened, for the trace.
    pub(crate) fn note(&self, what: &str) {
        let line = format!("{:>7} ms  {what}", self.started.elapsed().as_millis());
        self.held().trace.push(line);
    }

    /// Counts what happened.
    pub(crate) fn count(&self, what: impl FnOnce(&mut Statistics)) {
        what(&mut self.held().happened);
    }

    /// A part of a node ended with an error.
    pub(crate) fn ended(&self, number: usize, part: &str, why: &str) {
        self.note(&format!("node-{number}: {part} ended: {why}"));
        self.held().ended.push(format!("{part} of node-{number}: {why}"));
    }

    pub(crate) fn life(&self, number: usize) -> Life {
        let mortal = Arc::clone(&self.mortal);
        Life::new(
            number,
            self.draw(),
            mortal,
            self.profile.death,
            self.deaths.clone(),
        )
    }

    /// Looks at a node, unless it is dead.
    pub(crate) fn node<T>(&self, number: usize, look: impl FnOnce(&Node) -> T) -> Option<T> {
        self.held().nodes[number].as_ref().map(look)
    }

    pub(crate) fn put(&self, number: usize, node: Node) {
        self.held().nodes[number] = Some(node);
    }

    pub(crate) fn remove(&self, number: usize) -> Option<Node> {
        self.held().nodes[number].take()
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        (0..self.profile.partitions).map(|number| self.topic.partition(number))
    }

    /// Where the partition ends now.
    pub(crate) fn end(&self, at: &TopicPartition) -> Offset {
        Offset(self.log.len(at))
    }

    pub(crate) fn set_calm(&self) {
        self.mortal.store(false, Ordering::Relaxed);
    }

    /// Notes that this node is to work on the partition now.
    pub(crate) fn assign(&self, group: Group, at: &TopicPartition, number: usize) {
        let mut held = self.held();
        held.assigned.retain(|(of, part, _)| (*of, part) != (group, at));
        held.assigned.push((group, at.clone(), number));
    }

    /// Which node was the last one told to work on the partition.
    pub(crate) fn assigned(&self, group: Group, at: &TopicPartition) -> Option<usize> {
        let held = self.held();
        let found = held
            .assigned
            .iter()
            .find(|(of, part, _)| (*of, part) == (group, at));
        found.map(|(_, _, number)| *number)
    }

    /// Keeps rows and checkpoints as they are now.
    pub(crate) fn snapshot(&self) {
        let snapshot = Snapshot::of(self);
        self.held().snapshots.push(snapshot);
    }

    /// Whether the readers have come to the end of the log.
    pub(crate) fn is_read(&self) -> bool {
        self.partitions().all(|at| {
            let process = self.checkpoints.checkpoint(Transfers::NAME, &at);
            let checkpoints = [self.balances.checkpoint(&at), self.flow.checkpoint(&at), process];
            checkpoints
                .iter()
                .all(|checkpoint| checkpoint.next == self.end(&at))
        })
    }

    /// What happened, and what was kept of it.
    pub(crate) fn take(&self) -> Kept {
        let mut held = self.held();
        Kept {
            happened: held.happened,
            trace: std::mem::take(&mut held.trace),
            ended: std::mem::take(&mut held.ended),
            snapshots: std::mem::take(&mut held.snapshots),
        }
    }

    /// Sleeps for some time up to this.
    pub(crate) async fn pause(&self, millis_max: u64) {
        let millis = self.held().random.random_range(0..=millis_max);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// What a world keeps of its run, beside log and history.
pub(crate) struct Kept {
    pub(crate) happened: Statistics,
    pub(crate) trace: Vec<String>,
    pub(crate) ended: Vec<String>,
    pub(crate) snapshots: Vec<Snapshot>,
}
