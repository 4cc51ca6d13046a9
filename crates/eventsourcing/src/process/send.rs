//! Sending one command until its outcome is known.

use std::time::Duration;

use crate::aggregate::Aggregate;
use crate::command::{Accepted, Context, Failure};
use crate::dispatch::Dispatch;
use crate::ids::AggregateId;

/// Counter, by `process` and `outcome`. Described where all metrics are, beside the HTTP ones.
const PROCESS_COMMANDS: &str = "daybook_process_commands_total";

/// The pauses between tries: each twice as long as the one before.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

/// A definite answer other than "accepted".
#[derive(Debug, PartialEq, Eq)]
pub enum Definite<R> {
    /// The rules say no.
    Refused(R),
    /// The id stands for another command: two builds disagree on what this step is. The first one counts.
    DecidedBefore,
}

/// Sends the command, again and again under its one id, until the answer is definite. Never gives
/// up: the checkpoint waits, and with it everything that must not overtake this command.
pub async fn send<A>(
    process: &'static str,
    to: &dyn Dispatch<A>,
    aggregate: &AggregateId,
    command: &A::Command,
    context: &Context,
    backoff: Backoff,
) -> Result<Accepted, Definite<A::Refusal>>
where
    A: Aggregate,
    A::Command: Clone,
{
    let count = |outcome: &'static str| {
        metrics::counter!(PROCESS_COMMANDS, "process" => process, "outcome" => outcome).increment(1);
    };
    let mut pause = backoff.first;
    loop {
        let failure = match to
            .execute(aggregate.clone(), command.clone(), context.clone())
            .await
        {
            Ok(accepted) => {
                count(if accepted.replayed { "replayed" } else { "accepted" });
                return Ok(accepted);
            }
            Err(failure) => failure,
        };
        let wait = match failure {
            Failure::Refused(refusal) => {
                count("refused");
                return Err(Definite::Refused(refusal));
            }
            // Processes expect no version, so a conflict is answered like a key used before.
            Failure::KeyReused | Failure::VersionConflict { .. } => {
                count("decided_before");
                return Err(Definite::DecidedBefore);
            }
            Failure::NotAttempted { reason, retry_after } => {
                count("not_attempted");
                tracing::debug!(process, %aggregate, %reason, request_id = %context.correlation, "tries again");
                retry_after.min(backoff.longest).max(pause)
            }
            Failure::Unknown => {
                count("unknown");
                tracing::debug!(process, %aggregate, request_id = %context.correlation, "outcome unknown, asks again");
                pause
            }
        };
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(backoff.longest);
    }
}
