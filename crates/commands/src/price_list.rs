//! The price list in memory: a fold of the catalogue's topic under rule R, from its beginning.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use domain::money::{Currency, Price};
use domain::product::{self, ProductEvent};
use domain::sku::Sku;
use eventsourcing::codec::{self, CorruptRecord, Parsed};
use eventsourcing::ids::Offset;
use eventsourcing::log::{Log, LogError};
use eventsourcing::position::Positions;
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::{Topic, of_generation};
use thiserror::Error;
use tokio::sync::watch;

use crate::ports::PriceList;

const READ_RECORDS_MAX: usize = 1_000;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Why the list cannot go on.
#[derive(Debug, Error)]
pub enum PriceListError {
    /// A catalogue record cannot be read; prices after it would be guesses.
    #[error(transparent)]
    Corrupt(#[from] CorruptRecord),
    /// The log is not the one it was.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What is known of a product's price.
#[derive(Clone, Default)]
struct Entry {
    prices: HashMap<Currency, Price>,
    published: bool,
}

#[derive(Clone, Default)]
struct Progress {
    /// Of the topic that is followed.
    generation: u32,
    /// The next offset of each partition.
    next: BTreeMap<u32, Offset>,
    /// Everything that was in the log at the start has been folded.
    complete: bool,
}

/// The list. Clones share it.
#[derive(Clone)]
pub struct InMemoryPriceList {
    entries: Arc<RwLock<HashMap<Sku, Entry>>>,
    progress: Arc<watch::Sender<Progress>>,
}

impl Default for InMemoryPriceList {
    fn default() -> Self {
        let progress = Arc::new(watch::Sender::new(Progress::default()));
        Self {
            entries: Arc::default(),
            progress,
        }
    }
}

impl InMemoryPriceList {
    /// Whether the list holds everything that was in the log when it was started; for readiness.
    pub fn is_complete(&self) -> bool {
        self.progress.borrow().complete
    }

    /// Follows the catalogue's topic for ever; an error is final.
    pub async fn follow(
        self,
        log: Arc<dyn Log>,
        topic: Topic,
    ) -> Result<std::convert::Infallible, PriceListError> {
        let (_, generation) = of_generation(topic.service());
        self.progress
            .send_modify(|progress| progress.generation = generation);
        let mut rules = BTreeMap::new();
        loop {
            match self.tail(&*log, &topic, &mut rules).await {
                Err(PriceListError::Log(LogError::Unavailable(reason) | LogError::NoSuchTopic(reason))) => {
                    tracing::warn!(reason, "the price list waits for the log");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                ended => return ended,
            }
        }
    }

    async fn tail(
        &self,
        log: &dyn Log,
        topic: &Topic,
        rules: &mut BTreeMap<u32, Rule>,
    ) -> Result<std::convert::Infallible, PriceListError> {
        let mut from = Vec::new();
        let mut ends = BTreeMap::new();
        for partition in 0..log.partitions(topic).await? {
            let at = topic.partition(partition);
            ends.insert(partition, log.bounds(&at).await?.end);
            from.push((
                at,
                self.progress
                    .borrow()
                    .next
                    .get(&partition)
                    .copied()
                    .unwrap_or_default(),
            ));
        }
        let mut reader = log.reader(from).await?;
        loop {
            self.progress.send_modify(|progress| {
                let here = |partition| progress.next.get(partition).copied().unwrap_or_default();
                progress.complete |= ends.iter().all(|(partition, end)| here(partition) >= *end);
            });
            let records = reader.next(READ_RECORDS_MAX).await?;
            for stored in &records {
                self.fold(rules.entry(stored.at.partition).or_default(), stored)?;
            }
            self.progress.send_modify(|progress| {
                for stored in &records {
                    progress.next.insert(stored.at.partition, stored.offset.next());
                }
            });
        }
    }

    fn fold(&self, rule: &mut Rule, stored: &Stored) -> Result<(), CorruptRecord> {
        let parsed = codec::parse(stored)?;
        let verdict = rule.judge(parsed.claim());
        let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) else {
            return Ok(());
        };
        let recorded = codec::decode::<ProductEvent>(stored, envelope)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match recorded.event {
            ProductEvent::PriceSet(set) => {
                entries
                    .entry(set.sku)
                    .or_default()
                    .prices
                    .insert(set.currency, set.price);
            }
            ProductEvent::Published(published) => entries.entry(published.sku).or_default().published = true,
            ProductEvent::Created(_) | ProductEvent::DetailsUpdated(_) => {}
        }
        Ok(())
    }
}

#[async_trait]
impl PriceList for InMemoryPriceList {
    fn price(&self, sku: &Sku, currency: Currency) -> Option<Price> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(sku).filter(|entry| entry.published)?;
        entry.prices.get(&currency).copied()
    }

    async fn reached(&self, positions: &Positions, timeout: Duration) -> bool {
        let asked: Vec<(u32, u32, Offset)> = positions
            .iter()
            .filter_map(|position| {
                let (service, generation) = of_generation(&position.service);
                (service == product::SERVICE).then_some((generation, position.partition, position.offset))
            })
            .collect();
        let reached = |progress: &Progress| {
            let here = |partition| progress.next.get(partition).copied().unwrap_or_default();
            progress.complete
                && asked.iter().all(|(generation, partition, offset)| {
                    // What an older generation holds, this one begins with.
                    match generation.cmp(&progress.generation) {
                        Ordering::Less => true,
                        Ordering::Equal => here(partition) > *offset,
                        Ordering::Greater => false,
                    }
                })
        };
        // Nearly always: no need to wait for anything.
        if reached(&self.progress.borrow()) {
            return true;
        }
        let mut progress = self.progress.subscribe();
        let waiting = progress.wait_for(reached);
        matches!(tokio::time::timeout(timeout, waiting).await, Ok(Ok(_)))
    }
}
