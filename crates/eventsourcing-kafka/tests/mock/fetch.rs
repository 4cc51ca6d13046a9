//! Every error code as the answer to a Fetch.

use std::time::Duration;

use eventsourcing::ids::Offset;
use eventsourcing::log::{Log, LogError};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{Cluster, SLACK, all, codes, for_each};
use crate::ledger::Ledger;

/// Longer than the adapter suffers trouble in silence.
const WATCHED: Duration = Duration::from_secs(8);

/// What the client takes for a change of leader: it looks for the new one and says nothing. Whoever asks for
/// the bounds meanwhile is told (`ask.rs`).
const LEADER_CHANGES: [RDKafkaRespErr; 10] = [
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID,
];

#[test]
fn every_error_code_on_fetch_passes_without_gap_or_repeat_or_is_said() {
    for_each(codes(), async |code| {
        let cluster = Cluster::open(1);
        let (log, at) = (cluster.log(), cluster.at());
        let mut ledger = Ledger::default();
        ledger.works(&log, &at, "before").await;
        let mut reader = log.reader(vec![(at.clone(), Offset(0))]).await.expect("a reader");
        let mut read = Vec::new();
        while read.len() < 3 {
            read.extend(reader.next(2).await.expect("can be read"));
        }
        cluster.fails_for_good(RDKafkaApiKey::Fetch, code);
        ledger.works(&log, &at, "meanwhile").await;
        let error = loop {
            match tokio::time::timeout(WATCHED, reader.next(100)).await {
                Ok(Ok(records)) => read.extend(records),
                Ok(Err(error)) => break Some(error),
                Err(_) => break None,
            }
        };
        cluster.mends(RDKafkaApiKey::Fetch);
        assert_eq!(
            error.is_none(),
            LEADER_CHANGES.contains(&code),
            "{code:?}: {error:?}"
        );
        if let Some(error) = error {
            assert!(matches!(error, LogError::Unavailable(_)), "{code:?}: {error}");
            let next = Offset(u64::try_from(read.len()).expect("fits"));
            reader = log.reader(vec![(at.clone(), next)]).await.expect("a reader");
        }
        let there = all(&log, &at).await;
        while read.len() < there.len() {
            let next = tokio::time::timeout(SLACK, reader.next(2)).await;
            read.extend(next.expect("goes on").expect("can be read"));
        }
        assert_eq!(read, there, "{code:?}: a gap or a repeat");
        assert_eq!(ledger.check(&there), Ok(()), "{code:?}");
    });
}
