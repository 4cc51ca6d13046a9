//! Topics with the settings they must have, on a real broker.

use std::slice::from_ref;

use eventsourcing::topic::Topic;
use eventsourcing_kafka::{Finding, Flush, Keeps, Severity, TopicSettings, check_topics, create_topics};

const EVENTS: TopicSettings = TopicSettings {
    partitions: 1,
    replication: 1,
    flush: Flush::PageCache,
    keeps: Keeps::Everything,
};
const ROUTES: TopicSettings = TopicSettings {
    keeps: Keeps::Newest,
    ..EVENTS
};

/// What is said about a topic that was created in one way and is to be in another.
async fn findings(name: &str, created: &TopicSettings, wanted: &TopicSettings) -> (Topic, Vec<Finding>) {
    let broker = tokio::task::spawn_blocking(testkit::kafka)
        .await
        .expect("a broker");
    let topic = Topic::named(&format!("{}.{name}", broker.prefix));
    create_topics(&broker.brokers, from_ref(&topic), created)
        .await
        .expect("creates");
    let found = check_topics(&broker.brokers, from_ref(&topic), wanted).await;
    (topic, found.expect("answers"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_as_it_was_asked_for() {
    for settings in [EVENTS, ROUTES] {
        let (topic, found) = findings("new", &settings, &settings).await;
        assert!(found.is_empty(), "{topic}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_that_pile_up_are_a_warning_with_the_line_that_mends_it() {
    let (topic, found) = findings("owners", &EVENTS, &ROUTES).await;
    let [finding] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.what, "cleanup.policy is delete, it must be compact");
    let mend = format!("--entity-name {topic} --add-config cleanup.policy=compact");
    assert!(finding.mend.ends_with(&mend), "{}", finding.mend);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_log_is_an_error() {
    let (_, found) = findings("events", &ROUTES, &EVENTS).await;
    let compacted = |finding: &&Finding| finding.what == "cleanup.policy is compact, it must be delete";
    let finding = found.iter().find(compacted).expect("found");
    assert_eq!(finding.severity, Severity::Error);
}
