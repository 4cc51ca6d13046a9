//! A cluster of librdkafka's own, which answers what it is told to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::ids::Offset;
use eventsourcing::log::Log;
use eventsourcing::record::{Record, Stored};
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_kafka::{Config, KafkaLog};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// After this an append is unknown, in these tests.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(4);
/// What a busy machine may add to a deadline.
pub(crate) const SLACK: Duration = Duration::from_secs(10);
/// More answers than any client asks for in a test: the error lasts until it is mended.
const LASTING: usize = 20_000;
/// Codes tried at the same time.
const AT_ONCE: usize = 56;
/// The highest error code of a broker that the client has a name for.
const CODE_MAX: i32 = 129;

pub(crate) struct Cluster {
    pub(crate) mock: MockCluster<'static, DefaultProducerContext>,
    pub(crate) topic: Topic,
}

impl Cluster {
    /// So many brokers, and a topic with two partitions on all of them.
    pub(crate) fn open(brokers: i32) -> Self {
        let mock = MockCluster::new(brokers).expect("a cluster");
        let topic = Topic::events("mock", "accounts");
        mock.create_topic(topic.as_str(), 2, brokers).expect("a topic");
        for partition in 0..2 {
            mock.partition_leader(topic.as_str(), partition, Some(1))
                .expect("a leader");
        }
        Self { mock, topic }
    }

    pub(crate) fn log(&self) -> KafkaLog {
        KafkaLog::open(&Config {
            timeout: TIMEOUT,
            ..Config::new(self.mock.bootstrap_servers())
        })
        .expect("opens")
    }

    pub(crate) fn at(&self) -> TopicPartition {
        self.topic.partition(0)
    }

    /// The next `times` requests of this kind are answered with `code`.
    pub(crate) fn fails(&self, api: RDKafkaApiKey, code: RDKafkaRespErr, times: usize) {
        self.mock.request_errors(api, &vec![code; times]);
    }

    /// All of them, until [`Cluster::mends`].
    pub(crate) fn fails_for_good(&self, api: RDKafkaApiKey, code: RDKafkaRespErr) {
        self.fails(api, code, LASTING);
    }

    pub(crate) fn mends(&self, api: RDKafkaApiKey) {
        self.mock.clear_request_errors(api);
    }
}

/// Every error that a broker can answer, and the one by which the mock cuts the connection instead.
pub(crate) fn codes() -> Vec<RDKafkaRespErr> {
    let named = (-1..=CODE_MAX).filter_map(|number| RDKafkaRespErr::try_from(number).ok());
    let errors = named.filter(|code| *code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    errors
        .chain([RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT])
        .collect()
}

/// A batch that can be told from all others.
pub(crate) fn batch(name: &str, records: usize) -> Vec<Record> {
    let record = |number| Record {
        key: Bytes::from_static(b"account-1"),
        value: Bytes::from(format!("{name} {number}")),
        headers: vec![(Cow::Borrowed("name"), Bytes::from(name.to_owned()))],
    };
    (0..records).map(record).collect()
}

/// All that the partition holds.
pub(crate) async fn all(log: &KafkaLog, at: &TopicPartition) -> Vec<Stored> {
    let bounds = testkit::eventually("the end is known", SLACK * 3, async || {
        let bounds = log.bounds(at).await;
        bounds.inspect_err(|error| eprintln!("{at}: {error}")).ok()
    })
    .await;
    // A broker that has just woken up takes itself for a follower at first: not now, the port says, and asks again.
    let mut reader = testkit::eventually("there is a reader", SLACK * 3, async || {
        log.reader(vec![(at.clone(), bounds.start)]).await.ok()
    })
    .await;
    let mut stored: Vec<Stored> = Vec::new();
    while stored.last().map_or(Offset(0), |last| last.offset.next()) < bounds.end {
        let next = tokio::time::timeout(SLACK * 3, reader.next(1_000)).await;
        stored.extend(next.expect("comes in time").expect("can be read"));
    }
    stored
}

/// Does this for each code, some at once: on threads of their own, because a client may take its time.
pub(crate) fn for_each<T: Send>(
    codes: Vec<RDKafkaRespErr>,
    does: impl AsyncFn(RDKafkaRespErr) -> T + Sync,
) -> BTreeMap<String, T> {
    let (codes, results) = (Mutex::new(codes.into_iter()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.expect("a runtime");
                loop {
                    let Some(code) = codes.lock().expect("no panic inside").next() else {
                        return;
                    };
                    let result = runtime.block_on(does(code));
                    results
                        .lock()
                        .expect("no panic inside")
                        .insert(format!("{code:?}"), result);
                }
            });
        }
    });
    results.into_inner().expect("no panic inside")
}

/// Waits until it is as it should be.
pub(crate) async fn settled<T>(condition: impl AsyncFnMut() -> Option<T>) -> T {
    testkit::eventually("the errors are over", SLACK * 3, condition).await
}
