//! Every fault there is.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::All;
use crate::nemesis::{Nemesis, Schedule};

pub(crate) async fn run(all: &All, stop: CancellationToken) -> anyhow::Result<()> {
    let (common, style) = (&all.common, all.common.style());
    let mut stage = Stage::open(common, style).await?;
    let until = Instant::now() + Duration::from_secs_f64(all.minutes * 60.0);
    let shared = std::sync::Arc::clone(&stage.workload.shared);
    let routes = stage.routes.clone();
    let mut nemesis = Nemesis::new(&mut stage.cluster, &shared, routes, stop);
    for step in Schedule::new(style.seed, common.session()) {
        match nemesis.step(step).await {
            Ok(true) if Instant::now() < until => {}
            Ok(_) => break,
            // What happened so far is still to be judged.
            Err(error) => {
                shared.record.wrong(format!("I10: {error:#}"));
                break;
            }
        }
    }
    let (done, fault) = (nemesis.done, nemesis.last_end());
    let (cluster, mut outcome) = stage.close(common, &done, fault).await?;
    let bound = common.session() + Duration::from_millis(500);
    let orphans = outcome.shared.recovery.all();
    outcome.table.recovery(&orphans, bound);
    outcome.tell(
        &format!("chaos all, {} min, seed {}", all.minutes, style.seed),
        cluster,
        common,
    )
}
