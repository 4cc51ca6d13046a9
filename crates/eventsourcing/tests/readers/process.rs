//! A process that mirrors each movement of an account to an account of another topic: run by two nodes at
//! once, one of them frozen now and then.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::aggregate::Recorded;
use eventsourcing::assignment::Everything;
use eventsourcing::clock::{Counted, Environment};
use eventsourcing::codec::{Parsed, decode, parse};
use eventsourcing::command::{Context, Expected};
use eventsourcing::contract::account::{Account, Command, Moved};
use eventsourcing::ids::{AggregateId, CommandId, Digest, EventId, Offset};
use eventsourcing::owner::{self, Service};
use eventsourcing::process::Process;
use eventsourcing::process::runner::{self, Carry, Config, RunError, Settings};
use eventsourcing::process::send::{Backoff, Definite, send};
use eventsourcing::readers::Share;
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::simulated::{Faults, SimulatedCheckpoints, SimulatedLog, StoreFaults};
use eventsourcing::topic::Topic;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::accounts::{PARTITIONS, Writer, topic};
use super::nodes::{Gate, Node, share_out};

const NODES: usize = 2;
const RECORDS: u64 = 80;
const SETTLED: Duration = Duration::from_mins(10);

/// The log on a bad day, for the commands.
const FAULTS: Faults = Faults::MANY;

fn mirrors() -> Topic {
    Topic::events("simulation", "mirrors")
}

/// Where the ids of commands come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// The event and the step.
    OfCause,
    /// Drawn afresh: a defect, to show that the check notices.
    Fresh,
}

/// How much happened in a run that broke nothing.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Commands sent again for an event whose command had been sent before.
    pub(crate) repeats: u64,
    /// Commands that a node was about to send when it was frozen.
    pub(crate) woken_in_carry: u64,
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.repeats += other.repeats;
        self.woken_in_carry += other.woken_in_carry;
    }
}

struct Mirror;

impl Process for Mirror {
    const NAME: &'static str = "mirror";
    type Event = Moved;
    type Plan = u64;

    fn react(event: &Recorded<Moved>) -> Option<u64> {
        u64::try_from(event.event.by).ok()
    }
}

struct Carrier {
    to: Service<Account>,
    gate: Gate,
    ids: Ids,
    environment: Arc<Counted>,
    sent: Arc<AtomicU64>,
    woken: Arc<AtomicU64>,
}

#[async_trait]
impl Carry<Mirror> for Carrier {
    async fn carry_out(&self, cause: &Recorded<Moved>, amount: u64) {
        let target: AggregateId = format!("mirror-of-{}", cause.aggregate)
            .parse()
            .expect("a valid id");
        let id = match self.ids {
            Ids::OfCause => Mirror::command_id(cause.id(), "mirror", &target),
            Ids::Fresh => CommandId(self.environment.fresh()),
        };
        let context = Context {
            id,
            digest: Digest::of(&[id.0.as_bytes()]),
            expected: Expected::Any,
            correlation: "".into(),
            causation: Some(cause.id()),
            actor: "".into(),
            traceparent: None,
        };
        if self.gate.pass().await {
            self.woken.fetch_add(1, Ordering::Relaxed);
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let backoff = Backoff {
            first: Duration::from_millis(5),
            longest: Duration::from_millis(100),
        };
        let command = Command::Deposit(amount);
        let answer = send(Mirror::NAME, &self.to, &target, &command, &context, backoff).await;
        match answer {
            Ok(_) => {}
            Err(Definite::Refused(refusal)) => panic!("a deposit is never refused: {refusal}"),
            Err(Definite::DecidedBefore) => panic!("one id, one command"),
        }
        self.gate.pass().await;
    }
}

struct World {
    log: SimulatedLog,
    mirrors: Service<Account>,
    checkpoints: SimulatedCheckpoints,
    nodes: BTreeMap<usize, (Node, JoinHandle<Result<(), RunError>>)>,
    ids: Ids,
    environment: Arc<Counted>,
    sent: Arc<AtomicU64>,
    woken: Arc<AtomicU64>,
    random: StdRng,
}

impl World {
    fn start(&mut self, number: usize) {
        let (node, share) = Node::start(&topic());
        let running = self.run(share, node.gate());
        self.nodes.insert(number, (node, running));
    }

    fn run(&self, share: Share, gate: Gate) -> JoinHandle<Result<(), RunError>> {
        let carrier = Carrier {
            to: self.mirrors.clone(),
            gate,
            ids: self.ids,
            environment: Arc::clone(&self.environment),
            sent: Arc::clone(&self.sent),
            woken: Arc::clone(&self.woken),
        };
        let settings = Settings {
            log: Arc::new(self.log.clone()),
            topic: topic(),
            checkpoints: Arc::new(self.checkpoints.clone()),
            config: Config {
                batch_records_max: 9,
                retry_pause: Duration::from_millis(20),
                ..Config::default()
            },
        };
        runner::spawn::<Mirror>(settings, Arc::new(carrier), share, CancellationToken::new()).1
    }

