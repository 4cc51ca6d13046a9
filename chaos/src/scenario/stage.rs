//! What every scenario does before and after its faults.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventsourcing::log::Log;
use eventsourcing::routes::{self, Routes};
use eventsourcing_kafka::KafkaLog;
use tokio::task::JoinHandle;

use crate::Common;
use crate::calm::{self, Fare};
use crate::cluster::{Cluster, PREFIX};
use crate::lag;
use crate::nemesis::Done;
use crate::report::{Table, seconds};
use crate::verdict::{self, Evidence, Verdict, Void};
use crate::workload::{Shared, Style, Workload};

/// Before the first fault.
const WARM_UP: Duration = Duration::from_secs(3);
/// What the load is measured over before the first fault.
const BEFORE: Duration = Duration::from_secs(8);
/// What clients may need to resolve what is unknown, when nothing is wrong any more.
const RESOLVE_MAX: Duration = Duration::from_secs(40);

/// A cluster under load, and what watches it.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) workload: Workload,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) routes: Routes,
    /// How the load fared before the first fault.
    pub(crate) before: Fare,
    watching: Vec<JoinHandle<()>>,
}

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) shared: Arc<Shared>,
    pub(crate) verdict: Verdict,
    pub(crate) table: Table,
    /// What never counted.
    pub(crate) void: Void,
}

impl Stage {
    /// Starts everything and lets it run undisturbed for a while.
    pub(crate) async fn open(common: &Common, style: Style) -> anyhow::Result<Self> {
        let cluster = Cluster::start(common.session_timeout_ms).await?;
        let log = KafkaLog::open(&eventsourcing_kafka::Config::new(&cluster.broker.brokers))?;
        let log: Arc<dyn Log> = Arc::new(log);
        let routes = Routes::default();
        let following = routes.clone().follow(Arc::clone(&log), routes::topic(PREFIX));
        let mut watching = vec![tokio::spawn(async move {
            let Err(error) = following.await;
            eprintln!("nobody follows the owners any more: {error}");
        })];
        let workload = Workload::start(&cluster, style).await?;
        let (shared, url) = (Arc::clone(&workload.shared), cluster.database.url.clone());
        watching.push(tokio::spawn(async move { lag::note(&url, &shared.record).await }));
        let before = if style.connections == 0 {
            Fare::default()
        } else {
            tokio::time::sleep(WARM_UP).await;
            Fare::over(&workload.shared, BEFORE).await
        };
        if style.connections > 0 {
            println!(
                "{} connections, undisturbed: {:.0} accepted a second, {:.1} % of attempts answered",
                style.connections,
                before.rate,
                before.share * 100.0
            );
        }
        Ok(Self {
            cluster,
            workload,
            log,
            routes,
            before,
            watching,
        })
    }

    /// The last fault is over since `fault`: waits for calm, ends the load, and judges everything.
    pub(crate) async fn close(
        mut self,
        common: &Common,
        done: &Done,
        fault: Instant,
    ) -> anyhow::Result<(Cluster, Outcome)> {
        let mut table = Table::default();
        println!("no more faults; waiting for calm");
        let limit = Duration::from_secs_f64(common.calm_max);
        let again = calm::accepts_again(&self.workload.shared, self.before, fault, limit).await;
        let shared = self.workload.finish(RESOLVE_MAX).await;
        let followed = calm::nobody_is_behind(&self.cluster, &*self.log, fault, limit).await;
        self.watching.drain(..).for_each(|watching| watching.abort());
        println!("reading the log and checking everything");
        let mut evidence = Evidence::gather(&self.cluster, &*self.log, &shared).await?;
        if let Some(lie) = common.seed_bug {
            println!("lying: {}", lie.tell(&mut evidence)?);
        }
        let mut verdict = verdict::judge(&mut evidence);
        verdict.explain(&evidence);
        verdict::clients(&shared, &mut verdict);
        let void = verdict::void(&evidence, &mut verdict);
        if common.lies {
            verdict::lies(&evidence, &mut verdict);
        }
        table.answers(&shared);
        table.faults(done);
        match again {
            Ok((took, fare)) => table.row(
                "load before the first fault and after the last",
                format!(
                    "{:.0}/s ({:.1} % answered), {:.0}/s ({:.1} %) measured {} after",
                    self.before.rate,
                    self.before.share * 100.0,
                    fare.rate,
                    fare.share * 100.0,
                    seconds(took)
                ),
            ),
            Err(breach) => verdict.breach(breach),
        }
        let (took, late) = followed;
        table.row("last fault to lag 0", seconds(took));
        verdict.breaches.extend(late);
        verdict::rebuild(&self.cluster, &mut verdict).await?;
        table.log(&verdict);
        let outcome = Outcome {
            shared,
            verdict,
            table,
            void,
        };
        Ok((self.cluster, outcome))
    }
}

impl Outcome {
    /// Prints everything; an error when anything is wrong.
    pub(crate) fn tell(self, title: &str, mut cluster: Cluster, common: &Common) -> anyhow::Result<()> {
        self.table.print(title);
        for note in &self.verdict.notes {
            println!("- {note}");
        }
        let concluded = self.verdict.conclude();
        if (concluded.is_err() || common.keep)
            && let Some(kept) = cluster.keep()
        {
            println!("logs: {}", kept.display());
        }
        concluded
    }
}
