//! A PostgreSQL server of our own, on loopback, with a password nobody has to know.

mod cluster;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::{EmbeddedError, free_port, unprivileged};
use cluster::{Postmaster, binary, cluster_of, initialise};

/// The superuser of an embedded server.
pub const USER: &str = "daybook";

const START_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// What kind of server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory that holds the server's data, password and log. Created when missing.
    pub data: PathBuf,
    /// The port; a free one when `None`.
    pub port: Option<u16>,
    /// Settings beside the defaults, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// A server under `data` with the default settings.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            port: None,
            settings: Vec::new(),
        }
    }
}

/// A running server. Dropping it stops the server fast (no data lost) when this process started it
/// or adopted it.
pub struct Postgres {
    bin: PathBuf,
    cluster: PathBuf,
    port: u16,
    password: String,
    child: Option<Child>,
    /// Held for as long as the server is ours.
    _lock: File,
}

impl Postgres {
    /// Starts the server of this directory, or adopts the one that a killed process left running.
    /// The first start initialises it. `progress` gets a line for whatever takes long.
    pub fn start(options: &Options, progress: impl Fn(&str)) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(&options.data).map_err(EmbeddedError::io(&options.data))?;
        let data = options
            .data
            .canonicalize()
            .map_err(EmbeddedError::io(&options.data))?;
        let lock = lock(&data)?;
        let bin = binary()?;
        let cluster = cluster_of(&data);
        let password = password(&data)?;
        if !cluster.join("PG_VERSION").exists() {
            progress("initialising PostgreSQL (first start)");
            initialise(&bin, &cluster, &data, &password)?;
        }
        if let Some(running) = Postmaster::running(&cluster) {
            let port = running.port;
            tracing::info!(
                port,
                "adopted the PostgreSQL that an earlier process left running"
            );
            let mut adopted = Self {
                bin,
                cluster,
                port,
                password,
                child: None,
                _lock: lock,
            };
            adopted.wait_ready(&data.join("postgres.log"))?;
            return Ok(adopted);
        }
        let port = options.port.map_or_else(free_port, Ok)?;
        let log = data.join("postgres.log");
        let child = spawn(&bin, &cluster, port, &log, &options.settings)?;
        let mut server = Self {
            bin,
            cluster,
            port,
            password,
            child: Some(child),
            _lock: lock,
        };
        server.wait_ready(&log)?;
        Ok(server)
    }

    /// The URL of the server that runs in this directory, whoever started it; `None` when none runs.
    pub fn attach(data: &Path) -> Result<Option<String>, EmbeddedError> {
        let Ok(data) = data.canonicalize() else {
            return Ok(None);
        };
        let Some(running) = Postmaster::running(&cluster_of(&data)) else {
            return Ok(None);
        };
        let path = data.join("postgres.password");
        let password = fs::read_to_string(&path).map_err(EmbeddedError::io(path))?;
        Ok(Some(url(&password, running.port, "daybook")))
    }

    /// The URL of one of its databases; holds the password.
    pub fn url(&self, database: &str) -> String {
        url(&self.password, self.port, database)
    }

    /// The process to kill in a test; `None` when it was adopted.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its port on loopback.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as a power cut would: no shutdown, recovery at the next start. For tests.
    pub fn stop_immediately(mut self) -> Result<(), EmbeddedError> {
        self.pg_ctl_stop("immediate")
    }

    /// Stops it: connections are ended, everything is written.
    pub fn stop(mut self) -> Result<(), EmbeddedError> {
        self.pg_ctl_stop("fast")
    }

    fn pg_ctl_stop(&mut self, mode: &str) -> Result<(), EmbeddedError> {
        let mut command = unprivileged::command(&self.bin.join("pg_ctl"));
        command
            .arg("-D")
            .arg(&self.cluster)
            .args(["-m", mode, "-w", "-t", "60", "stop"]);
        let output = command.output().map_err(EmbeddedError::io(&self.bin))?;
        if let Some(mut child) = self.child.take() {
            child.wait().map_err(EmbeddedError::io(&self.bin))?;
        }
        if output.status.success() || Postmaster::running(&self.cluster).is_none() {
            return Ok(());
        }
        let detail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(EmbeddedError::Failed {
            command: format!("pg_ctl stop -m {mode}"),
            detail,
        })
    }

    fn wait_ready(&mut self, log: &Path) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().map_err(EmbeddedError::io(log))?
            {
                let detail = format!("it ended with {status}; {}", tail(log));
                return Err(EmbeddedError::NotStarted {
                    what: "PostgreSQL",
                    detail,
                    log: log.to_owned(),
                });
            }
            if Postmaster::running(&self.cluster).is_some_and(|postmaster| postmaster.ready) {
                return Ok(());
            }
            sleep(POLL);
        }
        Err(not_ready(log))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if Postmaster::running(&self.cluster).is_some()
            && let Err(error) = self.pg_ctl_stop("fast")
        {
            tracing::warn!(%error, "PostgreSQL goes on running; the next start adopts it");
        }
    }
}

fn url(password: &str, port: u16, database: &str) -> String {
    format!(
        "postgres://{USER}:{}@127.0.0.1:{port}/{database}",
        password.trim()
    )
}

fn not_ready(log: &Path) -> EmbeddedError {
    let detail = format!("not ready after {} s; {}", START_TIMEOUT.as_secs(), tail(log));
    EmbeddedError::NotStarted {
        what: "PostgreSQL",
        detail,
        log: log.to_owned(),
    }
}

/// One process at a time per directory; the lock goes with the process, however it dies.
fn lock(data: &Path) -> Result<File, EmbeddedError> {
    let path = data.join("postgres.lock");
    let file = File::create(&path).map_err(EmbeddedError::io(&path))?;
    file.try_lock()
        .map_err(|_| EmbeddedError::InUse(data.to_owned()))?;
    Ok(file)
}

/// The password of this directory, drawn at the first start; readable by its owner only.
fn password(data: &Path) -> Result<String, EmbeddedError> {
    let path = data.join("postgres.password");
    if let Ok(known) = fs::read_to_string(&path)
        && !known.is_empty()
    {
        return Ok(known);
    }
    // Two random UUIDs: 244 bits from the system's source.
    let fresh = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path);
    let written = file.as_mut().map_err(|error| std::io::Error::from(error.kind()));
    written
        .and_then(|file| std::io::Write::write_all(file, fresh.as_bytes()))
        .map_err(EmbeddedError::io(&path))?;
    Ok(fresh)
}

fn spawn(
    bin: &Path,
    cluster: &Path,
    port: u16,
    log: &Path,
    settings: &[(String, String)],
) -> Result<Child, EmbeddedError> {
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(EmbeddedError::io(log))?;
    let errors = output.try_clone().map_err(EmbeddedError::io(log))?;
    let mut command = unprivileged::command(&bin.join("postgres"));
    command.arg("-D").arg(cluster).args(["-p", &port.to_string()]);
    for (name, value) in settings {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    // A group of its own: Ctrl-C is for us, and we stop the server when we are done with it.
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    command.spawn().map_err(EmbeddedError::io(bin))
}

/// The end of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
