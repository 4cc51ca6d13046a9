//! Kafka or PostgreSQL away: an honest 503 in bounded time, and everything recovers by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::Daybook;

/// At once when the database freezes.
const CLIENTS: usize = 64;
/// What a client may have to wait for an answer while the log is away.
const BOUND: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_dies_is_survived() {
    let (mut broker, _data) = tokio::task::spawn_blocking(testkit::private_kafka)
        .await
        .expect("a broker");
    let directory = testkit::directory().expect("a directory");
    let database = testkit::postgres().await;
    let brokers = broker.brokers();
    let environment = [
        ("DATABASE_URL", database.url.as_str()),
        ("KAFKA_BROKERS", brokers.as_str()),
    ];
    let shop = Daybook::start(directory.path(), &["up", "--dev", "--log", "kafka"], &environment).await;

    receive(&shop, "before").await.expect("accepted");
    broker.kill().expect("dies");
    let asked = Instant::now();
    let refused = receive(&shop, "meanwhile").await.expect_err("the log is away");
    assert!(
        refused == 503 && asked.elapsed() < BOUND,
        "{refused} after {:?}",
        asked.elapsed()
    );
    let refused = receive(&shop, "meanwhile")
        .await
        .expect_err("the log is still away");
    assert_eq!(refused, 503);

    let _broker = tokio::task::spawn_blocking(move || broker.restart().map(|()| broker))
        .await
        .expect("no panic")
        .expect("back");
    testkit::eventually(
        "commands are accepted again",
        Duration::from_mins(1),
        async || receive(&shop, "meanwhile").await.ok(),
    )
    .await;
    sum_is(&shop, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_dies_is_survived() {
    let (server, data) = tokio::task::spawn_blocking(testkit::private_postgres)
        .await
        .expect("a server");
    let url = server.url("postgres");
    let port = server.port();
    let directory = testkit::directory().expect("a directory");
    let shop = Daybook::start(
        directory.path(),
        &["up", "--dev"],
        &[("DATABASE_URL", url.as_str())],
    )
    .await;

    receive(&shop, "before").await.expect("accepted");
    server.stop_immediately().expect("dies");
    let asked = Instant::now();
    let refused = receive(&shop, "meanwhile").await.expect_err("the log is away");
    assert!(
        refused == 503 && asked.elapsed() < BOUND,
        "{refused} after {:?}",
        asked.elapsed()
    );

    let options = embedded_again(data.path(), port);
    let _server = tokio::task::spawn_blocking(options).await.expect("no panic");
    testkit::eventually(
        "commands are accepted again",
        Duration::from_mins(1),
        async || receive(&shop, "meanwhile").await.ok(),
    )
    .await;
    sum_is(&shop, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_freezes_is_survived() {
    let (server, _data) = tokio::task::spawn_blocking(testkit::private_postgres)
        .await
        .expect("a server");
    let url = server.url("postgres");
    let directory = testkit::directory().expect("a directory");
    let shop = Daybook::start(
        directory.path(),
        &["up", "--dev"],
        &[("DATABASE_URL", url.as_str())],
    )
    .await;
    receive(&shop, "before").await.expect("accepted");

    // In the midst of commands: each client goes on until it is refused, and none waits for ever.
    let asking = futures::future::join_all((0..CLIENTS).map(|client| {
        let shop = &shop;
        async move {
            for number in 0.. {
                let asked = Instant::now();
                let answer = receive_of(shop, &sku(client), &key(client, number)).await;
                assert!(asked.elapsed() < BOUND, "{:?}", asked.elapsed());
                if answer.is_err() {
                    return (number, answer);
                }
            }
            unreachable!("a client ends with its first refusal")
        }
    }));
    let freezing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        testkit::Frozen::tree(server.process_id().expect("ours"))
    };
    let (answers, frozen) = tokio::join!(asking, freezing);
    assert!(
        answers.iter().all(|(_, answer)| *answer == Err(503)),
        "{answers:?}"
    );
    assert!(
        answers.iter().any(|(accepted, _)| *accepted > 0),
        "it froze before anything was accepted"
    );
    let ready = async || reqwest::get(format!("{}/readyz", shop.commands)).await.ok();
    testkit::eventually("it says that it is not ready", BOUND, async || {
        (ready().await?.status() == 503).then_some(())
    })
    .await;
    for _ in 0..2 {
        let asked = Instant::now();
        assert_eq!(receive(&shop, "meanwhile").await, Err(503));
        let read = reqwest::get(format!("{}/v1/stock/MUG", shop.queries)).await;
        assert_eq!(read.expect("an answer").status(), 503);
        assert!(asked.elapsed() < BOUND, "{:?}", asked.elapsed());
    }
    drop(frozen);

    // What was in doubt is repeated under its key: each client's last one counts once, like all before.
    let mut units = BTreeMap::new();
    for (client, (number, _)) in (0..).zip(answers) {
        testkit::eventually("each is accepted", Duration::from_mins(1), async || {
            receive_of(&shop, &sku(client), &key(client, number)).await.ok()
        })
        .await;
        *units.entry(sku(client)).or_default() += number + 1;
    }
    for (sku, units) in units {
        sum_of(&shop, &sku, units).await;
    }
    testkit::eventually("it is ready again", Duration::from_mins(1), async || {
        ready().await?.status().is_success().then_some(())
    })
    .await;
}

/// The same server on the same port.
fn embedded_again(data: &std::path::Path, port: u16) -> impl FnOnce() -> testkit::Postgres + Send + 'static {
    let data = data.to_owned();
    move || testkit::restart_postgres(&data, port)
}

fn sku(client: usize) -> String {
    format!("MUG-{}", client % 8)
}

fn key(client: usize, number: i64) -> String {
    format!("{client} {number}")
}

/// One more unit; the status where it is not accepted.
async fn receive(shop: &Daybook, key: &str) -> Result<(), u16> {
    receive_of(shop, "MUG", key).await
}

async fn receive_of(shop: &Daybook, sku: &str, key: &str) -> Result<(), u16> {
    let request = reqwest::Client::new().post(format!("{}/v1/stock/{sku}/receive", shop.commands));
    let request = request
        .header("Idempotency-Key", key)
        .json(&json!({ "quantity": 1 }));
    let answer = request.timeout(Duration::from_secs(30)).send().await;
    let answer = answer.unwrap_or_else(|error| {
        panic!(
            "{error}:
{}",
            shop.tail()
        )
    });
    if answer.status() == 503 {
        assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
    }
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(answer.status().as_u16())
    }
}

/// The repeats under one key made one event.
async fn sum_is(shop: &Daybook, units: i64) {
    sum_of(shop, "MUG", units).await;
}

async fn sum_of(shop: &Daybook, sku: &str, units: i64) {
    let stock = testkit::eventually("the read model follows", Duration::from_mins(1), async || {
        let answer = reqwest::get(format!("{}/v1/stock/{sku}", shop.queries))
            .await
            .ok()?;
        let stock: serde_json::Value = answer.json().await.ok()?;
        (stock["on_hand"].as_i64()? >= units).then_some(stock)
    })
    .await;
    assert_eq!(stock["on_hand"], units);
}