    /// Something happens to somebody.
    async fn incident(&mut self) {
        let number = self.random.random_range(0..NODES);
        let partition = self.random.random_range(0..PARTITIONS);
        let other = (number + 1) % NODES;
        match self.random.random_range(0..4) {
            0 => {
                if let Some((_, running)) = self.nodes.remove(&number) {
                    running.abort();
                }
                self.start(number);
            }
            1 => {
                self.nodes[&number].0.revoke(partition);
                self.nodes[&other].0.assign(partition);
            }
            // Everything is the other's meanwhile, and the frozen one was never told.
            2 => {
                self.nodes[&number].0.freeze(true);
                (0..PARTITIONS).for_each(|partition| self.nodes[&other].0.assign(partition));
                sleep(Duration::from_millis(self.random.random_range(50..2_000))).await;
                self.nodes[&number].0.freeze(false);
            }
            _ => {}
        }
        sleep(Duration::from_millis(self.random.random_range(0..300))).await;
    }

    fn caught_up(&self) -> bool {
        (0..PARTITIONS).all(|number| {
            let at = topic().partition(number);
            self.checkpoints.checkpoint(Mirror::NAME, &at).next == Offset(self.log.len(&at))
        })
    }

    /// Each event had its effect, and no event had two.
    fn check(&self) -> Result<Report, String> {
        let causes = accepted(&self.log, &topic());
        let mut effects: BTreeMap<EventId, i64> = BTreeMap::new();
        for effect in accepted(&self.log, &mirrors()) {
            let cause = effect.meta.causation.expect("each says why");
            if effects.insert(cause, effect.event.by).is_some() {
                return Err(format!("{cause} had two effects"));
            }
        }
        for cause in &causes {
            if effects.get(&cause.id()) != Some(&cause.event.by) {
                return Err(format!("{} had no effect, or another", cause.id()));
            }
        }
        Ok(Report {
            repeats: self.sent.load(Ordering::Relaxed) - causes.len() as u64,
            woken_in_carry: self.woken.load(Ordering::Relaxed),
        })
    }
}

fn accepted(log: &SimulatedLog, topic: &Topic) -> Vec<Recorded<Moved>> {
    let mut events = Vec::new();
    for number in 0..PARTITIONS {
        let mut rule = Rule::default();
        for stored in log.records(&topic.partition(number)) {
            let parsed = parse(&stored).expect("well formed");
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed) {
                events.push(decode(&stored, envelope).expect("decodes"));
            }
        }
    }
    events
}

fn owners(log: &SimulatedLog, environment: &Arc<Counted>) -> Service<Account> {
    let partitions = (0..PARTITIONS)
        .map(|number| mirrors().partition(number))
        .collect();
    let settings = owner::Settings {
        log: Arc::new(log.clone()),
        environment: environment.clone(),
        topic: mirrors(),
        partitions: PARTITIONS,
        node: "test".to_owned(),
        url: String::new(),
        routes: None,
        source: "/simulation".to_owned(),
        config: owner::Config::default(),
    };
    let everything = Box::new(Everything::of(partitions));
    owner::spawn::<Account>(settings, None, everything, CancellationToken::new()).0
}

/// One run. An error names what is broken.
pub(crate) async fn world(seed: u64, ids: Ids) -> Result<Report, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let log = SimulatedLog::new(random.random(), PARTITIONS, Faults::NONE);
    let environment = Arc::new(Counted::default());
    let mut world = World {
        mirrors: owners(&log, &environment),
        checkpoints: SimulatedCheckpoints::new(random.random(), StoreFaults::MANY),
        nodes: BTreeMap::new(),
        ids,
        environment,
        sent: Arc::default(),
        woken: Arc::default(),
        log,
        random,
    };
    let mut writer = Writer::new(&world.log);
    for partition in 0..PARTITIONS {
        writer.fence(partition).await;
    }
    for number in 0..RECORDS {
        let partition = world.random.random_range(0..PARTITIONS);
        writer.event(partition, number % 4, 1).await;
    }
    world.log.set_faults(FAULTS);
    (0..NODES).for_each(|number| world.start(number));
    let started = tokio::time::Instant::now();
    while !world.caught_up() {
        if started.elapsed() > SETTLED {
            return Err("the process stands still".to_owned());
        }
        world.incident().await;
        let members = world.nodes.iter().map(|(number, (node, _))| (*number, node));
        share_out(&members.collect(), PARTITIONS);
    }
    // Whatever is late, zombies' commands too, has landed after this.
    sleep(Duration::from_secs(30)).await;
    world.check()
}
