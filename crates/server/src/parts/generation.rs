//! Whether the topics are those the configuration names. A shop that was repartitioned goes on in topics of a new
//! generation, and its old ones are sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use eventsourcing_postgres::generations::{self, Generations};

use super::Parts;

/// How often a running node looks whether its topics are still the shop's.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Refuses a configuration that names topics which are not the shop's, or not yet.
pub async fn check(parts: &Parts) -> anyhow::Result<()> {
    let topics = &parts.config.topics;
    let known = generations::look(&parts.pool, &topics.prefix).await?;
    let Generations { live, next } = &known;
    if topics.generation == 0 {
        bail!("topics.generation begins at 1");
    }
    if topics.generation == live.number {
        if let Some(next) = next.as_ref().filter(|next| next.sealed) {
            tracing::warn!(
                "the topics are sealed: no command is taken. Run `daybook log repartition --partitions {}` until it \
                 says that generation {} is live",
                next.partitions,
                next.number
            );
        }
        return Ok(());
    }
    if let Some(next) = next.as_ref().filter(|next| next.number == topics.generation) {
        bail!(
            "generation {} of the topics is not complete: run `daybook log repartition --partitions {}` with \
             topics.generation={} until it says that it is live",
            next.number,
            next.partitions,
            live.number
        );
    }
    bail!(
        "topics.generation is {}, but the topics of this shop (topics.prefix {:?}) are of generation {}: set {}",
        topics.generation,
        topics.prefix,
        live.number,
        known.keys()
    )
}

/// What a running node knows of that: whether its topics were sealed meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Outlived(Arc<AtomicBool>);

impl Outlived {
    /// Whether its topics take no commands any more.
    #[must_use]
    pub fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Looks again and again, and says it once. Such a node goes on: its readers may have to catch up, and its
    /// queries are answered.
    pub async fn watch(self, parts: Parts) {
        let topics = &parts.config.topics;
        loop {
            match generations::look(&parts.pool, &topics.prefix).await {
                Ok(known) if known.live.number > topics.generation => {
                    self.0.store(true, Ordering::Relaxed);
                    tracing::warn!(
                        "generation {} of the topics is live: this node serves nothing any more. Start it anew with {}",
                        known.live.number,
                        known.keys()
                    );
                    return;
                }
                Ok(known) => {
                    let sealed = known.next.is_some_and(|next| next.sealed);
                    if sealed && !self.0.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "the topics are sealed: no command is taken until the repartitioning has ended"
                        );
                    }
                }
                // Away for a moment; who needs it more says so.
                Err(error) => tracing::debug!(%error, "cannot look which generation of the topics is live"),
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }
}
