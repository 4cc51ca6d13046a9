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
