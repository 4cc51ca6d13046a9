//! The load: clients that talk to all nodes, remember what they were told, and ask again.

mod client;
mod command;
mod line;
mod open;
mod press;
mod read;
mod record;
mod seed;
mod told;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::sku::Sku;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::recovery::Recovery;
use client::Client;

pub(crate) use line::Patience;
pub(crate) use open::{Measured, OpenLoop};
pub(crate) use press::{Press, Pressed};
pub(crate) use record::{Record, Shown, Snapshot};
pub(crate) use told::Told;

/// SKUs that are received over and over.
const PLENTY: usize = 88;
/// SKUs that run out: so that there are refusals, and something to oversell.
const SCARCE: usize = 8;
/// What there is of each scarce one.
const SCARCE_UNITS: i64 = 10;
/// What there is of the others in the beginning.
const PLENTY_UNITS: i64 = 1_000;

/// What clients have in common.
pub(crate) struct Shared {
    pub(crate) nodes: Vec<Address>,
    pub(crate) record: Record,
    pub(crate) recovery: Recovery,
    /// No new commands from now on.
    pub(crate) stop: CancellationToken,
    /// What is unresolved stays so.
    pub(crate) end: CancellationToken,
    pub(crate) style: Style,
}

/// How the load is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    /// Between two commands of one client.
    pub(crate) pace: Duration,
    /// How long a client waits for one answer.
    pub(crate) answer_max: Duration,
}

/// Where a node is.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) name: Box<str>,
    pub(crate) commands: SocketAddr,
    pub(crate) queries: SocketAddr,
}

/// Clients at work.
pub(crate) struct Workload {
    pub(crate) shared: Arc<Shared>,
    clients: JoinSet<()>,
}

/// All SKUs.
pub(crate) fn skus() -> Vec<Sku> {
    let name = |number| Sku::new(format!("CHAOS-{number:03}")).expect("a SKU");
    (0..PLENTY + SCARCE).map(name).collect()
}

impl Workload {
    /// Puts the catalogue on offer, then lets the clients work.
    pub(crate) async fn start(cluster: &Cluster, style: Style) -> anyhow::Result<Self> {
        let mut workload = Self::prepare(cluster, style).await?;
        for number in 0..style.connections {
            let random = StdRng::seed_from_u64(style.seed ^ ((number as u64 + 1) << 32));
            workload.add(Client::new(number, Arc::clone(&workload.shared), random).run());
        }
        Ok(workload)
    }

    /// Puts the catalogue on offer.
    pub(crate) async fn prepare(cluster: &Cluster, style: Style) -> anyhow::Result<Self> {
        let address = |node: &crate::cluster::Node| Address {
            name: node.name.as_str().into(),
            commands: node.commands,
            queries: node.queries,
        };
        let shared = Arc::new(Shared {
            nodes: cluster.nodes.iter().map(address).collect(),
            record: Record::default(),
            recovery: Recovery::default(),
            stop: CancellationToken::new(),
            end: CancellationToken::new(),
            style,
        });
        seed::offer(&shared).await?;
        Ok(Self {
            shared,
            clients: JoinSet::new(),
        })
    }

    /// One more task of the load. It ends after the shared stop.
    pub(crate) fn add(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.clients.spawn(task);
    }

    /// Lets each client resolve what it has begun, within `limit`.
    pub(crate) async fn finish(mut self, limit: Duration) -> Arc<Shared> {
        self.shared.stop.cancel();
        let all = async {
            while let Some(ended) = self.clients.join_next().await {
                ended.unwrap_or_else(|death| std::panic::resume_unwind(death.into_panic()));
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            self.shared.end.cancel();
            while self.clients.join_next().await.is_some() {}
        }
        self.shared
    }
}
