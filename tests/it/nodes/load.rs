//! A steady load on several nodes, and how it fared.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::wire::{Connection, Ended};

/// Connections, each with one command at a time.
const WORKERS: usize = 16;
/// Before whoever found no node looks again.
const NOBODY_PAUSE: Duration = Duration::from_millis(20);

/// What became of the commands.
#[derive(Default, Debug)]
pub(super) struct Tally {
    /// When each was accepted and how long it took, by position.
    pub(super) accepted: BTreeMap<String, (Instant, Duration)>,
    /// Accepted, by SKU.
    pub(super) units: BTreeMap<String, u64>,
    /// Answered that nothing was attempted; sent again.
    pub(super) refused: Vec<String>,
    /// Answered that nobody knows.
    pub(super) unknown: Vec<String>,
    /// Connections that were reset, or closed in the midst of a request.
    pub(super) broken: Vec<String>,
    /// No node listened.
    pub(super) nobody: u64,
}

impl Tally {
    /// The longest time in which some partition accepted nothing, after `from`.
    pub(super) fn longest_gap(&self, from: Instant) -> Duration {
        let mut last: BTreeMap<&str, Instant> = BTreeMap::new();
        let mut longest = Duration::ZERO;
        let mut accepted: Vec<_> = self
            .accepted
            .iter()
            .map(|(position, (when, _))| (*when, position))
            .collect();
        accepted.sort_unstable();
        for (when, position) in accepted {
            let partition = position.split('@').next().unwrap_or_default();
            let before = last.insert(partition, when);
            if let Some(before) = before.filter(|_| when > from) {
                longest = longest.max(when - before.max(from));
            }
        }
        longest
    }

    /// The longest that a command accepted after `from` took.
    pub(super) fn longest_wait(&self, from: Instant) -> Duration {
        let after = self.accepted.values().filter(|(when, _)| *when > from);
        after.map(|(_, took)| *took).max().unwrap_or_default()
    }
}

/// A load that runs until it is stopped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    workers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Receipts of stock, `rate` a second in all, over the nodes at these addresses.
    pub(super) fn start(nodes: &[SocketAddr], rate: u32) -> Self {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let workers = (0..WORKERS).map(|number| {
            let worker = Worker {
                nodes: nodes.to_vec(),
                node: number % nodes.len(),
                number,
                stop: Arc::clone(&stop),
                tally: Arc::clone(&tally),
            };
            let workers = u32::try_from(WORKERS).expect("few");
            tokio::spawn(worker.run(Duration::from_secs(1) * workers / rate))
        });
        Self {
            workers: workers.collect(),
            stop,
            tally,
        }
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&Tally) -> T) -> T {
        look(&self.tally.lock().expect("no panic inside"))
    }

    pub(super) async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.expect("no panic");
        }
        std::mem::take(&mut *self.tally.lock().expect("no panic inside"))
    }
}

struct Worker {
    nodes: Vec<SocketAddr>,
    node: usize,
    number: usize,
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
}

impl Worker {
    async fn run(mut self, every: Duration) {
        let mut connection = None;
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut count = 0;
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            count += 1;
            let sku = format!("ROLL-{}", (self.number + count) % 24);
            let key = format!("{} {count}", self.number);
            let started = Instant::now();
            // Until it is accepted: what was refused is sent again under its key.
            while !self.command(&mut connection, &sku, &key, started).await {}
        }
    }

    async fn command(
        &mut self,
        connection: &mut Option<Connection>,
        sku: &str,
        key: &str,
        started: Instant,
    ) -> bool {
        let mut open = match connection.take().filter(|open| !open.was_closed()) {
            Some(open) => open,
            None => self.connect().await,
        };
        let path = format!("/v1/stock/{sku}/receive");
        let answered = open
            .post(&path, &[("idempotency-key", key)], r#"{"quantity":1}"#)
            .await;
        let now = Instant::now();
        let mut tally = self.tally.lock().expect("no panic inside");
        let answer = match answered {
            Ok(answer) => answer,
            Err(Ended::Reset(error)) => {
                tally.broken.push(format!("{key}: {error}"));
                return false;
            }
            Err(Ended::Cut) => {
                tally.broken.push(format!("{key}: closed in the midst"));
                return false;
            }
        };
        if answer.header("connection") != Some("close") {
            *connection = Some(open);
        }
        if answer.accepted() {
            let position = answer.header("daybook-position").expect("a position").to_owned();
            tally.accepted.insert(position, (now, now - started));
            *tally.units.entry(sku.to_owned()).or_default() += 1;
            return true;
        }
        let said = format!("{key}: {} {}", answer.status, answer.body);
        if answer.not_attempted() {
            tally.refused.push(said);
        } else {
            tally.unknown.push(said);
        }
        false
    }

    /// To the node that this worker prefers, else to the next that listens.
    async fn connect(&mut self) -> Connection {
        loop {
            for step in 0..self.nodes.len() {
                let node = (self.node + step) % self.nodes.len();
                if let Ok(connection) = Connection::open(self.nodes[node]).await {
                    return connection;
                }
            }
            self.tally.lock().expect("no panic inside").nobody += 1;
            tokio::time::sleep(NOBODY_PAUSE).await;
        }
    }
}
