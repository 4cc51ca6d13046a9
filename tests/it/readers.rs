//! Two nodes share out who projects and who runs the checkout. One that is frozen or killed is replaced; one
//! that wakes up applies nothing twice (P5, P6). And nobody reads a log that is not the one they know.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;
use testkit::Daybook;

/// Enough for every partition to have some.
const SKUS: usize = 12;
/// The session's time-out, the replay, and slack for a busy machine.
const TAKEOVER_MAX: Duration = Duration::from_mins(2);
/// Units received of each SKU in each round.
const UNITS: i64 = 5;

/// Read models, as the log of a node names them.
const READERS: [&str; 5] = ["products", "availability", "orders", "order_history", "sales"];

/// A share that is everything.
const ALL: &str = "{0, 1, 2, 3}";

struct Pair {
    first: Daybook,
    second: Daybook,
    database: String,
    _directories: [tempfile::TempDir; 2],
}

impl Pair {
    async fn on_kafka(settings: &[(&str, &str)]) -> Self {
        let broker = tokio::task::spawn_blocking(testkit::kafka)
            .await
            .expect("a broker");
        let environment = [
            ("KAFKA_BROKERS", broker.brokers.as_str()),
            ("DAYBOOK_TOPICS_PREFIX", broker.prefix.as_str()),
        ];
        let directories = [(); 2].map(|()| testkit::directory().expect("a directory"));
        let database = testkit::postgres().await.url;
        let environment = [&environment[..], &[("DATABASE_URL", database.as_str())], settings].concat();
        let arguments = ["up", "--log", "kafka"];
        Self {
            first: Daybook::start(directories[0].path(), &arguments, &environment).await,
            second: Daybook::start(directories[1].path(), &arguments, &environment).await,
            database,
            _directories: directories,
        }
    }

    async fn on_postgres() -> Self {
        let directories = [(); 2].map(|()| testkit::directory().expect("a directory"));
        let database = testkit::postgres().await.url;
        let environment = [("DATABASE_URL", database.as_str())];
        let first = Daybook::start(directories[0].path(), &["up"], &environment).await;
        Self {
            first,
            second: Daybook::start_standby(directories[1].path(), &["up"], &environment).await,
            database,
            _directories: directories,
        }
    }

