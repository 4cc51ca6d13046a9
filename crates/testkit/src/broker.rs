//! Brokers: one per test process, one topic prefix per test.

use std::sync::OnceLock;

use embedded::kafka::{Kafka, Options};

use crate::directory;
use crate::tether::Tether;

/// A broker and a prefix that nobody else uses.
#[derive(Clone, Debug)]
pub struct TestBroker {
    /// For `KAFKA_BROKERS`.
    pub brokers: String,
    /// For topic names.
    pub prefix: String,
}

/// The shared broker with a fresh prefix. Blocks while the broker starts.
pub fn kafka() -> TestBroker {
    static BROKER: OnceLock<Result<String, String>> = OnceLock::new();
    let given = std::env::var("KAFKA_BROKERS").ok();
    let brokers = given.unwrap_or_else(|| {
        let started = BROKER.get_or_init(|| start().map_err(|error| format!("{error:#}")));
        started.clone().expect("a Kafka for tests")
    });
    TestBroker {
        brokers,
        prefix: format!("t{}", uuid::Uuid::new_v4().simple()),
    }
}

/// A broker of the test's own, to be killed. Dropping it stops it.
pub fn private_kafka() -> (Kafka, tempfile::TempDir) {
    let directory = directory().expect("a directory");
    let options = Options::new(directory.path());
    (
        Kafka::start(&options, |line| eprintln!("{line}")).expect("starts"),
        directory,
    )
}

fn start() -> anyhow::Result<String> {
    let directory = directory()?;
    let options = Options::new(directory.path());
    let broker = Kafka::start(&options, |line| eprintln!("{line}"))?;
    let tether = Tether::to(broker.process_id(), Some(directory.path()))?;
    let brokers = broker.brokers();
    // All live until the process ends; the tether clears up behind it.
    std::mem::forget((broker, directory, tether));
    Ok(brokers)
}
