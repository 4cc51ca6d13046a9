//! Two nodes of one shop: either takes any command, and when one dies the other goes on (P1, P3, P8).

mod cluster;
mod hop;
mod load;
mod overload;
mod rolling;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::Daybook;

/// Enough for every partition to have some.
const SKUS: usize = 16;
/// The session's time-out, the replay, and slack for a busy machine.
const TAKEOVER_MAX: Duration = Duration::from_mins(1);

/// Two nodes over one Kafka.
struct Pair {
    first: Daybook,
    second: Daybook,
    /// With their logs; they go with this.
    directories: (tempfile::TempDir, tempfile::TempDir),
}

impl Pair {
    async fn open() -> Self {
        let database = testkit::postgres().await;
        let broker = tokio::task::spawn_blocking(testkit::kafka)
            .await
            .expect("a broker");
        let environment = [
            ("DATABASE_URL", database.url.as_str()),
            ("KAFKA_BROKERS", broker.brokers.as_str()),
            ("DAYBOOK_TOPICS_PREFIX", broker.prefix.as_str()),
        ];
        let directories = directories();
        let arguments = ["up", "--dev", "--log", "kafka"];
        Self {
            first: Daybook::start(directories.0.path(), &arguments, &environment).await,
            second: Daybook::start(directories.1.path(), &arguments, &environment).await,
            directories,
        }
    }
}

/// What a command was answered: sequence and position, the same for each repeat.
type Answered = (u64, String);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_hands_on_and_takes_over() {
    let database = testkit::postgres().await;
    let environment = [("DATABASE_URL", database.url.as_str())];
    let (one, two) = directories();
    let mut owner = Daybook::start(one.path(), &["up", "--dev"], &environment).await;
    let standby = Daybook::start_standby(two.path(), &["up", "--dev"], &environment).await;
    // It learns the routes a moment after its start.
    testkit::eventually("the standby hands on", TAKEOVER_MAX, async || {
        receive(&standby, "FIRST", "first").await.ok()
    })
    .await;
    let before = receive_all(&[&owner, &standby], "before").await;
    owner.kill();
    repeated(&standby, "before", &before).await;
    receive_all(&[&standby], "after").await;
    sums_are(&standby, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_out_the_partitions_and_the_survivor_has_all() {
    let Pair {
        mut first,
        second,
        directories: _kept,
    } = Pair::open().await;
    let shared = testkit::eventually("both own some", TAKEOVER_MAX, async || {
        let (a, b) = (owned(&first, ""), owned(&second, ""));
        (a > 0 && b > 0).then_some((a, b))
    })
    .await;
    let before = receive_all(&[&first, &second], "before").await;
    first.kill();
    repeated(&second, "before", &before).await;
    receive_all(&[&second], "after").await;
    sums_are(&second, 2).await;
    println!("shared out {shared:?} times a partition was served, before one died");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_was_frozen_wakes_up_and_writes_nothing_twice() {
    let Pair {
        first,
        second,
        directories: _kept,
    } = Pair::open().await;
    let before = receive_all(&[&first, &second], "before").await;
    // In the midst of work: what the zombie had decided it may still send when it wakes up.
    let working = async {
        let asking =
            (0..SKUS).map(async |number| receive(&first, &sku(number), &format!("midst {number}")).await);
        futures::future::join_all(asking).await
    };
    let freezing = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let frozen = first.freeze();
        // Long past its session: the other node has everything.
        let taken_over = receive_all(&[&second], "meanwhile").await;
        repeated(&second, "before", &before).await;
        drop(frozen);
        taken_over
    };
    let (midst, meanwhile) = tokio::join!(working, freezing);
    // Whatever the zombie acknowledged, the log has; and it gives the answers that others gave.
    for (number, answer) in midst.into_iter().enumerate() {
        let again = testkit::eventually("it is answered", TAKEOVER_MAX, async || {
            receive(&first, &sku(number), &format!("midst {number}"))
                .await
                .ok()
        })
        .await;
        assert!(answer.is_err() || answer == Ok(again), "{number}: {answer:?}");
    }
    repeated(&first, "meanwhile", &meanwhile).await;
    sums_are(&first, 3).await;
    sums_are(&second, 3).await;
}

/// Else it would wait for its partitions for ever, without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_session_the_broker_refuses_says_so_and_ends() {
    let database = testkit::postgres().await;
    let broker = tokio::task::spawn_blocking(testkit::kafka)
        .await
        .expect("a broker");
    let directory = testkit::directory().expect("a directory");
    let node = tokio::process::Command::new(testkit::daybook_binary().expect("built"))
        .args(["up", "--dev", "--log", "kafka"])
        .args(["--commands", "127.0.0.1:0", "--queries", "127.0.0.1:0"])
        .env("DATABASE_URL", &database.url)
        .env("KAFKA_BROKERS", &broker.brokers)
        .env("DAYBOOK_TOPICS_PREFIX", &broker.prefix)
        // The test's broker wants a second at least.
        .env("DAYBOOK_KAFKA_SESSION_TIMEOUT_MS", "500")
        .current_dir(directory.path())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TAKEOVER_MAX, node)
        .await
        .expect("it ends by itself")
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("the broker does not allow a session time-out of 500 ms: set kafka.session_timeout_ms"),
        "{said}"
    );
}

