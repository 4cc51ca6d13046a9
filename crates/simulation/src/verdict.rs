//! What a run came to.

use checker::{Breach, Commands, check};
use eventsourcing::codec::{self, Parsed};
use eventsourcing::rule::Rule;
use thiserror::Error;

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
    /// It did not come to an end, although everything works again.
    #[error("stuck: {0}")]
    Stuck(String),
}

impl Run {
    /// What happened in a good run, or what is wrong first.
    pub fn judge(&self) -> Result<Statistics, Failing> {
        let checked = check(&self.history, &self.log, Commands::All).verdict()?;
        if let Some(ended) = self.ended.first() {
            return Err(Failing::Ended(ended.clone()));
        }
        if let Some(stuck) = self.stuck.first() {
            return Err(Failing::Stuck(stuck.clone()));
        }
        Ok(Statistics {
            checked,
            ..self.happened
        })
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
