//! Wakes the readers of this process when another one commits.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;

use super::{CHANNEL, Config};
use crate::deadline::within;

/// A silent server is asked whether it is still there this often; readers poll meanwhile.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Listens for as long as anybody has the log.
pub(super) fn spawn(pool: PgPool, grown: &Arc<watch::Sender<u64>>, config: Arc<Config>) {
    let mut dropped = grown.subscribe();
    let grown = Arc::downgrade(grown);
    tokio::spawn(async move {
        let listening = async {
            while let Err(error) = listen(&pool, &grown, &config).await {
                tracing::debug!(%error, "not listening, readers poll meanwhile");
                tokio::time::sleep(config.poll_interval).await;
            }
        };
        tokio::select! {
            () = listening => {}
            () = async { while dropped.changed().await.is_ok() {} } => {}
        }
    });
}

/// Ends well only when the log is gone.
async fn listen(pool: &PgPool, grown: &Weak<watch::Sender<u64>>, config: &Config) -> Result<(), sqlx::Error> {
    let limit = config.answer_timeout;
    let mut listener = within(limit, PgListener::connect_with(pool)).await?;
    within(limit, listener.listen(CHANNEL)).await?;
    loop {
        let Some(sender) = grown.upgrade() else {
            return Ok(());
        };
        // What was committed before the connection came up is found by this first wake-up.
        sender.send_modify(|commits| *commits += 1);
        drop(sender);
        while tokio::time::timeout(SILENCE_MAX, listener.recv())
            .await
            .map_or(Ok(true), |received| received.map(|_| false))?
        {
            within(limit, sqlx::query("SELECT 1").execute(&mut listener)).await?;
        }
    }
}
