//! A shop outgrows PostgreSQL: its log moves to Kafka while clients go on, and nobody loses anything (P1, P3, P5).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::shop::Shop;

const SKUS: usize = 32;
const CLIENTS: usize = 4;
/// Between a client's commands, so that no aggregate forgets a repeat before the test asks for it.
const PAUSE: Duration = Duration::from_millis(15);
/// An aggregate remembers its last 256 commands.
const REMEMBERED: usize = 200;
const KILLS: usize = 3;
/// For whatever a busy machine may delay.
const PATIENCE: Duration = Duration::from_mins(3);
const COPY: [&str; 6] = ["log", "copy", "--from", "postgres", "--to", "kafka"];

/// Clients that never give up on a command before they know its outcome.
struct Clients {
    http: reqwest::Client,
    /// The command API, wherever it is just now.
    shop: Mutex<String>,
    stop: AtomicBool,
    /// By SKU: key, sequence and position, in the order in which they were answered.
    answers: Mutex<BTreeMap<String, Vec<Answered>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Answered {
    key: String,
    sequence: u64,
    position: String,
}

impl Clients {
    fn start(shop: &Shop) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
        let clients = Arc::new(Self {
            http: reqwest::Client::new(),
            shop: Mutex::new(shop.process.commands.clone()),
            stop: AtomicBool::new(false),
            answers: Mutex::default(),
        });
        let work = |client| tokio::spawn(Arc::clone(&clients).work(client));
        let tasks = (0..CLIENTS).map(work).collect();
        (clients, tasks)
    }