    /// Until each has a share of its own, of both kinds of work.
    async fn share_out(&self) {
        for node in [&self.first, &self.second] {
            testkit::eventually("it has its share", TAKEOVER_MAX, async || {
                let projects = READERS.iter().any(|reader| has_share(node, reader));
                (projects && has_share(node, "checkout")).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_reader_is_replaced_and_wakes_up_to_nothing() {
    let pair = Pair::on_kafka(&[]).await;
    pair.share_out().await;
    offer(&pair.first).await;
    round(&pair.first, "before", 0).await;
    // In the midst of work: the owners, the projections and the checkout of this node stand still.
    let working = async {
        let working = (0..SKUS).map(async |number| receive(&pair.first, number, "midst").await);
        futures::future::join_all(working).await
    };
    let freezing = async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let frozen = pair.first.freeze();
        round(&pair.second, "meanwhile", 0).await;
        drop(frozen);
    };
    tokio::join!(working, freezing);
    for number in 0..SKUS {
        receive(&pair.second, number, "midst").await;
    }
    // Both go on, and what the woken one still had in hand has counted once.
    round(&pair.first, "after", 0).await;
    for node in [&pair.first, &pair.second] {
        exact(node, 3).await;
    }
    sums(&pair.database, 3).await;
}

/// Who stops in order tells the group before its process ends: nobody waits for the time-out of its session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_hands_over_what_it_reads() {
    let session = Duration::from_mins(4);
    let session_ms = session.as_millis().to_string();
    let mut pair = Pair::on_kafka(&[("DAYBOOK_KAFKA_SESSION_TIMEOUT_MS", &session_ms)]).await;
    pair.share_out().await;
    assert!(pair.first.terminate().await, "{}", pair.first.tail());
    let cut_off = pair.first.log().contains("cut off at the deadline");
    assert!(!cut_off, "{}", pair.first.tail());
    // Nothing comes, so nothing of the first one's could be seen standing still.
    testkit::eventually("it has everything", session / 4, async || {
        let mut all = READERS.iter().chain(&["checkout"]);
        all.all(|reader| share(&pair.second, reader).is_some_and(|share| share == ALL))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_process_is_replaced_by_its_standby_on_postgres() {
    let pair = Pair::on_postgres().await;
    offer(&pair.first).await;
    round(&pair.first, "before", 0).await;
    let frozen = pair.first.freeze();
    round(&pair.second, "meanwhile", 0).await;
    drop(frozen);
    for number in 0..SKUS {
        receive(&pair.second, number, "midst").await;
    }
    round(&pair.second, "after", 0).await;
    exact(&pair.second, 3).await;
    sums(&pair.database, 3).await;
}

/// A log that is empty under a live database is refused by whoever had read it: the process ends and says
/// what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_recreated_empty_is_refused() {
    let broker = tokio::task::spawn_blocking(testkit::kafka)
        .await
        .expect("a broker");
    let directory = testkit::directory().expect("a directory");
    let database = testkit::postgres().await.url;
    let environment = [
        ("KAFKA_BROKERS", broker.brokers.as_str()),
        ("DATABASE_URL", database.as_str()),
        ("DAYBOOK_TOPICS_PREFIX", broker.prefix.as_str()),
    ];
    let mut shop = Daybook::start(directory.path(), &["up", "--log", "kafka"], &environment).await;
    offer(&shop).await;
    round(&shop, "before", 0).await;
    assert!(shop.terminate().await, "{}", shop.tail());
    // The same names on a broker that has never heard of them.
    let (empty, _data) = tokio::task::spawn_blocking(testkit::private_kafka)
        .await
        .expect("a broker");
    let brokers = empty.brokers();
    let environment = environment.map(|(name, value)| {
        let value = if name == "KAFKA_BROKERS" {
            brokers.as_str()
        } else {
            value
        };
        (name, value)
    });
    for role in ["projections", "workers"] {
        let ended = tokio::time::timeout(TAKEOVER_MAX, run(role, &environment)).await;
        let (succeeded, output) = ended.expect("it ends by itself");
        assert!(!succeeded, "{role}: {output}");
        for said in [
            broker.prefix.as_str(),
            "begins at 0 and ends at 0, but whoever reads it has come to offset",
            "give each log a database of its own, or restore it",
        ] {
            assert!(output.contains(said), "{role}: {said:?} in {output}");
        }
    }
}

/// `daybook <role>` until it ends.
async fn run(role: &'static str, environment: &[(&str, &str)]) -> (bool, String) {
    let mut command = tokio::process::Command::new(testkit::daybook_binary().expect("built"));
    command
        .args([role, "--log", "kafka"])
        .envs(environment.iter().copied())
        .env("DAYBOOK_LISTEN_PROJECTIONS", format!("127.0.0.1:{}", free_port()))
        .env("DAYBOOK_LISTEN_WORKERS", format!("127.0.0.1:{}", free_port()))
        .kill_on_drop(true);
    let output = command.output().await.expect("starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Whether it works on some partitions and others on the rest.
fn has_share(node: &Daybook, reader: &str) -> bool {
    share(node, reader).is_some_and(|share| share != "{}" && share != ALL)
}

/// What a reader of this node works on, by its log; none before its first word.
fn share(node: &Daybook, reader: &str) -> Option<String> {
    let log = node.log();
    let of = format!("reader=\"{reader}\" partitions=");
    let (_, share) = log
        .lines()
        .filter(|line| line.contains(" reading "))
        .filter_map(|line| line.split_once(&of))
        .next_back()?;
    Some(share.trim_end().to_owned())
}

fn sku(number: usize) -> String {
    format!("READ-{number}")
}

/// A POST that is repeated under its key until it is accepted.
async fn post(node: &Daybook, path: &str, key: &str, body: &Value) -> Value {
    let client = reqwest::Client::new();
    testkit::eventually(&format!("{path} {key}"), TAKEOVER_MAX, async || {
        let request = client.post(format!("{}{path}", node.commands));
        let request = request.header("Idempotency-Key", key).json(body);
        let answer = request.timeout(Duration::from_secs(30)).send().await.ok()?;
        if answer.status() == 503 || answer.status() == 404 || answer.status() == 409 {
            // Away, or the price list has not heard of the product yet.
            return None;
        }
        assert!(answer.status().is_success(), "{path} {key}: {answer:?}");
        answer.json().await.ok()
    })
    .await
}

/// One product on sale for all SKUs' orders.
async fn offer(node: &Daybook) {
    let product = json!({ "sku": sku(0), "name": "a thing" });
    let created = post(node, "/v1/products", "create", &product).await;
    let id = created["id"].as_str().expect("an id").to_owned();
    let price = json!({ "price": { "amount": 250, "currency": "EUR" } });
    post(node, &format!("/v1/products/{id}/price"), "price", &price).await;
    post(
        node,
        &format!("/v1/products/{id}/publish"),
        "publish",
        &Value::Null,
    )
    .await;
}

async fn receive(node: &Daybook, number: usize, run: &str) {
    let path = format!("/v1/stock/{}/receive", sku(number));
    post(
        node,
        &path,
        &format!("{run} {number}"),
        &json!({ "quantity": UNITS }),
    )
    .await;
}

/// Units of each SKU, and an order of one that is confirmed: events of all kinds in many partitions.
async fn round(node: &Daybook, run: &str, of: usize) {
    for number in 0..SKUS {
        receive(node, number, run).await;
    }
    for number in 0..UNITS {
        let lines = json!({ "currency": "EUR", "lines": [{ "sku": sku(of), "quantity": 1 }] });
        let order = post(node, "/v1/orders", &format!("{run} order {number}"), &lines).await;
        let id = order["id"].as_str().expect("an id").to_owned();
        let url = format!("{}/v1/orders/{id}", node.queries);
        testkit::eventually("the order is confirmed", TAKEOVER_MAX, async || {
            let order: Value = reqwest::get(&url).await.ok()?.json().await.ok()?;
            (order["status"] == "confirmed").then_some(())
        })
        .await;
    }
}

/// Every SKU shows `rounds` rounds and the midst, of which the orders hold theirs.
async fn exact(node: &Daybook, rounds: i64) {
    for number in 0..SKUS {
        let url = format!("{}/v1/stock/{}", node.queries, sku(number));
        let wanted = UNITS * (rounds + 1);
        let reserved = if number == 0 { UNITS * rounds } else { 0 };
        let mut seen = Value::Null;
        for _ in 0..600 {
            seen = match reqwest::get(&url).await {
                Ok(answer) => answer.json().await.unwrap_or_default(),
                Err(_) => Value::Null,
            };
            if seen["on_hand"] == wanted && seen["reserved"] == reserved {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(
            (&seen["on_hand"], &seen["reserved"]),
            (&json!(wanted), &json!(reserved)),
            "{seen}"
        );
    }
}

/// The counters, and the sums over all rows.
async fn sums(database: &str, rounds: i64) {
    let mut connection = sqlx::PgConnection::connect(database).await.expect("connects");
    let sql = "SELECT orders::BIGINT, units::BIGINT, revenue::BIGINT FROM read.sales WHERE dimension = 'sku'";
    let sold = UNITS * rounds;
    testkit::eventually("the sales follow", TAKEOVER_MAX, async || {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await.ok()?;
        (rows.iter().map(|row| row.1).sum::<i64>() >= sold).then_some(())
    })
    .await;
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(sql)
        .fetch_all(&mut connection)
        .await
        .expect("readable");
    assert_eq!(rows, [(sold, sold, 250 * sold)]);
    let all: Option<i64> = sqlx::query_scalar("SELECT sum(on_hand)::BIGINT FROM read.availability")
        .fetch_one(&mut connection)
        .await
        .expect("readable");
    let units = UNITS * (rounds + 1) * i64::try_from(SKUS).expect("small");
    assert_eq!(all, Some(units));
    let parked: i64 = sqlx::query_scalar("SELECT count(*) FROM daybook.parked_events")
        .fetch_one(&mut connection)
        .await
        .expect("readable");
    assert_eq!(parked, 0);
}
