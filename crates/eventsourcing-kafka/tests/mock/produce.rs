//! Every error code as the answer to a Produce, and to the producer's question who it is.
//!
//! An answer with an error means that the mock wrote nothing. It cannot write and then answer with an error,
//! and it weeds out repeats only of transactions, so a repeat of what was written but not acknowledged would
//! be doubled here: `frozen.rs` shows on a real broker that it is not.

use eventsourcing::log::Appended;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{Cluster, TIMEOUT, all, codes, for_each};
use crate::ledger::Ledger;

/// What the client tries again, so that it is unknown at the deadline and lands when the errors are over.
const TRIED_AGAIN: [RDKafkaRespErr; 15] = [
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_MSG,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
];

/// What ends a producer that has no id yet.
const FATAL: [RDKafkaRespErr; 5] = [
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
];

#[test]
fn every_error_code_on_produce_is_answered_honestly_and_in_time() {
    for_each(codes(), async |code| {
        let cluster = Cluster::open(1);
        let (log, at) = (cluster.log(), cluster.at());
        let mut ledger = Ledger::default();
        ledger.works(&log, &at, "before").await;
        // A cut connection may have brought a record of the next request along; see above.
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT {
            cluster.fails(RDKafkaApiKey::Produce, code, 2);
            ledger.append(&log, &at, "passing").await;
            cluster.mends(RDKafkaApiKey::Produce);
            ledger.works(&log, &at, "between").await;
        }
        cluster.fails_for_good(RDKafkaApiKey::Produce, code);
        let (outcome, took) = ledger.append(&log, &at, "lasting").await;
        cluster.mends(RDKafkaApiKey::Produce);
        assert!(matches!(outcome, Appended::Unknown(_)), "{code:?}: {outcome:?}");
        let tried_again = TRIED_AGAIN.contains(&code);
        assert_eq!(
            took >= TIMEOUT,
            tried_again,
            "{code:?}: {outcome:?} after {took:?}"
        );
        ledger.works(&log, &at, "after").await;
        let there = all(&log, &at).await;
        assert_eq!(ledger.check(&there), Ok(()), "{code:?}");
        let landed = if tried_again { 3 } else { 0 };
        assert_eq!(Ledger::found(&there, "lasting"), landed, "{code:?}");
    });
}

#[test]
fn every_error_code_on_init_producer_id_leaves_a_log_that_works_afterwards() {
    for_each(codes(), async |code| {
        let cluster = Cluster::open(1);
        // A producer asks for its id as soon as it is there.
        cluster.fails_for_good(RDKafkaApiKey::InitProducerId, code);
        let (log, at) = (cluster.log(), cluster.at());
        let mut ledger = Ledger::default();
        let (outcome, _) = ledger.append(&log, &at, "without an id").await;
        let Appended::Unknown(reason) = outcome else {
            panic!("{code:?}: {outcome:?}");
        };
        let fatal = reason.contains("failed for good");
        assert_eq!(fatal, FATAL.contains(&code), "{code:?}: {reason}");
        cluster.mends(RDKafkaApiKey::InitProducerId);
        ledger.works(&log, &at, "after").await;
        let there = all(&log, &at).await;
        assert_eq!(ledger.check(&there), Ok(()), "{code:?}");
    });
}
