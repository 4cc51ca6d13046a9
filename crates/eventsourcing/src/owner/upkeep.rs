//! Keeping memory bounded: aggregates that the table of states has are forgotten, the least lately touched
//! first, when memory holds more than it should.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;
use tokio::time::Instant;

use crate::aggregate::Aggregate;
use crate::checkpoint::Checkpoint;
use crate::ids::Offset;
use crate::state_table::{StateTableError, Version};
use crate::topic::TopicPartition;

use super::SeededBug;
use super::batch::Batch;
use super::partition::Partition;
use super::serve::Flight;

/// How often the table is asked how far it has come, while memory holds too much.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// Entries looked at after each batch: more than a batch can add, so that memory shrinks.
const LOOKS: usize = 2_048;

/// What the table says of its checkpoint.
type Opened = Result<Option<(Version, Checkpoint)>, StateTableError>;

/// See the module.
pub(super) struct Upkeep {
    /// What the table has for sure.
    below: Offset,
    asked: Option<Instant>,
    asking: Option<Pin<Box<dyn Future<Output = Opened> + Send>>>,
    aggregates: Gauge,
}

impl Upkeep {
    pub(super) fn of(at: &TopicPartition) -> Self {
        let (topic, partition) = (at.topic.as_str().to_owned(), at.partition.to_string());
        Self {
            below: Offset(0),
            asked: None,
            asking: None,
            aggregates: metrics::gauge!("daybook_owner_aggregates", "topic" => topic, "partition" => partition),
        }
    }

    /// A new term begins, and the table says this.
    pub(super) fn begin(&mut self, opened: Option<(Version, Checkpoint)>) {
        self.below = opened.map_or(Offset(0), |(_, checkpoint)| checkpoint.next);
        self.asking = None;
    }

    /// The table's answer; never, when it was not asked. Cancel-safe.
    pub(super) async fn opened(&mut self) -> Opened {
        match &mut self.asking {
            Some(asking) => {
                let opened = asking.as_mut().await;
                self.asking = None;
                opened
            }
            None => std::future::pending().await,
        }
    }
}

impl<A: Aggregate> Partition<A> {
    /// Says how much is in memory, and forgets what is too much.
    pub(super) fn evict(&mut self, flight: Option<&Flight<A>>, deciding: &Batch<A>) {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        self.upkeep.aggregates.set(self.book.len() as f64);
        let most = self.settings.config.aggregates_max;
        let Some(states) = &self.states else { return };
        if self.book.len() <= most {
            return;
        }
        if self.book.table.is_some() {
            let below = if self.settings.config.has(SeededBug::EvictedEarly) {
                Offset(u64::MAX)
            } else {
                self.upkeep.below
            };
            self.book.evict(most, below, LOOKS, |aggregate| {
                deciding.entries.contains_key(aggregate)
                    || flight.is_some_and(|flight| flight.batch.entries.contains_key(aggregate))
            });
        }
        let due = self
            .upkeep
            .asked
            .is_none_or(|asked| asked.elapsed() >= ASK_INTERVAL);
        if self.book.len() > most && due && self.upkeep.asking.is_none() {
            let (states, at) = (Arc::clone(states), self.at.clone());
            self.upkeep.asked = Some(Instant::now());
            self.upkeep.asking = Some(Box::pin(async move { states.open(&at).await }));
        }
    }

    /// Memory that has everything may rest on the table from its checkpoint on: whatever lies below is there,
    /// and whatever lies above is here. Another version is left to the next owner.
    pub(super) fn adopt(&mut self, opened: Result<Option<(Version, Checkpoint)>, StateTableError>) {
        match opened {
            Ok(Some((version, checkpoint))) => {
                if *self.book.table.get_or_insert(version) == version {
                    self.upkeep.below = checkpoint.next;
                    let looked_up = |aggregate: &_| self.cold.waits_for(aggregate);
                    self.book.forget_tails(checkpoint.next, looked_up);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(partition = %self.at, %error, "cannot ask the table of states"),
        }
    }
}
