//! Follows the checkpoints: by notification, and by looking again in case one was lost.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{PgPool, Row};
use tokio::sync::watch;
use tokio::time::Instant;

use super::checkpoints::{Checkpoints, of_text, position};
use super::model::ReadModel;

/// The channel on which the projection runner says that a checkpoint has moved.
const CHANNEL: &str = "daybook_checkpoints";
/// How long to wait before connecting again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Keeps the newest checkpoints known. Run it beside the API.
#[derive(Debug)]
pub struct Watcher {
    pool: PgPool,
    poll_interval: Duration,
    query_timeout: Duration,
    newest: watch::Sender<Arc<Checkpoints>>,
}

impl Watcher {
    pub(super) const fn new(
        pool: PgPool,
        poll_interval: Duration,
        query_timeout: Duration,
        newest: watch::Sender<Arc<Checkpoints>>,
    ) -> Self {
        Self {
            pool,
            poll_interval,
            query_timeout,
            newest,
        }
    }

    /// Watches until dropped. A database that is away is tried again and again.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.watch().await {
                tracing::warn!(%error, "cannot watch the checkpoints; trying again");
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn watch(&self) -> Result<(), sqlx::Error> {
        let mut listener = self.bounded(PgListener::connect_with(&self.pool)).await?;
        self.bounded(listener.listen(CHANNEL)).await?;
        loop {
            // First listen, then look: what moves in between is told.
            self.bounded(self.look(&mut listener)).await?;
            let next_look = Instant::now() + self.poll_interval;
            // Look again when something is told that does not speak for itself; and now and then all the same.
            while let Ok(told) = tokio::time::timeout_at(next_look, listener.try_recv()).await {
                let Some(told) = told? else { return Ok(()) };
                if !self.take_in(told.payload()) {
                    while listener.next_buffered().is_some() {}
                    break;
                }
            }
        }
    }

    /// Takes in what a projector tells, as in `orders daybook.orders.events/3@1042`; false where only a look can tell.
    fn take_in(&self, told: &str) -> bool {
        let mut words = told.split(' ');
        let projection = words.next().unwrap_or_default();
        if !ReadModel::ALL
            .iter()
            .any(|model| model.projection() == projection)
        {
            return true;
        }
        let positions: Option<Vec<_>> = words.map(of_text).collect();
        let Some(positions) = positions.filter(|positions| !positions.is_empty()) else {
            return false;
        };
        self.newest.send_modify(|newest| {
            let newest = Arc::make_mut(newest);
            for position in positions {
                newest.add(projection.to_owned(), position);
            }
        });
        true
    }

    /// A server that is frozen closes no socket: what it does not answer in time is asked anew.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
        let outcome = tokio::time::timeout(self.query_timeout, work).await;
        outcome.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into())))
    }

    async fn look(&self, listener: &mut PgListener) -> Result<(), sqlx::Error> {
        // Not those of snapshots, which stand still.
        let sql = r#"SELECT projection, topic, partition, "offset" FROM read.checkpoints WHERE projection = ANY($1)"#;
        let rows = sqlx::query(sql)
            .bind(ReadModel::ALL.map(ReadModel::projection).to_vec())
            .fetch_all(listener)
            .await?;
        let mut found = Checkpoints::default();
        for row in rows {
            let topic: String = row.try_get("topic")?;
            if let Some(position) = position(&topic, row.try_get("partition")?, row.try_get("offset")?) {
                found.add(row.try_get("projection")?, position);
            }
        }
        self.newest.send_if_modified(|newest| {
            let moved = **newest != found;
            if moved {
                *newest = Arc::new(found);
            }
            moved
        });
        Ok(())
    }
}
