//! Two projectors of two read models each, over one log.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::fan_out::FanOut;
use eventsourcing::ids::Offset;
use eventsourcing::projection::read_model::{Prepared, ReadModel, ReadModelError, Started};
use eventsourcing::projection::runner::{self, Config, RunError, Settings};
use eventsourcing::simulated::{CheckpointBug, Faults, SimulatedLog, SimulatedReadModel, StoreFaults};
use eventsourcing::topic::{Topic, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::accounts::{Balances, PARTITIONS, Totals, Writer, folded, topic};
use super::nodes::{Gate, Node, share_out};

const NODES: usize = 2;
const RECORDS: u64 = 120;
/// Virtual time in which whatever is left must be done.
const SETTLED: Duration = Duration::from_mins(5);

/// Reads fail now and then; what is written is not the point here.
const READ_FAULTS: Faults = Faults {
    unavailable: 0.02,
    delay_ms_max: 5,
    ..Faults::NONE
};

/// How much happened in a run that broke nothing.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) moves: u64,
    pub(crate) crashes: u64,
    pub(crate) handovers: u64,
    pub(crate) switches: u64,
    /// Transactions that a node was about to begin when it was frozen.
    pub(crate) woken_in_apply: u64,
    pub(crate) trace: String,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.moves += other.moves;
        self.crashes += other.crashes;
        self.handovers += other.handovers;
        self.switches += other.switches;
        self.woken_in_apply += other.woken_in_apply;
    }
}

/// A read model as one node sees it: frozen where the node is.
pub(crate) struct Seen {
    pub(crate) model: SimulatedReadModel,
    pub(crate) gate: Gate,
    /// How often it woke up in front of a transaction.
    pub(crate) woken: Arc<AtomicU64>,
}

#[async_trait]
impl ReadModel for Seen {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    async fn look(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError> {
        let started = self.model.look(topic, partitions).await;
        self.gate.pass().await;
        started
    }

    async fn apply(&self, topic: &Topic, version: i32, batch: Prepared) -> Result<(), ReadModelError> {
        if self.gate.pass().await {
            self.woken.fetch_add(1, Ordering::Relaxed);
        }
        let applied = self.model.apply(topic, version, batch).await;
        self.gate.pass().await;
        applied
    }
}

type Running = JoinHandle<Result<(), RunError>>;

struct World {
    log: SimulatedLog,
    models: [SimulatedReadModel; 2],
    nodes: BTreeMap<usize, (Node, Vec<Running>)>,
    random: StdRng,
    woken: Arc<AtomicU64>,
    report: Report,
}

impl World {
    fn start(&mut self, number: usize) {
        let (node, share) = Node::start(&topic());
        // What a node's projectors want at the head of the log is read once.
        let log = FanOut::new(Arc::new(self.log.clone()));
        let running = self.models.iter().map(|model| {
            let settings = Settings {
                log: Arc::new(log.clone()),
                topic: topic(),
                read_model: Arc::new(Seen {
                    model: model.clone(),
                    gate: node.gate(),
                    woken: Arc::clone(&self.woken),
                }),
                config: Config {
                    batch_records_max: 7,
                    retry_pause: Duration::from_millis(20),
                    linger: Duration::ZERO,
                    ..Config::default()
                },
            };
            runner::spawn(settings, share.clone(), CancellationToken::new()).1
        });
        let running = running.collect();
        self.nodes.insert(number, (node, running));
    }

    /// As hard as a task can die; then it is started again.
    fn crash(&mut self, number: usize) {
        if let Some((_, running)) = self.nodes.remove(&number) {
            running.iter().for_each(JoinHandle::abort);
        }
        self.start(number);
        self.report.crashes += 1;
    }

    fn node(&self, number: usize) -> &Node {
        &self.nodes[&number].0
    }

    /// Something happens to somebody.
    async fn incident(&mut self) {
        let number = self.random.random_range(0..NODES);
        let partition = self.random.random_range(0..PARTITIONS);
        match self.random.random_range(0..10) {
            0 => self.crash(number),
            // Handed over; whoever had it may not have heard of it.
            1..5 => {
                let told = self.random.random_bool(0.5);
                if told {
                    self.node(number).revoke(partition);
                }
                self.node((number + 1) % NODES).assign(partition);
                self.report.handovers += 1;
            }
            5..8 => {
                self.node(number).freeze(true);
                self.node((number + 1) % NODES).assign(partition);
                let asleep = Duration::from_millis(self.random.random_range(50..2_000));
                sleep(asleep).await;
                self.node(number).freeze(false);
            }
            8 => {
                self.models.iter().for_each(SimulatedReadModel::switch);
                self.report.switches += 1;
            }
            _ => {}
        }
        sleep(Duration::from_millis(self.random.random_range(0..300))).await;
    }

