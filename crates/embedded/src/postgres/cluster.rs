//! A cluster on disk: where its programs are, how it is made, whether a server runs in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{EmbeddedError, unprivileged};

/// The settings of every embedded server: loopback only, and durable (`synchronous_commit` stays on).
const SETTINGS: &str = "
# daybook
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = '256MB'
max_wal_size = '2GB'
synchronous_commit = on
";

/// Where Debian and Ubuntu keep the servers they install.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The directory of the server's programs: named by `DAYBOOK_POSTGRES_BIN`, the newest that the
/// distribution installed, or wherever the path finds them.
pub(super) fn binary() -> Result<PathBuf, EmbeddedError> {
    if let Some(named) = std::env::var_os("DAYBOOK_POSTGRES_BIN") {
        return Ok(named.into());
    }
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let installed = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let newest = installed
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(version);
    if let Some(newest) = newest {
        return Ok(newest.join("bin"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path);
    directories
        .find(|directory| directory.join("postgres").exists() && directory.join("initdb").exists())
        .ok_or(EmbeddedError::Missing {
            program: "PostgreSQL",
            install: "apt-get install postgresql",
        })
}

/// Where the cluster of this data directory lives.
pub(super) fn cluster_of(data: &Path) -> PathBuf {
    unprivileged::reachable(&data.join("postgres"))
}

/// `initdb`, into a directory that takes its name only when it is complete.
pub(super) fn initialise(
    bin: &Path,
    cluster: &Path,
    data: &Path,
    password: &str,
) -> Result<(), EmbeddedError> {
    let unfinished = cluster.with_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished).map_err(EmbeddedError::io(&unfinished))?;
    unprivileged::hand_over(&unfinished)?;
    // initdb reads the password from a file it can open; the file is gone a second later.
    let pwfile = unfinished.with_extension("pw");
    fs::write(&pwfile, password).map_err(EmbeddedError::io(&pwfile))?;
    unprivileged::hand_over(&pwfile)?;
    let mut command = unprivileged::command(&bin.join("initdb"));
    command.arg("-D").arg(&unfinished).arg("--pwfile").arg(&pwfile);
    command.args([
        "-U",
        super::USER,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        // The same order, but bytes are compared as bytes.
        "--lc-collate=C",
    ]);
    let output = command.output().map_err(EmbeddedError::io(bin));
    fs::remove_file(&pwfile).map_err(EmbeddedError::io(&pwfile))?;
    let output = output?;
    if !output.status.success() {
        let detail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(EmbeddedError::Failed {
            command: format!("initdb for {}", data.display()),
            detail,
        });
    }
    let conf = unfinished.join("postgresql.conf");
    let defaults = fs::read_to_string(&conf).map_err(EmbeddedError::io(&conf))?;
    fs::write(&conf, defaults + SETTINGS).map_err(EmbeddedError::io(&conf))?;
    fs::rename(&unfinished, cluster).map_err(EmbeddedError::io(cluster))
}

/// What `postmaster.pid` says of a live server.
pub(super) struct Postmaster {
    pub(super) port: u16,
    pub(super) ready: bool,
}

impl Postmaster {
    /// The server of this cluster, when its process is alive. The file has one fact a line: process
    /// id, directory, start time, port, socket, address, shared memory, status.
    pub(super) fn running(cluster: &Path) -> Option<Self> {
        let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let lines: Vec<&str> = text.lines().collect();
        let pid: u32 = lines.first()?.trim().parse().ok()?;
        // `pid (name) state …`: a number taken by another program, and a dead server that nobody has
        // reaped (where the first process is no init), are both no server.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, state) = stat.rsplit_once(") ")?;
        if !name.contains("(postgres") || state.starts_with('Z') {
            return None;
        }
        let port = lines.get(3)?.trim().parse().ok()?;
        let ready = lines.get(7).is_some_and(|status| status.trim() == "ready");
        Some(Self { port, ready })
    }
}
