//! What stands between clients and nodes: it sends to those whose `/readyz` says so, in turn, and to any where none does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use testkit::Daybook;
use tokio::task::JoinSet;

/// How often each node is asked.
const PULSE: Duration = Duration::from_millis(100);

/// An answer.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: Value,
    pub(super) position: String,
}

/// One of the two APIs at a node.
struct Api {
    url: String,
    ready: AtomicBool,
}

/// Over nodes that come and go at their addresses.
pub(super) struct Balancer {
    client: Client,
    commands: Vec<Arc<Api>>,
    queries: Vec<Arc<Api>>,
    turn: AtomicUsize,
    /// Requests that found none ready.
    pub(super) none_ready: AtomicUsize,
    _pulse: JoinSet<()>,
}

impl Balancer {
    pub(super) fn over(nodes: &[&Daybook]) -> Self {
        let client = Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        let mut pulse = JoinSet::new();
        let mut api = |url: &String| {
            let (url, ready) = (url.clone(), AtomicBool::new(false));
            let api = Arc::new(Api { url, ready });
            pulse.spawn(watch(client.clone(), Arc::clone(&api)));
            api
        };
        Self {
            commands: nodes.iter().map(|node| api(&node.commands)).collect(),
            queries: nodes.iter().map(|node| api(&node.queries)).collect(),
            client,
            turn: AtomicUsize::new(0),
            none_ready: AtomicUsize::new(0),
            _pulse: pulse,
        }
    }

    pub(super) async fn get(&self, path: &str, position: Option<&str>) -> reqwest::Result<Said> {
        let request = |url: &str| {
            let request = self.client.get(format!("{url}{path}"));
            match position {
                Some(position) => request.header("Daybook-Position", position),
                None => request,
            }
        };
        self.send(&self.queries, request).await
    }

    pub(super) async fn order(&self, key: &str, published: &str, order: &Value) -> reqwest::Result<Said> {
        let request = |url: &str| {
            let request = self.client.post(format!("{url}/v1/orders")).json(order);
            request
                .header("Idempotency-Key", key)
                .header("Daybook-Position", published)
        };
        self.send(&self.commands, request).await
    }

    /// To the next one; to another where nobody listens.
    async fn send(
        &self,
        apis: &[Arc<Api>],
        request: impl Fn(&str) -> RequestBuilder,
    ) -> reqwest::Result<Said> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..apis.len()).map(|step| &apis[(turn + step) % apis.len()]);
        let (mut order, others): (Vec<_>, Vec<_>) =
            in_turn.partition(|api| api.ready.load(Ordering::Relaxed));
        if order.is_empty() {
            self.none_ready.fetch_add(1, Ordering::Relaxed);
        }
        order.extend(others);
        let mut outcome = None;
        for api in order {
            match request(&api.url).send().await {
                Err(error) if error.is_connect() => outcome = Some(Err(error)),
                Err(error) => return Err(error),
                Ok(response) => return said(response).await,
            }
        }
        outcome.expect("a node")
    }
}

async fn said(response: reqwest::Response) -> reqwest::Result<Said> {
    let position = response.headers().get("daybook-position");
    Ok(Said {
        status: response.status().as_u16(),
        position: position
            .and_then(|position| position.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        body: response.json().await?,
    })
}

async fn watch(client: Client, api: Arc<Api>) {
    loop {
        let answer = client.get(format!("{}/readyz", api.url)).send().await;
        let ready = answer.is_ok_and(|answer| answer.status().is_success());
        api.ready.store(ready, Ordering::Relaxed);
        tokio::time::sleep(PULSE).await;
    }
}
