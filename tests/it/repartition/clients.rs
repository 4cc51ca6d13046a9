//! Clients of a shop that is repartitioned under them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::PATIENCE;
use crate::shop::Shop;

const SKUS: usize = 24;
const CLIENTS: usize = 4;
/// Between a client's commands, so that no aggregate forgets a repeat before the test asks for it.
const PAUSE: Duration = Duration::from_millis(15);
/// An aggregate remembers its last 256 commands.
const REMEMBERED: usize = 200;

/// Clients that never give up on a command before they know its outcome.
pub(crate) struct Clients {
    pub(crate) http: reqwest::Client,
    /// The command API, wherever it is just now.
    pub(crate) shop: Mutex<String>,
    pub(crate) stop: AtomicBool,
    /// What was answered, in the order of the answers.
    pub(crate) answers: Mutex<Vec<Answered>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) key: String,
    pub(crate) sequence: u64,
    /// The order's, where it is one.
    pub(crate) id: Option<String>,
    pub(crate) position: String,
}

impl Clients {
    pub(crate) fn start(shop: &Shop) -> (Arc<Self>, Vec<tokio::task::JoinHandle<()>>) {
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

    /// The first client orders, the others receive goods.
    async fn work(self: Arc<Self>, client: usize) {
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("{client}-{number}");
            let (path, body) = if client == 0 {
                let lines = json!([{ "sku": "MUG", "quantity": 1 }]);
                (
                    "/v1/orders".to_owned(),
                    json!({ "currency": "EUR", "lines": lines }),
                )
            } else {
                let sku = (number * CLIENTS + client) % SKUS;
                (format!("/v1/stock/LOAD-{sku}/receive"), json!({ "quantity": 1 }))
            };
            let (answered, _) = self.insist(&path, &key, &body).await;
            self.answers.lock().expect("no panic inside").push(answered);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Repeats it under its key until the outcome is known; whether that was a replay.
    async fn insist(&self, path: &str, key: &str, body: &Value) -> (Answered, bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(answered) = self.ask(path, key, body).await {
                return answered;
            }
            assert!(tokio::time::Instant::now() < deadline, "{key} stays unknown");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self, path: &str, key: &str, body: &Value) -> Option<(Answered, bool)> {
        let shop = self.shop.lock().expect("no panic inside").clone();
        let request = self
            .http
            .post(format!("{shop}{path}"))
            .header("Idempotency-Key", key)
            .timeout(Duration::from_secs(20))
            .json(body);
        let answer = request.send().await.ok()?;
        if !answer.status().is_success() {
            assert_eq!(answer.status(), 503, "{answer:?}");
            return None;
        }
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let replayed = header("idempotent-replayed").is_some_and(|value| value == "true");
        let position = header("daybook-position")?;
        let given: Value = answer.json().await.ok()?;
        let answered = Answered {
            path: path.to_owned(),
            body: body.clone(),
            key: key.to_owned(),
            sequence: given["sequence"].as_u64()?,
            id: given["id"].as_str().map(str::to_owned),
            position,
        };
        Some((answered, replayed))
    }

    pub(crate) fn answers(&self) -> Vec<Answered> {
        self.answers.lock().expect("no panic inside").clone()
    }

    /// Until so many more commands were answered.
    pub(crate) async fn go_on(&self, more: usize) {
        let until = self.answers().len() + more;
        testkit::eventually("the clients go on", PATIENCE, async || {
            (self.answers().len() >= until).then_some(())
        })
        .await;
    }

    /// Each answer, from before and after, is given again and is a replay.
    pub(crate) async fn answered_again(&self) {
        let mut of_path: BTreeMap<String, Vec<Answered>> = BTreeMap::new();
        for answered in self.answers() {
            of_path.entry(answered.path.clone()).or_default().push(answered);
        }
        for before in of_path.values().flat_map(|all| all.iter().rev().take(REMEMBERED)) {
            let (again, replayed) = self.insist(&before.path, &before.key, &before.body).await;
            assert!(replayed, "{before:?}");
            assert_eq!(
                (again.sequence, &again.id),
                (before.sequence, &before.id),
                "{before:?}"
            );
        }
    }
}
