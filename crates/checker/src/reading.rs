//! Readers: checkpoints rise (I7), a read with a position shows nothing older (I8). And reading a whole topic.

use std::collections::HashMap;

use eventsourcing::aggregate::{Aggregate, Event, Recorded};
use eventsourcing::ids::{Offset, Sequence};
use eventsourcing::log::{Log, LogError};
use eventsourcing::record::Stored;
use eventsourcing::topic::{Topic, TopicPartition};

use crate::breach::{Breach, Place};
use crate::history::{CheckpointMove, History, Read};
use crate::ledger::Ledger;

/// The most records asked for at once.
const READ_RECORDS_MAX: usize = 10_000;

/// All records of all partitions of `topic`, up to where each ends now.
pub async fn read_topic(log: &dyn Log, topic: &Topic) -> Result<Vec<Stored>, LogError> {
    let mut records = Vec::new();
    for number in 0..log.partitions(topic).await? {
        let at = topic.partition(number);
        let bounds = log.bounds(&at).await?;
        let mut next = bounds.start;
        if next >= bounds.end {
            continue;
        }
        let mut reader = log.reader(vec![(at, next)]).await?;
        while next < bounds.end {
            let batch = reader.next(READ_RECORDS_MAX).await?;
            next = batch.last().map_or(next, |last| last.offset.next());
            records.extend(batch.into_iter().filter(|stored| stored.offset < bounds.end));
        }
    }
    Ok(records)
}

pub(crate) fn check<A: Aggregate>(
    history: &History<A>,
    ledger: &Ledger<A::Event>,
    breaches: &mut Vec<Breach>,
) {
    checkpoints_rise(&history.moves, ledger, breaches);
    for read in &history.reads {
        nothing_older(read, ledger, breaches);
    }
}

/// I7.
fn checkpoints_rise<E: Event>(moves: &[CheckpointMove], ledger: &Ledger<E>, breaches: &mut Vec<Breach>) {
    let mut newest: HashMap<(&str, &TopicPartition), Offset> = HashMap::new();
    for CheckpointMove { reader, at, next } in moves {
        let before = newest.entry((&**reader, at)).or_default();
        if next < before {
            breaches.push(Breach::CheckpointWentBack {
                reader: reader.clone(),
                at: at.clone(),
                from: *before,
                to: *next,
            });
        }
        *before = (*before).max(*next);
        let end = ledger.ends.get(at).copied().unwrap_or_default();
        if *next > end {
            breaches.push(Breach::CheckpointBeyondEnd {
                reader: reader.clone(),
                at: at.clone(),
                to: *next,
                end,
            });
        }
    }
}

/// I8: the answer includes what was asked for, and everything of the aggregate that it says it includes.
fn nothing_older<E: Event>(read: &Read, ledger: &Ledger<E>, breaches: &mut Vec<Breach>) {
    if let Some(asked) = read.asked.filter(|asked| read.shown < Some(*asked)) {
        breaches.push(Breach::ReadTooOld {
            by: read.by.clone(),
            at: read.at.clone(),
            asked,
            shown: read
                .shown
                .map_or_else(|| "nothing".to_owned(), |shown| shown.to_string()),
        });
    }
    let (Some(offset), Some(shown)) = (read.shown, read.sequence) else {
        return;
    };
    let facts = ledger.facts.get(&read.aggregate).map_or(&[][..], Vec::as_slice);
    let included = facts.iter().take_while(|fact| fact.offset <= offset);
    let held = included.last().map(Recorded::sequence).unwrap_or_default();
    let last = facts.last().map_or(Sequence(0), Recorded::sequence);
    if shown < held || shown > last {
        breaches.push(Breach::ReadMisses {
            by: read.by.clone(),
            aggregate: read.aggregate.clone(),
            place: Place {
                at: read.at.clone(),
                offset,
            },
            shown,
            held,
        });
    }
}
