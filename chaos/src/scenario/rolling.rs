//! Rolling restarts under an open loop: nobody may notice but by the clock.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::Rolling;
use crate::calm::Fare;
use crate::cluster::NODES;
use crate::nemesis::{Fault, Kind, Nemesis};
use crate::report::Table;
use crate::verdict::Verdict;
use crate::workload::{Measured, OpenLoop, Style};

/// The load runs undisturbed for so long, and its latencies are told beside those of the restarts.
const UNDISTURBED: Duration = Duration::from_secs(8);
/// From a node's readiness to the stop of the next.
const BETWEEN: Duration = Duration::from_secs(3);

pub(crate) async fn run(rolling: &Rolling, stop: CancellationToken) -> anyhow::Result<()> {
    let common = &rolling.common;
    // All load is the open loop's.
    let style = Style {
        connections: 0,
        ..common.style()
    };
    let mut stage = Stage::open(common, style).await?;
    let shared = Arc::clone(&stage.workload.shared);
    let load = OpenLoop::new(&shared, rolling.rate)?;
    stage.workload.add(Arc::clone(&load).run());
    tokio::time::sleep(BETWEEN).await;
    load.take()?;
    stage.before = Fare::over(&shared, UNDISTURBED).await;
    let undisturbed = load.take()?;
    println!("undisturbed at {}/s: {}", rolling.rate, undisturbed.latencies());

    let routes = stage.routes.clone();
    let mut nemesis = Nemesis::new(&mut stage.cluster, &shared, routes, stop);
    'rounds: for _ in 0..rolling.rounds {
        for node in 0..NODES {
            let fault = Fault {
                kind: Kind::Terminate(node),
                lasts: Duration::ZERO,
            };
            nemesis.begin(fault).await?;
            nemesis.end(fault).await?;
            if let Err(error) = nemesis.all_ready().await {
                shared.record.wrong(format!("I10: {error:#}"));
                break 'rounds;
            }
            if !nemesis.wait(BETWEEN).await {
                break 'rounds;
            }
        }
    }
    let (done, fault) = (nemesis.done, nemesis.last_end());
    let restarting = load.take()?;
    let (cluster, mut outcome) = stage.close(common, &done, fault).await?;
    tell(&mut outcome.table, "undisturbed", &undisturbed);
    tell(&mut outcome.table, "rolling", &restarting);
    unnoticed(&restarting, &mut outcome.verdict);
    let title = format!(
        "chaos rolling, {} rounds of {NODES} nodes, {} commands/s, seed {}",
        rolling.rounds, rolling.rate, style.seed
    );
    outcome.tell(&title, cluster, common)
}

fn tell(table: &mut Table, when: &str, measured: &Measured) {
    table.row(format!("{when}: latency"), measured.latencies());
    table.row(format!("{when}: unknown outcomes"), measured.unknown);
    table.row(
        format!("{when}: connections reset under a request"),
        measured.resets,
    );
    table.row(
        format!("{when}: connections closed under a request"),
        measured.closed,
    );
    let (attempts, commands) = (measured.not_attempted, measured.retried);
    let refusals = format!("{attempts} attempts; {commands} commands went to another node");
    table.row(format!("{when}: not attempted"), refusals);
    table.row(format!("{when}: sent late for want of a place"), measured.late);
}

/// What a rolling restart must not cost.
fn unnoticed(measured: &Measured, verdict: &mut Verdict) {
    let costs = [
        (measured.unknown, "outcomes were unknown"),
        (measured.resets, "connections were reset under a request"),
        (measured.closed, "connections were closed under a request"),
        (measured.refused, "receipts were refused"),
    ];
    for (count, what) in costs {
        if count > 0 {
            verdict.breach(format!("a rolling restart was noticed: {count} {what}"));
        }
    }
}
