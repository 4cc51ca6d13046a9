//! The engine without HTTP: the shop's orders through fenced owners onto a log, from tasks of this
//! process. Shows what group commit makes of a log when no web server stands before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::ids::OrderId;
use domain::order::{Order, OrderCommand};
use eventsourcing::command::{Context, Expected, Failure};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{CommandId, Digest};
use eventsourcing::log::Log;
use eventsourcing::owner::Service;
use eventsourcing::topic::Topic;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cell::{Cell, Contender, histogram, note};
use crate::load::Ack;
use crate::owners::Owners;
use crate::processor;
use crate::verify::{Claims, Verifier};

/// So many lines make an order as long as the average invoice of a wholesaler is short.
const LINES: usize = 10;

/// Owners of one topic in this process.
pub(crate) struct InProcess {
    owners: Owners<Order>,
    clients: usize,
    command: Arc<OrderCommand>,
    numbers: Arc<AtomicU64>,
    pub(crate) verifier: Verifier,
}

#[derive(Default)]
struct Client {
    acks: Vec<(Ack, Duration)>,
    in_time: u64,
    refused: u64,
    unknown: u64,
}

impl InProcess {
    pub(crate) async fn start(
        log: Arc<dyn Log>,
        topic: Topic,
        verifier: Verifier,
        clients: usize,
    ) -> anyhow::Result<Self> {
        let owners = Owners::serve(log, topic, verifier.partitions(), None).await?;
        Ok(Self {
            owners,
            clients,
            command: Arc::new(order()?),
            numbers: Arc::default(),
            verifier,
        })
    }

    /// Places one order, so that the topic has a sample.
    pub(crate) async fn place_one(&self) -> anyhow::Result<()> {
        let (command, context) = (self.command.as_ref().clone(), context(Uuid::new_v4()));
        let aggregate = OrderId::created_by(context.id).aggregate();
        self.owners.service().execute(aggregate, command, context).await?;
        Ok(())
    }
}

/// An order of [`LINES`] lines.
fn order() -> anyhow::Result<OrderCommand> {
    let lines: Vec<_> = (0..LINES)
        .map(
            |line| serde_json::json!({"sku": format!("BENCH-{line:04}"), "quantity": 2, "unit_price": 1_295}),
        )
        .collect();
    let sale = serde_json::json!({
        "customer": "17850", "country": "United Kingdom", "currency": "GBP", "lines": lines,
    });
    Ok(serde_json::from_value(serde_json::json!({ "place": sale }))?)
}

/// Of a command with this id.
pub(crate) fn context(id: Uuid) -> Context {
    Context {
        id: CommandId(id),
        digest: Digest(0),
        expected: Expected::Any,
        correlation: id.simple().to_string().into(),
        causation: None,
        actor: "bench".into(),
        traceparent: None,
    }
}

#[async_trait]
impl Contender for InProcess {
    fn name(&self) -> String {
        format!(
            "engine in process, {} clients, orders of {LINES} lines",
            self.clients
        )
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let worked = processor::busy_seconds()?;
        let deadline = Instant::now() + duration;
        let mut clients = JoinSet::new();
        for _ in 0..self.clients {
            let (service, command) = (self.owners.service().clone(), Arc::clone(&self.command));
            clients.spawn(client(service, command, Arc::clone(&self.numbers), deadline));
        }
        let mut latencies = histogram();
        let mut all = Client::default();
        for client in clients.join_all().await {
            client
                .acks
                .iter()
                .for_each(|(_, latency)| note(&mut latencies, *latency));
            all.acks.extend(client.acks);
            all.in_time += client.in_time;
            all.refused += client.refused;
            all.unknown += client.unknown;
        }
        let cpu_seconds = processor::busy_seconds()? - worked;
        let acks: Vec<Ack> = all.acks.iter().map(|(ack, _)| *ack).collect();
        let claims = Claims {
            acks: &acks,
            unknown: all.unknown,
        };
        let checked = self.verifier.check(claims).await?;
        Ok(Cell {
            acknowledged: all.in_time,
            seconds: duration.as_secs_f64(),
            cpu_seconds,
            worked: acks.len() as u64,
            bytes: checked.bytes_of(all.in_time),
            latencies,
            failures: all.refused + all.unknown,
            refusals: histogram(),
            void: checked.void,
        })
    }
}

async fn client(
    service: Service<Order>,
    command: Arc<OrderCommand>,
    numbers: Arc<AtomicU64>,
    deadline: Instant,
) -> Client {
    let mut client = Client::default();
    let process: u64 = rand::random();
    loop {
        let sent = Instant::now();
        if sent >= deadline {
            return client;
        }
        let id = Uuid::from_u64_pair(process, numbers.fetch_add(1, Ordering::Relaxed));
        let context = context(id);
        let aggregate = OrderId::created_by(context.id).aggregate();
        match service
            .execute(aggregate, command.as_ref().clone(), context)
            .await
        {
            Ok(accepted) => {
                let now = Instant::now();
                let ack = Ack {
                    partition: accepted.position.partition,
                    offset: accepted.position.offset.0,
                };
                client.acks.push((ack, now - sent));
                client.in_time += u64::from(now <= deadline);
            }
            Err(Failure::Unknown) => client.unknown += 1,
            Err(_) => {
                client.refused += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
