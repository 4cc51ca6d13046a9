//! One run: a storm with clients in it, then calm, then everything must have come to an end.

use std::sync::Arc;
use std::time::Duration;

use checker::History;
use eventsourcing::record::Stored;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::bank::account::Account;
use crate::bug::Bug;
use crate::profile::Profile;
use crate::statistics::Statistics;
use crate::world::{NODES, World};
use crate::{client, nemesis};

/// After the storm every client is done within this time.
const PATIENCE: Duration = Duration::from_mins(1);
/// Whatever is late has landed after this.
const SETTLED: Duration = Duration::from_secs(2);

/// What a run leaves behind.
pub struct Run {
    /// What the clients saw.
    pub history: History<Account>,
    /// All partitions.
    pub log: Vec<Stored>,
    /// What happened, line by line.
    pub events: Vec<String>,
    /// The same, counted.
    pub happened: Statistics,
    /// Parts of nodes that ended with an error.
    pub ended: Vec<String>,
    /// Who was still waiting at the end.
    pub stuck: Vec<String>,
}

/// Runs the world of this seed, in virtual time on this thread; with `bug`, the nodes break one rule.
#[must_use]
pub fn run(seed: u64, bug: Option<Bug>) -> Run {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(live(seed, bug))
}

async fn live(seed: u64, bug: Option<Bug>) -> Run {
    let mut random = StdRng::seed_from_u64(seed);
    let mut profile = Profile::draw(&mut random);
    profile.owner.bug = bug.map(Bug::of_owner);
    let (deaths, dead) = mpsc::unbounded_channel();
    let world = Arc::new(World::new(random.random(), profile, deaths));
    nemesis::begin(&world);
    let clients: Vec<_> = (0..world.profile.clients)
        .map(|number| {
            let random = StdRng::seed_from_u64(random.random());
            tokio::spawn(client::run(Arc::clone(&world), number, random))
        })
        .collect();
    nemesis::storm(&world, StdRng::seed_from_u64(random.random()), dead).await;
    nemesis::heal(&world).await;
    let mut stuck = Vec::new();
    for (number, client) in clients.into_iter().enumerate() {
        let abort = client.abort_handle();
        if let Ok(ended) = timeout(PATIENCE, client).await {
            ended.expect("clients do not panic");
        } else {
            abort.abort();
            stuck.push(format!("client {number} has no answer long after the storm"));
        }
    }
    sleep(SETTLED).await;
    for number in 0..NODES {
        if let Some(node) = world.remove(number)
            && !node.stop(SETTLED).await
        {
            stuck.push(format!("node-{number} does not stop"));
        }
    }
    let log = world.partitions().flat_map(|at| world.log.records(&at)).collect();
    let (happened, events, ended) = world.take();
    Run {
        history: world.recorder.take(),
        log,
        events,
        happened: Statistics { seeds: 1, ..happened },
        ended,
        stuck,
    }
}
