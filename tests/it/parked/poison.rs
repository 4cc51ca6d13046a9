//! A log with what no owner would write, and projections that run over it.

use std::borrow::Cow;
use std::process::Child;
use std::sync::Arc;

use bytes::Bytes;
use eventsourcing::codec::META_HEADER;
use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Log};
use eventsourcing::record::Record;
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_kafka::KafkaLog;
use eventsourcing_postgres::log::PostgresLog;

use super::PATIENCE;
use crate::shop::Shop;

/// The projections with this policy, and no owner. Ended with the test.
pub(super) struct Projecting {
    pub(super) child: Child,
    words: tempfile::NamedTempFile,
}

impl Projecting {
    pub(super) fn start(shop: &Shop, on_error: &str) -> Self {
        let words = tempfile::NamedTempFile::new().expect("a file");
        let mut command = shop.command(&["projections"]);
        let command = command
            .env("DAYBOOK_LISTEN_PROJECTIONS", "127.0.0.1:0")
            .env("DAYBOOK_PROJECTIONS_ON_ERROR", on_error)
            .stdout(words.reopen().expect("a file"))
            .stderr(words.reopen().expect("a file"));
        let child = command.spawn().expect("starts");
        Self { child, words }
    }

    /// Where it serves its probes, once it is ready.
    pub(super) async fn base(&self) -> String {
        testkit::eventually("it is ready", PATIENCE, async || {
            let said = self.said();
            let line = said.lines().find(|line| line.contains("listening"))?;
            let address = line.split("address=").nth(1)?.split_whitespace().next()?;
            let base = format!("http://{address}");
            let answer = reqwest::get(format!("{base}/readyz")).await.ok()?;
            (answer.status() == 200).then_some(base)
        })
        .await
    }

    /// All that it wrote.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(self.words.path()).expect("text")
    }
}

impl Drop for Projecting {
    fn drop(&mut self) {
        self.child.kill().expect("ours to kill");
        self.child.wait().expect("ours to wait for");
        if std::thread::panicking() {
            println!("the projections said:\n{}", self.said());
        }
    }
}

/// Appends what no owner would: twice junk of one key, then an event of it, and one of another key. Returns where the
/// first lies.
pub(super) async fn poison(shop: &Shop) -> (TopicPartition, Offset) {
    let setting = |name: &str| {
        let found = shop.environment.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.clone())
    };
    let prefix = setting("DAYBOOK_TOPICS_PREFIX").unwrap_or_else(|| "daybook".to_owned());
    let log: Arc<dyn Log> = match setting("KAFKA_BROKERS") {
        Some(brokers) => Arc::new(KafkaLog::open(&eventsourcing_kafka::Config::new(brokers)).expect("opens")),
        None => Arc::new(PostgresLog::open(
            shop.database_url.parse().expect("a URL"),
            eventsourcing_postgres::log::Config::default(),
        )),
    };
    let at = Topic::events(&prefix, "inventory").partition(0);
    let bounds = log.bounds(&at).await.expect("answers");
    let mut reader = log.reader(vec![(at.clone(), Offset(0))]).await.expect("opens");
    let mut events: Vec<Record> = Vec::new();
    let mut next = bounds.start;
    while next < bounds.end {
        for stored in reader.next(1_000).await.expect("reads") {
            next = Offset(stored.offset.0 + 1);
            events.push(stored.record);
        }
    }
    let last = |key: &str| {
        let of_key = events.iter().rfind(|record| record.key == key.as_bytes());
        of_key.expect("an event of the key").clone()
    };
    let (mug, cup) = (last("stock_MUG"), last("stock_CUP"));
    let junk = Record {
        key: mug.key.clone(),
        value: Bytes::from_static(b"junk"),
        headers: vec![(Cow::Borrowed("ce_type"), Bytes::from_static(b"junk"))],
    };
    let records = vec![junk.clone(), junk, follower(mug), follower(cup)];
    match log.append(&at, records).await {
        Appended::At(offsets) => (at, offsets[0]),
        Appended::Unknown(why) => panic!("{why}"),
    }
}

/// The same once more, as the key's next event.
fn follower(mut record: Record) -> Record {
    for (name, value) in &mut record.headers {
        if name == META_HEADER {
            let text = std::str::from_utf8(value).expect("text");
            let mut fields: Vec<&str> = text.split(';').collect();
            let sequence: u64 = fields[1].parse().expect("a number");
            let sequence = (sequence + 1).to_string();
            fields[1] = &sequence;
            *value = Bytes::from(fields.join(";"));
        }
    }
    record
}
