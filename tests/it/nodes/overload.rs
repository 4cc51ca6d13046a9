//! More than a node can do: it refuses at the door, says so, and writes nothing of what it refused (P2).

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::Daybook;

use super::wire::{Answer, Connection, address};

const CLIENTS: usize = 48;
const COMMANDS_EACH: usize = 12;
const SKUS: usize = 8;

async fn overloaded(settings: &[(&str, &str)]) {
    let directory = testkit::directory().expect("a directory");
    let database = testkit::postgres().await;
    let mut environment = vec![("DATABASE_URL", database.url.as_str())];
    environment.extend(settings);
    let node = Daybook::start_commands(directory.path(), &["commands", "--dev"], &environment).await;
    let clients = (0..CLIENTS).map(|client| tokio::spawn(client_of(address(&node.commands), client)));
    let mut accepted: BTreeMap<String, u64> = BTreeMap::new();
    let mut refused = 0;
    for answers in futures::future::join_all(clients).await {
        for (sku, answer) in answers.expect("no panic") {
            if answer.accepted() {
                *accepted.entry(sku).or_default() += 1;
                continue;
            }
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.not_attempted(), "{answer:?}");
            assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
            let problem: Value = serde_json::from_str(&answer.body).expect("a problem");
            assert_eq!(problem["code"], "overloaded");
            assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
            refused += 1;
        }
    }
    let all: u64 = accepted.values().sum();
    println!("{all} accepted, {refused} refused with {settings:?}");
    assert!(refused > 0 && all > 0, "{all} accepted, {refused} refused");
    // Nothing of the refused ones: the next event of each SKU follows on the accepted ones.
    let mut connection = Connection::open(address(&node.commands)).await.expect("listens");
    for number in 0..SKUS {
        let answer = receive(&mut connection, number, "after").await;
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        let before = accepted.get(&sku(number)).copied().unwrap_or(0);
        assert_eq!(body["sequence"], before + 1, "{answer:?}");
    }
}

async fn client_of(address: std::net::SocketAddr, client: usize) -> Vec<(String, Answer)> {
    let mut connection = Connection::open(address).await.expect("listens");
    let mut answers = Vec::new();
    for count in 0..COMMANDS_EACH {
        let number = (client + count) % SKUS;
        let answer = receive(&mut connection, number, &format!("{client} {count}")).await;
        answers.push((sku(number), answer));
    }
    answers
}

fn sku(number: usize) -> String {
    format!("FLASH-{number}")
}

async fn receive(connection: &mut Connection, number: usize, key: &str) -> Answer {
    let path = format!("/v1/stock/{}/receive", sku(number));
    let answer = connection
        .post(&path, &[("idempotency-key", key)], r#"{"quantity":1}"#)
        .await;
    answer.expect("a refusal is an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_at_once_are_refused_at_the_door() {
    overloaded(&[("DAYBOOK_HTTP_REQUESTS_MAX", "4")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mailbox_refuses_at_once() {
    overloaded(&[
        ("DAYBOOK_OWNER_MAILBOX_COMMANDS_MAX", "1"),
        ("DAYBOOK_OWNER_BATCH_COMMANDS_MAX", "1"),
        ("DAYBOOK_TOPICS_PARTITIONS", "1"),
    ])
    .await;
}
