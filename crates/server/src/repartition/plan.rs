//! What is to be done, or why it cannot.

use anyhow::bail;
use eventsourcing::copy::patiently;
use eventsourcing::repartition::Extent;
use eventsourcing::topic::Topic;
use eventsourcing_postgres::generations::{self, Generations};

use super::Wanted;
use crate::parts::{Parts, generation, home, services};

/// See the module.
pub(super) struct Plan {
    /// The generation to be.
    pub(super) generation: u32,
    /// Partitions of each of its topics.
    pub(super) partitions: u32,
}

impl Plan {
    /// The topic to be.
    pub(super) fn topic(&self, parts: &Parts, service: &str) -> Topic {
        Topic::generation(&parts.config.topics.prefix, service, self.generation)
    }

    /// The topic that is there.
    #[expect(clippy::unused_self, reason = "the counterpart of the topic to be")]
    pub(super) fn from(&self, parts: &Parts, service: &str) -> Extent {
        Extent {
            topic: parts.topic(service),
            partitions: parts.config.topics.partitions,
        }
    }
}

/// `None` when it is done already.
pub(super) async fn plan(parts: &Parts, wanted: Wanted) -> anyhow::Result<Option<Plan>> {
    let topics = &parts.config.topics;
    let known = patiently(async || generations::look(&parts.pool, &topics.prefix).await).await?;
    if is_done(&known, topics.generation, wanted.partitions) {
        println!(
            "nothing to do: generation {} is live, with {} partitions: start every role with {}",
            known.live.number,
            wanted.partitions,
            known.keys()
        );
        return Ok(None);
    }
    generation::check(parts).await?;
    home::check(parts).await?;
    for service in services() {
        let topic = parts.topic(service);
        let found = patiently(async || parts.log.partitions(&topic).await).await?;
        if found != topics.partitions {
            bail!(
                "topic {topic} has {found} partitions, but topics.partitions is {}: set it to {found}; --partitions says \
                 how many there are to be",
                topics.partitions
            );
        }
    }
    let plan = Plan {
        generation: topics.generation + 1,
        partitions: wanted.partitions,
    };
    match known.next {
        Some(next) if next.partitions != wanted.partitions && next.sealed => bail!(
            "the topics are sealed for a repartitioning to {} partitions: run it with --partitions {0} to its end",
            next.partitions
        ),
        Some(next) if next.partitions != wanted.partitions => bail!(
            "a repartitioning to {0} partitions was begun: go on with --partitions {0}. To give it up, delete the topics \
             of generation {1} ({2} and so on) and the row of daybook.generations",
            next.partitions,
            next.number,
            plan.topic(parts, services()[0])
        ),
        Some(_) => {}
        None if wanted.partitions == topics.partitions => {
            bail!(
                "the topics have {} partitions already; choose another number",
                topics.partitions
            )
        }
        None => {}
    }
    Ok(Some(plan))
}

/// Whether a run with this configuration has ended well before.
fn is_done(known: &Generations, configured: u32, wanted: u32) -> bool {
    known.live.number == configured + 1 && known.live.partitions == Some(wanted)
}

pub(super) async fn where_it_stands(parts: &Parts) -> anyhow::Result<String> {
    let topics = &parts.config.topics;
    let known = generations::look(&parts.pool, &topics.prefix).await?;
    Ok(if known.live.number > topics.generation {
        format!("the switch is done: start every role with {}", known.keys())
    } else if known.next.is_some_and(|next| next.sealed) {
        "the old topics are SEALED: the shop is closed until this has ended well. Run the same command again"
            .to_owned()
    } else {
        "what is copied stays, the old topics were not changed. Run the same command to go on".to_owned()
    })
}
