//! Scanning: records pass under R; what is accepted goes on to the fold.

use std::collections::BTreeMap;

use eventsourcing::checkpoint::Checkpoint;
use eventsourcing::codec::{self, Envelope, Parsed};
use eventsourcing::record::Stored;
use eventsourcing::rule::Verdict;

/// What a stretch of log came to.
#[derive(Default)]
pub(crate) struct Scanned {
    /// What goes to the fold, in the log's order per partition.
    pub(crate) events: Vec<Event>,
    /// Each partition that moved: before and after.
    pub(crate) moves: Vec<(u32, Checkpoint, Checkpoint)>,
}

/// A record for the fold: an accepted event with its headers, or why the record cannot be read. No
/// reader can judge the latter, so it is parked, and in its place: what follows of its key waits.
#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) stored: Stored,
    pub(crate) headers: Result<Envelope, String>,
}

impl Event {
    /// Whose turn it is to wait when this is parked. A key belongs to one partition; the same text in
    /// another one is another key.
    pub(crate) fn key(&self) -> Key {
        let key = String::from_utf8_lossy(&self.stored.record.key).replace('\0', "\u{fffd}");
        (self.stored.at.partition, key)
    }
}

/// Partition and key.
pub(crate) type Key = (u32, String);

/// Where a scan stands in each partition of its topic.
pub(crate) struct Scan {
    pub(crate) checkpoints: BTreeMap<u32, Checkpoint>,
}

impl Scan {
    /// Judges the next records. The scan itself moves only by [`Scan::moved`], when they are applied.
    pub(crate) fn judge(&self, records: Vec<Stored>) -> Scanned {
        let mut scanned = Scanned::default();
        let mut now: BTreeMap<u32, Checkpoint> = BTreeMap::new();
        for stored in records {
            let partition = stored.at.partition;
            let before = self.checkpoints.get(&partition).copied().unwrap_or_default();
            let checkpoint = now.entry(partition).or_insert(before);
            // A reader that was opened anew may deliver what is applied already.
            if stored.offset < checkpoint.next {
                continue;
            }
            checkpoint.next = stored.offset.next();
            match codec::parse(&stored) {
                Ok(parsed) => {
                    let verdict = checkpoint.rule.judge(parsed.claim());
                    if let (Verdict::Accepted, Parsed::Event(envelope)) = (verdict, parsed) {
                        scanned.events.push(Event {
                            stored,
                            headers: Ok(envelope),
                        });
                    }
                }
                Err(corrupt) => scanned.events.push(Event {
                    stored,
                    headers: Err(corrupt.to_string()),
                }),
            }
        }
        for (partition, after) in now {
            let before = self.checkpoints.get(&partition).copied().unwrap_or_default();
            if after != before {
                scanned.moves.push((partition, before, after));
            }
        }
        scanned
    }

    /// The transaction that applied `moves` is committed.
    pub(crate) fn moved(&mut self, moves: &[(u32, Checkpoint, Checkpoint)]) {
        for (partition, _, after) in moves {
            self.checkpoints.insert(*partition, *after);
        }
    }
}
