//! The roles of a Daybook. Each can run in a process of its own; `daybook up` runs them all in one.

pub mod commands;
pub mod owners;
pub mod projections;
pub mod queries;
pub mod remote;
mod serving;
mod single;
pub mod workers;

pub use serving::{Endpoint, Server};
pub use single::{run_commands, run_projections, run_queries, run_workers};

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_kit::metrics::Recorder;

use crate::config::Config;
use crate::parts::{LocalPostgres, Parts};
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
    local: LocalPostgres,
}

impl Process {
    /// Starts logging and metrics and opens the parts.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        telemetry::start(&config.telemetry)?;
        if config.dev {
            tracing::warn!(
                "--dev: EVERYONE IS LET IN, nobody is asked who they are. Never run this for real."
            );
        }
        let recorder = http_kit::metrics::install().context("metrics")?;
        let lead = Duration::from_millis(config.shutdown.readiness_ms);
        let drain = Duration::from_millis(config.shutdown.drain_timeout_ms);
        // A server cuts itself off at its deadline; the stage waits a little longer than that.
        let mut supervisor = Supervisor::new(lead, drain + Duration::from_secs(2));
        let (parts, local) = Parts::open(config).await?;
        let (upkeep, stop) = (recorder.clone(), supervisor.stop_of(Stage::Owners));
        supervisor.spawn(Stage::Owners, "metrics", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = upkeep.upkeep() => {}
            }
            Ok(())
        });
        Ok(Self {
            parts,
            supervisor,
            recorder,
            local,
        })
    }

    /// Listens on `endpoint`.
    pub async fn serve(&mut self, endpoint: Endpoint) -> anyhow::Result<()> {
        let server = Server {
            config: Arc::clone(&self.parts.config),
            environment: Arc::clone(&self.parts.environment),
            recorder: self.recorder.clone(),
        };
        server.start(endpoint, &mut self.supervisor).await
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
