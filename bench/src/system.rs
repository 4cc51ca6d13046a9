//! The processes under test: Daybook, and the pass-through it is held against. Each is a process of
//! its own, ended when its handle is dropped.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::raw::Target;

/// A server must answer within this time.
const READY_MAX: Duration = Duration::from_mins(1);

/// A running server.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
    _directory: TempDir,
}

/// Where a Daybook keeps its events, beside the settings all have in common.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `kafka` or `postgres`.
    pub(crate) log: &'static str,
    pub(crate) brokers: String,
    pub(crate) database: String,
    pub(crate) prefix: String,
    pub(crate) partitions: u32,
    pub(crate) flush: bool,
    pub(crate) linger_ms: f64,
    /// Requests worked on at once; Daybook's default where it is not set.
    pub(crate) requests_max: Option<usize>,
}

impl Place {
    fn command(&self, binary: &Path, directory: &Path) -> Command {
        let mut command = bare(binary, directory);
        command
            .env("DAYBOOK_LOG", self.log)
            .env("DAYBOOK_DATA", directory.join("data"))
            .env("DAYBOOK_TOPICS_PREFIX", &self.prefix)
            .env("DAYBOOK_TOPICS_PARTITIONS", self.partitions.to_string())
            .env("DAYBOOK_TOPICS_FLUSH", self.flush.to_string())
            .env("DAYBOOK_KAFKA_LINGER_MS", self.linger_ms.to_string())
            .env("DATABASE_URL", &self.database)
            .env("KAFKA_BROKERS", &self.brokers);
        if let Some(most) = self.requests_max {
            command.env("DAYBOOK_HTTP_REQUESTS_MAX", most.to_string());
        }
        command
    }
}

/// Only with what is said here: nothing of the caller's environment or directory.
fn bare(binary: &Path, directory: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DAYBOOK_")) {
        command.env_remove(name);
    }
    command
        .current_dir(directory)
        .env("DAYBOOK_DEV", "true")
        .env("DAYBOOK_TELEMETRY_LOG_FILTER", "warn")
        .stdin(Stdio::null());
    command
}

/// The command role of Daybook, on topics created for it.
pub(crate) async fn daybook(binary: &Path, place: &Place) -> anyhow::Result<Server> {
    let directory = tempfile::tempdir()?;
    create_topics(binary, place, directory.path()).await?;
    let address = free_address()?;
    let mut command = place.command(binary, directory.path());
    command.arg("commands");
    command.env("DAYBOOK_LISTEN_COMMANDS", address.to_string());
    command.env("DAYBOOK_LISTEN_COMMANDS_URL", format!("http://{address}"));
    start(command, address, directory).await
}

/// A whole Daybook, and where its query API is; its commands are at the server's address.
pub(crate) async fn whole(binary: &Path, place: &Place) -> anyhow::Result<(Server, SocketAddr)> {
    let directory = tempfile::tempdir()?;
    create_topics(binary, place, directory.path()).await?;
    let (commands, queries) = (free_address()?, free_address()?);
    let mut command = place.command(binary, directory.path());
    command
        .arg("up")
        .env("DAYBOOK_LISTEN_COMMANDS", commands.to_string())
        .env("DAYBOOK_LISTEN_QUERIES", queries.to_string());
    Ok((start(command, commands, directory).await?, queries))
}

/// A broker answers questions about a topic a moment after it has created it, so `topics create` may
/// have to be repeated; that changes nothing else.
async fn create_topics(binary: &Path, place: &Place, directory: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_MAX;
    loop {
        let mut command = place.command(binary, directory);
        let created = command.args(["topics", "create"]).output();
        let created = created.with_context(|| binary.display().to_string())?;
        if created.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&created.stderr);
        ensure!(Instant::now() < deadline, "topics create: {said}");
        eprintln!("topics create, to be repeated: {}", said.trim());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A rebuild of a read model that is there.
pub(crate) fn rebuild(binary: &Path, place: &Place, directory: &Path, name: &str) -> Command {
    let mut command = place.command(binary, directory);
    command.args(["rebuild", name, "--json"]);
    command
}

/// The limit, by this program itself.
pub(crate) async fn pass_through(target: &Target) -> anyhow::Result<Server> {
    let directory = tempfile::tempdir()?;
    let shape = directory.path().join("shape.json");
    std::fs::write(&shape, serde_json::to_vec(&target.shape)?)?;
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("pass-through")
        .args(["--listen", &address.to_string(), "--brokers", &target.brokers])
        .args([
            "--topic",
            target.topic.as_str(),
            "--partitions",
            &target.partitions.to_string(),
        ])
        .args(["--linger-ms", &target.linger_ms.to_string()])
        .arg("--shape")
        .arg(shape)
        .stdin(Stdio::null());
    start(command, address, directory).await
}

/// The query API of Daybook over read models that are there.
pub(crate) async fn queries(binary: &Path, database: &str) -> anyhow::Result<Server> {
    let directory = tempfile::tempdir()?;
    let address = free_address()?;
    let mut command = bare(binary, directory.path());
    command
        .arg("queries")
        .env("DATABASE_URL", database)
        .env("DAYBOOK_LISTEN_QUERIES", address.to_string());
    start(command, address, directory).await
}

/// The limit of the query API, by this program itself.
pub(crate) async fn by_id(database: &str) -> anyhow::Result<Server> {
    let directory = tempfile::tempdir()?;
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("by-id")
        .args(["--listen", &address.to_string()])
        .env("DATABASE_URL", database)
        .stdin(Stdio::null());
    start(command, address, directory).await
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], embedded::free_port()?)))
}

async fn start(mut command: Command, address: SocketAddr, directory: TempDir) -> anyhow::Result<Server> {
    let log = directory.path().join("server.log");
    let output = File::create(&log)?;
    let child = command.stderr(output.try_clone()?).stdout(output).spawn();
    let mut server = Server {
        child: child.with_context(|| format!("{command:?}"))?,
        address,
        log,
        _directory: directory,
    };
    let deadline = Instant::now() + READY_MAX;
    while !ready(address).await.unwrap_or(false) {
        if let Some(status) = server.child.try_wait()? {
            bail!("{command:?} ended with {status}: {}", server.said());
        }
        if Instant::now() > deadline {
            bail!("{command:?} is not ready: {}", server.said());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(server)
}

/// Whether `/readyz` says 200; a server without that route is ready when it answers at all.
async fn ready(address: SocketAddr) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok([&b"HTTP/1.1 200"[..], b"HTTP/1.1 404"]
        .iter()
        .any(|status| answer.starts_with(status)))
}

impl Server {
    fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is lost that was acknowledged; that is checked behind every cell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
