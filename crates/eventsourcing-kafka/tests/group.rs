//! A consumer group on a real broker.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_kafka::{Flush, GroupAssignment, GroupConfig, Keeps, TopicSettings, create_topics, join};

const PARTITIONS: u32 = 4;
/// A rebalance of a small group on a busy machine.
const BOUND: Duration = Duration::from_secs(30);

/// A node with its assignments, and what they have assigned so far.
struct Node {
    assignments: Vec<GroupAssignment>,
    owned: BTreeSet<String>,
}

struct Shop {
    config: GroupConfig,
    topics: Vec<Topic>,
}

impl Shop {
    async fn open() -> Self {
        let broker = tokio::task::spawn_blocking(testkit::kafka)
            .await
            .expect("a broker");
        let topics = ["catalog", "inventory", "orders"].map(|service| Topic::events(&broker.prefix, service));
        let settings = TopicSettings {
            partitions: PARTITIONS,
            replication: 1,
            flush: Flush::PageCache,
            keeps: Keeps::Everything,
        };
        create_topics(&broker.brokers, &topics, &settings)
            .await
            .expect("creates");
        Self {
            config: GroupConfig::new(&broker.brokers, format!("{}.owners", broker.prefix)),
            topics: topics.to_vec(),
        }
    }

    fn join(&self) -> Node {
        Node {
            assignments: join(&self.config, &self.topics).expect("joins").assignments,
            owned: BTreeSet::new(),
        }
    }

    fn all(&self) -> BTreeSet<String> {
        let partitions = self
            .topics
            .iter()
            .flat_map(|topic| (0..PARTITIONS).map(|number| topic.partition(number)));
        partitions.map(|at| at.to_string()).collect()
    }
}

impl Node {
    /// Takes in whatever has changed by now.
    async fn follow(&mut self) {
        for assignment in &mut self.assignments {
            let brief = Duration::from_millis(20);
            while let Ok(change) = tokio::time::timeout(brief, assignment.next()).await {
                let name = |at: TopicPartition| at.to_string();
                match change.expect("the member lives") {
                    AssignmentChange::Assigned(at) => assert!(self.owned.insert(name(at)), "assigned twice"),
                    AssignmentChange::Revoked(at) | AssignmentChange::Lost(at) => {
                        assert!(self.owned.remove(&name(at)), "revoked, but never assigned");
                    }
                }
            }
        }
    }
}

/// Waits until these nodes share out everything, nothing twice, in shares that differ by a topic's worth at most.
async fn shared_out(shop: &Shop, nodes: &mut [&mut Node]) {
    let deadline = Instant::now() + BOUND;
    loop {
        for node in &mut *nodes {
            node.follow().await;
        }
        let owned: Vec<&String> = nodes.iter().flat_map(|node| &node.owned).collect();
        let distinct: BTreeSet<String> = owned.iter().map(|name| (*name).clone()).collect();
        let fair = nodes
            .iter()
            .all(|node| node.owned.len() >= shop.all().len() / nodes.len() - 1);
        if distinct == shop.all() && owned.len() == distinct.len() && fair {
            return;
        }
        assert!(Instant::now() < deadline, "{owned:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_out_the_partitions_and_take_over_from_one_that_leaves() {
    let shop = Shop::open().await;
    let mut first = shop.join();
    shared_out(&shop, &mut [&mut first]).await;
    let mut second = shop.join();
    shared_out(&shop, &mut [&mut first, &mut second]).await;
    let mut third = shop.join();
    shared_out(&shop, &mut [&mut first, &mut second, &mut third]).await;

    let leaving = Instant::now();
    drop(first);
    shared_out(&shop, &mut [&mut second, &mut third]).await;
    drop(second);
    shared_out(&shop, &mut [&mut third]).await;
    // Whoever leaves says so: nobody had to wait for two time-outs.
    assert!(
        leaving.elapsed() < 2 * shop.config.session_timeout,
        "{:?}",
        leaving.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_time_out_that_the_broker_does_not_allow_is_said() {
    let mut shop = Shop::open().await;
    // The test's broker allows a second at least, as few brokers do.
    shop.config.session_timeout = Duration::from_millis(500);
    shop.config.heartbeat_interval = Duration::from_millis(100);
    let joined = join(&shop.config, &shop.topics).expect("connects in the background");
    let ended = tokio::time::timeout(BOUND, joined.membership.ends())
        .await
        .expect("is said");
    let line = ended.expect_err("is refused").to_string();
    for part in [
        "500 ms",
        "kafka.session_timeout_ms",
        "group.min.session.timeout.ms",
    ] {
        assert!(line.contains(part), "{line}");
    }
}
