//! Who owns what, as a Kafka consumer group decides it. The group reads nothing: its partitions stand for
//! the right to try. For liveness only; whoever it assigns a partition to must still win the fence.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::log::LogError;
use eventsourcing::topic::{Topic, TopicPartition};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use crate::complaints;

/// How long the member's thread waits for news before it looks whether it is still wanted. Part of every hand-over.
const POLL: Duration = Duration::from_millis(20);

/// How long giving the partitions back may take; the client goes on by itself then.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// What complaints are about.
const ABOUT: &str = "the consumer group";

/// How to be a member.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// The name that all nodes of one shop share.
    pub group: String,
    /// A member that is silent for so long loses its partitions to the others.
    pub session_timeout: Duration,
    /// How often a member says that it lives, and hears that partitions move: so it bounds how long a hand-over takes.
    /// A third of the time-out or less.
    pub heartbeat_interval: Duration,
}

impl GroupConfig {
    /// The defaults, for these brokers and this group.
    #[must_use]
    pub fn new(brokers: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            group: group.into(),
            session_timeout: Duration::from_secs(6),
            heartbeat_interval: Duration::from_millis(100),
        }
    }
}

/// What the group assigns of one topic.
pub struct GroupAssignment {
    changes: mpsc::UnboundedReceiver<AssignmentChange>,
    /// The process leaves the group when the last of its assignments is dropped.
    _member: Arc<Member>,
}

/// What [`join`] gives.
pub struct Joined {
    /// One for each topic, in their order.
    pub assignments: Vec<GroupAssignment>,
    /// How it ends.
    pub membership: Membership,
}

/// Tells how being a member ends.
pub struct Membership(oneshot::Receiver<LogError>);

impl Membership {
    /// Waits until the group is left, which begins when the last assignment is dropped: a process that ends before that
    /// has not told the others, and they wait for its time-out. An error when the group refuses the member for good, for
    /// a reason that only people can mend.
    pub async fn ends(self) -> Result<(), LogError> {
        // The member's thread drops its end last.
        self.0.await.map_or(Ok(()), Err)
    }
}

