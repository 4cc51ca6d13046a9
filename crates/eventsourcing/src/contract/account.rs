//! The smallest domain with a rule: a balance that may not become negative.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::aggregate::{Aggregate, DecodeError, Event};
use crate::states::KeptState;

/// An account.
pub struct Account;

/// What can be asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Adds to the balance.
    Deposit(u64),
    /// Takes from the balance.
    Withdraw(u64),
}

/// What can have happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// By how much the balance changed.
    pub by: i64,
    /// The balance after it: lets a checker see a decision on a wrong state.
    pub balance: i64,
}

/// Why not.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the balance is {balance}")]
pub struct Insufficient {
    /// The balance it rests on.
    pub balance: i64,
}

impl KeptState for i64 {
    const NAME: &'static str = "account_states";
    const SERVICE: &'static str = "accounts";
    const VERSION: u32 = 1;
}

impl Aggregate for Account {
    type State = i64;
    type Command = Command;
    type Event = Moved;
    type Refusal = Insufficient;

    fn decide(balance: &i64, command: &Command) -> Result<Moved, Insufficient> {
        let by = match command {
            Command::Deposit(amount) => amount.cast_signed(),
            Command::Withdraw(amount) => -amount.cast_signed(),
        };
        let after = balance + by;
        if after < 0 {
            return Err(Insufficient { balance: *balance });
        }
        Ok(Moved { by, balance: after })
    }

    fn evolve(balance: &mut i64, event: &Moved) {
        *balance += event.by;
    }
}

const EVENT_TYPE: &str = "test.account.moved.v1";

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
        let malformed = |source| DecodeError::Malformed {
            event_type: event_type.to_owned(),
            source,
        };
        serde_json::from_slice(data).map_err(malformed)
    }
}
