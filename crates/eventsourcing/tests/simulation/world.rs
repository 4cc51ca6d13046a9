//! The simulated world: nodes that come and go, clients, and the record of what everybody saw.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventsourcing::assignment::Everything;
use eventsourcing::clock::{Counted, Environment};
use eventsourcing::command::{Accepted, Context, Expected, Failure};
use eventsourcing::contract::account::{Account, Command, Insufficient};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{AggregateId, CommandId, Digest};
use eventsourcing::owner::{self, Config, SeededBug, Service, Settings};
use eventsourcing::record::Stored;
use eventsourcing::simulated::{Faults, SimulatedLog};
use eventsourcing::simulated_states::{SimulatedStates, TableFaults};
use eventsourcing::state_table::StateTable;
use eventsourcing::topic::{Topic, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const NODES: usize = 2;
const CLIENTS: u64 = 6;
const COMMANDS_PER_CLIENT: u64 = 12;
const ACCOUNTS: u64 = 3;
/// How often a client repeats a command whose outcome it does not know.
const TRIES_MAX: usize = 40;

/// One attempt of one command, as its client saw it.
pub(crate) struct Attempt {
    pub(crate) command: CommandId,
    pub(crate) account: AggregateId,
    pub(crate) content: Command,
    /// Records in the partition when it was sent and when it was answered.
    pub(crate) window: (u64, u64),
    pub(crate) outcome: Result<Accepted, Failure<Insufficient>>,
}

/// What a run leaves behind.
pub(crate) struct History {
    pub(crate) log: Vec<Stored>,
    pub(crate) attempts: Vec<Attempt>,
    /// Whether a node ended with an error: a loud breach of the log's own rules.
    pub(crate) node_error: Option<String>,
}

impl History {
    /// Everything that happened, as text to compare.
    pub(crate) fn trace(&self) -> String {
        let attempts: Vec<String> = self
            .attempts
            .iter()
            .map(|a| {
                format!(
                    "{} {} {:?} {:?} {:?}",
                    a.command, a.account, a.content, a.window, a.outcome
                )
            })
            .collect();
        format!("{:?}\n{}", self.log, attempts.join("\n"))
    }
}

/// A node: an owner that believes it owns everything, until it crashes.
struct Node {
    service: Service<Account>,
    running: JoinHandle<Result<(), owner::OwnerError>>,
}

struct World {
    log: SimulatedLog,
    at: TopicPartition,
    environment: Arc<dyn Environment>,
    /// In every other run: aggregates go from memory and come back.
    states: Option<Arc<dyn StateTable<Account>>>,
    bug: Option<SeededBug>,
    nodes: Mutex<Vec<Node>>,
    attempts: Mutex<Vec<Attempt>>,
    node_error: Mutex<Option<String>>,
}

impl World {
    fn start_node(&self, number: usize) -> Node {
        let settings = Settings {
            log: Arc::new(self.log.clone()),
            environment: Arc::clone(&self.environment),
            topic: self.at.topic.clone(),
            partitions: 1,
            node: format!("node-{number}"),
            url: String::new(),
            routes: None,
            source: "/simulation".to_owned(),
            config: Config {
                batch_commands_max: 4,
                command_timeout: Duration::from_secs(2),
                retry_pause: Duration::from_millis(50),
                aggregates_max: 1,
                states_timeout: Duration::from_millis(300),
                bug: self.bug,
                ..Config::default()
            },
        };
        let assignment = Box::new(Everything::of(vec![self.at.clone()]));
        let (service, running) = owner::spawn(
            settings,
            self.states.as_ref(),
            assignment,
            CancellationToken::new(),
        );
        Node { service, running }
    }

    /// Kills a node wherever it is, and starts it anew after a while.
    async fn crash(&self, number: usize, away: Duration) {
        let running = {
            let nodes = self.nodes.lock().expect("no panic inside");
            nodes[number].running.abort();
            nodes[number].running.is_finished()
        };
        if running {
            self.note_error(number).await;
        }
        sleep(away).await;
        let node = self.start_node(number);
        self.nodes.lock().expect("no panic inside")[number] = node;
    }

    /// A node that ended by itself ended with an error.
    async fn note_error(&self, number: usize) {
        let ended = {
            let mut nodes = self.nodes.lock().expect("no panic inside");
            std::mem::replace(&mut nodes[number].running, tokio::spawn(async { Ok(()) }))
        };
        if let Ok(Err(error)) = ended.await {
            self.node_error
                .lock()
                .expect("no panic inside")
                .get_or_insert(error.to_string());
        }
    }

    async fn client(&self, number: u64, mut random: StdRng) {
        for index in 0..COMMANDS_PER_CLIENT {
            let account: AggregateId = format!("account-{}", random.random_range(0..ACCOUNTS))
                .parse()
                .expect("a valid id");
            let amount = random.random_range(1..=5);
            let content = if random.random_bool(0.5) {
                Command::Deposit(amount)
            } else {
                Command::Withdraw(amount)
            };
            let key = format!("{number}/{index}");
            // Now and then the same command twice at once: a client's retry that crosses its original.
            let twice = random.random_bool(0.2);
            let (first, second) = (random.random_range(0..NODES), random.random_range(0..NODES));
            if twice {
                let other = self.until_known(
                    &account,
                    &content,
                    &key,
                    second,
                    StdRng::seed_from_u64(random.random()),
                );
                let mine = StdRng::seed_from_u64(random.random());
                tokio::join!(self.until_known(&account, &content, &key, first, mine), other);
            } else {
                let mine = StdRng::seed_from_u64(random.random());
                self.until_known(&account, &content, &key, first, mine).await;
            }
            sleep(Duration::from_millis(random.random_range(0..60))).await;
        }
    }

    /// Sends a command, at whichever node, until the outcome is definite.
    async fn until_known(
        &self,
        account: &AggregateId,
        content: &Command,
        key: &str,
        mut node: usize,
        mut random: StdRng,
    ) {
        for _ in 0..TRIES_MAX {
            let outcome = self.attempt(account, content, key, node).await;
            if !matches!(outcome, Err(Failure::NotAttempted { .. } | Failure::Unknown)) {
                return;
            }
            sleep(Duration::from_millis(random.random_range(10..150))).await;
            node = random.random_range(0..NODES);
        }
    }

    async fn attempt(
        &self,
        account: &AggregateId,
        command: &Command,
        key: &str,
        node: usize,
    ) -> Result<Accepted, Failure<Insufficient>> {
        let service = self.nodes.lock().expect("no panic inside")[node].service.clone();
        let id = CommandId::of_key("client", key);
        let context = Context {
            id,
            digest: Digest::of(&[key.as_bytes()]),
            expected: Expected::Any,
            correlation: "".into(),
            causation: None,
            actor: "".into(),
            traceparent: None,
        };
        let sent = self.log.len(&self.at);
        let outcome = service.execute(account.clone(), command.clone(), context).await;
        let window = (sent, self.log.len(&self.at));
        let seen = Attempt {
            command: id,
            account: account.clone(),
            content: command.clone(),
            window,
            outcome: outcome.clone(),
        };
        self.attempts.lock().expect("no panic inside").push(seen);
        outcome
    }
}

/// One run of the world.
pub(crate) fn run(seed: u64, bug: Option<SeededBug>) -> History {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(live(seed, bug))
}

async fn live(seed: u64, bug: Option<SeededBug>) -> History {
    let mut random = StdRng::seed_from_u64(seed);
    let log = SimulatedLog::new(random.random(), 1, Faults::MANY);
    let at = Topic::events("simulation", "accounts").partition(0);
    let states = SimulatedStates::new(random.random(), log.clone(), at.clone(), TableFaults::MANY);
    let world = Arc::new(World {
        at,
        log,
        states: seed
            .is_multiple_of(2)
            .then(|| Arc::new(states) as Arc<dyn StateTable<Account>>),
        environment: Arc::new(Counted::default()),
        bug,
        nodes: Mutex::new(Vec::new()),
        attempts: Mutex::new(Vec::new()),
        node_error: Mutex::new(None),
    });
    let nodes = (0..NODES).map(|number| world.start_node(number)).collect();
    *world.nodes.lock().expect("no panic inside") = nodes;

    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (world, random) = (Arc::clone(&world), StdRng::seed_from_u64(random.random()));
            tokio::spawn(async move { world.client(number, random).await })
        })
        .collect();
    let chaos = {
        let (world, mut random) = (Arc::clone(&world), StdRng::seed_from_u64(random.random()));
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(random.random_range(100..900))).await;
                let away = Duration::from_millis(random.random_range(0..400));
                world.crash(random.random_range(0..NODES), away).await;
            }
        })
    };
    for client in clients {
        client.await.expect("clients do not panic");
    }
    chaos.abort();
    // Whatever is late has landed after this.
    sleep(Duration::from_secs(5)).await;
    for number in 0..NODES {
        let finished = world.nodes.lock().expect("no panic inside")[number]
            .running
            .is_finished();
        if finished {
            world.note_error(number).await;
        } else {
            world.nodes.lock().expect("no panic inside")[number]
                .running
                .abort();
        }
    }
    let attempts = std::mem::take(&mut *world.attempts.lock().expect("no panic inside"));
    let node_error = world.node_error.lock().expect("no panic inside").take();
    History {
        log: world.log.records(&world.at),
        attempts,
        node_error,
    }
}
