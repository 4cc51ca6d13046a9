//! What was appended and what was answered, held against what the log holds in the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eventsourcing::ids::Offset;
use eventsourcing::log::{Appended, Log};
use eventsourcing::record::{Record, Stored};
use eventsourcing::topic::TopicPartition;

use crate::cluster::{SLACK, TIMEOUT, batch};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// A promise of the port that was broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// Acknowledged, but something else (or nothing) lies there.
    NotThere(Offset),
    /// More often in the log than it was appended.
    Doubled(String),
    /// In the log in another order than appended.
    Disordered(String),
}

#[derive(Default)]
pub(crate) struct Ledger {
    appended: Vec<(Vec<Record>, Appended)>,
}

impl Ledger {
    /// Appends a batch under this name; it must not take longer than it may.
    pub(crate) async fn append(
        &mut self,
        log: &dyn Log,
        at: &TopicPartition,
        name: &str,
    ) -> (Appended, Duration) {
        let records = batch(name, 3);
        let started = Instant::now();
        let appending = tokio::time::timeout(TIMEOUT + SLACK, log.append(at, records.clone()));
        let outcome = appending
            .await
            .unwrap_or_else(|_| panic!("{name}: the append hangs"));
        self.appended.push((records, outcome.clone()));
        (outcome, started.elapsed())
    }

    /// Appends until the log works; each try counts.
    pub(crate) async fn works(&mut self, log: &dyn Log, at: &TopicPartition, name: &str) {
        let deadline = Instant::now() + SLACK * 3;
        for number in 0.. {
            let (outcome, _) = self.append(log, at, &format!("{name} {number}")).await;
            if matches!(outcome, Appended::At(_)) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{name}: the log does not work again: {outcome:?}"
            );
            // Some refusals come at once, until the client asks about the topic again.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How many of this batch are in the log.
    pub(crate) fn found(there: &[Stored], name: &str) -> usize {
        let of = |stored: &&Stored| {
            stored
                .record
                .header("name")
                .is_some_and(|found| found == name.as_bytes())
        };
        there.iter().filter(of).count()
    }

    /// Holds the answers against what is there.
    pub(crate) fn check(&self, there: &[Stored]) -> Result<(), Breach> {
        let by_offset: BTreeMap<Offset, &Record> = there
            .iter()
            .map(|stored| (stored.offset, &stored.record))
            .collect();
        let text = |record: &Record| String::from_utf8_lossy(&record.value).into_owned();
        for (records, outcome) in &self.appended {
            if let Appended::At(offsets) = outcome {
                assert_eq!(offsets.len(), records.len(), "one offset for each record");
                for (offset, record) in offsets.iter().zip(records) {
                    if by_offset.get(offset) != Some(&record) {
                        return Err(Breach::NotThere(*offset));
                    }
                }
            }
            let mut last = None;
            for record in records {
                let mut places = there.iter().filter(|stored| stored.record == *record);
                let place = places.next().map(|stored| stored.offset);
                if places.next().is_some() {
                    return Err(Breach::Doubled(text(record)));
                }
                if place.is_some() && place < last {
                    return Err(Breach::Disordered(text(record)));
                }
                last = place.or(last);
            }
        }
        Ok(())
    }
}
