//! Topics with the settings that the guarantees rest on: creating and checking them.

use std::time::{Duration, Instant};

use eventsourcing::log::LogError;
use eventsourcing::topic::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::complaints::Plain;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Of the setting that says what is deleted.
const CLEANUP: &str = "cleanup.policy";
const APPEARS_POLL: Duration = Duration::from_millis(20);

/// How a topic is to be.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// Pinned for good: a key's partition must never change.
    pub partitions: u32,
    /// Copies. 3 on a cluster, 1 on a single broker.
    pub replication: u32,
    /// Whether the broker flushes each batch to disk before it acknowledges (`flush.messages=1`);
    /// without it a single broker's acknowledgement means its page cache.
    pub flush: Flush,
    /// What of it must stay.
    pub keeps: Keeps,
}

/// What a topic keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Every record, for ever: a log of events.
    Everything,
    /// The newest record of each key: the topic of routes.
    Newest,
}

/// What an acknowledgement of a single broker means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// In the page cache: survives the broker's death, not the machine's.
    PageCache,
    /// On disk.
    EachBatch,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A promise does not hold; a process refuses to start.
    Error,
    /// Worth a look.
    Warning,
}

/// Something that `daybook doctor` reports.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Which topic.
    pub topic: Topic,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

/// The settings a topic must have, beside its partitions.
fn pinned(settings: &TopicSettings) -> Vec<(&'static str, String)> {
    let in_sync = if settings.replication >= 3 { 2 } else { 1 };
    let mut pinned = match settings.keeps {
        Keeps::Everything => vec![
            (CLEANUP, "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
        ],
        Keeps::Newest => vec![(CLEANUP, "compact".to_owned())],
    };
    pinned.extend([
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("min.insync.replicas", in_sync.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
    ]);
    if settings.flush == Flush::EachBatch {
        pinned.push(("flush.messages", "1".to_owned()));
    }
    pinned
}

fn admin(brokers: &str) -> Result<AdminClient<Plain>, LogError> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create_with_context(Plain)
        .map_err(|error| unavailable(&error))
}

/// Creates the topics that are missing; leaves the others as they are ([`check_topics`] looks at them).
pub async fn create_topics(
    brokers: &str,
    topics: &[Topic],
    settings: &TopicSettings,
) -> Result<(), LogError> {
    let pinned = pinned(settings);
    let partitions = settings.partitions.cast_signed();
    let replication = settings.replication.cast_signed();
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            let blank = NewTopic::new(topic.as_str(), partitions, TopicReplication::Fixed(replication));
            pinned
                .iter()
                .fold(blank, |new, (name, value)| new.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let admin = admin(brokers)?;
    let created = admin
        .create_topics(&new, &options)
        .await
        .map_err(|error| unavailable(&error))?;
    for outcome in created {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(LogError::Misconfigured(format!("creating {topic}: {code}"))),
        }
    }
    // The controller has them; the brokers hear of it a moment later.
    let deadline = Instant::now() + TIMEOUT;
    for topic in topics {
        while partitions_of(&admin, topic)? == 0 {
            if Instant::now() > deadline {
                return Err(LogError::Unavailable(format!(
                    "{topic} was created but does not appear"
                )));
            }
            tokio::time::sleep(APPEARS_POLL).await;
        }
    }
    Ok(())
}

fn partitions_of(admin: &AdminClient<Plain>, topic: &Topic) -> Result<u32, LogError> {
    let metadata = admin.inner().fetch_metadata(Some(topic.as_str()), TIMEOUT);
    let metadata = metadata.map_err(|error| unavailable(&error))?;
    let partitions = metadata
        .topics()
        .first()
        .map_or(0, |found| found.partitions().len());
    Ok(u32::try_from(partitions).expect("a partition number fits"))
}

/// Everything that is wrong with these topics; empty when the guarantees can rest on them.
pub async fn check_topics(
    brokers: &str,
    topics: &[Topic],
    settings: &TopicSettings,
) -> Result<Vec<Finding>, LogError> {
    let admin = admin(brokers)?;
    let mut findings = Vec::new();
    for topic in topics {
        match partitions_of(&admin, topic)? {
            0 => {
                findings.push(missing(topic));
                continue;
            }
            count if count != settings.partitions => {
                findings.push(other_partitions(topic, count, settings.partitions));
            }
            _ => {}
        }
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let resource = ResourceSpecifier::Topic(topic.as_str());
        let described = admin.describe_configs([&resource], &options).await;
        for resource in described.map_err(|error| unavailable(&error))? {
            let resource = resource.map_err(|code| LogError::Unavailable(code.to_string()))?;
            findings.extend(deviations(topic, &resource.entries, settings));
        }
    }
    Ok(findings)
}

fn deviations(topic: &Topic, entries: &[ConfigEntry], settings: &TopicSettings) -> Vec<Finding> {
    let pinned = pinned(settings);
    let found = |name: &str| entries.iter().find(|entry| entry.name == name)?.value.clone();
    let deviates = |(name, wanted): &(&str, String)| {
        let found = found(name)?;
        (found != *wanted).then(|| Finding {
            severity: severity(name, settings.keeps),
            topic: topic.clone(),
            what: format!("{name} is {found}, it must be {wanted}"),
            mend: format!(
                "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {name}={wanted}"
            ),
        })
    };
    pinned.iter().filter_map(deviates).collect()
}

/// Routes that pile up are a nuisance, and so is a flush that is missed; all else breaks a promise.
fn severity(name: &str, keeps: Keeps) -> Severity {
    match keeps {
        Keeps::Newest if name == CLEANUP => Severity::Warning,
        Keeps::Newest | Keeps::Everything if name == "flush.messages" => Severity::Warning,
        Keeps::Newest | Keeps::Everything => Severity::Error,
    }
}

fn missing(topic: &Topic) -> Finding {
    Finding {
        severity: Severity::Error,
        topic: topic.clone(),
        what: "the topic does not exist".to_owned(),
        mend: "daybook topics create".to_owned(),
    }
}

fn other_partitions(topic: &Topic, found: u32, wanted: u32) -> Finding {
    Finding {
        severity: Severity::Error,
        topic: topic.clone(),
        what: format!("it has {found} partitions, but {wanted} are configured"),
        mend: format!(
            "the number is pinned when a topic is created: set `partitions` to {found} if it was created with it; if \
             partitions were added later, keys have moved, so copy the log into a new topic"
        ),
    }
}

fn unavailable(error: &KafkaError) -> LogError {
    LogError::Unavailable(error.to_string())
}