    /// Whether every checkpoint is at the end of its partition.
    fn caught_up(&self) -> bool {
        (0..PARTITIONS).all(|number| {
            let at = topic().partition(number);
            let end = Offset(self.log.len(&at));
            self.models.iter().all(|model| model.checkpoint(&at).next == end)
        })
    }

    async fn check(mut self) -> Result<Report, String> {
        for (_, running) in self.nodes.values_mut() {
            if let Some(task) = running.iter_mut().find(|task| task.is_finished()) {
                return Err(format!("a projector ended: {:?}", task.await));
            }
        }
        let [balances, totals] = &self.models;
        monotonic(&balances.moves())?;
        monotonic(&totals.moves())?;
        let (expected_balances, expected_totals) = folded(&self.log);
        for (model, expected) in [(balances, expected_balances), (totals, expected_totals)] {
            if model.rows() != expected || !model.parked().is_empty() {
                return Err(format!("{:?} is not the fold {expected:?}", model.rows()));
            }
        }
        let mut report = self.report;
        report.moves = (balances.moves().len() + totals.moves().len()) as u64;
        report.woken_in_apply = self.woken.load(Ordering::Relaxed);
        report.trace = format!("{:?} {:?}", balances.moves(), totals.moves());
        Ok(report)
    }
}

/// Each move begins where the one before ended, and goes on.
fn monotonic(moves: &[(TopicPartition, Offset, Offset)]) -> Result<(), String> {
    let mut known: BTreeMap<&TopicPartition, Offset> = BTreeMap::new();
    for (at, from, to) in moves {
        let stands = known.entry(at).or_default();
        if stands != from || to <= from {
            return Err(format!(
                "the checkpoint of {at} stood at {stands} and moved from {from} to {to}"
            ));
        }
        *stands = *to;
    }
    Ok(())
}

async fn write(mut writer: Writer, mut random: StdRng) {
    for partition in 0..PARTITIONS {
        writer.fence(partition).await;
    }
    for _ in 0..RECORDS {
        let (partition, account) = (random.random_range(0..PARTITIONS), random.random_range(0..4));
        match random.random_range(0..12) {
            0 => writer.fence(partition).await,
            1 => writer.void(partition, account).await,
            _ => writer.event(partition, account, random.random_range(1..10)).await,
        }
        sleep(Duration::from_millis(random.random_range(0..60))).await;
    }
}

/// One run. An error names what is broken.
pub(crate) async fn world(seed: u64, bug: Option<CheckpointBug>) -> Result<Report, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let log = SimulatedLog::new(random.random(), PARTITIONS, READ_FAULTS);
    let models = [
        SimulatedReadModel::view::<Balances>(random.random(), StoreFaults::MANY),
        SimulatedReadModel::tally::<Totals>(random.random(), StoreFaults::MANY),
    ];
    if let Some(bug) = bug {
        for model in &models {
            model.set_bug(bug);
        }
    }
    let writing = write(Writer::new(&log), StdRng::seed_from_u64(random.random()));
    let writing = tokio::spawn(writing);
    let mut world = World {
        log,
        models,
        nodes: BTreeMap::new(),
        random,
        woken: Arc::default(),
        report: Report::default(),
    };
    (0..NODES).for_each(|number| world.start(number));
    while !writing.is_finished() {
        world.incident().await;
    }
    writing.await.map_err(|death| death.to_string())?;
    let members = world.nodes.iter().map(|(number, (node, _))| (*number, node));
    share_out(&members.collect(), PARTITIONS);
    let settled = async {
        while !world.caught_up() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(SETTLED, settled).await.is_err() {
        return Err("the projectors stand still".to_owned());
    }
    // Whatever a store still carries out for nobody is carried out by now.
    sleep(Duration::from_secs(5)).await;
    world.check().await
}
