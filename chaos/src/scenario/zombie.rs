//! Owners that sleep past their session under load, lose their partitions, and wake up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::Zombie;
use crate::cluster::NODES;
use crate::nemesis::{Fault, Kind, Nemesis};
use crate::workload::{Patience, Press, Pressed, Shared, Told};

/// From the press to the freeze: commands are in flight by then.
const BEFORE_FREEZE: Duration = Duration::from_millis(150);
/// How much longer than the freeze those wait who are stuck in it.
const PATIENCE: Duration = Duration::from_secs(30);
/// From the end of the freeze until new commands stop.
const AFTER_FREEZE: Duration = Duration::from_secs(1);

/// What those were told whose commands were under way when their node slept.
#[derive(Default)]
struct Asleep {
    answers: BTreeMap<String, u64>,
    /// Rounds in which the node served nothing of the load.
    idle: u64,
}

pub(crate) async fn run(zombie: &Zombie, stop: CancellationToken) -> anyhow::Result<()> {
    let (common, style) = (&zombie.common, zombie.common.style());
    let mut stage = Stage::open(common, style).await?;
    let mut random = StdRng::seed_from_u64(style.seed);
    let shared = Arc::clone(&stage.workload.shared);
    let routes = stage.routes.clone();
    let mut nemesis = Nemesis::new(&mut stage.cluster, &shared, routes, stop);
    let mut asleep = Asleep::default();
    for round in 0..zombie.rounds {
        let node = random.random_range(0..NODES);
        match one_round(&mut nemesis, &shared, zombie, round, node, &mut asleep).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                shared.record.wrong(format!("I10: {error:#}"));
                break;
            }
        }
    }
    let (done, fault) = (nemesis.done, nemesis.last_end());
    let (cluster, mut outcome) = stage.close(common, &done, fault).await?;
    for (told, count) in &asleep.answers {
        outcome
            .table
            .row(format!("asleep with the node, told: {told}"), count);
    }
    outcome
        .table
        .row("rounds in which the node served nothing", asleep.idle);
    outcome.table.zombies(&outcome.void);
    let orphans = outcome.shared.recovery.all();
    outcome
        .table
        .recovery(&orphans, common.session() + Duration::from_millis(500));
    let title = format!(
        "chaos zombie, {} rounds, asleep for {} s, session {} ms, seed {}",
        zombie.rounds, zombie.freeze, common.session_timeout_ms, style.seed
    );
    outcome.tell(&title, cluster, common)
}

/// One node sleeps and wakes up, under pressure. Whether it is to go on.
async fn one_round(
    nemesis: &mut Nemesis<'_>,
    shared: &Arc<Shared>,
    zombie: &Zombie,
    round: usize,
    node: usize,
    asleep: &mut Asleep,
) -> anyhow::Result<bool> {
    let lasts = Duration::from_secs_f64(zombie.freeze);
    let press = Press {
        round,
        node,
        partitions: nemesis.owned_by(node),
        connections: zombie.pressing,
        patience: Patience(lasts + PATIENCE),
    };
    let enough = CancellationToken::new();
    let mut pressing = press.start(shared, &enough);
    if pressing.is_empty() {
        asleep.idle += 1;
    }
    nemesis.wait(BEFORE_FREEZE).await;
    let fault = Fault {
        kind: Kind::Freeze(node),
        lasts,
    };
    let frozen = Instant::now();
    nemesis.begin(fault).await?;
    nemesis.wait(lasts).await;
    let woken = Instant::now();
    nemesis.end(fault).await?;
    let go_on = nemesis.wait(AFTER_FREEZE).await;
    enough.cancel();
    while let Some(ended) = pressing.join_next().await {
        let stuck = |pressed: &Pressed| pressed.sent < woken && pressed.answered > frozen;
        for pressed in ended?.into_iter().filter(stuck) {
            // Answered in the instant before it slept.
            let early = pressed.answered < woken;
            let told = if early {
                "before it slept".to_owned()
            } else {
                text(&pressed.told)
            };
            *asleep.answers.entry(told).or_default() += 1;
        }
    }
    nemesis.all_ready().await?;
    Ok(go_on)
}

fn text(told: &Told) -> String {
    match told {
        Told::Accepted(accepted) if accepted.replayed => "accepted before".to_owned(),
        Told::Accepted(_) => "accepted".to_owned(),
        Told::Refused(code) => format!("refused, {code}"),
        Told::NotAttempted(Some(why)) => format!("not attempted, {why}"),
        Told::NotAttempted(None) => "not attempted, no connection".to_owned(),
        Told::Unknown(doubt) => format!("unknown, {}", doubt.text()),
    }
}
