//! Every error code as the answer to a question: where a partition ends (`ListOffsets`), what a topic is.
//! The mock answers `Metadata` with an error for one topic, never for the request.

use eventsourcing::ids::Offset;
use eventsourcing::log::{Bounds, Log, LogError};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{Cluster, SLACK, TIMEOUT, codes, for_each, settled};
use crate::ledger::Ledger;

#[test]
fn every_error_code_on_list_offsets_ends_in_the_truth_or_an_error() {
    for_each(codes(), async |code| {
        let cluster = Cluster::open(1);
        let (log, at) = (cluster.log(), cluster.at());
        Ledger::default().works(&log, &at, "before").await;
        let end = Bounds {
            start: Offset(0),
            end: Offset(3),
        };
        cluster.fails_for_good(RDKafkaApiKey::ListOffsets, code);
        let during = tokio::time::timeout(TIMEOUT + SLACK, log.bounds(&at)).await;
        cluster.mends(RDKafkaApiKey::ListOffsets);
        match during.expect("no hang") {
            Ok(bounds) => assert_eq!(bounds, end, "{code:?}"),
            Err(error) => assert!(
                !matches!(error, LogError::OutOfRange { .. } | LogError::Misconfigured(_)),
                "{code:?}: {error}"
            ),
        }
        settled(async || log.bounds(&at).await.ok().filter(|bounds| *bounds == end)).await;
    });
}

#[test]
fn every_error_code_about_a_topic_ends_in_an_error_that_says_it() {
    for_each(codes(), async |code| {
        let cluster = Cluster::open(1);
        let log = cluster.log();
        cluster
            .mock
            .topic_error(cluster.topic.as_str(), code)
            .expect("set");
        let during = tokio::time::timeout(TIMEOUT + SLACK, log.partitions(&cluster.topic)).await;
        let during = during.expect("no hang").expect_err("an error");
        let missing = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        assert_eq!(
            matches!(during, LogError::NoSuchTopic(_)),
            missing,
            "{code:?}: {during}"
        );
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        cluster
            .mock
            .topic_error(cluster.topic.as_str(), none)
            .expect("set");
        settled(async || {
            log.partitions(&cluster.topic)
                .await
                .ok()
                .filter(|count| *count == 2)
        })
        .await;
    });
}

/// A broker that has just started, or woken up, shows its partitions without a leader, and the client remembers that for
/// minutes. It is asked first when nothing is known yet, and again later: what is there is never taken for missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_without_a_leader_is_there_and_answers_as_soon_as_it_has_one() {
    let cluster = Cluster::open(1);
    let (log, at) = (cluster.log(), cluster.at());
    let leads = |leader| {
        let set = cluster
            .mock
            .partition_leader(cluster.topic.as_str(), at.partition.cast_signed(), leader);
        set.expect("set");
    };
    for round in 0..3 {
        leads(None);
        let without = log.bounds(&at).await.expect_err("nobody to ask");
        assert!(matches!(without, LogError::Unavailable(_)), "{round}: {without}");
        leads(Some(1));
        let bounds = settled(async || log.bounds(&at).await.ok()).await;
        assert_eq!((bounds.start, bounds.end), (Offset(0), Offset(0)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_is_said_to_be_missing() {
    let cluster = Cluster::open(1);
    let log = cluster.log();
    let absent = log.bounds(&cluster.topic.partition(2)).await;
    assert!(matches!(absent, Err(LogError::NoSuchTopic(_))), "{absent:?}");
}
