//! Clients that insist on one node, whatever becomes of it, and wait for its answers as long as it takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ids::stock_of;
use domain::sku::Sku;
use eventsourcing::topic::{TopicPartition, partition_of};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::command::Command;
use super::line::{Line, Patience};
use super::told::Told;
use super::{Shared, skus};
use crate::cluster::PARTITIONS;

/// Before the same command is asked of another node.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What the node told one of them.
#[derive(Clone, Debug)]
pub(crate) struct Pressed {
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    pub(crate) told: Told,
}

/// Who presses whom.
#[derive(Clone, Debug)]
pub(crate) struct Press {
    /// Keeps the keys of rounds apart.
    pub(crate) round: usize,
    pub(crate) node: usize,
    /// Only what lies in these.
    pub(crate) partitions: Vec<TopicPartition>,
    pub(crate) connections: usize,
    pub(crate) patience: Patience,
}

impl Press {
    /// Until `stop`; each returns what it was told, when it knows the outcome of all it has asked.
    pub(crate) fn start(&self, shared: &Arc<Shared>, stop: &CancellationToken) -> JoinSet<Vec<Pressed>> {
        let in_them = |sku: &Sku| {
            let number = partition_of(&stock_of(sku), PARTITIONS);
            self.partitions
                .iter()
                .any(|at| at.partition == number && at.topic.service() == domain::stock_item::SERVICE)
        };
        let skus: Vec<Sku> = skus().into_iter().filter(in_them).collect();
        let mut clients = JoinSet::new();
        if skus.is_empty() {
            return clients;
        }
        for number in 0..self.connections {
            let (press, shared, skus, stop) = (self.clone(), Arc::clone(shared), skus.clone(), stop.clone());
            clients.spawn(async move { press.client(number, &shared, &skus, &stop).await });
        }
        clients
    }

    async fn client(
        &self,
        number: usize,
        shared: &Arc<Shared>,
        skus: &[Sku],
        stop: &CancellationToken,
    ) -> Vec<Pressed> {
        let seed = shared.style.seed ^ ((self.round as u64) << 16) ^ number as u64;
        let mut random = StdRng::seed_from_u64(seed);
        let mut lines = Line::to_all(shared);
        let mut answers = Vec::new();
        for count in 0.. {
            if stop.is_cancelled() {
                break;
            }
            let sku = &skus[random.random_range(0..skus.len())];
            let key = format!("press-{}-{number}-{count}", self.round);
            let command = Command::receive(key, sku, 1);
            let sent = Instant::now();
            let mut told = lines[self.node].attempt(&command, self.patience).await;
            answers.push(Pressed {
                sent,
                answered: Instant::now(),
                told: told.clone(),
            });
            while matches!(told, Told::Unknown(_)) && !shared.end.is_cancelled() {
                tokio::time::sleep(RETRY_PAUSE).await;
                let line = random.random_range(0..lines.len());
                told = lines[line].attempt(&command, self.patience).await;
            }
            if !matches!(told, Told::Accepted(_)) {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        answers
    }
}
