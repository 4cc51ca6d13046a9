//! What the database knows of rebuilds and of parked events, as metrics: whoever rebuilds is a process of its own, which
//! nobody scrapes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eventsourcing_postgres::rebuild::{self, Status};
use http_kit::metrics::{PROJECTION_PARKED_NOW, REBUILD_RECORDS, REBUILD_RECORDS_TARGET, REBUILD_RUNNING};
use metrics::gauge;
use sqlx::PgPool;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// Keeps them up to date until dropped.
pub(super) async fn keep(
    pool: PgPool,
    projections: Vec<&'static str>,
    any_parked: Arc<AtomicBool>,
) -> Infallible {
    loop {
        match look(&pool).await {
            Ok((parked, rebuilds)) => {
                any_parked.store(!parked.is_empty(), Ordering::Relaxed);
                for projection in &projections {
                    tell(projection, parked.get(*projection), rebuilds.get(*projection));
                }
            }
            // The projectors meet the same and say so.
            Err(error) => tracing::debug!(%error, "cannot look at rebuilds and parked events"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

type Figures = (BTreeMap<String, i64>, BTreeMap<String, Status>);

async fn look(pool: &PgPool) -> Result<Figures, sqlx::Error> {
    let parked = rebuild::parked_now(pool).await?.into_iter().collect();
    let live = |status: &Status| status.as_of.is_none();
    let rebuilds = rebuild::status(pool).await?.into_iter().filter(live);
    let rebuilds = rebuilds.map(|status| (status.projection.clone(), status));
    Ok((parked, rebuilds.collect()))
}

#[expect(clippy::cast_precision_loss, reason = "no shop counts to 2^52")]
fn tell(projection: &'static str, parked: Option<&i64>, rebuild: Option<&Status>) {
    let sum = |of: fn(&rebuild::PartitionProgress) -> u64| {
        let partitions = rebuild.iter().flat_map(|status| &status.partitions);
        partitions.map(of).sum::<u64>() as f64
    };
    let running = rebuild.is_some_and(|status| status.running);
    gauge!(PROJECTION_PARKED_NOW, "projection" => projection).set(parked.copied().unwrap_or_default() as f64);
    gauge!(REBUILD_RUNNING, "projection" => projection).set(if running { 1.0 } else { 0.0 });
    gauge!(REBUILD_RECORDS, "projection" => projection).set(sum(|of| of.done));
    gauge!(REBUILD_RECORDS_TARGET, "projection" => projection).set(sum(|of| of.total));
}
