//! The roles of a Daybook. Each can run in a process of its own; `daybook up` runs them all in one.

mod assignments;
pub mod commands;
pub mod forward;
pub mod owners;
pub mod projections;
pub mod queries;
pub mod remote;
mod serving;
mod shares;
mod single;
pub mod workers;

pub use serving::{Api, Endpoint, Server};
pub use single::{run_commands, run_projections, run_queries, run_workers};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_kit::metrics::Recorder;
use tokio::net::TcpListener;

use crate::config::{Config, LogKind};
use crate::parts::generation::Outlived;
use crate::parts::{LocalPostgres, Parts, home};
use crate::supervisor::{Stage, Supervisor};
use crate::telemetry;

/// A process that has opened its parts and starts roles.
pub struct Process {
    /// What the roles stand on.
    pub parts: Parts,
    /// Of all their tasks.
    pub supervisor: Supervisor,
    /// Of their metrics.
    pub recorder: Recorder,
    /// Whether their topics were sealed meanwhile.
    pub outlived: Outlived,
    local: LocalPostgres,
    listeners: BTreeMap<Api, TcpListener>,
}

impl Process {
    /// Starts logging and metrics, takes the addresses of these APIs, and opens the parts.
    pub async fn start(config: Config, apis: &[Api]) -> anyhow::Result<Self> {
        telemetry::start(&config.telemetry)?;
        // First of all: an address that is taken or not allowed is no reason to start anything.
        let mut listeners = BTreeMap::new();
        for api in apis {
            listeners.insert(
                *api,
                serving::bind(api.address(&config.listen), config.dev).await?,
            );
        }
        if config.dev {
            tracing::warn!(
                "--dev: EVERYONE IS LET IN, nobody is asked who they are. Never run this for real."
            );
        }
        let recorder = http_kit::metrics::install().context("metrics")?;
        let lead = Duration::from_millis(config.shutdown.readiness_ms);
        let drain = Duration::from_millis(config.shutdown.drain_timeout_ms);
        // A server cuts itself off at its deadline; the stage waits a little longer than that.
        let linger = Duration::from_millis(config.shutdown.linger_ms);
        let mut supervisor = Supervisor::new(lead, 2 * linger + drain + Duration::from_secs(2));
        // Whoever only reads the read models starts and serves while the log is away.
        let (parts, local) = if apis == [Api::Queries] {
            Parts::connect(config).await?
        } else {
            Parts::open(config).await?
        };
        let (upkeep, stop) = (recorder.clone(), supervisor.stop_of(Stage::Ground));
        supervisor.spawn(Stage::Ground, "metrics", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = upkeep.upkeep() => {}
            }
            Ok(())
        });
        if parts.config.log == LogKind::Postgres && apis != [Api::Queries] {
            let (watched, stop) = (parts.clone(), supervisor.stop_of(Stage::Owners));
            supervisor.spawn(Stage::Owners, "log", async move {
                tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    Err(error) = home::watch(watched) => Err(error),
                }
            });
        }
        let outlived = Outlived::default();
        if apis != [Api::Queries] {
            let (watching, stop) = (
                outlived.clone().watch(parts.clone()),
                supervisor.stop_of(Stage::Readers),
            );
            supervisor.spawn(Stage::Readers, "generation", async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = watching => stop.cancelled().await,
                }
                Ok(())
            });
        }
        if let Some(port) = local.port() {
            let stop = supervisor.stop_of(Stage::Ground);
            supervisor.spawn(Stage::Ground, "local PostgreSQL", async move {
                tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    Err(error) = LocalPostgres::watch(port) => Err(error),
                }
            });
        }
        Ok(Self {
            parts,
            supervisor,
            recorder,
            outlived,
            local,
            listeners,
        })
    }

    /// Serves `endpoint` at the address taken at the start.
    pub fn serve(&mut self, endpoint: Endpoint) -> anyhow::Result<()> {
        let listener = self.listeners.remove(&endpoint.api);
        let listener =
            listener.with_context(|| format!("no address was taken for {}", endpoint.api.name()))?;
        let server = Server {
            config: Arc::clone(&self.parts.config),
            environment: Arc::clone(&self.parts.environment),
            recorder: self.recorder.clone(),
        };
        server.start(listener, endpoint, &mut self.supervisor)
    }

    /// Runs until it is told to stop, then stops the local parts.
    pub async fn run(self) -> anyhow::Result<()> {
        let outcome = self.supervisor.run().await;
        self.parts.pool.close().await;
        let stopped = self.local.stop().await;
        tracing::info!("stopped");
        outcome.and(stopped)
    }
}
