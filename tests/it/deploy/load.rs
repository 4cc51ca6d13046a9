//! Clients of a shop behind a balancer over nodes of two builds, and how they fared.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::balancer::{Balancer, Said};

/// Orders and plain queries a second: what two debug builds bear beside a rebuild.
const ORDERS_PER_S: u32 = 8;
const QUERIES_PER_S: u32 = 16;
/// How long a client asks for an outcome, or for its own order.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

/// What clients met.
#[derive(Default)]
pub(super) struct Seen {
    /// The ids of acknowledged orders.
    pub(super) orders: Vec<String>,
    /// Answers of plain queries.
    pub(super) queries: u64,
    /// Answers "not that far yet" to whoever asked for his own order; asked again.
    pub(super) not_yet: u64,
    /// The longest from an acknowledgement until a read at its position showed the order.
    pub(super) shown_after: Duration,
    /// Requests that found no node ready, and were sent to any.
    pub(super) none_ready: usize,
    /// What must not happen.
    pub(super) failures: Vec<String>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} orders, each shown within {:.1?} ({} times not yet); {} queries; {} failures; {} found no node ready",
            self.orders.len(),
            self.shown_after,
            self.not_yet,
            self.queries,
            self.failures.len(),
            self.none_ready
        )
    }
}

/// A load that runs until it is stopped.
pub(super) struct Load {
    clients: Arc<Clients>,
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

struct Clients {
    balancer: Balancer,
    /// Where what is ordered was published.
    published: String,
    seen: Mutex<Seen>,
}

impl Load {
    /// Orders of one unit of `MUG`, each read by who placed it, and queries of everything.
    pub(super) fn start(balancer: Balancer, published: String) -> Self {
        let clients = Arc::new(Clients {
            balancer,
            published,
            seen: Mutex::default(),
        });
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let ordering = Arc::clone(&clients);
        tasks.spawn(at_a_rate(ORDERS_PER_S, Arc::clone(&over), move |number| {
            Arc::clone(&ordering).order(number)
        }));
        let asking = Arc::clone(&clients);
        tasks.spawn(at_a_rate(QUERIES_PER_S, Arc::clone(&over), move |number| {
            Arc::clone(&asking).ask(number)
        }));
        Self { clients, over, tasks }
    }

    /// Prints how it went since the last time, and demands that there was something and nothing failed.
    pub(super) fn went_well(&self, meanwhile: &str) -> Seen {
        let seen = self.clients.take(meanwhile);
        assert!(!seen.orders.is_empty() && seen.queries > 0, "{meanwhile}");
        seen
    }

    /// Whatever is under way gets its answer.
    pub(super) async fn stop(mut self, meanwhile: &str) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no panic");
        }
        self.clients.take(meanwhile)
    }
}

impl Clients {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder panics")
    }

    fn take(&self, meanwhile: &str) -> Seen {
        let mut seen = std::mem::take(&mut *self.seen());
        seen.none_ready = self.balancer.none_ready.swap(0, Ordering::Relaxed);
        println!("{meanwhile}: {seen}");
        assert_eq!(seen.failures, Vec::<String>::new(), "{meanwhile}");
        seen
    }

    fn failed(&self, what: String) {
        self.seen().failures.push(what);
    }

    /// Places an order until it is acknowledged, then reads it at its position.
    async fn order(self: Arc<Self>, number: u64) {
        let order = json!({ "currency": "EUR", "lines": [{ "sku": "MUG", "quantity": 1 }] });
        let (key, deadline) = (format!("load {number}"), Instant::now() + PATIENCE);
        let acknowledged = loop {
            match self.balancer.order(&key, &self.published, &order).await {
                Ok(said) if said.status == 201 => break said,
                // Under its key it is one order, however often it is sent.
                Ok(Said { status: 503, .. }) | Err(_) if Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                other => return self.failed(format!("order {number}: {other:?}")),
            }
        };
        let id = acknowledged.body["id"].as_str().expect("an id").to_owned();
        self.seen().orders.push(id.clone());
        self.read(&format!("/v1/orders/{id}"), &acknowledged.position)
            .await;
    }

    async fn read(&self, path: &str, position: &str) {
        let (asked, deadline) = (Instant::now(), Instant::now() + PATIENCE);
        loop {
            match self.balancer.get(path, Some(position)).await {
                Ok(said) if said.status == 200 => {
                    let mut seen = self.seen();
                    seen.shown_after = seen.shown_after.max(asked.elapsed());
                    return;
                }
                Ok(said) if said.body["code"] == "position_not_reached" && Instant::now() < deadline => {
                    self.seen().not_yet += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                other => return self.failed(format!("{path} at {position}: {other:?}")),
            }
        }
    }

    async fn ask(self: Arc<Self>, number: u64) {
        const PATHS: [&str; 4] = [
            "/v1/orders?limit=20",
            "/v1/products?limit=20",
            "/v1/stock/MUG",
            "/v1/sales?by=month&limit=200",
        ];
        let path = PATHS[usize::try_from(number % 4).expect("small")];
        match self.balancer.get(path, None).await {
            Ok(said) if said.status == 200 => self.seen().queries += 1,
            other => self.failed(format!("{path}: {other:?}")),
        }
    }
}

async fn at_a_rate<F: Future<Output = ()> + Send + 'static>(
    rate: u32,
    over: Arc<AtomicBool>,
    one: impl Fn(u64) -> F,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut under_way = JoinSet::new();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        under_way.spawn(one(number));
        while let Some(ended) = under_way.try_join_next() {
            ended.expect("no panic");
        }
    }
    under_way.join_all().await;
}
