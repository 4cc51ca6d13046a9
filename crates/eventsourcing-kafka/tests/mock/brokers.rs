//! Brokers that are slow, that die, and that die without a word.

use std::time::{Duration, Instant};

use eventsourcing::log::Appended;

use crate::cluster::{Cluster, SLACK, TIMEOUT, all, codes};
use crate::ledger::{Breach, Ledger};
use crate::liar::{Liar, Lie};

/// The adapter gives a silent broker up after ten seconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_is_unknown_at_the_deadline_and_what_it_took_in_is_there_once() {
    let cluster = Cluster::open(1);
    let (log, at) = (cluster.log(), cluster.at());
    let mut ledger = Ledger::default();
    ledger.works(&log, &at, "before").await;
    let delay = TIMEOUT + Duration::from_secs(2);
    cluster.mock.broker_round_trip_time(-1, delay).expect("slow");
    let (outcome, took) = ledger.append(&log, &at, "slow").await;
    cluster
        .mock
        .broker_round_trip_time(-1, Duration::ZERO)
        .expect("fast");
    assert!(matches!(outcome, Appended::Unknown(_)), "{outcome:?}");
    assert!(took >= TIMEOUT);
    ledger.works(&log, &at, "after").await;
    let there = all(&log, &at).await;
    assert_eq!(ledger.check(&there), Ok(()));
    assert_eq!(Ledger::found(&there, "slow"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_broker_is_unknown_and_the_log_works_when_it_is_back() {
    let cluster = Cluster::open(1);
    let (log, at) = (cluster.log(), cluster.at());
    let mut ledger = Ledger::default();
    ledger.works(&log, &at, "before").await;
    for round in 0..3 {
        cluster.mock.broker_down(-1).expect("down");
        let (outcome, _) = ledger.append(&log, &at, &format!("down {round}")).await;
        assert!(matches!(outcome, Appended::Unknown(_)), "{outcome:?}");
        cluster.mock.broker_up(-1).expect("up");
        ledger.works(&log, &at, &format!("up {round}")).await;
    }
    let there = all(&log, &at).await;
    assert_eq!(ledger.check(&there), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_broker_takes_over_from_one_that_died() {
    let cluster = Cluster::open(3);
    let (log, at) = (cluster.log(), cluster.at());
    let mut ledger = Ledger::default();
    ledger.works(&log, &at, "before").await;
    for (dies, leads) in [(1, 2), (2, 3), (3, 1)] {
        cluster.mock.broker_down(dies).expect("down");
        cluster
            .mock
            .partition_leader(at.topic.as_str(), 0, Some(leads))
            .expect("leads");
        ledger.works(&log, &at, &format!("after {dies}")).await;
        cluster.mock.broker_up(dies).expect("up");
    }
    let there = all(&log, &at).await;
    assert_eq!(ledger.check(&there), Ok(()));
}

/// As when a machine loses its power: its connections stay, and nothing is ever answered on them. What was
/// sent there must be given up before anything may be sent to the successor; so must the question who that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_falls_silent_delays_its_successor_by_twice_the_silence_allowed_at_most() {
    let cluster = Cluster::open(2);
    let (log, at) = (cluster.log(), cluster.at());
    let mut ledger = Ledger::default();
    ledger.works(&log, &at, "before").await;
    let silent = Duration::from_mins(5);
    cluster.mock.broker_round_trip_time(1, silent).expect("silent");
    let started = Instant::now();
    ledger.append(&log, &at, "into silence").await;
    cluster
        .mock
        .partition_leader(at.topic.as_str(), 0, Some(2))
        .expect("leads");
    ledger.works(&log, &at, "after").await;
    let took = started.elapsed();
    assert!(took < SILENCE_MAX * 2 + TIMEOUT + SLACK, "{took:?}");
    println!("from the last word of the old leader to the first record on the new one: {took:?}");
}

/// The ledger's own check must be able to fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_lies_is_found_out() {
    let code = codes()[3];
    for (lie, expected) in [(Lie::AnswersAt, "NotThere"), (Lie::SendsAgain, "Doubled")] {
        let cluster = Cluster::open(1);
        let (log, at) = (cluster.log(), cluster.at());
        let liar = Liar::new(log.clone(), lie);
        let mut ledger = Ledger::default();
        ledger.works(&liar, &at, "before").await;
        cluster.fails_for_good(rdkafka::types::RDKafkaApiKey::Produce, code);
        let lasting = ledger.append(&liar, &at, "lasting").await;
        cluster.mends(rdkafka::types::RDKafkaApiKey::Produce);
        ledger.works(&log, &at, "after").await;
        let there = all(&log, &at).await;
        let Err(breach) = ledger.check(&there) else {
            let landed = Ledger::found(&there, "lasting");
            panic!("{lie:?} is not found out: {lasting:?}, {landed} records landed");
        };
        let found = match &breach {
            Breach::NotThere(_) => "NotThere",
            Breach::Doubled(_) => "Doubled",
            Breach::Disordered(_) => "Disordered",
        };
        assert_eq!(found, expected, "{lie:?}: {breach:?}");
    }
}
