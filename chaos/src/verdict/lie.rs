//! A check that cannot fail proves nothing. Each lie changes what the check is given, in one place, as a defect
//! of Daybook would; a run that was told one must fail.

use anyhow::Context;
use checker::{Attempt, Outcome};
use clap::ValueEnum;
use domain::stock_item::{StockCommand, StockItem};
use eventsourcing::codec::{self, Parsed};
use eventsourcing::command::Accepted;
use eventsourcing::ids::{CommandId, Sequence};
use eventsourcing::position::Position;
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict};
use uuid::Uuid;

use super::Evidence;
use super::evidence::copy_attempt;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lie {
    /// A record that was acknowledged is not in the log.
    DropAck,
    /// The last record of a partition is in the log twice.
    DoubleRecord,
    /// An event says another quantity than was asked for.
    AlterEvent,
    /// Two clients got each other's answer.
    SwapAnswers,
    /// A client was told "not attempted" of what is in the log.
    RefuseWritten,
    /// A client was told "refused" of what the rules allow.
    RefuseFalsely,
    /// A client was told "accepted" of a zombie's record. Needs a run with one.
    AckVoid,
    /// A reader was shown less than it had asked for.
    ShowOld,
    /// A row of a read model missed a unit.
    MissEvent,
    /// A counter was added to twice.
    CountTwice,
    /// The decision on an order is not in the log.
    ForgetDecision,
    /// A history lacks an entry.
    ForgetEntry,
}

impl Lie {
    /// Changes the evidence; says how.
    pub(crate) fn tell(self, evidence: &mut Evidence) -> anyhow::Result<String> {
        match self {
            Self::DropAck => drop_ack(evidence),
            Self::DoubleRecord => double_record(&mut evidence.inventory_log),
            Self::AlterEvent => alter_event(evidence),
            Self::SwapAnswers => swap_answers(&mut evidence.stock.attempts),
            Self::RefuseWritten => refuse_written(&mut evidence.stock.attempts),
            Self::RefuseFalsely => refuse_falsely(&mut evidence.stock.attempts),
            Self::AckVoid => ack_void(evidence),
            Self::ShowOld => show_old(evidence),
            Self::MissEvent => {
                let row = evidence.rows.availability.values_mut().next();
                let row = row.context("there is no stock")?;
                row.on_hand -= 1;
                Ok(format!("the row of {} is one unit short", row.id))
            }
            Self::CountTwice => {
                let row = evidence.rows.sales.first_mut().context("there are no sales")?;
                row.orders += 1;
                Ok(format!("{} {} counts one order more", row.dimension, row.key))
            }
            Self::ForgetDecision => {
                let log = &mut evidence.orders_log;
                let confirmed = |stored: &Stored| {
                    let name = stored.record.header("ce_type");
                    name.is_some_and(|name| name == "daybook.order.confirmed.v1")
                };
                let place = log.iter().position(confirmed).context("no order was confirmed")?;
                let gone = log.remove(place);
                Ok(format!("{}@{} is not in the log", gone.at, gone.offset))
            }
            Self::ForgetEntry => {
                let mut histories = evidence.rows.histories.values_mut();
                let decided = histories.find(|history| history.entries.len() > 1);
                let history = decided.context("no order was decided")?;
                let gone = history.entries.remove(0);
                Ok(format!(
                    "the history of {} lacks {}",
                    history.now.id, gone.event_type
                ))
            }
        }
    }
}

/// Accepted for the first time, from the middle of the run on: an index, and what was told.
fn accepted(attempts: &[Attempt<StockItem>], receiving: bool) -> anyhow::Result<(usize, Accepted)> {
    let of = |(index, attempt): (usize, &Attempt<StockItem>)| {
        let Outcome::Accepted(told) = &attempt.outcome else {
            return None;
        };
        let content = attempt.question.content.as_deref();
        let receives = matches!(content, Some(StockCommand::Receive { .. }));
        (!told.replayed && (receives || !receiving)).then(|| (index, told.clone()))
    };
    let mut late = attempts.iter().enumerate().skip(attempts.len() / 2);
    late.find_map(of).context("nothing was accepted")
}

fn at(log: &[Stored], position: &Position) -> anyhow::Result<usize> {
    let there = |stored: &Stored| Position::new(&stored.at, stored.offset) == *position;
    log.iter()
        .position(there)
        .context("what was accepted is not in the log")
}

