//! What a run came to.

use std::collections::BTreeMap;

use checker::{Breach, Commands, check};
use eventsourcing::codec::{self, Parsed};
use eventsourcing::rule::{Rule, Verdict};
use thiserror::Error;

use crate::bank::account::Moved;
use crate::run::Run;
use crate::statistics::Statistics;

/// Why a run is no good.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Failing {
    /// An invariant is broken.
    #[error(transparent)]
    Breach(#[from] Breach),
    /// A node met what must not be, and said so.
    #[error("I4: ended with an error: {0}")]
    Ended(String),
    /// What was sent has neither been received nor taken back, or more than once.
    #[error("I11: {0} was sent and did not arrive")]
    Money(i64),
    /// It did not come to an end, although everything works again.
    #[error("stuck: {0}")]
    Stuck(String),
}

impl Run {
    /// What happened in a good run, or what is wrong first.
    pub fn judge(&self) -> Result<Statistics, Failing> {
        let checked = check(&self.history, &self.log, Commands::All).verdict()?;
        for snapshot in &self.snapshots {
            if let Some(breach) = snapshot.check(&self.log) {
                return Err(breach.into());
            }
        }
        if let Some(ended) = self.ended.first() {
            return Err(Failing::Ended(ended.clone()));
        }
        if let Some(stuck) = self.stuck.first() {
            return Err(Failing::Stuck(stuck.clone()));
        }
        match self.in_transit() {
            0 => {}
            amount => return Err(Failing::Money(amount)),
        }
        Ok(Statistics {
            checked,
            ..self.happened
        })
    }

    /// The sum of what transfers moved; 0 when each has arrived, once.
    fn in_transit(&self) -> i64 {
        let mut rules: BTreeMap<u32, Rule> = BTreeMap::new();
        let mut sum = 0;
        for stored in &self.log {
            let rule = rules.entry(stored.at.partition).or_default();
            let Ok(parsed) = codec::parse(stored) else {
                continue;
            };
            if let (Verdict::Accepted, Parsed::Event(envelope)) = (rule.judge(parsed.claim()), parsed)
                && let Ok(recorded) = codec::decode::<Moved>(stored, envelope)
                && (recorded.event.then.is_some() || recorded.meta.causation.is_some())
            {
                sum -= recorded.event.by;
            }
        }
        sum
    }

    /// Everything that happened, as text to read and to compare.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut lines = self.events.clone();
        lines.extend(self.history.attempts.iter().map(|attempt| format!("{attempt:?}")));
        let mut rule = Rule::default();
        for stored in &self.log {
            if stored.offset.0 == 0 {
                rule = Rule::default();
            }
            let (place, value) = (&stored.at, String::from_utf8_lossy(&stored.record.value));
            let line = match codec::parse(stored) {
                Ok(parsed) => {
                    let verdict = rule.judge(parsed.claim());
                    format!("{place}@{} {verdict:?} {} {value}", stored.offset, named(&parsed))
                }
                Err(error) => error.to_string(),
            };
            lines.push(line);
        }
        lines.extend(self.ended.iter().chain(&self.stuck).cloned());
        lines.join("\n")
    }
}

fn named(parsed: &Parsed) -> String {
    match parsed {
        Parsed::Fence(fence) => format!("fence of {}", fence.node),
        Parsed::Event(event) => {
            let meta = &event.meta;
            let (term, time) = (meta.term.epoch, event.time);
            format!(
                "{} #{} by {} in {term} at {time}",
                event.aggregate, meta.sequence, meta.command
            )
        }
    }
}
