//! The checker. It shares nothing with the owner but R and the codec, which foreign readers use too.

use std::collections::{BTreeMap, BTreeSet};

use eventsourcing::aggregate::Aggregate;
use eventsourcing::codec::{self, Parsed};
use eventsourcing::command::Failure;
use eventsourcing::contract::account::{Account, Command, Moved};
use eventsourcing::ids::{AggregateId, CommandId, Sequence};
use eventsourcing::rule::{Rule, Verdict};

use super::world::{Attempt, History};

/// How much happened in a run that broke nothing.
pub(crate) struct Report {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) terms: u64,
}

struct Fact {
    offset: u64,
    account: AggregateId,
    command: CommandId,
    sequence: Sequence,
    moved: Moved,
}

/// Checks I1 to I5 and that every answer is linearizable; says what is broken.
pub(crate) fn check(history: &History) -> Result<Report, String> {
    if let Some(error) = &history.node_error {
        return Err(format!("I4: a node stopped: {error}"));
    }
    let (facts, terms) = accepted(history)?;
    let contents: BTreeMap<CommandId, &Command> = history
        .attempts
        .iter()
        .map(|attempt| (attempt.command, &attempt.content))
        .collect();
    sequences(&facts, &contents)?;
    let by_command = once_each(&facts)?;
    for attempt in &history.attempts {
        answered_truly(attempt, &by_command, &facts)?;
    }
    definite_failures_are_absent(history, &by_command)?;
    let count = |matches: fn(&Attempt) -> bool| history.attempts.iter().filter(|a| matches(a)).count() as u64;
    Ok(Report {
        accepted: count(|attempt| attempt.outcome.is_ok()),
        refused: count(|attempt| matches!(attempt.outcome, Err(Failure::Refused(_)))),
        unknown: count(|attempt| matches!(attempt.outcome, Err(Failure::Unknown))),
        terms,
    })
}

/// The accepted events under R. I5: once a term is opened, nothing of an earlier one follows.
fn accepted(history: &History) -> Result<(Vec<Fact>, u64), String> {
    let mut rule = Rule::default();
    let mut facts = Vec::new();
    let mut newest = None;
    for stored in &history.log {
        let parsed = codec::parse(stored).map_err(|error| error.to_string())?;
        if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed) {
            let recorded = codec::decode::<Moved>(stored, envelope).map_err(|error| error.to_string())?;
            let term = recorded.meta.term;
            if newest.is_some_and(|(epoch, owner)| {
                term.epoch < epoch || (term.epoch == epoch && term.owner != owner)
            }) {
                return Err(format!(
                    "I5: {term:?} accepted at {} after {newest:?}",
                    stored.offset
                ));
            }
            newest = Some((term.epoch, term.owner));
            facts.push(Fact {
                offset: stored.offset.0,
                account: recorded.aggregate,
                command: recorded.meta.command,
                sequence: recorded.meta.sequence,
                moved: recorded.event,
            });
        }
    }
    Ok((facts, rule.epoch().0))
}

/// I4: per account 1..n, and each event is what `decide` yields on its prefix.
fn sequences(facts: &[Fact], contents: &BTreeMap<CommandId, &Command>) -> Result<(), String> {
    let mut states: BTreeMap<&AggregateId, (u64, i64)> = BTreeMap::new();
    for fact in facts {
        let (sequence, balance) = states.entry(&fact.account).or_default();
        if fact.sequence.0 != *sequence + 1 {
            return Err(format!(
                "I4: {} follows {sequence} of {}",
                fact.sequence, fact.account
            ));
        }
        let command = contents
            .get(&fact.command)
            .ok_or("I4: an event nobody asked for")?;
        if Account::decide(balance, command).as_ref() != Ok(&fact.moved) {
            return Err(format!(
                "I4: {command:?} on {balance} cannot make {:?}",
                fact.moved
            ));
        }
        Account::evolve(balance, &fact.moved);
        *sequence += 1;
    }
    Ok(())
}

/// I3: no command made two events.
fn once_each(facts: &[Fact]) -> Result<BTreeMap<CommandId, &Fact>, String> {
    let mut by_command = BTreeMap::new();
    for fact in facts {
        if by_command.insert(fact.command, fact).is_some() {
            return Err(format!("I3: command {} made two events", fact.command));
        }
    }
    Ok(by_command)
}

/// I1, and that the answer was true at some moment between question and answer.
fn answered_truly(
    attempt: &Attempt,
    by_command: &BTreeMap<CommandId, &Fact>,
    facts: &[Fact],
) -> Result<(), String> {
    let (sent, answered) = attempt.window;
    match &attempt.outcome {
        Ok(accepted) => {
            let fact = by_command
                .get(&attempt.command)
                .ok_or_else(|| format!("I1: acknowledged {} is not in the log", attempt.command))?;
            if (fact.offset, fact.sequence) != (accepted.position.offset.0, accepted.sequence) {
                return Err(format!(
                    "I1: {accepted:?} lies at {} as {}",
                    fact.offset, fact.sequence
                ));
            }
            if fact.offset >= answered {
                return Err(format!(
                    "I1: acknowledged {} before it was written",
                    attempt.command
                ));
            }
            Ok(())
        }
        Err(Failure::Refused(_)) => {
            let balances = balances_between(facts, &attempt.account, sent, answered);
            if balances
                .iter()
                .any(|balance| Account::decide(balance, &attempt.content).is_err())
            {
                return Ok(());
            }
            Err(format!(
                "I2: {:?} refused, but the balance was {balances:?}",
                attempt.content
            ))
        }
        Err(
            Failure::Unknown
            | Failure::NotAttempted { .. }
            | Failure::KeyReused
            | Failure::VersionConflict { .. },
        ) => Ok(()),
    }
}

/// Every balance the account had while the log grew from `from` to `to` records.
fn balances_between(facts: &[Fact], account: &AggregateId, from: u64, to: u64) -> Vec<i64> {
    let mut balance = 0;
    let mut seen = Vec::new();
    for fact in facts.iter().filter(|fact| fact.account == *account) {
        if fact.offset >= to {
            break;
        }
        if fact.offset >= from {
            seen.push(balance);
        }
        balance = fact.moved.balance;
    }
    seen.push(balance);
    seen
}

/// I2: a command with only definite failures has no event.
fn definite_failures_are_absent(
    history: &History,
    by_command: &BTreeMap<CommandId, &Fact>,
) -> Result<(), String> {
    let possible: BTreeSet<CommandId> = history
        .attempts
        .iter()
        .filter(|attempt| matches!(attempt.outcome, Ok(_) | Err(Failure::Unknown)))
        .map(|attempt| attempt.command)
        .collect();
    match by_command.keys().find(|command| !possible.contains(command)) {
        Some(command) => Err(format!("I2: {command} was refused for sure, but is in the log")),
        None => Ok(()),
    }
}
