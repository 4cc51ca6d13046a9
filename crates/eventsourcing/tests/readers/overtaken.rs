//! A projector that was overtaken goes on at once.

use std::sync::Arc;
use std::time::Duration;

use eventsourcing::ids::Offset;
use eventsourcing::projection::runner::{self, Config, Settings};
use eventsourcing::simulated::{Faults, SimulatedLog, SimulatedReadModel, StoreFaults};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::accounts::{Balances, PARTITIONS, Writer, folded, topic};
use super::nodes::Node;
use super::projectors::Seen;

/// No test waits for this: whoever pauses is late.
const LONG: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_secs(1);

async fn reaches(model: &SimulatedReadModel, log: &SimulatedLog) {
    let at = topic().partition(0);
    let asked = Instant::now();
    while model.checkpoint(&at).next != Offset(log.len(&at)) {
        assert!(asked.elapsed() < SOON, "it pauses");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Frozen in front of its transaction, passed by another, woken up: what comes next it applies at once.
pub(crate) async fn world() {
    let log = SimulatedLog::new(1, PARTITIONS, Faults::NONE);
    let model = SimulatedReadModel::view::<Balances>(1, StoreFaults::NONE);
    let mut writer = Writer::new(&log);
    writer.fence(0).await;
    let nodes = [(); 2].map(|()| {
        let (node, share) = Node::start(&topic());
        let settings = Settings {
            log: Arc::new(log.clone()),
            topic: topic(),
            read_model: Arc::new(Seen {
                model: model.clone(),
                gate: node.gate(),
                woken: Arc::default(),
            }),
            config: Config {
                retry_pause: LONG,
                ..Config::default()
            },
        };
        // From the beginning both have been told what is theirs: all and nothing.
        node.assign(0);
        (node, runner::spawn(settings, share, CancellationToken::new()).1)
    });
    let [(first, _), (second, _)] = &nodes;
    second.revoke(0);
    for _ in 0..3 {
        writer.event(0, 1, 5).await;
        reaches(&model, &log).await;
        first.freeze(true);
        writer.event(0, 1, 5).await;
        second.assign(0);
        reaches(&model, &log).await;
        second.revoke(0);
        first.freeze(false);
    }
    writer.event(0, 1, 5).await;
    reaches(&model, &log).await;
    assert_eq!(model.rows(), folded(&log).0);
}
