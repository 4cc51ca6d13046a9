//! Whole Daybook processes, to be talked to, killed and started again.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Frozen, Tether, eventually};

/// A start may have to replay a log and, the first time, to initialise a server.
const READY_DEADLINE: Duration = Duration::from_mins(2);
/// How much of the log an error shows.
const TAIL_LINES: usize = 30;

/// One process and how it was started. Dropping it kills it; so does our own end, however it comes.
pub struct Daybook {
    child: Option<(Child, Tether)>,
    /// Another build than the one beside this test.
    program: Option<PathBuf>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    /// What says 2xx when it is ready.
    probes: Vec<String>,
    /// `http://127.0.0.1:…` of the command API.
    pub commands: String,
    /// `http://127.0.0.1:…` of the query API.
    pub queries: String,
}

/// The binary that was built beside this one: a test lies in `target/<profile>/deps`, a program one up.
pub fn daybook_binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a file lies in a directory")?;
    let profile = if folder.ends_with("deps") {
        folder.parent()
    } else {
        Some(folder)
    };
    let binary = profile.context("a target directory")?.join("daybook");
    anyhow::ensure!(
        binary.exists(),
        "{} is missing: cargo build --bin daybook",
        binary.display()
    );
    Ok(binary)
}

impl Daybook {
    /// Starts `daybook <arguments>` on free ports with this environment, its log under `directory`,
    /// and waits until both APIs are ready.
    pub async fn start(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut daybook = Self::prepare(directory, arguments, environment);
        daybook.launch().await;
        daybook
    }

    /// The same for a role that has no query API: `commands`.
    pub async fn start_commands(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut daybook = Self::prepare(directory, arguments, environment);
        daybook.probes.truncate(1);
        daybook.launch().await;
        daybook
    }

    /// The same for one that will stand by: waits until it lives.
    pub async fn start_standby(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut daybook = Self::prepare(directory, arguments, environment);
        daybook.spawn().expect("starts");
        let urls = [
            format!("{}/livez", daybook.commands),
            format!("{}/readyz", daybook.queries),
        ];
        daybook.answers(&urls).await;
        daybook
    }

    /// One that is not started yet, on free ports. See [`Daybook::spawn`] and [`Daybook::launch`].
    pub fn prepare(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let port = || embedded::free_port().expect("a free port");
        let (commands, queries) = (format!("127.0.0.1:{}", port()), format!("127.0.0.1:{}", port()));
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.extend(["--commands", &commands, "--queries", &queries].map(str::to_owned));
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            child: None,
            program: None,
            arguments,
            environment: environment.iter().map(own).collect(),
            log: directory.join("daybook.log"),
            probes: vec![
                format!("http://{commands}/readyz"),
                format!("http://{queries}/readyz"),
            ],
            commands: format!("http://{commands}"),
            queries: format!("http://{queries}"),
        }
    }

    /// One more argument, from the next start on.
    pub fn argument(&mut self, argument: &str) {
        self.arguments.push(argument.to_owned());
    }

    /// Another build of the program, from the next start on.
    pub fn program(&mut self, program: &Path) {
        self.program = Some(program.to_owned());
    }

    /// Starts it again after [`Daybook::kill`] or [`Daybook::terminate`], with the same arguments, ports and data.
    pub async fn launch(&mut self) {
        self.spawn().expect("starts");
        let probes = self.probes.clone();
        self.answers(&probes).await;
    }

    /// Waits until each of these says 2xx.
    async fn answers(&mut self, urls: &[String]) {
        let client = reqwest::Client::new();
        let deadline = tokio::time::Instant::now() + READY_DEADLINE;
        for url in urls {
            loop {
                let answer = client.get(url).timeout(Duration::from_secs(5)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                if let Some(status) = self.ended() {
                    panic!(
                        "daybook ended with {status} before it was ready:\n{}",
                        self.tail()
                    );
                }
                assert!(
                    tokio::time::Instant::now() < deadline,
                    "{url} is not ready:\n{}",
                    self.tail()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Starts it and waits for nothing.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let program = match &self.program {
            Some(program) => program.clone(),
            None => daybook_binary()?,
        };
        let child = Command::new(program)
            .args(&self.arguments)
            .env_remove("DATABASE_URL")
            .env_remove("KAFKA_BROKERS")
            // Ours, and no setting that an older build knows.
            .env_remove("DAYBOOK_BEFORE")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.log.parent().context("a file lies in a directory")?)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: Ctrl-C is for us, and we end what we started.
            .process_group(0)
            .spawn()?;
        let tether = Tether::to(Some(child.id()), None)?;
        self.child = Some((child, tether));
        Ok(())
    }

    /// How it ended, when it did while we were not looking. It is told once.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let (child, _) = self.child.as_mut()?;
        let status = child.try_wait().ok().flatten()?;
        self.forget();
        Some(status)
    }

    /// Whether it runs, as far as we were told by [`Daybook::ended`].
    pub const fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The process has ended.
    fn forget(&mut self) {
        if let Some((_, tether)) = self.child.take() {
            tether.release();
        }
    }

    /// SIGKILL, as a machine's death would have it.
    pub fn kill(&mut self) {
        if let Some((child, _)) = &mut self.child {
            child.kill().expect("ours to kill");
            child.wait().expect("ours to wait for");
            self.forget();
        }
    }

    /// SIGSTOP until what is returned is dropped.
    pub fn freeze(&self) -> Frozen {
        Frozen::tree(self.child.as_ref().expect("runs").0.id())
    }

    /// SIGTERM; waits for the end and returns whether it was a clean one.
    pub async fn terminate(&mut self) -> bool {
        self.ask_to_stop();
        let status = eventually("daybook stops", Duration::from_secs(30), async || self.ended()).await;
        status.success()
    }

    /// SIGTERM.
    pub fn ask_to_stop(&self) {
        let (child, _) = self.child.as_ref().expect("runs");
        send(child, Signal::TERM);
    }

    /// All that it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of what it wrote.
    pub fn tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Daybook {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ctrl-C, to a command that runs.
pub fn interrupt(child: &Child) {
    send(child, Signal::INT);
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("ours to signal");
}