fn drop_ack(evidence: &mut Evidence) -> anyhow::Result<String> {
    let (_, told) = accepted(&evidence.stock.attempts, false)?;
    let place = at(&evidence.inventory_log, &told.position)?;
    evidence.inventory_log.remove(place);
    Ok(format!("{} is not in the log", told.position))
}

fn double_record(log: &mut Vec<Stored>) -> anyhow::Result<String> {
    let is_event = |stored: &&Stored| {
        stored
            .record
            .header("ce_type")
            .is_some_and(|name| name != codec::FENCE_TYPE)
    };
    let ends_its_partition = |stored: &&Stored| {
        let mut same = log.iter().filter(|other| other.at == stored.at);
        same.all(|other| other.offset <= stored.offset)
    };
    let last = log.iter().filter(is_event).find(ends_its_partition);
    let mut again = last.context("each partition ends with a fence")?.clone();
    again.offset = again.offset.next();
    let said = format!("the record before {}@{} is there again", again.at, again.offset);
    log.push(again);
    Ok(said)
}

fn alter_event(evidence: &mut Evidence) -> anyhow::Result<String> {
    let (_, told) = accepted(&evidence.stock.attempts, true)?;
    let place = at(&evidence.inventory_log, &told.position)?;
    let value = r#"{"quantity":999}"#;
    evidence.inventory_log[place].record.value = value.as_bytes().to_vec().into();
    Ok(format!("{} is {value}", told.position))
}

fn swap_answers(attempts: &mut [Attempt<StockItem>]) -> anyhow::Result<String> {
    let (first, told) = accepted(attempts, false)?;
    let other =
        |attempt: &Attempt<StockItem>| matches!(&attempt.outcome, Outcome::Accepted(other) if *other != told);
    let second = attempts.iter().position(other).context("only one was accepted")?;
    let answer = attempts[second].outcome.clone();
    attempts[second].outcome = std::mem::replace(&mut attempts[first].outcome, answer);
    let of = |index: usize| attempts[index].question.command;
    Ok(format!(
        "{} and {} got each other's answers",
        of(first),
        of(second)
    ))
}

fn refuse_written(attempts: &mut Vec<Attempt<StockItem>>) -> anyhow::Result<String> {
    let (chosen, _) = accepted(attempts, false)?;
    let id = attempts[chosen].question.command;
    attempts[chosen].outcome = Outcome::NotAttempted(None);
    attempts.retain(|attempt| {
        attempt.question.command != id || matches!(attempt.outcome, Outcome::NotAttempted(_))
    });
    Ok(format!("{id} was not attempted"))
}

/// A receipt is never refused; so one that was, of which there is nothing in the log, is a lie.
fn refuse_falsely(attempts: &mut Vec<Attempt<StockItem>>) -> anyhow::Result<String> {
    let (chosen, _) = accepted(attempts, true)?;
    let command = CommandId(Uuid::from_u128(1));
    let mut refused = copy_attempt(&attempts[chosen]);
    refused.question.command = command;
    refused.outcome = Outcome::Refused;
    attempts.push(refused);
    Ok(format!("a receipt, {command}, was refused"))
}

fn ack_void(evidence: &mut Evidence) -> anyhow::Result<String> {
    let mut rules = std::collections::HashMap::<_, Rule>::new();
    let mut void = None;
    for stored in &evidence.inventory_log {
        let parsed = codec::parse(stored)?;
        let verdict = rules.entry(stored.at.clone()).or_default().judge(parsed.claim());
        if let (Verdict::Void, Parsed::Event(envelope)) = (verdict, parsed) {
            void = Some((Position::new(&stored.at, stored.offset), envelope));
        }
    }
    let (position, envelope) = void.context("no record of this run is void")?;
    let (id, sequence) = (envelope.meta.command, envelope.meta.sequence);
    let mut attempts = evidence.stock.attempts.iter_mut();
    let attempt = attempts.find(|attempt| attempt.question.command == id);
    let attempt = attempt.context("nobody asked for the void record")?;
    attempt.outcome = Outcome::Accepted(Accepted {
        sequence,
        position: position.clone(),
        replayed: false,
    });
    Ok(format!("{id} was accepted at {position}"))
}

fn show_old(evidence: &mut Evidence) -> anyhow::Result<String> {
    let mut reads = evidence.stock.reads.iter_mut();
    let read = reads.find(|read| read.sequence.is_some_and(|shown| shown > Sequence(1)));
    let read = read.context("nobody read")?;
    read.sequence = Some(Sequence(0));
    Ok(format!("{} was shown nothing of {}", read.by, read.aggregate))
}

#[cfg(test)]
mod tests;
