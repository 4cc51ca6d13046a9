//! The live projector, until it has caught up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use eventsourcing::assignment::Everything;
use eventsourcing::log::Log;
use eventsourcing::projection::runner;
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::topic::Topic;
use eventsourcing_postgres::projection::{Config, PostgresReadModel, Projection};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// It must have caught up within this time.
const PATIENCE: Duration = Duration::from_mins(15);
/// How often somebody looks whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// Runs it on all `partitions` of the topic until `is_done`; says how long that took.
pub(crate) async fn catch_up<Done>(
    (pool, log, topic): (&PgPool, &Arc<dyn Log>, &Topic),
    partitions: u32,
    projection: Projection,
    is_done: impl Fn() -> Done,
) -> anyhow::Result<Duration>
where
    Done: Future<Output = anyhow::Result<bool>>,
{
    let (stop, began) = (CancellationToken::new(), Instant::now());
    let all = (0..partitions).map(|partition| topic.partition(partition));
    let assignment = Box::new(Everything::of(all.collect()));
    let settings = runner::Settings {
        log: Arc::clone(log),
        topic: topic.clone(),
        read_model: Arc::new(PostgresReadModel::new(
            pool.clone(),
            projection,
            Config::default(),
        )),
        config: runner::Config::default(),
    };
    let share = Share::follow(topic.clone(), assignment, Presumption::Nothing);
    let (_, ended) = runner::spawn(settings, share, stop.clone());
    while !is_done().await? {
        ensure!(!ended.is_finished(), "the projector has ended");
        ensure!(began.elapsed() < PATIENCE, "the table is not complete in time");
        tokio::time::sleep(LOOK).await;
    }
    let took = began.elapsed();
    eprintln!("the table has them after {:.1} s", took.as_secs_f64());
    stop.cancel();
    ended.await??;
    Ok(took)
}
