//! What was decided, against the state it was decided on: I4, and that each refusal was true (I2).

use std::collections::{BTreeMap, HashMap};

use eventsourcing::aggregate::{Aggregate, Event, Recorded};
use eventsourcing::command::Expected;
use eventsourcing::ids::{AggregateId, CommandId, Offset, Sequence};

use crate::answers::same_request;
use crate::breach::Breach;
use crate::history::{Attempt, Commands, History, Outcome, Question};
use crate::ledger::{Ledger, place_of};

pub(crate) fn check<A: Aggregate>(
    history: &History<A>,
    ledger: &Ledger<A::Event>,
    commands: Commands,
    breaches: &mut Vec<Breach>,
) {
    let mut questions: HashMap<(&AggregateId, CommandId), Vec<&Question<A>>> = HashMap::new();
    let mut refusals: BTreeMap<&AggregateId, Vec<&Attempt<A>>> = BTreeMap::new();
    for attempt in &history.attempts {
        let question = &attempt.question;
        let command = (&question.aggregate, question.command);
        questions.entry(command).or_default().push(question);
        if matches!(attempt.outcome, Outcome::Refused | Outcome::Conflict(_)) {
            refusals.entry(&question.aggregate).or_default().push(attempt);
        }
    }
    for (aggregate, facts) in &ledger.facts {
        let mut state = A::State::default();
        let mut last = Sequence(0);
        for fact in facts {
            let asked = questions.get(&(aggregate, fact.meta.command));
            let asked = asked.and_then(|asked| asked.iter().find(|question| same_request(question, fact)));
            match asked {
                Some(question) => decided::<A>(&state, last, question, fact, breaches),
                None if commands == Commands::All => breaches.push(Breach::Unasked {
                    aggregate: aggregate.clone(),
                    command: fact.meta.command,
                    place: place_of(fact),
                }),
                None => {}
            }
            A::evolve(&mut state, &fact.event);
            last = fact.sequence();
        }
    }
    for (aggregate, refusals) in refusals {
        let facts = ledger.facts.get(aggregate).map_or(&[][..], Vec::as_slice);
        refused_truly(&refusals, facts, breaches);
    }
}

/// I4: the event is what the command makes of the state before it.
fn decided<A: Aggregate>(
    state: &A::State,
    last: Sequence,
    question: &Question<A>,
    fact: &Recorded<A::Event>,
    breaches: &mut Vec<Breach>,
) {
    let mut wrong = |why: String| {
        breaches.push(Breach::WronglyDecided {
            aggregate: fact.aggregate.clone(),
            command: fact.meta.command,
            place: place_of(fact),
            why,
        });
    };
    if let Expected::Exactly(expected) = question.expected
        && expected != last
    {
        wrong(format!("it was made for sequence {expected}, but follows {last}"));
    }
    let Some(content) = &question.content else {
        return;
    };
    match A::decide(state, content) {
        Ok(event) if written(&event) == written(&fact.event) => {}
        Ok(event) => wrong(format!(
            "it is {} where {} was due",
            written(&fact.event),
            written(&event)
        )),
        Err(refusal) => wrong(format!("a refusal was due: {refusal}")),
    }
}

/// The event as the log holds it.
fn written<E: Event>(event: &E) -> String {
    let mut data = Vec::new();
    event.encode(&mut data);
    format!("{} {}", event.event_type(), String::from_utf8_lossy(&data))
}

/// I2: some state between question and answer refuses, or has the sequence that was named.
fn refused_truly<A: Aggregate>(
    refusals: &[&Attempt<A>],
    facts: &[Recorded<A::Event>],
    breaches: &mut Vec<Breach>,
) {
    let states = states::<A>(facts);
    for attempt in refusals {
        // Real processes know no exact window.
        let (Some(from), Some(to)) = (attempt.sent.end, attempt.answered.end) else {
            continue;
        };
        let mut in_window = states
            .iter()
            .filter(|state| state.since <= to && state.until.is_none_or(|until| until >= from));
        if !in_window.any(|state| refuses::<A>(attempt, state)) {
            breaches.push(Breach::RefusedFalsely {
                at: attempt.question.at.clone(),
                aggregate: attempt.question.aggregate.clone(),
                command: attempt.question.command,
                from,
                to,
            });
        }
    }
}

/// A state, and the ends of the log at which it was the newest.
struct InForce<S> {
    state: S,
    sequence: Sequence,
    since: Offset,
    until: Option<Offset>,
}

fn states<A: Aggregate>(facts: &[Recorded<A::Event>]) -> Vec<InForce<A::State>> {
    let mut state = A::State::default();
    let mut states = Vec::with_capacity(facts.len() + 1);
    let (mut since, mut sequence) = (Offset(0), Sequence(0));
    for fact in facts {
        let until = Some(fact.offset);
        let mut next = state.clone();
        A::evolve(&mut next, &fact.event);
        states.push(InForce {
            state,
            sequence,
            since,
            until,
        });
        state = next;
        (since, sequence) = (fact.offset.next(), fact.sequence());
    }
    states.push(InForce {
        state,
        sequence,
        since,
        until: None,
    });
    states
}

fn refuses<A: Aggregate>(attempt: &Attempt<A>, at: &InForce<A::State>) -> bool {
    let question = &attempt.question;
    match (&attempt.outcome, question.expected) {
        (Outcome::Conflict(current), Expected::Exactly(expected)) => {
            at.sequence != expected && current.is_none_or(|current| current == at.sequence)
        }
        (Outcome::Conflict(_), Expected::Any) => false,
        (
            Outcome::Accepted(_)
            | Outcome::Refused
            | Outcome::KeyReused
            | Outcome::NotAttempted(_)
            | Outcome::Unknown,
            _,
        ) => question
            .content
            .as_ref()
            .is_none_or(|content| A::decide(&at.state, content).is_err()),
    }
}
