//! The world: the log, the nodes, and what is noted of both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use checker::Recorder;
use eventsourcing::ids::Offset;
use eventsourcing::simulated::SimulatedLog;
use eventsourcing::topic::{Topic, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::bank::account::Account;
use crate::life::Life;
use crate::node::Node;
use crate::profile::Profile;
use crate::statistics::Statistics;

/// Nodes of the group.
pub(crate) const NODES: usize = 3;

/// See the module.
pub(crate) struct World {
    pub(crate) profile: Profile,
    pub(crate) log: SimulatedLog,
    pub(crate) topic: Topic,
    pub(crate) recorder: Recorder<Account>,
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
}

impl World {
    pub(crate) fn new(seed: u64, profile: Profile, deaths: mpsc::UnboundedSender<usize>) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self {
            log: SimulatedLog::new(random.random(), profile.partitions, profile.faults),
            topic: Topic::events("simulation", "accounts"),
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

    /// What happened, what was noted, what ended with an error.
    pub(crate) fn take(&self) -> (Statistics, Vec<String>, Vec<String>) {
        let mut held = self.held();
        let Held {
            happened,
            trace,
            ended,
            ..
        } = &mut *held;
        (*happened, std::mem::take(trace), std::mem::take(ended))
    }

    /// Sleeps for some time up to this.
    pub(crate) async fn pause(&self, millis_max: u64) {
        let millis = self.held().random.random_range(0..=millis_max);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
