//! A partition on which nobody works, and a projector that another build relieves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::ids::Offset;
use eventsourcing::projection::read_model::{Prepared, ReadModel, ReadModelError, Started};
use eventsourcing::projection::runner::{self, Config, Settings};
use eventsourcing::readers::Status;
use eventsourcing::simulated::{Faults, SimulatedLog, SimulatedReadModel, StoreFaults};
use eventsourcing::topic::Topic;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::accounts::{Balances, PARTITIONS, Writer, folded, topic};
use super::nodes::Node;
use super::projectors::Seen;

const AFTER: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(1);

fn settings(log: &SimulatedLog, read_model: impl ReadModel) -> Settings {
    Settings {
        log: Arc::new(log.clone()),
        topic: topic(),
        read_model: Arc::new(read_model),
        config: Config {
            stranded_after: AFTER,
            ..Config::default()
        },
    }
}

/// Whether all is applied.
fn is_done(model: &SimulatedReadModel, log: &SimulatedLog) -> bool {
    let at = topic().partition(0);
    model.checkpoint(&at).next == Offset(log.len(&at))
}

async fn reaches(model: &SimulatedReadModel, log: &SimulatedLog, limit: Duration) {
    let reached = async {
        while !is_done(model, log) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(limit, reached).await.expect("nobody works on it");
}

/// The one whose share it is stands still, and the other takes it in; each event is applied once, whoever wakes up.
pub(crate) async fn world() {
    let log = SimulatedLog::new(1, PARTITIONS, Faults::NONE);
    let model = SimulatedReadModel::view::<Balances>(1, StoreFaults::NONE);
    let mut writer = Writer::new(&log);
    writer.fence(0).await;
    let nodes = [(); 2].map(|()| {
        let (node, share) = Node::start(&topic());
        let seen = Seen {
            model: model.clone(),
            gate: node.gate(),
            woken: Arc::default(),
        };
        node.assign(0);
        (
            node,
            runner::spawn(settings(&log, seen), share, CancellationToken::new()).1,
        )
    });
    let [(first, _), (second, _)] = &nodes;
    second.revoke(0);
    // Nobody is hasty where the one whose work it is goes on.
    for _ in 0..30 {
        sleep(SOON).await;
        writer.event(0, 1, 5).await;
        reaches(&model, &log, SOON).await;
    }
    for _ in 0..3 {
        first.freeze(true);
        writer.event(0, 1, 5).await;
        sleep(AFTER).await;
        assert!(!is_done(&model, &log), "it may only be slow");
        reaches(&model, &log, 2 * AFTER).await;
        // From now on they are both at it.
        writer.event(0, 1, 5).await;
        reaches(&model, &log, SOON).await;
        first.freeze(false);
        for _ in 0..10 {
            writer.event(0, 1, 5).await;
            reaches(&model, &log, SOON).await;
        }
        // Who is frozen now has nothing that the other needs.
        second.freeze(true);
        for _ in 0..10 {
            writer.event(0, 1, 5).await;
            reaches(&model, &log, SOON).await;
        }
        second.freeze(false);
        // Until the adopted partition is given back.
        sleep(3 * AFTER).await;
        writer.event(0, 1, 5).await;
        reaches(&model, &log, SOON).await;
    }
    assert_eq!(model.rows(), folded(&log).0);
}

/// A read model of two builds that fold it in different ways: one of them made the live version.
struct OfBuild {
    build: usize,
    live: Arc<AtomicUsize>,
    /// Whether the database is away at the next look.
    away: AtomicBool,
    model: SimulatedReadModel,
}

impl OfBuild {
    fn check(&self) -> Result<(), ReadModelError> {
        if self.live.load(Ordering::Relaxed) == self.build {
            return Ok(());
        }
        Err(ReadModelError::Foreign("another build's".to_owned()))
    }
}

#[async_trait]
impl ReadModel for OfBuild {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    async fn look(&self, topic: &Topic, partitions: u32) -> Result<Started, ReadModelError> {
        // The first look after each switch goes wrong.
        let own = self.check();
        if self.away.swap(own.is_err(), Ordering::Relaxed) && own.is_ok() {
            return Err(ReadModelError::Away("restarting".to_owned()));
        }
        own?;
        self.model.look(topic, partitions).await
    }

    async fn apply(&self, topic: &Topic, version: i32, batch: Prepared) -> Result<(), ReadModelError> {
        self.check()?;
        self.model.apply(topic, version, batch).await
    }
}

/// Each that is relieved says so soon; the other goes on at once with everything, whoever was given it.
pub(crate) async fn two_builds() {
    let log = SimulatedLog::new(1, PARTITIONS, Faults::NONE);
    let model = SimulatedReadModel::view::<Balances>(1, StoreFaults::NONE);
    let mut writer = Writer::new(&log);
    writer.fence(0).await;
    let live = Arc::new(AtomicUsize::new(0));
    let mut builds = [0, 1].map(|build| {
        let (node, share) = Node::start(&topic());
        node.assign(0);
        if build == 1 {
            node.revoke(0);
        }
        let (live, model) = (Arc::clone(&live), model.clone());
        let of_build = OfBuild {
            build,
            live,
            away: AtomicBool::new(false),
            model,
        };
        let settings = settings(&log, of_build);
        (node, runner::spawn(settings, share, CancellationToken::new()).0)
    });
    reaches(&model, &log, SOON).await;
    for turn in 1..10 {
        let (now, before) = (turn % 2, (turn + 1) % 2);
        live.store(now, Ordering::Relaxed);
        writer.event(0, 1, 5).await;
        reaches(&model, &log, 2 * SOON).await;
        let running = builds[now].1.wait_for(|status| *status == Status::Running);
        timeout(SOON, running).await.expect("soon").expect("it runs");
        let relieved = |status: &Status| match status {
            Status::Foreign { why, relieved } => why == "another build's" && relieved.is_some(),
            Status::Starting | Status::Running | Status::Waiting(_) => false,
        };
        let waiting = builds[before].1.wait_for(relieved);
        timeout(AFTER, waiting).await.expect("a look").expect("it runs");
        // However long it takes: it does not ask ever less often.
        sleep(Duration::from_hours(1)).await;
        writer.event(0, 1, 5).await;
        reaches(&model, &log, SOON).await;
    }
    assert_eq!(model.rows(), folded(&log).0);
}
