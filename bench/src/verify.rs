//! The check behind every figure: what was acknowledged is in the log, once, and nothing else is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use eventsourcing::codec::{self, Parsed};
use eventsourcing::ids::Offset;
use eventsourcing::log::Log;
use eventsourcing::record::{Record, Stored};
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::Topic;

use crate::cell::as_float;
use crate::load::Ack;

/// A broker knows a topic a moment after it has created it.
const TOPIC_MAX: Duration = Duration::from_secs(10);
/// Records asked for at a time.
const READ_RECORDS_MAX: usize = 10_000;

/// Which records of a topic count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Events that rule R accepts: Daybook's topics.
    Accepted,
    /// All: the topics of the limits.
    All,
}

/// What a cell claims to have written.
pub(crate) struct Claims<'a> {
    pub(crate) acks: &'a [Ack],
    /// Commands that may or may not have been written.
    pub(crate) unknown: u64,
}

/// What the log holds of a cell.
pub(crate) struct Checked {
    /// The breach, if any.
    pub(crate) void: Option<String>,
    bytes: u64,
    events: u64,
}

impl Checked {
    /// The bytes of so many of the records.
    pub(crate) fn bytes_of(&self, count: u64) -> u64 {
        (self.bytes * count).checked_div(self.events).unwrap_or(0)
    }
}

/// A verifier of a topic that several contenders write to.
pub(crate) type Shared = Arc<tokio::sync::Mutex<Verifier>>;

/// Reads a topic behind the load.
pub(crate) struct Verifier {
    log: Arc<dyn Log>,
    topic: Topic,
    counts: Counts,
    partitions: Vec<Cursor>,
    /// The last record that counted.
    sample: Option<Record>,
}

struct Cursor {
    rule: Rule,
    next: Offset,
}

impl Verifier {
    /// Of a topic, from its beginning.
    pub(crate) async fn new(log: Arc<dyn Log>, topic: Topic, counts: Counts) -> anyhow::Result<Self> {
        let deadline = Instant::now() + TOPIC_MAX;
        let partitions = loop {
            match log.partitions(&topic).await {
                Ok(partitions) => break partitions,
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let cursor = || Cursor {
            rule: Rule::default(),
            next: Offset(0),
        };
        Ok(Self {
            log,
            topic,
            counts,
            partitions: std::iter::repeat_with(cursor).take(partitions as usize).collect(),
            sample: None,
        })
    }

    /// How many partitions the topic has.
    pub(crate) fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.len()).expect("made from a u32")
    }

    /// Reads past what is there.
    pub(crate) async fn catch_up(&mut self) -> anyhow::Result<()> {
        self.read().await.map(drop)
    }

    /// The last record read that counted.
    pub(crate) fn sample(&self) -> anyhow::Result<Record> {
        let empty = || format!("{} holds no record to take as a sample", self.topic);
        self.sample.clone().with_context(empty)
    }

    /// Compares what was appended since the last call with what the cell claims.
    pub(crate) async fn check(&mut self, claims: Claims<'_>) -> anyhow::Result<Checked> {
        let (present, bytes) = self.read().await?;
        let events = present.len() as u64;
        Ok(Checked {
            void: breach(&claims, &present),
            bytes,
            events,
        })
    }

    /// Where the new records that count lie, and their bytes.
    async fn read(&mut self) -> anyhow::Result<(BTreeSet<Ack>, u64)> {
        let mut ends = Vec::new();
        let mut from = Vec::new();
        for partition in 0..self.partitions() {
            let at = self.topic.partition(partition);
            let end = self.log.bounds(&at).await?.end;
            let next = self.partitions[partition as usize].next;
            if next < end {
                from.push((at, next));
            }
            ends.push(end);
        }
        let mut present = BTreeSet::new();
        let mut bytes = 0;
        if from.is_empty() {
            return Ok((present, bytes));
        }
        let mut reader = self.log.reader(from).await?;
        let behind = |partitions: &[Cursor]| partitions.iter().zip(&ends).any(|(at, end)| at.next < *end);
        while behind(&self.partitions) {
            for stored in reader.next(READ_RECORDS_MAX).await? {
                let index = stored.at.partition as usize;
                if self.counts(&stored)? {
                    bytes += stored.record.size() as u64;
                    present.insert(Ack {
                        partition: stored.at.partition,
                        offset: stored.offset.0,
                    });
                    self.sample = Some(stored.record);
                }
                self.partitions[index].next = stored.offset.next();
            }
        }
        Ok((present, bytes))
    }

    fn counts(&mut self, stored: &Stored) -> anyhow::Result<bool> {
        if self.counts == Counts::All {
            return Ok(true);
        }
        let parsed = codec::parse(stored)?;
        let rule = &mut self.partitions[stored.at.partition as usize].rule;
        let verdict = rule.judge(parsed.claim());
        Ok(matches!(parsed, Parsed::Event(_)) && verdict == Verdict::Accepted)
    }
}

/// More failures than this in a cell, and its figures describe something else.
const FAILURES_MAX: f64 = 0.01;

fn breach(claims: &Claims<'_>, present: &BTreeSet<Ack>) -> Option<String> {
    let acked: BTreeSet<Ack> = claims.acks.iter().copied().collect();
    if acked.len() < claims.acks.len() {
        let twice = claims.acks.len() - acked.len();
        return Some(format!("{twice} positions were acknowledged twice"));
    }
    if let Some(lost) = acked.difference(present).next() {
        let count = acked.difference(present).count();
        return Some(format!(
            "{count} acknowledged records are not in the log, such as {lost:?}"
        ));
    }
    let surplus = (present.len() - acked.len()) as u64;
    if surplus > claims.unknown {
        let unknown = claims.unknown;
        return Some(format!(
            "{surplus} records beyond the acknowledged ones, {unknown} in doubt"
        ));
    }
    if acked.is_empty() {
        return Some("nothing was acknowledged".to_owned());
    }
    let failed = as_float(claims.unknown) / as_float(acked.len() as u64);
    (failed > FAILURES_MAX).then(|| format!("{} answers leave the outcome open", claims.unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks(offsets: &[u64]) -> Vec<Ack> {
        let ack = |offset: &u64| Ack {
            partition: 0,
            offset: *offset,
        };
        offsets.iter().map(ack).collect()
    }

    fn verdict(acked: &[u64], unknown: u64, present: &[u64]) -> Option<String> {
        let acks_made = acks(acked);
        let claims = Claims {
            acks: &acks_made,
            unknown,
        };
        breach(&claims, &acks(present).into_iter().collect())
    }

    #[test]
    fn what_was_acknowledged_and_nothing_else_is_sound() {
        assert_eq!(verdict(&[0, 1, 2], 0, &[0, 1, 2]), None);
        let many: Vec<u64> = (0..200).collect();
        assert_eq!(verdict(&many[1..], 1, &many), None);
    }

    #[test]
    fn every_breach_is_seen() {
        let lost = verdict(&[0, 1, 2], 0, &[0, 2]).expect("lost");
        assert!(lost.contains("not in the log"));
        let twice = verdict(&[0, 1, 1], 0, &[0, 1]).expect("twice");
        assert!(twice.contains("twice"));
        let surplus = verdict(&[0, 1], 0, &[0, 1, 2]).expect("surplus");
        assert!(surplus.contains("beyond"));
        assert!(verdict(&[], 0, &[]).is_some());
    }
}