    async fn work(self: Arc<Self>, client: usize) {
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let sku = format!("LOAD-{}", (number * CLIENTS + client) % SKUS);
            let answered = self.receive(&sku, &format!("{client}-{number}")).await;
            self.note(sku, answered);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note(&self, sku: String, answered: Answered) {
        let mut answers = self.answers.lock().expect("no panic inside");
        answers.entry(sku).or_default().push(answered);
    }

    /// Each answer, from before and after, is given again: same sequence, same position.
    async fn answered_again(&self, old: &str) {
        let answers = self.answers.lock().expect("no panic inside").clone();
        let mut repeated = 0;
        for (sku, answered) in &answers {
            for before in answered.iter().rev().take(REMEMBERED) {
                let again = self.receive(sku, &before.key).await;
                assert_eq!(again, *before, "{sku}\n{old}");
                repeated += 1;
            }
        }
        println!(
            "{} commands answered, {repeated} of them asked again",
            self.count()
        );
    }

    /// Repeats it under its key until the outcome is known.
    async fn receive(&self, sku: &str, key: &str) -> Answered {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(answered) = self.ask(sku, key).await {
                return answered;
            }
            assert!(tokio::time::Instant::now() < deadline, "{key} stays unknown");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self, sku: &str, key: &str) -> Option<Answered> {
        let shop = self.shop.lock().expect("no panic inside").clone();
        let request = self
            .http
            .post(format!("{shop}/v1/stock/{sku}/receive"))
            .header("Idempotency-Key", key)
            .timeout(Duration::from_secs(20))
            .json(&json!({ "quantity": 1 }));
        let answer = request.send().await.ok()?;
        if !answer.status().is_success() {
            assert_eq!(answer.status(), 503, "{answer:?}");
            return None;
        }
        let position = answer.headers()["daybook-position"].to_str().ok()?.to_owned();
        let body: Value = answer.json().await.ok()?;
        Some(Answered {
            key: key.to_owned(),
            sequence: body["sequence"].as_u64()?,
            position,
        })
    }

    fn count(&self) -> usize {
        let answers = self.answers.lock().expect("no panic inside");
        answers.values().map(Vec::len).sum()
    }

    /// Until so many more commands were answered.
    async fn go_on(&self, more: usize) {
        let until = self.count() + more;
        testkit::eventually("the clients go on", PATIENCE, async || {
            (self.count() >= until).then_some(())
        })
        .await;
    }
}

/// A copy that follows, its words in a file.
fn follow(shop: &Shop, words: &Path) -> Child {
    let file = File::create(words).expect("a file");
    let mut command = shop.command(&[&COPY[..], &["--follow"]].concat());
    command.stderr(file).spawn().expect("starts")
}

/// In the middle, again and again.
async fn copy_is_killed(shop: &Shop, clients: &Clients) {
    let directory = testkit::directory().expect("a directory");
    for kill in 0..KILLS {
        let words = directory.path().join(format!("copy-{kill}.log"));
        let mut copying = follow(shop, &words);
        testkit::eventually("it copies", PATIENCE, async || {
            let said = std::fs::read_to_string(&words).ok()?;
            assert!(copying.try_wait().expect("ours").is_none(), "{said}");
            said.contains("records · ").then_some(())
        })
        .await;
        clients.go_on(20).await;
        copying.kill().expect("ours to kill");
        copying.wait().expect("ours to wait for");
    }
}

/// The read models went on where they stood: no event left out, none applied twice.
async fn sums_are_exact(shop: &Shop, clients: &Clients) {
    let answers = clients.answers.lock().expect("no panic inside").clone();
    for (sku, answered) in &answers {
        let count = answered.len() as u64;
        let path = format!("/v1/stock/{sku}");
        let stock = shop
            .shows(&path, |stock| stock["on_hand"].as_u64() >= Some(count))
            .await;
        assert_eq!(stock["on_hand"].as_u64(), Some(count), "{sku}");
    }
}

/// Runs a role that must refuse to start, and says why it did.
async fn refused(shop: &Shop, arguments: &[&str]) -> String {
    let mut command = shop.command(arguments);
    command.env("DAYBOOK_LISTEN_PROJECTIONS", "127.0.0.1:0");
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("starts");
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_moves_to_kafka_under_load_and_keeps_every_answer() {
    let mut shop = Shop::open_before_kafka().await;
    shop.sell("MUG", 999, 1_000).await;
    let ordered = shop.order("MUG", "before").await;
    assert_eq!(ordered.status, 201, "{ordered:?}");
    let id = ordered.body["id"].as_str().expect("an id").to_owned();
    let settled = shop.settled(&id).await;
    let (clients, tasks) = Clients::start(&shop);

    copy_is_killed(&shop, &clients).await;
    let refusal = refused(&shop, &["projections", "--log", "kafka"]).await;
    assert!(refusal.contains("is in PostgreSQL"), "{refusal}");
    let (copied, said) = shop.run(&COPY).await;
    assert!(copied && said.contains("equal: "), "{said}");

    // The switch. Whoever is asked in that moment is asked again by its client, on Kafka.
    clients.go_on(50).await;
    let (switched, said) = shop.run(&[&COPY[..], &["--switch"]].concat()).await;
    assert!(switched && said.contains("the log is in Kafka now"), "{said}");
    println!("{said}");
    testkit::eventually("the old node ends by itself", PATIENCE, async || {
        shop.process
            .log()
            .contains("the log has moved to Kafka")
            .then_some(())
    })
    .await;
    let old = shop.process.tail();
    let refusal = refused(&shop, &["projections"]).await;
    assert!(refusal.contains("the log has moved to Kafka"), "{refusal}");
    shop.start_on_kafka().await;
    shop.process
        .commands
        .clone_into(&mut clients.shop.lock().expect("no panic inside"));
    clients.go_on(200).await;
    clients.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no client failed");
    }

    clients.answered_again(&old).await;
    let again = shop.order("MUG", "before").await;
    assert!(again.replayed && again.position == ordered.position, "{again:?}");
    sums_are_exact(&shop, &clients).await;
    assert_eq!(
        shop.settled(&id).await,
        settled,
        "an old order is shown as it was"
    );
    let next = shop.order("MUG", "after").await;
    let next = shop.settled(next.body["id"].as_str().expect("an id")).await;
    assert_eq!(next["status"], "confirmed", "the checkout goes on: {next}");
    let (rebuilt, said) = shop.run(&["rebuild", "--all"]).await;
    assert!(
        rebuilt && said.contains("rows equal to the ones before"),
        "{said}"
    );
    println!("{said}");
    let (again, said) = shop.run(&COPY[..6]).await;
    assert!(again && said.contains("nothing to copy"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_holds_another_log_is_refused() {
    let shop = Shop::open_before_kafka().await;
    shop.sell("MUG", 999, 1_000).await;
    // Another shop, of another database, on the same topics.
    let stranger = testkit::postgres().await.url;
    let directory = testkit::directory().expect("a directory");
    let mut environment: Vec<(&str, &str)> = shop
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    environment.retain(|(name, _)| *name != "DATABASE_URL");
    environment.push(("DATABASE_URL", &stranger));
    let arguments = ["up", "--dev", "--log", "kafka"];
    drop(testkit::Daybook::start(directory.path(), &arguments, &environment).await);
    for switch in [&[][..], &["--switch"]] {
        let (copied, said) = shop.run(&[&COPY[..], switch].concat()).await;
        assert!(!copied, "{said}");
        assert!(
            said.contains("@0 differs: the value; the target is not a copy of the source"),
            "{said}"
        );
    }
    // Nothing happened to the shop.
    let order = shop.order("MUG", "still open").await;
    assert_eq!(order.status, 201, "{order:?}");
}
