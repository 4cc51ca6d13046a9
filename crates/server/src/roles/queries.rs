//! The query API.

use std::time::Duration;

use axum::Router;
use http_kit::health::Readiness;
use queries::Reads;

use super::Process;
use crate::supervisor::Stage;

/// Starts following the checkpoints; the reads and the endpoints over them.
pub fn start(process: &mut Process) -> anyhow::Result<(Reads, Router)> {
    let config = &process.parts.config;
    let (reads, watcher) = Reads::new(queries::Config {
        connections_max: config.postgres.connections_max,
        position_wait_max: Duration::from_millis(config.queries.position_wait_ms),
        ..queries::Config::new(process.parts.database_url.clone())
    })?;
    let stop = process.supervisor.stop_of(Stage::Readers);
    process
        .supervisor
        .spawn(Stage::Readers, "checkpoint watcher", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = watcher.run() => {}
            }
            Ok(())
        });
    let router = queries::router(reads.clone());
    Ok((reads, router))
}

/// Ready when the read models can be read.
#[must_use]
pub fn readiness(reads: &Reads) -> Readiness {
    let reads = reads.clone();
    Readiness::new().check("read_models", move || {
        let reads = reads.clone();
        async move { reads.ready().await }
    })
}
