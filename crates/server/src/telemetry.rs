//! Log lines: text for people, JSON for machines. Request id and trace travel as fields.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::{Telemetry, TextFormat};

/// Starts logging to standard error, once per process.
pub fn start(telemetry: &Telemetry) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&telemetry.log_filter)
        .with_context(|| format!("telemetry.log_filter: {:?}", telemetry.log_filter))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match telemetry.log_format {
        TextFormat::Json => lines.json().flatten_event(true).try_init(),
        TextFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging: {error}"))
}
