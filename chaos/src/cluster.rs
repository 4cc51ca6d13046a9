//! Three nodes over one real Kafka and one real PostgreSQL, each node behind proxies of its own.

mod node;
mod servers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use embedded::free_port;
use embedded::kafka::Listener;
use tempfile::TempDir;

pub(crate) use node::{Death, Link, Node};
pub(crate) use servers::{Broker, Database};

/// How many nodes there are.
pub(crate) const NODES: usize = 3;
/// First part of every topic's name: the default.
pub(crate) const PREFIX: &str = "daybook";
/// Partitions of each topic: the default.
pub(crate) const PARTITIONS: u32 = 4;
/// A node must be ready within this time of its start, when nothing else is wrong.
pub(crate) const READY_MAX: Duration = Duration::from_mins(2);

/// How often a node is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(50);

/// See the module. Dropping it ends everything.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) broker: Broker,
    pub(crate) database: Database,
    directory: Option<TempDir>,
}

impl Cluster {
    /// Starts everything and waits until it is ready. What was started is kept to be looked at when it is not.
    pub(crate) async fn start(session_timeout_ms: u64) -> anyhow::Result<Self> {
        let directory = testkit::directory()?;
        let root = directory.path().to_owned();
        println!(
            "starting Kafka, PostgreSQL and {NODES} nodes in {}",
            root.display()
        );
        match Self::start_in(&root, session_timeout_ms).await {
            Ok(cluster) => Ok(Self {
                directory: Some(directory),
                ..cluster
            }),
            Err(error) => {
                let kept = directory.keep();
                Err(error.context(format!("starting; logs: {}", kept.display())))
            }
        }
    }

    async fn start_in(root: &Path, session_timeout_ms: u64) -> anyhow::Result<Self> {
        let listeners = (0..NODES).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let mut doors = Vec::new();
        for port in &listeners {
            doors.push(node::proxy_to(*port).await?);
        }
        let listeners = listeners.into_iter().zip(&doors).map(|(port, door)| Listener {
            port,
            advertised: door.port(),
        });
        let broker = Broker::start(root.join("kafka"), listeners.collect()).await?;
        let database = Database::start(root.join("postgres")).await?;
        let mut nodes: Vec<Node> = Vec::new();
        for (number, door) in doors.into_iter().enumerate() {
            let folder = root.join(format!("node-{}", number + 1));
            std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
            let mut node = Node::prepare(number, &folder, door, &database, session_timeout_ms).await?;
            node.start()?;
            // The first one creates topics and tables.
            if number == 0 {
                first_ready(&mut node).await?;
            }
            nodes.push(node);
        }
        for node in &mut nodes {
            first_ready(node).await?;
        }
        Ok(Self {
            nodes,
            broker,
            database,
            directory: None,
        })
    }

    /// Starts again what ended unasked; says what did.
    pub(crate) fn mend(&mut self) -> Vec<Death> {
        self.nodes.iter_mut().filter_map(Node::mend).collect()
    }

    /// Keeps the directory with all logs; where it is.
    pub(crate) fn keep(&mut self) -> Option<PathBuf> {
        self.directory.take().map(TempDir::keep)
    }
}

/// Nothing is wrong yet: it must start at once.
async fn first_ready(node: &mut Node) -> anyhow::Result<()> {
    let since = Instant::now();
    while let Err(why) = node.ready().await {
        if let Some(death) = node.mend() {
            bail!("{} ended with {}:\n{}", death.node, death.status, death.tail);
        }
        ensure!(
            since.elapsed() < READY_MAX,
            "{} is not ready, {why}:\n{}",
            node.name,
            node.tail()
        );
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
