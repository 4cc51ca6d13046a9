//! The projections.

mod figures;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use eventsourcing::projection::runner::{self, Config, Settings};
use eventsourcing::readers::Status;
use eventsourcing_postgres::projection::{self, PostgresReadModel};
use http_kit::health::Readiness;
use tokio::sync::watch;

use super::Process;
use super::shares::shares;
use crate::supervisor::Stage;

/// How long a node that was relieved by one of another build is still sent requests. What it shows is right. While several read
/// models are rebuilt one after the other, each build waits for some of them: without this no node would be ready.
const RELIEVED: Duration = Duration::from_hours(1);

/// Watches all projections.
#[derive(Clone)]
pub struct Projecting {
    statuses: Vec<watch::Receiver<Status>>,
    parked: Arc<AtomicBool>,
}

impl Projecting {
    /// Whether each of them applies what comes in its share, or was relieved of it a while ago.
    #[must_use]
    pub fn running(&self) -> bool {
        self.statuses.iter().all(|status| is_well(&status.borrow()))
    }

    /// Whether events are parked, of any of them.
    #[must_use]
    pub fn parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed)
    }
}

fn is_well(status: &Status) -> bool {
    match status {
        Status::Running => true,
        Status::Foreign { relieved, .. } => relieved.is_some_and(|since| since.elapsed() < RELIEVED),
        Status::Starting | Status::Waiting(_) => false,
    }
}

/// Starts all projections.
pub fn start(process: &mut Process) -> anyhow::Result<Projecting> {
    let parts = process.parts.clone();
    let set = &parts.config.projections;
    // One member for all: the projections of a topic work on the same partitions.
    let shares = shares(process, "projections", &parts.all_topics())?;
    let (mut statuses, mut names) = (Vec::new(), Vec::new());
    let read_models = projections::read_models().into_iter().map(|one| (one, None));
    let linger = Duration::from_millis(set.states_linger_ms);
    let all = read_models.chain(projections::states().into_iter().map(|one| (one, Some(linger))));
    for (projection, linger) in all {
        let (name, topic) = (projection.name(), parts.topic(projection.service()));
        names.push(name);
        let share = shares.get(&topic).cloned();
        let share = share.with_context(|| format!("{name} folds a topic that is none of the shop's"))?;
        let limits = projection::Config::default();
        let projection = set.on_error.with(projection);
        let settings = Settings {
            log: Arc::clone(&parts.followed),
            topic,
            read_model: Arc::new(PostgresReadModel::new(parts.pool.clone(), projection, limits)),
            config: Config {
                batch_records_max: set.batch_records_max,
                retry_pause: Duration::from_millis(set.retry_pause_ms),
                linger: linger.unwrap_or_default(),
                stranded_after: Duration::from_millis(set.stranded_after_ms),
            },
        };
        let stop = process.supervisor.stop_of(Stage::Readers);
        let (status, running) = runner::spawn(settings, share, stop);
        process
            .supervisor
            .spawn(Stage::Readers, name, async move { Ok(running.await??) });
        // Nobody reads the states while all goes well: they are no reason to be sent no requests.
        if linger.is_none() {
            statuses.push(status);
        }
    }
    let stop = process.supervisor.stop_of(Stage::Readers);
    let parked = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&parked);
    process.supervisor.spawn(Stage::Readers, "figures", async move {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            never = figures::keep(parts.pool, names, told) => match never {},
        }
    });
    Ok(Projecting { statuses, parked })
}

/// Ready when every projection applies what comes. Parked events are no reason to be sent no requests: other keys go on.
#[must_use]
pub fn readiness(besides: Readiness, projecting: Projecting) -> Readiness {
    let parking = projecting.clone();
    besides
        .check("projections", move || std::future::ready(projecting.running()))
        .note("parked_events", move || std::future::ready(!parking.parked()))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn who_was_relieved_is_ready_for_a_while_and_who_never_worked_is_not() {
        let foreign = |relieved| Status::Foreign {
            why: "another build's".to_owned(),
            relieved,
        };
        let now = Instant::now();
        assert!(is_well(&Status::Running) && is_well(&foreign(Some(now))));
        let long_ago = now.checked_sub(RELIEVED).expect("there was such a time");
        let others = [foreign(Some(long_ago)), foreign(None), Status::Starting];
        for status in others.iter().chain([&Status::Waiting("away".to_owned())]) {
            assert!(!is_well(status), "{status:?}");
        }
    }
}
