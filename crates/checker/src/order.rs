//! I1: the order of answers is the order of the log. What is sent after an acknowledgement lies behind what
//! was acknowledged; this needs no exact windows.

use std::collections::BTreeMap;
use std::time::Duration;

use eventsourcing::aggregate::Aggregate;
use eventsourcing::ids::Offset;
use eventsourcing::topic::TopicPartition;

use crate::breach::Breach;
use crate::history::{Attempt, History, Outcome};
use crate::ledger::{Ledger, place_of};

/// What was accepted in one partition.
struct Accepted<'a, A: Aggregate> {
    /// For the first time, by when it was sent.
    sent: Vec<(Duration, Offset, &'a Attempt<A>)>,
    /// By when it was answered.
    answered: Vec<(Duration, Offset)>,
}

pub(crate) fn check<A: Aggregate>(
    history: &History<A>,
    ledger: &Ledger<A::Event>,
    breaches: &mut Vec<Breach>,
) {
    let mut partitions: BTreeMap<&TopicPartition, Accepted<'_, A>> = BTreeMap::new();
    for attempt in &history.attempts {
        let Outcome::Accepted(told) = &attempt.outcome else {
            continue;
        };
        let accepted = partitions
            .entry(&attempt.question.at)
            .or_insert_with(|| Accepted {
                sent: Vec::new(),
                answered: Vec::new(),
            });
        let offset = told.position.offset;
        accepted.answered.push((attempt.answered.elapsed, offset));
        if !told.replayed {
            accepted.sent.push((attempt.sent.elapsed, offset, attempt));
        }
    }
    for accepted in partitions.into_values() {
        in_order(accepted, ledger, breaches);
    }
}

fn in_order<A: Aggregate>(accepted: Accepted<'_, A>, ledger: &Ledger<A::Event>, breaches: &mut Vec<Breach>) {
    let Accepted {
        mut sent,
        mut answered,
    } = accepted;
    sent.sort_by_key(|(when, offset, _)| (*when, *offset));
    answered.sort_unstable();
    let mut answered = answered.into_iter().peekable();
    let mut newest: Option<Offset> = None;
    for (when, offset, attempt) in sent {
        while let Some((_, before)) = answered.next_if(|(told, _)| *told < when) {
            newest = newest.max(Some(before));
        }
        let question = &attempt.question;
        let Some(fact) = ledger.made(&question.aggregate, question.command) else {
            continue;
        };
        // What was acknowledged at a wrong place is told as such elsewhere.
        if fact.offset == offset
            && let Some(later) = newest.filter(|later| *later > offset)
        {
            breaches.push(Breach::OutOfOrder {
                command: question.command,
                place: place_of(fact),
                later,
            });
        }
    }
}
