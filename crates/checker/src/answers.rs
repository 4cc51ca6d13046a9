//! What was answered, against what lies in the log: I1, I2 as far as it means "absent", I3.

use std::collections::BTreeMap;

use eventsourcing::aggregate::{Aggregate, Event, Recorded};
use eventsourcing::command::Accepted;
use eventsourcing::ids::{AggregateId, CommandId};
use eventsourcing::memory::REMEMBERED_MAX;

use crate::breach::Breach;
use crate::history::{Attempt, History, Outcome, Question};
use crate::ledger::{Ledger, place_of};

pub(crate) fn check<A: Aggregate>(
    history: &History<A>,
    ledger: &Ledger<A::Event>,
    breaches: &mut Vec<Breach>,
) {
    for attempt in &history.attempts {
        let fact = ledger.made(&attempt.question.aggregate, attempt.question.command);
        match &attempt.outcome {
            Outcome::Accepted(accepted) => acknowledged(attempt, accepted, fact, breaches),
            Outcome::Refused | Outcome::Conflict(_) => refused(attempt, fact, ledger, breaches),
            Outcome::KeyReused => key_reused(&attempt.question, fact, breaches),
            Outcome::NotAttempted(_) | Outcome::Unknown => {}
        }
    }
    for ((aggregate, command), attempts) in by_command(history) {
        one_outcome(aggregate, command, &attempts, ledger, breaches);
    }
}

type ByCommand<'a, A> = BTreeMap<(&'a AggregateId, CommandId), Vec<&'a Attempt<A>>>;

fn by_command<A: Aggregate>(history: &History<A>) -> ByCommand<'_, A> {
    let mut attempts: ByCommand<'_, A> = BTreeMap::new();
    for attempt in &history.attempts {
        let command = (&attempt.question.aggregate, attempt.question.command);
        attempts.entry(command).or_default().push(attempt);
    }
    attempts
}

/// Whether this attempt was of the request whose event this is.
pub(crate) fn same_request<A: Aggregate, E>(question: &Question<A>, fact: &Recorded<E>) -> bool {
    question.digest.is_none_or(|digest| digest == fact.meta.digest)
}

/// I1: there, under that sequence, and written before it was said.
fn acknowledged<A: Aggregate, E: Event>(
    attempt: &Attempt<A>,
    accepted: &Accepted,
    fact: Option<&Recorded<E>>,
    breaches: &mut Vec<Breach>,
) {
    let Question {
        aggregate, command, ..
    } = &attempt.question;
    let Some(fact) = fact else {
        breaches.push(Breach::AcknowledgedAbsent {
            aggregate: aggregate.clone(),
            command: *command,
            claimed: accepted.position.clone(),
        });
        return;
    };
    if fact.position() != accepted.position || fact.sequence() != accepted.sequence {
        breaches.push(Breach::AcknowledgedElsewhere {
            aggregate: aggregate.clone(),
            command: *command,
            claimed: accepted.position.clone(),
            sequence: accepted.sequence,
            found: place_of(fact),
            found_sequence: fact.sequence(),
        });
    } else if !same_request(&attempt.question, fact) {
        breaches.push(Breach::AnsweredForAnother {
            command: *command,
            place: place_of(fact),
        });
    } else if let Some(end) = attempt.answered.end.filter(|end| fact.offset >= *end) {
        let place = place_of(fact);
        breaches.push(Breach::AcknowledgedEarly {
            command: *command,
            place,
            end,
        });
    }
}

/// I3: what lay in the log when it was asked again gets its first outcome, as long as it is remembered.
fn refused<A: Aggregate, E: Event>(
    attempt: &Attempt<A>,
    fact: Option<&Recorded<E>>,
    ledger: &Ledger<E>,
    breaches: &mut Vec<Breach>,
) {
    let (Some(fact), Some(sent)) = (fact, attempt.sent.end) else {
        return;
    };
    let later = ledger.facts.get(&fact.aggregate).map_or(0, |facts| {
        facts.len() as u64 - fact.sequence().0.min(facts.len() as u64)
    });
    if fact.offset < sent && later < REMEMBERED_MAX as u64 {
        breaches.push(Breach::RepeatRefused {
            aggregate: fact.aggregate.clone(),
            command: fact.meta.command,
            place: place_of(fact),
        });
    }
}

/// I3: the key must have made an event for another request.
fn key_reused<A: Aggregate, E>(
    question: &Question<A>,
    fact: Option<&Recorded<E>>,
    breaches: &mut Vec<Breach>,
) {
    let Some(digest) = question.digest else { return };
    if fact.is_none_or(|fact| fact.meta.digest == digest) {
        breaches.push(Breach::KeyNotReused {
            aggregate: question.aggregate.clone(),
            command: question.command,
        });
    }
}

/// I2 and I3 over all attempts of one command: somebody who was not refused made the event, and at most
/// one was told to be the first.
fn one_outcome<A: Aggregate>(
    aggregate: &AggregateId,
    command: CommandId,
    attempts: &[&Attempt<A>],
    ledger: &Ledger<A::Event>,
    breaches: &mut Vec<Breach>,
) {
    let fresh =
        |attempt: &&&Attempt<A>| matches!(&attempt.outcome, Outcome::Accepted(told) if !told.replayed);
    if attempts.iter().filter(fresh).count() > 1 {
        let aggregate = aggregate.clone();
        breaches.push(Breach::FreshTwice { aggregate, command });
    }
    let Some(fact) = ledger.made(aggregate, command) else {
        return;
    };
    // A node that hands a command on may have to send it twice, so even who asked once may be told that
    // it was a repeat.
    let may_have_made = |attempt: &&&Attempt<A>| {
        let open = matches!(attempt.outcome, Outcome::Accepted(_) | Outcome::Unknown);
        let in_time = attempt.sent.end.is_none_or(|end| end <= fact.offset);
        open && in_time && same_request(&attempt.question, fact)
    };
    if !attempts.iter().any(|attempt| may_have_made(&attempt)) {
        breaches.push(Breach::RefusedPresent {
            aggregate: aggregate.clone(),
            command,
            place: place_of(fact),
        });
    }
}
