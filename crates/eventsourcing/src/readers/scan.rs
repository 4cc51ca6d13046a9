//! Scanning: records pass under R; what is accepted goes on to the work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::aggregate;
use crate::checkpoint::Checkpoint;
use crate::codec::{self, CorruptRecord, Envelope, Parsed};
use crate::ids::Offset;
use crate::record::Stored;
use crate::rule::Verdict;
use crate::topic::{Topic, TopicPartition};

/// A checkpoint that is to move, once the work up to `to` is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Of the topic.
    pub partition: u32,
    /// Where it must be: this is compared.
    pub from: Checkpoint,
    /// Where it will be.
    pub to: Checkpoint,
}

/// What a stretch of log came to.
#[derive(Clone, Debug, Default)]
pub struct Scanned {
    /// What is to be worked on, in the log's order per partition.
    pub events: Vec<Event>,
    /// Each partition that moves.
    pub moves: Vec<Move>,
}

/// An accepted event with its headers, or why the record cannot be read. No reader can judge the latter,
/// so it stands in its place: what follows of its key must not overtake it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The record.
    pub stored: Stored,
    /// What its headers say.
    pub headers: Result<Envelope, Arc<CorruptRecord>>,
}

/// Partition and key.
pub type Key = (u32, String);

impl Event {
    /// Whose turn it is to wait when this cannot be worked on. A key belongs to one partition; the same
    /// text in another one is another key.
    pub fn key(&self) -> Key {
        (self.stored.at.partition, self.stored.record.key_text())
    }

    /// The event, typed.
    pub fn decode<E: aggregate::Event>(&self) -> Result<aggregate::Recorded<E>, Arc<CorruptRecord>> {
        let headers = self.headers.clone()?;
        Ok(codec::decode(&self.stored, headers)?)
    }
}

/// Where a scan stands in each partition of its topic.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    checkpoints: BTreeMap<u32, Checkpoint>,
}

impl Scan {
    /// A scan from these checkpoints on.
    #[must_use]
    pub const fn of(checkpoints: BTreeMap<u32, Checkpoint>) -> Self {
        Self { checkpoints }
    }

    /// A scan from those of these checkpoints on that belong to `share`.
    #[must_use]
    pub fn of_share(mut checkpoints: BTreeMap<u32, Checkpoint>, share: &BTreeSet<u32>) -> Self {
        checkpoints.retain(|partition, _| share.contains(partition));
        Self { checkpoints }
    }

    /// Where it stands.
    pub const fn checkpoints(&self) -> &BTreeMap<u32, Checkpoint> {
        &self.checkpoints
    }

    /// Where to read on.
    pub fn places(&self, topic: &Topic) -> Vec<(TopicPartition, Offset)> {
        let place =
            |(partition, checkpoint): (&u32, &Checkpoint)| (topic.partition(*partition), checkpoint.next);
        self.checkpoints.iter().map(place).collect()
    }

    /// Judges the next records. The scan itself moves only by [`Scan::moved`], when the work is done.
    pub fn judge(&self, records: Vec<Stored>) -> Scanned {
        let mut scanned = Scanned {
            events: Vec::with_capacity(records.len()),
            moves: Vec::new(),
        };
        let mut now: BTreeMap<u32, Checkpoint> = BTreeMap::new();
        for stored in records {
            let partition = stored.at.partition;
            let before = self.checkpoints.get(&partition).copied().unwrap_or_default();
            let checkpoint = now.entry(partition).or_insert(before);
            // A reader that was opened anew may deliver what is done already.
            if stored.offset < checkpoint.next {
                continue;
            }
            checkpoint.next = stored.offset.next();
            let headers = match codec::parse(&stored) {
                Ok(parsed) => {
                    let verdict = checkpoint.rule.judge(parsed.claim());
                    let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) else {
                        continue;
                    };
                    Ok(envelope)
                }
                Err(corrupt) => Err(Arc::new(corrupt)),
            };
            scanned.events.push(Event { stored, headers });
        }
        for (partition, to) in now {
            let from = self.checkpoints.get(&partition).copied().unwrap_or_default();
            if from != to {
                scanned.moves.push(Move { partition, from, to });
            }
        }
        scanned
    }

    /// The work is done, and `moves` are stored.
    pub fn moved(&mut self, moves: &[Move]) {
        for Move { partition, to, .. } in moves {
            self.checkpoints.insert(*partition, *to);
        }
    }
}
