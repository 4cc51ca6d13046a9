//! An account: a balance that may not become negative, and that receives only up to a limit.

use eventsourcing::aggregate::{Aggregate, DecodeError, Event};
use eventsourcing::ids::AggregateId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A transfer is not received above this balance; so some are taken back.
pub(crate) const BALANCE_RECEIVED_MAX: i64 = 12;

const EVENT_TYPE: &str = "simulation.account.moved.v1";

/// An account.
#[derive(Debug)]
pub struct Account;

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Adds to the balance.
    Deposit(u64),
    /// Takes from the balance.
    Withdraw(u64),
    /// Takes from the balance and sends it on.
    Send {
        /// To this account.
        to: AggregateId,
        /// So much.
        amount: u64,
    },
    /// What another account has sent.
    Receive(u64),
    /// What was sent could not be received.
    TakeBack(u64),
}

/// What can have happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// By how much the balance changed.
    pub by: i64,
    /// The balance after it: lets a checker see a decision on a wrong state.
    pub balance: i64,
    /// Where it was sent.
    pub to: Option<AggregateId>,
}

/// Why not.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not that much is there.
    #[error("the balance is only {0}")]
    Insufficient(i64),
    /// There is too much to receive more.
    #[error("the balance is {0} already")]
    Full(i64),
}

impl Aggregate for Account {
    type State = i64;
    type Command = Command;
    type Event = Moved;
    type Refusal = Refusal;

    fn decide(balance: &i64, command: &Command) -> Result<Moved, Refusal> {
        let (by, to) = match command {
            Command::Deposit(amount) | Command::Receive(amount) | Command::TakeBack(amount) => {
                (amount.cast_signed(), None)
            }
            Command::Withdraw(amount) => (-amount.cast_signed(), None),
            Command::Send { to, amount } => (-amount.cast_signed(), Some(to.clone())),
        };
        let after = balance + by;
        if after < 0 {
            return Err(Refusal::Insufficient(*balance));
        }
        if matches!(command, Command::Receive(_)) && after > BALANCE_RECEIVED_MAX {
            return Err(Refusal::Full(*balance));
        }
        Ok(Moved {
            by,
            balance: after,
            to,
        })
    }

    fn evolve(balance: &mut i64, event: &Moved) {
        *balance += event.by;
    }
}

impl Event for Moved {
    fn event_type(&self) -> &'static str {
        EVENT_TYPE
    }

    fn encode(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("writing to memory cannot fail");
    }

    fn decode(event_type: &str, data: &[u8]) -> Result<Self, DecodeError> {
        if event_type != EVENT_TYPE {
            return Err(DecodeError::UnknownType(event_type.to_owned()));
        }
        serde_json::from_slice(data).map_err(|source| DecodeError::Malformed {
            event_type: event_type.to_owned(),
            source,
        })
    }
}
