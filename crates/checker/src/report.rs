//! How much happened: a run in which nothing happened proves nothing.

use std::fmt;
use std::ops::AddAssign;

use eventsourcing::aggregate::Aggregate;

use crate::breach::Breach;
use crate::history::{History, Outcome};
use crate::ledger::Ledger;

/// Counts of a history and its log. Reports of several topics or runs add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Attempts that were accepted, repeats included.
    pub accepted: u64,
    /// Of these, repeats.
    pub replayed: u64,
    /// Refused by the rules, by `If-Match`, or for a key used before.
    pub refused: u64,
    /// Definitely not attempted.
    pub not_attempted: u64,
    /// Without an outcome.
    pub unknown: u64,
    /// Of these, of commands that the log holds.
    pub unknown_written: u64,
    /// Events that count.
    pub events: u64,
    /// Events that never counted.
    pub void: u64,
    /// Fences in the log.
    pub fences: u64,
    /// Of these, the ones that opened a term.
    pub terms: u64,
    /// Reads with or without a position.
    pub reads: u64,
    /// Checkpoints seen.
    pub checkpoints: u64,
}

impl Report {
    pub(crate) fn of<A: Aggregate>(history: &History<A>, ledger: &Ledger<A::Event>) -> Self {
        let mut report = Self {
            events: ledger.events(),
            void: ledger.void,
            fences: ledger.fences,
            terms: ledger.terms,
            reads: history.reads.len() as u64,
            checkpoints: history.moves.len() as u64,
            ..Self::default()
        };
        for attempt in &history.attempts {
            match &attempt.outcome {
                Outcome::Accepted(accepted) => {
                    report.accepted += 1;
                    report.replayed += u64::from(accepted.replayed);
                }
                Outcome::Refused | Outcome::Conflict(_) | Outcome::KeyReused => report.refused += 1,
                Outcome::NotAttempted(_) => report.not_attempted += 1,
                Outcome::Unknown => {
                    let question = &attempt.question;
                    let made = ledger.made(&question.aggregate, question.command);
                    report.unknown += 1;
                    report.unknown_written += u64::from(made.is_some());
                }
            }
        }
        report
    }
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        let Self {
            accepted,
            replayed,
            refused,
            not_attempted,
            unknown,
            unknown_written,
            events,
            void,
            fences,
            terms,
            reads,
            checkpoints,
        } = other;
        self.accepted += accepted;
        self.replayed += replayed;
        self.refused += refused;
        self.not_attempted += not_attempted;
        self.unknown += unknown;
        self.unknown_written += unknown_written;
        self.events += events;
        self.void += void;
        self.fences += fences;
        self.terms += terms;
        self.reads += reads;
        self.checkpoints += checkpoints;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            replayed,
            refused,
            not_attempted,
            unknown,
            unknown_written,
            events,
            void,
            fences,
            terms,
            reads,
            checkpoints,
        } = self;
        write!(f, "{accepted} accepted ({replayed} repeats), {refused} refused, ")?;
        write!(
            f,
            "{not_attempted} not attempted, {unknown} unknown ({unknown_written} of them written); "
        )?;
        write!(
            f,
            "{events} events, {void} void, {fences} fences, {terms} terms; "
        )?;
        write!(f, "{reads} reads, {checkpoints} checkpoints")
    }
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// How much happened.
    pub report: Report,
    /// What is wrong; empty for a good run.
    pub breaches: Vec<Breach>,
}

impl Findings {
    /// The report of a good run, or the first breach.
    pub fn verdict(self) -> Result<Report, Breach> {
        match self.breaches.into_iter().next() {
            Some(breach) => Err(breach),
            None => Ok(self.report),
        }
    }
}
