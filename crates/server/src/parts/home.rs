//! Whether the log is where the configuration says. A shop that moves from one log to another must never have two
//! that both take commands.

use std::time::Duration;

use anyhow::bail;
use eventsourcing_postgres::log::moves::{self, Home};

use super::Parts;
use crate::config::LogKind;

/// How often a node on PostgreSQL looks whether its log has moved. Until it does, its commands fail.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Refuses to start on a log that is no longer, or not yet, the shop's.
pub async fn check(parts: &Parts) -> anyhow::Result<()> {
    let home = moves::home(&parts.pool, &parts.topics_so_far()).await?;
    match (parts.config.log, home) {
        (LogKind::Postgres, Home::Here { .. })
        | (LogKind::Kafka, Home::Here { used: false } | Home::Moved { .. }) => Ok(()),
        (LogKind::Postgres, Home::Sealed { to, since }) => bail!(gone(&to, &since)),
        (LogKind::Postgres, Home::Moved { to, since }) => bail!(gone(&to, &since)),
        (LogKind::Kafka, Home::Sealed { since, .. }) => bail!(
            "the log was sealed in PostgreSQL on {since}, but is not completely in Kafka yet: run `daybook log copy \
             --from postgres --to kafka --switch` until it says so"
        ),
        (LogKind::Kafka, Home::Here { used: true }) => bail!(
            "the log of this shop (topics.prefix {:?}) is in PostgreSQL: start with --log postgres; or move it with \
             `daybook log copy --from postgres --to kafka --switch`; or choose another topics.prefix for a new shop",
            parts.config.topics.prefix
        ),
    }
}

/// Ends with an error when the log of a running node has moved.
pub async fn watch(parts: Parts) -> anyhow::Result<std::convert::Infallible> {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        match moves::home(&parts.pool, &parts.topics_so_far()).await {
            Ok(Home::Here { .. }) => {}
            Ok(Home::Sealed { to, since } | Home::Moved { to, since }) => bail!(gone(&to, &since)),
            // Away for a moment; who needs it more says so.
            Err(error) => tracing::debug!(%error, "cannot look where the log is"),
        }
    }
}

fn gone(to: &str, since: &impl std::fmt::Display) -> String {
    format!(
        "the log has moved to {to}: PostgreSQL takes nothing in since {since}. When `daybook log copy` says that it is \
         there, start with --log kafka"
    )
}
