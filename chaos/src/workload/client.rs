//! One client: stock in and out, orders, repeats of what it knows and of what it does not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::OrderId;
use domain::sku::Sku;
use eventsourcing::command::Accepted;
use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::command::Command;
use super::line::{Line, Patience};
use super::read::read_back;
use super::record::count;
use super::told::Told;
use super::{PLENTY, Shared, skus};

/// Before a command is repeated that was not attempted, or whose outcome is unknown.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Outcomes that a client may ask for again.
const KNOWN_MAX: usize = 20;
/// How old they may be: a stock item remembers its last 256 commands only.
const KNOWN_AGE_MAX: Duration = Duration::from_secs(5);
/// Reservations that a client may release.
const HELD_MAX: usize = 20;

pub(super) struct Client {
    number: usize,
    shared: Arc<Shared>,
    random: StdRng,
    lines: Vec<Line>,
    skus: Vec<Sku>,
    /// Commands so far.
    count: u64,
    known: VecDeque<(Instant, Arc<Command>, Accepted)>,
    held: VecDeque<(Sku, OrderId)>,
}

impl Client {
    pub(super) fn new(number: usize, shared: Arc<Shared>, random: StdRng) -> Self {
        Self {
            number,
            lines: Line::to_all(&shared),
            shared,
            random,
            skus: skus(),
            count: 0,
            known: VecDeque::new(),
            held: VecDeque::new(),
        }
    }

    /// Until it is told to stop; what has begun is brought to an end.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while !shared.stop.is_cancelled() {
            match self.random.random_range(0..100) {
                0..40 => self.receive().await,
                40..62 => self.reserve().await,
                62..76 => self.release().await,
                76..90 => self.order().await,
                _ => self.repeat_known().await,
            }
            let pace = self.random.random_range(0.5..1.5);
            tokio::select! {
                () = tokio::time::sleep(shared.style.pace.mul_f64(pace)) => {}
                () = shared.stop.cancelled() => {}
            }
        }
    }

    async fn receive(&mut self) {
        let plenty = self.random.random_range(0..PLENTY);
        let command = Command::receive(self.key(), &self.skus[plenty], self.random.random_range(1..4));
        self.settle(command).await;
    }

    async fn reserve(&mut self) {
        let sku = self.any_sku();
        let order = self.order_id();
        let units = self.random.random_range(1..3);
        let command = Command::reserve(self.key(), &sku, order, units);
        if self.settle(command).await.is_some() {
            self.held.push_back((sku, order));
            if self.held.len() > HELD_MAX {
                self.held.pop_front();
            }
        }
    }

    async fn release(&mut self) {
        let Some((sku, order)) = self.held.pop_front() else {
            return;
        };
        let command = Command::release(self.key(), &sku, order);
        self.settle(command).await;
    }

    async fn order(&mut self) {
        let mut skus = vec![self.any_sku()];
        let other = self.any_sku();
        if other != skus[0] && self.random.random_bool(0.5) {
            skus.push(other);
        }
        let command = Command::order(self.key(), &format!("client-{}", self.number), &skus);
        self.settle(command).await;
    }

    /// What is known must be answered the same by any node.
    async fn repeat_known(&mut self) {
        let (max, now) = (KNOWN_AGE_MAX, Instant::now());
        self.known
            .retain(|(since, _, _)| now.duration_since(*since) < max);
        if self.known.is_empty() {
            return;
        }
        let chosen = self.random.random_range(0..self.known.len());
        let (_, command, accepted) = self.known[chosen].clone();
        let line = self.random.random_range(0..self.lines.len());
        let patience = Patience(self.shared.style.answer_max);
        let told = self.lines[line].attempt(&command, patience).await;
        let same = match &told {
            Told::Accepted(again) => {
                (again.sequence, &again.position, again.replayed)
                    == (accepted.sequence, &accepted.position, true)
            }
            Told::Refused(_) => false,
            Told::NotAttempted(_) | Told::Unknown(_) => true,
        };
        // A slow answer may come when the item has forgotten.
        if !same && now.elapsed() < max {
            let (id, node) = (command.id, &self.lines[line].address.name);
            let what = format!("I3: {node} answers {told:?} to the repeat of {id}, which is {accepted:?}");
            self.shared.record.wrong(what);
        }
    }

    /// Repeats `command`, at any node, until its outcome is known. What it was when it is accepted.
    async fn settle(&mut self, command: Command) -> Option<Accepted> {
        let command = Arc::new(command);
        let patience = Patience(self.shared.style.answer_max);
        let mut in_doubt = false;
        let mut told = self.first(&command, patience).await;
        loop {
            let shared = Arc::clone(&self.shared);
            let counts = &shared.record.counts;
            match told {
                Told::Accepted(accepted) => {
                    if in_doubt && accepted.replayed {
                        count(&counts.resolved_written);
                    } else if in_doubt {
                        count(&counts.resolved_anew);
                    }
                    self.learn(command, accepted.clone()).await;
                    return Some(accepted);
                }
                Told::Refused(_) => {
                    if in_doubt {
                        count(&counts.resolved_refused);
                    }
                    return None;
                }
                Told::NotAttempted(_) => {}
                Told::Unknown(_) => in_doubt = true,
            }
            if shared.end.is_cancelled() {
                if in_doubt {
                    count(&counts.unresolved);
                }
                return None;
            }
            if shared.stop.is_cancelled() && !in_doubt {
                return None;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            let line = self.random.random_range(0..self.lines.len());
            told = self.lines[line].attempt(&command, patience).await;
        }
    }

    /// Sometimes two nodes are asked at once, as a client does whose first request seems to hang.
    async fn first(&mut self, command: &Command, patience: Patience) -> Told {
        let line = self.random.random_range(0..self.lines.len());
        if !self.random.random_bool(0.05) {
            return self.lines[line].attempt(command, patience).await;
        }
        count(&self.shared.record.counts.crossing);
        let (one, others) = self.lines.split_at_mut(1);
        let other = &mut others[line % (self.shared.nodes.len() - 1)];
        let (one, other) = tokio::join!(
            one[0].attempt(command, patience),
            other.attempt(command, patience)
        );
        match (&one, &other) {
            (Told::Accepted(_), _) => one,
            (_, Told::Accepted(_)) => other,
            // As long as one is in doubt, so is the command.
            (Told::Unknown(_), _) => one,
            (_, Told::Unknown(_)) => other,
            (Told::Refused(_) | Told::NotAttempted(_), _) => one,
        }
    }

    async fn learn(&mut self, command: Arc<Command>, accepted: Accepted) {
        if self.random.random_bool(0.25) {
            let line = self.random.random_range(0..self.lines.len());
            let shared = Arc::clone(&self.shared);
            read_back(&shared, &mut self.lines[line], &command, &accepted).await;
        }
        self.known.push_back((Instant::now(), command, accepted));
        if self.known.len() > KNOWN_MAX {
            self.known.pop_front();
        }
    }

    fn key(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.number, self.count)
    }

    fn any_sku(&mut self) -> Sku {
        let chosen = self.random.random_range(0..self.skus.len());
        self.skus[chosen].clone()
    }

    fn order_id(&mut self) -> OrderId {
        let id = Uuid::from_u128(self.random.random());
        let id = format!("order_{}", id.simple());
        id.parse().expect("a prefix and 32 hex digits")
    }
}
