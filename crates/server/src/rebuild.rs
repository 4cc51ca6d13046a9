//! `daybook rebuild` and `daybook verify`: read models from the whole log, beside the live ones.

mod control;
mod progress;
mod snapshot;

use std::num::NonZeroU64;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use eventsourcing::topic::Topic;
use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::rebuild::{Limits, Plan, RebuildError, Rebuilder, Rebuilt, Verified};
use serde_json::json;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::INTERRUPTED_EXIT_CODE;
use crate::parts::{Parts, generation};
pub use control::{Order, give, status};
use progress::Shown;
pub use snapshot::{WantedSnapshots, as_of, snapshots};

/// Which projections, and how.
#[derive(Debug)]
pub struct Wanted {
    /// By name; all of them when there are none.
    pub names: Vec<String>,
    /// Only say what would be read.
    pub dry_run: bool,
    /// For scripts.
    pub json: bool,
    /// Records a second at most.
    pub events_per_s: Option<NonZeroU64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    Rebuild,
    Verify,
}

/// `daybook rebuild NAME… | --all`.
pub async fn rebuild(parts: &Parts, wanted: &Wanted) -> anyhow::Result<ExitCode> {
    run(parts, wanted, Goal::Rebuild).await
}

/// `daybook verify NAME… | --all`.
pub async fn verify(parts: &Parts, wanted: &Wanted) -> anyhow::Result<ExitCode> {
    run(parts, wanted, Goal::Verify).await
}

async fn run(parts: &Parts, wanted: &Wanted, goal: Goal) -> anyhow::Result<ExitCode> {
    let rebuilders = named(parts, &wanted.names)?;
    generation::check(parts).await?;
    let limits = limits(parts, wanted.events_per_s);
    let stopping = tokio::spawn(stop_at_signal(limits.stop.clone()));
    let mut failed = 0;
    for rebuilder in &rebuilders {
        let name = rebuilder.projection.name();
        if wanted.dry_run {
            let planned = rebuilder.plan().await;
            let planned = planned.map_err(|error| anyhow!("{name}: {error}"))?;
            tell_plan(name, None, &rebuilder.topic, &planned, wanted.json);
            continue;
        }
        let shown = Shown::new(name.to_owned(), wanted.json);
        let watch = |progress: &_| shown.at(progress);
        let outcome = match goal {
            Goal::Rebuild => rebuilder.rebuild(&limits, watch).await,
            Goal::Verify => rebuilder.verify(&limits, watch).await,
        };
        shown.finish();
        match outcome {
            Ok(rebuilt) => tell(name, &rebuilt, goal, wanted.json),
            Err(error @ RebuildError::Interrupted(_)) => {
                eprintln!("{name}: {error}");
                return Ok(ExitCode::from(INTERRUPTED_EXIT_CODE));
            }
            // A look at all of them says of each what it is.
            Err(error) if goal == Goal::Verify => {
                failed += 1;
                eprintln!("{name}: {error}");
            }
            Err(error) => return Err(anyhow!("{name}: {error}")),
        }
    }
    stopping.abort();
    if failed > 0 {
        bail!(
            "{failed} of {} projections could not be verified",
            rebuilders.len()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A name that none of them has.
#[derive(Debug, Error)]
#[error("there is no projection {0:?}; there are {known}", known = known().join(", "))]
pub struct UnknownProjection(pub(crate) String);

fn known() -> Vec<&'static str> {
    projections::all().iter().map(Projection::name).collect()
}

/// The projections with these names; all of them without any.
pub(crate) fn named(parts: &Parts, names: &[String]) -> Result<Vec<Rebuilder>, UnknownProjection> {
    let known = known();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(UnknownProjection(unknown.clone()));
    }
    let all = projections::all();
    let wanted =
        |projection: &Projection| names.is_empty() || names.iter().any(|name| name == projection.name());
    let wanted = all.into_iter().filter(wanted);
    Ok(wanted.map(|projection| rebuilder(parts, projection)).collect())
}

fn rebuilder(parts: &Parts, projection: Projection) -> Rebuilder {
    Rebuilder {
        pool: parts.pool.clone(),
        log: Arc::clone(&parts.log),
        topic: parts.topic(projection.service()),
        projection: parts.config.projections.on_error.with(projection),
    }
}

fn limits(parts: &Parts, events_per_s: Option<NonZeroU64>) -> Limits {
    Limits {
        memory_bytes: parts.config.rebuild.memory_bytes,
        workers: workers(parts.config.rebuild.workers),
        events_per_s,
        stop: CancellationToken::new(),
    }
}

/// As many as are set, or half of the processors.
fn workers(set: usize) -> usize {
    if set > 0 {
        return set;
    }
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

/// A second signal ends the process as it always does.
async fn stop_at_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    eprintln!("storing what was folded …");
    stop.cancel();
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    std::process::exit(i32::from(INTERRUPTED_EXIT_CODE));
}

fn tell(name: &str, rebuilt: &Rebuilt, goal: Goal, as_json: bool) {
    let Rebuilt {
        version,
        rows,
        records,
        verified,
    } = rebuilt;
    if as_json {
        let checked = match verified {
            Verified::EqualToLive => rows.cast_unsigned(),
            Verified::Sample(sampled) => *sampled,
        };
        let event = match goal {
            Goal::Rebuild => "switched",
            Goal::Verify => "verified",
        };
        let line = json!({
            "event": event, "projection": name, "version": version, "rows": rows, "records": records,
            "rows_checked": checked, "same_fold": *verified == Verified::EqualToLive,
        });
        println!("{line}");
        return;
    }
    let how = match verified {
        Verified::EqualToLive => format!("{rows} rows equal to the ones before"),
        Verified::Sample(sampled) => {
            format!("{rows} rows of a changed fold, {sampled} of them checked one by one")
        }
    };
    match goal {
        Goal::Rebuild => println!("{name}: version {version} is live, {how}, {records} records read"),
        Goal::Verify => println!("{name}: {rows} rows equal a rebuild from the log, {records} records read"),
    }
}

fn tell_plan(name: &str, as_of: Option<&str>, topic: &Topic, plan: &Plan, as_json: bool) {
    let left = |done: u64, total: u64| total.saturating_sub(done);
    if as_json {
        let partitions: Vec<_> = plan.partitions.iter().collect();
        let line = json!({
            "event": "plan", "projection": name, "as_of": as_of, "live": plan.live, "resumes": plan.resumes,
            "same_fold": plan.same_fold, "partitions": partitions,
        });
        println!("{line}");
        return;
    }
    let records: u64 = plan.partitions.iter().map(|at| left(at.done, at.total)).sum();
    let way = match plan.resumes {
        Some(version) => format!("goes on with version {version}"),
        None => "a new version".to_owned(),
    };
    let (what, check) = match (as_of, plan.live) {
        (Some(as_of), _) => (
            format!("a snapshot as of {as_of}"),
            "a sample of rows checked one by one",
        ),
        (None, live) => {
            let live = live.map_or_else(|| "no version".to_owned(), |live| format!("version {live}"));
            let check = if plan.same_fold {
                "all rows compared with the live version"
            } else {
                "the fold has changed: a sample of rows checked one by one"
            };
            (format!("{live} is live"), check)
        }
    };
    println!("{name}: {what}; {way}; {records} records to read; {check}");
    for at in &plan.partitions {
        println!(
            "  {}/{}: {} records, {} to {}",
            topic,
            at.partition,
            left(at.done, at.total),
            at.done,
            at.total
        );
    }
}
