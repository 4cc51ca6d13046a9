//! One node, and the proxies through which it reaches the broker and the database, and its peers reach it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use testkit::proxy::Proxy;
use testkit::{Daybook, Frozen};

use super::Database;
use crate::http::{Connection, Request};

/// A node that was told to stop must have ended by then.
const STOP_MAX: Duration = Duration::from_mins(1);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(5);
/// What `/readyz` may take to answer.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// What connects a node with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// From the node to Kafka.
    Kafka,
    /// From the node to PostgreSQL.
    Postgres,
    /// From the other nodes, which forward commands to it.
    Peers,
}

impl Link {
    pub(crate) const ALL: [Self; 3] = [Self::Kafka, Self::Postgres, Self::Peers];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::Postgres => "PostgreSQL",
            Self::Peers => "its peers",
        }
    }
}

/// A node that ended though nobody had asked it to.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) node: String,
    pub(crate) status: ExitStatus,
    /// The end of its log.
    pub(crate) tail: String,
    /// Whether it had been ready; else its start failed, as it does while a part is away.
    pub(crate) was_ready: bool,
}

/// See the module.
pub(crate) struct Node {
    pub(crate) name: String,
    daybook: Daybook,
    frozen: Option<Frozen>,
    /// It is to run.
    wanted: bool,
    was_ready: bool,
    kafka: Proxy,
    postgres: Proxy,
    peers: Proxy,
    /// Of the command API, for clients.
    pub(crate) commands: SocketAddr,
    /// Of the query API.
    pub(crate) queries: SocketAddr,
    /// Where its peers forward to.
    pub(crate) url: String,
}

/// A proxy before a port of the loopback.
pub(super) async fn proxy_to(port: u16) -> std::io::Result<Proxy> {
    Proxy::start(0, SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

impl Node {
    pub(super) async fn prepare(
        number: usize,
        directory: &Path,
        kafka: Proxy,
        database: &Database,
        session_timeout_ms: u64,
    ) -> anyhow::Result<Self> {
        let name = format!("node-{}", number + 1);
        let postgres = proxy_to(database.port).await?;
        let brokers = format!("127.0.0.1:{}", kafka.port());
        let database = database.through(postgres.port());
        let session = session_timeout_ms.to_string();
        let environment = [
            ("KAFKA_BROKERS", brokers.as_str()),
            ("DATABASE_URL", database.as_str()),
            ("DAYBOOK_NODE", name.as_str()),
            ("DAYBOOK_KAFKA_SESSION_TIMEOUT_MS", session.as_str()),
        ];
        // Not --dev: the demo's catalogue would be load that nobody recorded.
        let mut daybook = Daybook::prepare(directory, &["up", "--log", "kafka"], &environment);
        let (commands, queries) = (address(&daybook.commands)?, address(&daybook.queries)?);
        let peers = proxy_to(commands.port()).await?;
        let url = format!("http://127.0.0.1:{}", peers.port());
        daybook.argument("--commands-url");
        daybook.argument(&url);
        Ok(Self {
            name,
            daybook,
            frozen: None,
            wanted: false,
            was_ready: false,
            kafka,
            postgres,
            peers,
            commands,
            queries,
            url,
        })
    }

    pub(crate) const fn link(&self, link: Link) -> &Proxy {
        match link {
            Link::Kafka => &self.kafka,
            Link::Postgres => &self.postgres,
            Link::Peers => &self.peers,
        }
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        self.wanted = true;
        self.was_ready = false;
        // Until the node listens nobody does in its place.
        self.peers.close();
        self.peers.open_with(self.commands);
        self.daybook.spawn()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.wanted = false;
        self.daybook.kill();
        self.peers.close();
        self.frozen = None;
    }

    /// SIGSTOP, until [`Node::thaw`].
    pub(crate) fn freeze(&mut self) {
        if self.daybook.is_running() {
            self.frozen = Some(self.daybook.freeze());
        }
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self) {
        self.frozen = None;
    }

    /// SIGTERM; waits for the end. An error unless it ended well and in time.
    pub(crate) async fn terminate(&mut self) -> anyhow::Result<()> {
        self.wanted = false;
        if !self.daybook.is_running() {
            return Ok(());
        }
        self.daybook.ask_to_stop();
        let asked = Instant::now();
        let ended = loop {
            if let Some(ended) = self.daybook.ended() {
                break ended;
            }
            if asked.elapsed() > STOP_MAX {
                let tail = self.daybook.tail();
                self.daybook.kill();
                bail!("{} does not stop within {STOP_MAX:?}:\n{tail}", self.name);
            }
            tokio::time::sleep(LOOK).await;
        };
        self.peers.close();
        let tail = || self.daybook.tail();
        ensure!(
            ended.success(),
            "{} was told to stop and ended with {ended}:\n{}",
            self.name,
            tail()
        );
        Ok(())
    }

    /// Starts it again when it ended unasked; says how it did.
    pub(super) fn mend(&mut self) -> Option<Death> {
        if !self.wanted {
            return None;
        }
        let status = self.daybook.ended()?;
        let death = Death {
            node: self.name.clone(),
            status,
            tail: self.daybook.tail(),
            was_ready: self.was_ready,
        };
        if let Err(error) = self.start() {
            // A machine that cannot start a process fails the run: the node will not be ready.
            eprintln!("{}: {error:#}", self.name);
        }
        Some(death)
    }

    /// The end of its log.
    pub(super) fn tail(&self) -> String {
        self.daybook.tail()
    }

    /// Whether both APIs say so; else what they say.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        for address in [self.commands, self.queries] {
            let probe = Connection::to(address)
                .send(Request::get("/readyz"), PROBE_MAX)
                .await;
            match probe {
                Ok(answer) if answer.is_success() => {}
                Ok(answer) => return Err(String::from_utf8_lossy(&answer.body).into_owned()),
                Err(no_answer) => return Err(format!("{no_answer:?}")),
            }
        }
        self.was_ready = true;
        Ok(())
    }
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let address = url.strip_prefix("http://").context("a URL of ours")?;
    Ok(address.parse()?)
}