/// One member for all topics, so that a process joins and leaves with everything at once.
struct Member(Arc<AtomicBool>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Joins the group for these topics. Connects in the background.
pub fn join(config: &GroupConfig, topics: &[Topic]) -> Result<Joined, LogError> {
    let misconfigured = |error: KafkaError| LogError::Misconfigured(error.to_string());
    let left = Arc::new(AtomicBool::new(false));
    let member = Arc::new(Member(Arc::clone(&left)));
    let (mut listeners, mut assignments) = (HashMap::new(), Vec::new());
    for topic in topics {
        // Bounded by the number of partitions and rebalances, not by load.
        let (tell, changes) = mpsc::unbounded_channel();
        listeners.insert(topic.as_str().to_owned(), (topic.clone(), tell));
        assignments.push(GroupAssignment {
            changes,
            _member: Arc::clone(&member),
        });
    }
    let consumer = create(config, Listening(listeners)).map_err(misconfigured)?;
    let names: Vec<&str> = topics.iter().map(Topic::as_str).collect();
    consumer.subscribe(&names).map_err(misconfigured)?;
    let (refuse, refused) = oneshot::channel();
    let config = config.clone();
    std::thread::Builder::new()
        .name("kafka-group".to_owned())
        .spawn(move || {
            let mut refuse = Some(refuse);
            while !left.load(Ordering::Acquire) {
                // What is assigned is paused, so there are no messages; polling is what tells the news.
                if let Some(Err(error)) = consumer.poll(POLL) {
                    match (refusal(&config, &error), refuse.take()) {
                        (Some(refusal), Some(refuse)) => {
                            // Whoever does not want to know has left.
                            let _ = refuse.send(refusal);
                        }
                        (_, unsaid) => {
                            refuse = unsaid;
                            complaints::error(&error, ABOUT);
                        }
                    }
                }
                stir(&consumer);
            }
            leave(&consumer);
            drop(consumer);
            tracing::debug!("left the group");
        })
        .map_err(|error| LogError::Unavailable(error.to_string()))?;
    Ok(Joined {
        assignments,
        membership: Membership(refused),
    })
}

/// Why the group will never take this member; `None` for what may pass. The client goes on trying all
/// the same, and its node would wait for partitions for ever without a word.
fn refusal(config: &GroupConfig, error: &KafkaError) -> Option<LogError> {
    let group = &config.group;
    let what = match error.rdkafka_error_code()? {
        RDKafkaErrorCode::InvalidSessionTimeout => format!(
            "the broker does not allow a session time-out of {} ms: set kafka.session_timeout_ms to a value between the \
             broker's group.min.session.timeout.ms and group.max.session.timeout.ms (6000 and 1800000 where nobody has \
             changed them), or lower the minimum on the brokers",
            config.session_timeout.as_millis()
        ),
        RDKafkaErrorCode::GroupAuthorizationFailed => {
            format!("the broker does not let this node into the group {group}: allow it to READ the group")
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => format!(
            "somebody who is no Daybook node is in the group {group}: end it, or choose another topics.prefix"
        ),
        RDKafkaErrorCode::InvalidGroupId => {
            format!("the broker does not take {group:?} as the name of a group: choose another topics.prefix")
        }
        _ => return None,
    };
    Some(LogError::Misconfigured(what))
}

/// Left alone, the client's own thread looks after the group once a second: a heartbeat that is due waits for that,
/// and so does each step of a rebalance. Any question wakes it up.
fn stir(consumer: &BaseConsumer<Listening>) {
    if let Err(error) = consumer.assignment() {
        complaints::error(&error, ABOUT);
    }
}

/// Leaves the group, so that others need not wait for the time-out. Dropping the client does that too, but only
/// looks every tenth of a second whether it has given its partitions back.
fn leave(consumer: &BaseConsumer<Listening>) {
    let begun = Instant::now();
    consumer.unsubscribe();
    let holds = || consumer.assignment().is_ok_and(|assigned| assigned.count() > 0);
    while holds() && begun.elapsed() < LEAVE_MAX {
        if let Some(Err(error)) = consumer.poll(POLL) {
            complaints::error(&error, ABOUT);
        }
    }
}

fn create(config: &GroupConfig, listening: Listening) -> Result<BaseConsumer<Listening>, KafkaError> {
    ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "daybook")
        .set("group.id", &config.group)
        .set(
            "session.timeout.ms",
            config.session_timeout.as_millis().to_string(),
        )
        .set(
            "heartbeat.interval.ms",
            config.heartbeat_interval.as_millis().to_string(),
        )
        // Moves only what must move.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000")
        .set("allow.auto.create.topics", "false")
        .create_with_context(listening)
}

/// Turns what the group says into changes. No work in here: the owners' own tasks react.
struct Listening(HashMap<String, (Topic, mpsc::UnboundedSender<AssignmentChange>)>);

impl Listening {
    fn tell(&self, partitions: &TopicPartitionList, change: fn(TopicPartition) -> AssignmentChange) {
        for element in partitions.elements() {
            if let Some((topic, listener)) = self.0.get(element.topic()) {
                let at = topic.partition(element.partition().cast_unsigned());
                let change = change(at);
                tracing::debug!(?change, "the group");
                // Whoever no longer listens is about to leave.
                let _ = listener.send(change);
            }
        }
    }
}

impl ClientContext for Listening {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        complaints::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        complaints::error(&error, reason);
    }
}

impl ConsumerContext for Listening {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if consumer.assignment_lost() => {
                self.tell(partitions, AssignmentChange::Lost);
                consumer.incremental_unassign(partitions)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.tell(partitions, AssignmentChange::Revoked);
                consumer.incremental_unassign(partitions)
            }
            error => {
                complaints::error(&KafkaError::Rebalance(error.into()), ABOUT);
                consumer.incremental_unassign(partitions)
            }
        };
        if let Err(error) = done {
            complaints::error(&error, ABOUT);
        }
    }
}

impl Listening {
    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) -> KafkaResult<()> {
        // Without a place to start at, the client asks the coordinator for committed offsets, which nobody
        // needs; and when the coordinator dies over that question, librdkafka 2.12 takes the whole process
        // down with it (confluentinc/librdkafka#4789).
        partitions.set_all_offsets(Offset::End)?;
        consumer.incremental_assign(partitions)?;
        // The owners read for themselves, from where they stand.
        let paused = consumer.pause(partitions);
        self.tell(partitions, AssignmentChange::Assigned);
        paused
    }
}

#[async_trait]
impl Assignment for GroupAssignment {
    async fn next(&mut self) -> Option<AssignmentChange> {
        self.changes.recv().await
    }
}
