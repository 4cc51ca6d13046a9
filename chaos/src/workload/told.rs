//! What a client can be told about a command.

use checker::Outcome;
use eventsourcing::command::{Accepted, Unavailable};
use eventsourcing::ids::Sequence;
use serde_json::Value;

use crate::http::{Answer, NoAnswer};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Accepted(Accepted),
    /// The code.
    Refused(String),
    /// Nothing was written: the server says so, or nobody took the connection.
    NotAttempted(Option<Unavailable>),
    Unknown(Doubt),
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// The server says so.
    Told,
    /// There was no answer.
    NoAnswer(NoAnswer),
    /// An answer that promises nothing.
    Senseless,
}

impl Doubt {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Told => "the server said so",
            Self::NoAnswer(NoAnswer::TimedOut) => "no answer in time",
            Self::NoAnswer(NoAnswer::Reset) => "connection reset",
            Self::NoAnswer(NoAnswer::Closed) => "connection closed",
            Self::NoAnswer(NoAnswer::NotConnected) => "no connection",
            Self::Senseless => "an answer that promises nothing",
        }
    }
}

impl Told {
    pub(crate) fn of(answer: Result<Answer, NoAnswer>) -> Self {
        let answer = match answer {
            Ok(answer) => answer,
            Err(NoAnswer::NotConnected) => return Self::NotAttempted(None),
            Err(no_answer) => return Self::Unknown(Doubt::NoAnswer(no_answer)),
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.is_success() {
            return accepted(&answer, &body).map_or(Self::Unknown(Doubt::Senseless), Self::Accepted);
        }
        let code = body["code"].as_str().unwrap_or_default();
        match answer.status {
            400..500 => Self::Refused(code.to_owned()),
            503 if answer.header("daybook-attempted") == Some("false") => Self::NotAttempted(match code {
                "overloaded" => Some(Unavailable::Overloaded),
                "no_owner" => Some(Unavailable::NoOwner),
                "deposed" => Some(Unavailable::Deposed),
                "stopping" => Some(Unavailable::Stopping),
                _ => None,
            }),
            503 if code == "outcome_unknown" => Self::Unknown(Doubt::Told),
            _ => Self::Unknown(Doubt::Senseless),
        }
    }

    /// For the checker.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Accepted(accepted) => Outcome::Accepted(accepted.clone()),
            Self::Refused(code) if code == "idempotency_key_reused" => Outcome::KeyReused,
            Self::Refused(_) => Outcome::Refused,
            Self::NotAttempted(why) => Outcome::NotAttempted(*why),
            Self::Unknown(_) => Outcome::Unknown,
        }
    }
}

fn accepted(answer: &Answer, body: &Value) -> Option<Accepted> {
    Some(Accepted {
        sequence: Sequence(body["sequence"].as_u64()?),
        position: answer.header("daybook-position")?.parse().ok()?,
        replayed: answer.header("idempotent-replayed") == Some("true"),
    })
}
