//! What a command may ask of a node that does not own its aggregate: an answer in time, and the same waits.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};

use super::cluster::{Cluster, Role};
use super::owned;
use super::wire::{Answer, Connection, address};

/// Enough for every partition to have some.
const COMMANDS: usize = 16;
/// What the client gives a command, far less than what the node would.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// The same and slack for a busy machine, but still far less.
const TIMEOUT_MAX: Duration = Duration::from_secs(20);
const LONG: &str = "60000";

async fn receive(cluster: &Cluster, node: usize, number: usize, run: &str, timeout: Duration) -> Answer {
    let mut connection = Connection::open(address(&cluster.nodes[node].commands))
        .await
        .expect("listens");
    let path = format!("/v1/stock/HOP-{number}/receive");
    let (key, timeout) = (format!("{run} {number}"), timeout.as_millis().to_string());
    let headers = [("idempotency-key", &*key), ("daybook-timeout-ms", &timeout)];
    let answer = connection.post(&path, &headers, r#"{"quantity":1}"#).await;
    answer.expect("an answer")
}

fn sequence(answer: &Answer) -> u64 {
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    body["sequence"].as_u64().unwrap_or_else(|| panic!("{answer:?}"))
}

/// Both nodes own some, so half of the commands are handed on; none is without an owner.
async fn shared_out(cluster: &Cluster) {
    testkit::eventually("both own some", Duration::from_mins(1), async || {
        let own = |node| owned(node, ".inventory.") > 0;
        cluster.nodes.iter().all(own).then_some(())
    })
    .await;
    let asking = (0..COMMANDS).map(|number| receive(cluster, 0, number, "warm", Duration::from_mins(1)));
    for answer in join_all(asking).await {
        assert_eq!((answer.status, sequence(&answer)), (200, 1), "{answer:?}");
    }
}

/// The owner is frozen and does not answer: whoever handed the command on does, in the time that was given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_holds_over_a_hop_to_a_frozen_owner() {
    // Nobody takes over meanwhile, and without the client's own limit the answer would take a minute.
    let settings = [
        ("DAYBOOK_KAFKA_SESSION_TIMEOUT_MS", LONG),
        ("DAYBOOK_OWNER_COMMAND_TIMEOUT_MS", LONG),
        ("DAYBOOK_OWNER_ROUTE_WAIT_MS", LONG),
        ("DAYBOOK_KAFKA_TIMEOUT_MS", LONG),
    ];
    let cluster = Cluster::open(2, Role::Commands, &settings).await;
    shared_out(&cluster).await;
    let frozen = cluster.nodes[1].freeze();
    let asking = (0..COMMANDS).map(async |number| {
        let asked = Instant::now();
        let answer = receive(&cluster, 0, number, "frozen", TIMEOUT).await;
        (answer, asked.elapsed())
    });
    let answers = join_all(asking).await;
    drop(frozen);
    let (mut accepted, mut in_doubt) = (0, 0);
    for (answer, took) in &answers {
        assert!(*took < TIMEOUT_MAX, "{took:?}: {answer:?}");
        match answer.status {
            200 => accepted += 1,
            503 => in_doubt += usize::from(!answer.not_attempted()),
            _ => panic!("{answer:?}"),
        }
    }
    println!("{accepted} accepted here, {in_doubt} in doubt over there");
    assert!(accepted > 0 && in_doubt > 0, "{answers:?}");
    // Whatever became of them, the repeats have one outcome.
    let again = (0..COMMANDS).map(|number| receive(&cluster, 0, number, "frozen", Duration::from_mins(1)));
    for answer in join_all(again).await {
        assert_eq!((answer.status, sequence(&answer)), (200, 2), "{answer:?}");
    }
}

/// Commands that hang at a frozen owner go to the next one when there is one, and their callers notice nothing
/// but the wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_follows_its_partition_from_a_frozen_owner_to_the_next() {
    let settings = [
        ("DAYBOOK_OWNER_COMMAND_TIMEOUT_MS", LONG),
        ("DAYBOOK_OWNER_ROUTE_WAIT_MS", LONG),
    ];
    let cluster = Cluster::open(2, Role::Commands, &settings).await;
    shared_out(&cluster).await;
    let frozen = cluster.nodes[1].freeze();
    let asking = (0..COMMANDS).map(async |number| {
        let asked = Instant::now();
        let answer = receive(&cluster, 0, number, "follows", Duration::from_mins(1)).await;
        (answer, asked.elapsed())
    });
    let answers = join_all(asking).await;
    let longest = answers.iter().map(|(_, took)| *took).max();
    println!("all accepted, the last after {longest:.1?}");
    for (answer, _) in &answers {
        assert_eq!((answer.status, sequence(answer)), (200, 2), "{answer:?}");
    }
    // The zombie wakes up with copies of them in its hands.
    drop(frozen);
    let after = (0..COMMANDS).map(|number| receive(&cluster, 1, number, "after", Duration::from_mins(1)));
    for answer in join_all(after).await {
        assert_eq!((answer.status, sequence(&answer)), (200, 3), "{answer:?}");
    }
}

/// `Daybook-Wait: settled` means the same at every node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_order_is_waited_for_wherever_it_is_owned() {
    let cluster = Cluster::open(2, Role::Up, &[]).await;
    shared_out(&cluster).await;
    let mut connection = Connection::open(address(&cluster.nodes[0].commands))
        .await
        .expect("listens");
    let mut send = async |path: &str, headers: &[(&str, &str)], body: Value| {
        let body = body.to_string();
        let answer = connection.post(path, headers, &body).await.expect("an answer");
        assert!(answer.accepted(), "{path}: {answer:?}");
        answer
    };
    let product = send(
        "/v1/products",
        &[],
        json!({ "sku": "SETTLED", "name": "Settled" }),
    )
    .await;
    let id = serde_json::from_str::<Value>(&product.body).expect("JSON")["id"].clone();
    let id = id.as_str().expect("an id");
    let price = json!({ "price": { "amount": 100, "currency": "EUR" } });
    send(&format!("/v1/products/{id}/price"), &[], price).await;
    let published = send(&format!("/v1/products/{id}/publish"), &[], Value::Null).await;
    send("/v1/stock/SETTLED/receive", &[], json!({ "quantity": 1_000 })).await;
    let position = published
        .header("daybook-position")
        .expect("a position")
        .to_owned();
    let order = json!({ "currency": "EUR", "lines": [{ "sku": "SETTLED", "quantity": 1 }] });
    for number in 0..COMMANDS {
        let key = format!("order {number}");
        let headers = [
            ("idempotency-key", &*key),
            ("daybook-position", &*position),
            ("daybook-wait", "settled"),
            ("prefer", "wait=30"),
        ];
        let placed = send("/v1/orders", &headers, order.clone()).await;
        assert_eq!(placed.status, 201, "{placed:?}");
        assert_eq!(placed.header("preference-applied"), Some("wait"), "{placed:?}");
    }
}
