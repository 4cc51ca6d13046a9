//! An account: a balance that may not become negative, and that receives only up to a limit.

use eventsourcing::aggregate::{Aggregate, DecodeError, Event};
use eventsourcing::ids::AggregateId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A transfer is not received above this balance; so some are given back.
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
    /// Takes in what another account has sent, or gives it back: either is an event, so a repeat cannot
    /// come to the other.
    Receive {
        /// From this account.
        from: AggregateId,
        /// So much.
        amount: u64,
    },
    /// Takes back what was not received.
    TakeBack(u64),
}

/// What can have happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// By how much the balance changed.
    pub by: i64,
    /// The balance after it: lets a checker see a decision on a wrong state.
    pub balance: i64,
    /// What is to follow elsewhere.
    pub then: Option<Then>,
}

/// What follows at another account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// It receives this.
    Deliver {
        /// The account.
        to: AggregateId,
        /// So much.
        amount: u64,
    },
    /// It takes this back.
    GiveBack {
        /// The account.
        to: AggregateId,
        /// So much.
        amount: u64,
    },
}

/// Why not: not that much is there.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the balance is only {0}")]
pub struct Insufficient(pub i64);

impl Aggregate for Account {
    type State = i64;
    type Command = Command;
    type Event = Moved;
    type Refusal = Insufficient;

    fn decide(balance: &i64, command: &Command) -> Result<Moved, Insufficient> {
        let (by, then) = match command.clone() {
            Command::Deposit(amount) | Command::TakeBack(amount) => (amount.cast_signed(), None),
            Command::Withdraw(amount) => (-amount.cast_signed(), None),
            Command::Send { to, amount } => (-amount.cast_signed(), Some(Then::Deliver { to, amount })),
            Command::Receive { from: to, amount }
                if balance + amount.cast_signed() > BALANCE_RECEIVED_MAX =>
            {
                (0, Some(Then::GiveBack { to, amount }))
            }
            Command::Receive { from: _, amount } => (amount.cast_signed(), None),
        };
        let after = balance + by;
        if after < 0 {
            return Err(Insufficient(*balance));
        }
        Ok(Moved {
            by,
            balance: after,
            then,
        })
    }

    fn evolve(balance: &mut i64, event: &Moved) {
        *balance += event.by;
    }
}

impl Event for Moved {
    const TYPES: &'static [&'static str] = &[EVENT_TYPE];

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
