//! A rolling restart under load: each node is stopped and started again, and no client is told "unknown", meets
//! a reset connection, or waits for longer than a hand-over takes (P1, P3).

use std::time::{Duration, Instant};

use super::cluster::{Cluster, Role};
use super::load::Load;
use super::wire::{Connection, address};

/// Before the first stop and after each start, so that the load meets every state.
const STEADY: Duration = Duration::from_secs(1);

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// `ROLLING_NODES=3 ROLLING_RATE=500` for the full one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_costs_nobody_more_than_a_wait() {
    let count = usize::try_from(setting("ROLLING_NODES", 2)).expect("few");
    let mut cluster = Cluster::open(count, Role::Commands, &[]).await;
    let addresses: Vec<_> = cluster.nodes.iter().map(|node| address(&node.commands)).collect();
    let load = Load::start(&addresses, setting("ROLLING_RATE", 100));
    tokio::time::sleep(STEADY).await;
    for (number, node) in cluster.nodes.iter_mut().enumerate() {
        let asked = Instant::now();
        assert!(node.terminate().await, "a clean end:\n{}", node.tail());
        let ended = asked.elapsed();
        tokio::time::sleep(STEADY).await;
        let (gap, wait) = load.with(|tally| (tally.longest_gap(asked), tally.longest_wait(asked)));
        println!(
            "node {number} ended {ended:.0?} after SIGTERM; no partition was without an owner for longer than {gap:.0?}, \
             no command waited longer than {wait:.0?}"
        );
        let asked = Instant::now();
        node.launch().await;
        let ready = asked.elapsed();
        tokio::time::sleep(STEADY).await;
        let (gap, wait) = load.with(|tally| (tally.longest_gap(asked), tally.longest_wait(asked)));
        println!("it was ready {ready:.0?} after its start; longest gap {gap:.0?}, longest wait {wait:.0?}");
    }
    let tally = load.stop().await;
    if setting("ROLLING_LOGS", 0) > 0 {
        for node in &cluster.nodes {
            println!("{}", node.log());
        }
    }
    println!(
        "{} accepted, {} refused without an attempt, {} unknown, {} connections broken, {} times nobody listened",
        tally.accepted.len(),
        tally.refused.len(),
        tally.unknown.len(),
        tally.broken.len(),
        tally.nobody
    );
    for refused in tally.refused.iter().take(3) {
        println!("refused: {refused}");
    }
    assert_eq!(tally.unknown, Vec::<String>::new());
    assert_eq!(tally.broken, Vec::<String>::new());
    let units: u64 = tally.units.values().sum();
    assert_eq!(
        units,
        tally.accepted.len() as u64,
        "each position was given to one command"
    );
    // Each accepted once and nothing else: the next one of each SKU has the next number.
    let mut connection = Connection::open(addresses[0]).await.expect("listens");
    for (sku, units) in &tally.units {
        let path = format!("/v1/stock/{sku}/receive");
        let answer = connection.post(&path, &[], r#"{"quantity":1}"#).await;
        let answer = answer.expect("an answer");
        let body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(body["sequence"], units + 1, "{sku}: {answer:?}");
    }
}