fn directories() -> (tempfile::TempDir, tempfile::TempDir) {
    let directory = || testkit::directory().expect("a directory");
    (directory(), directory())
}

/// How many times the process has begun to serve a partition of these topics, as its log says.
fn owned(node: &Daybook, topics: &str) -> usize {
    node.log()
        .lines()
        .filter(|line| line.contains("serving partition=") && line.contains(topics))
        .count()
}

/// One unit of each SKU, through the nodes in turn. A move of partitions may cost a repeat.
async fn receive_all(nodes: &[&Daybook], run: &str) -> BTreeMap<usize, Answered> {
    let mut answers = BTreeMap::new();
    for number in 0..SKUS {
        let node = nodes[number % nodes.len()];
        let answer = testkit::eventually("it is accepted", TAKEOVER_MAX, async || {
            receive(node, &sku(number), &format!("{run} {number}")).await.ok()
        })
        .await;
        answers.insert(number, answer);
    }
    answers
}

/// Whoever serves now gives the answers of whoever served then.
async fn repeated(node: &Daybook, run: &str, before: &BTreeMap<usize, Answered>) {
    for (number, answered) in before {
        let again = testkit::eventually("it is answered again", TAKEOVER_MAX, async || {
            receive(node, &sku(*number), &format!("{run} {number}"))
                .await
                .ok()
        })
        .await;
        assert_eq!(again, *answered, "{number}");
    }
}

fn sku(number: usize) -> String {
    format!("NODE-{number}")
}

async fn receive(node: &Daybook, sku: &str, key: &str) -> Result<Answered, u16> {
    let request = reqwest::Client::new()
        .post(format!("{}/v1/stock/{sku}/receive", node.commands))
        .header("Idempotency-Key", key)
        .json(&json!({ "quantity": 1 }));
    let answer = request
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .expect("an answer");
    let status = answer.status();
    if !status.is_success() {
        assert_eq!(status, 503, "{answer:?}");
        return Err(status.as_u16());
    }
    let position = answer.headers()["daybook-position"]
        .to_str()
        .expect("text")
        .to_owned();
    let body: Value = answer.json().await.expect("JSON");
    Ok((body["sequence"].as_u64().expect("a number"), position))
}

async fn sums_are(node: &Daybook, units: i64) {
    for number in 0..SKUS {
        let url = format!("{}/v1/stock/{}", node.queries, sku(number));
        let on_hand = testkit::eventually("the read model follows", TAKEOVER_MAX, async || {
            let stock: Value = reqwest::get(&url).await.ok()?.json().await.ok()?;
            stock["on_hand"].as_i64().filter(|on_hand| *on_hand >= units)
        })
        .await;
        assert_eq!(on_hand, units, "{number}");
    }
}
