//! What an aggregate remembers of the commands it accepted. A fold of the log like its state, so it
//! survives every failover.

use std::collections::VecDeque;

use crate::ids::{CommandId, Digest, Offset, Sequence};

/// How many accepted commands an aggregate remembers.
pub const REMEMBERED_MAX: usize = 256;

/// One accepted command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The command.
    pub command: CommandId,
    /// Of its request.
    pub digest: Digest,
    /// The sequence of its event.
    pub sequence: Sequence,
    /// The offset of its event.
    pub offset: Offset,
}

/// The last [`REMEMBERED_MAX`] accepted commands, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(VecDeque<Remembered>);

impl Memory {
    /// The accepted command with this id, when it is still remembered.
    pub fn recall(&self, command: CommandId) -> Option<&Remembered> {
        // Newest first: a repeat follows its original closely.
        self.0.iter().rev().find(|known| known.command == command)
    }

    /// Remembers one more; forgets the oldest beyond the limit.
    pub fn remember(&mut self, command: Remembered) {
        if self.0.len() == REMEMBERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(command);
    }
}
