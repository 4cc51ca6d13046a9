//! The projections.

use std::time::Duration;

use eventsourcing_postgres::projection::{Config, Runner, Status};
use http_kit::health::Readiness;
use tokio::sync::watch;

use super::Process;
use crate::supervisor::Stage;

/// Watches all projections.
#[derive(Clone)]
pub struct Projecting(Vec<(&'static str, watch::Receiver<Status>)>);

impl Projecting {
    /// Whether each of them applies what comes.
    #[must_use]
    pub fn running(&self) -> bool {
        self.0
            .iter()
            .all(|(_, status)| *status.borrow() == Status::Running)
    }
}

/// Starts the runner of all projections.
pub fn start(process: &mut Process) -> Projecting {
    let parts = &process.parts;
    let limits = Config {
        batch_records_max: parts.config.projections.batch_records_max,
        retry_pause: Duration::from_millis(parts.config.projections.retry_pause_ms),
        ..Config::default()
    };
    let (pool, log, prefix) = (parts.pool.clone(), parts.log.clone(), &parts.config.topics.prefix);
    let runner = Runner::new(pool, log, prefix, projections::all(), limits);
    let statuses = Projecting(runner.statuses());
    let stop = process.supervisor.stop_of(Stage::Readers);
    process
        .supervisor
        .spawn(Stage::Readers, "projections", async move {
            Ok(runner.run(stop).await?)
        });
    statuses
}

/// Ready when every projection applies what comes.
#[must_use]
pub fn readiness(besides: Readiness, projecting: Projecting) -> Readiness {
    besides.check("projections", move || std::future::ready(projecting.running()))
}
