//! kill -9 of a random node, again and again.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::Kill;
use crate::cluster::NODES;
use crate::nemesis::{Fault, Kind, Nemesis};

/// Beyond the session's time-out: the rebalance, the fence, and what is in the log since the last checkpoint.
const TAKEOVER_MAX: Duration = Duration::from_millis(500);

pub(crate) async fn run(kill: &Kill, stop: CancellationToken) -> anyhow::Result<()> {
    let (common, style) = (&kill.common, kill.common.style());
    let mut stage = Stage::open(common, style).await?;
    let until = Instant::now() + Duration::from_secs_f64(kill.minutes * 60.0);
    let (every, down) = (
        Duration::from_secs_f64(kill.every),
        Duration::from_secs_f64(kill.down),
    );
    let mut random = StdRng::seed_from_u64(style.seed);
    let shared = std::sync::Arc::clone(&stage.workload.shared);
    let routes = stage.routes.clone();
    let mut nemesis = Nemesis::new(&mut stage.cluster, &shared, routes, stop);
    while Instant::now() < until {
        let next = Instant::now() + every;
        let fault = Fault {
            kind: Kind::Kill(random.random_range(0..NODES)),
            lasts: down,
        };
        nemesis.begin(fault).await?;
        nemesis.wait(down).await;
        nemesis.end(fault).await?;
        if !nemesis.wait(next.saturating_duration_since(Instant::now())).await {
            break;
        }
    }
    nemesis.all_ready().await?;
    let (done, fault) = (nemesis.done, nemesis.last_end());
    let (cluster, mut outcome) = stage.close(common, &done, fault).await?;
    let orphans = outcome.shared.recovery.all();
    outcome.table.recovery(&orphans, common.session() + TAKEOVER_MAX);
    if !outcome.shared.recovery.is_over() {
        outcome
            .verdict
            .breach("an orphaned partition never accepted a command again");
    }
    let title = format!(
        "chaos kill, {} min, every {} s, {} connections, session {} ms, seed {}",
        kill.minutes, kill.every, common.connections, common.session_timeout_ms, style.seed
    );
    outcome.tell(&title, cluster, common)
}
