//! What the topics hold, read by the command line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::clients::Clients;
use super::{SERVICES, prefix};
use crate::shop::Shop;

/// What counts in a topic, as any reader sees it.
async fn accepted(shop: &Shop, topic: &str) -> Vec<Value> {
    let (read, lines) = shop.run(&["log", "read", topic, "--json"]).await;
    assert!(read, "{lines}");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["verdict"] == "accepted").collect()
}

/// Each command once, and each aggregate's events in their order without a gap; the events by aggregate.
fn in_order(events: &[Value]) -> BTreeMap<String, u64> {
    let mut commands = BTreeSet::new();
    let mut sequences: BTreeMap<String, u64> = BTreeMap::new();
    for event in events {
        assert!(commands.insert(event["command"].to_string()), "twice: {event}");
        let last = sequences
            .entry(event["aggregate"].as_str().expect("an id").to_owned())
            .or_default();
        assert_eq!(event["sequence"].as_u64(), Some(*last + 1), "{event}");
        *last += 1;
    }
    sequences
}

/// Everything that was acknowledged is in the new topics, once, and what was in the old ones.
pub(crate) async fn nothing_is_lost(shop: &Shop, clients: &Clients) {
    let prefix = prefix(shop);
    for service in SERVICES {
        let old = in_order(&accepted(shop, &format!("{prefix}.{service}.events")).await);
        let new = in_order(&accepted(shop, &format!("{prefix}.{service}-g2.events")).await);
        assert!(!old.is_empty(), "{service}");
        for (aggregate, sequence) in &old {
            assert!(new.get(aggregate) >= Some(sequence), "{aggregate}");
        }
        if service == "inventory" {
            let received = new.iter().filter(|(aggregate, _)| aggregate.contains("LOAD-"));
            let received: u64 = received.map(|(_, sequence)| sequence).sum();
            let stock = clients.answers();
            let stock = stock
                .iter()
                .filter(|command| command.path.contains("LOAD-"))
                .count();
            assert_eq!(received, stock as u64, "each acknowledged command once");
        }
    }
}
