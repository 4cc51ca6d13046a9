//! What an aggregate remembers of the commands it accepted. A fold of the log like its state, so it
//! survives every failover.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

use crate::aggregate::Recorded;
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

/// Bytes of one remembered command, packed.
const PACKED: usize = 40;

/// The last [`REMEMBERED_MAX`] accepted commands, newest last. As JSON it is a `bytea` in PostgreSQL's hex
/// form, 40 bytes a command: of a busy aggregate it is the largest part of the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory(VecDeque<Remembered>);

impl Memory {
    /// The accepted command with this id, when it is still remembered.
    pub fn recall(&self, command: CommandId) -> Option<&Remembered> {
        // Newest first: a repeat follows its original closely.
        self.0.iter().rev().find(|known| known.command == command)
    }

    /// The newest accepted command, which made the aggregate's last event.
    pub fn newest(&self) -> Option<&Remembered> {
        self.0.back()
    }

    /// The sequence of the aggregate: that of its last event, 0 before the first.
    pub fn sequence(&self) -> Sequence {
        self.newest().map_or(Sequence(0), |newest| newest.sequence)
    }

    /// Whether it may have forgotten some.
    pub fn is_full(&self) -> bool {
        self.0.len() >= REMEMBERED_MAX
    }

    /// Remembers one more; forgets the oldest beyond the limit.
    pub fn remember(&mut self, command: Remembered) {
        if self.0.len() == REMEMBERED_MAX {
            self.0.pop_front();
        } else if self.0.len() == self.0.capacity() {
            // Most aggregates have few events, and there are millions of them: doubling would take what nobody needs.
            self.0.reserve_exact(self.0.len() / 4 + 1);
        }
        self.0.push_back(command);
    }
}

impl Remembered {
    /// What is remembered of the command that made this event.
    pub fn of<E>(recorded: &Recorded<E>) -> Self {
        Self {
            command: recorded.meta.command,
            digest: recorded.meta.digest,
            sequence: recorded.meta.sequence,
            offset: recorded.offset,
        }
    }

    fn pack(&self) -> [u8; PACKED] {
        let mut packed = [0; PACKED];
        packed[..16].copy_from_slice(self.command.0.as_bytes());
        packed[16..24].copy_from_slice(&self.digest.0.to_be_bytes());
        packed[24..32].copy_from_slice(&self.sequence.0.to_be_bytes());
        packed[32..].copy_from_slice(&self.offset.0.to_be_bytes());
        packed
    }

    fn unpack(packed: [u8; PACKED]) -> Self {
        let number = |from: usize| {
            let bytes = packed[from..from + 8].try_into();
            u64::from_be_bytes(bytes.expect("eight bytes"))
        };
        let command = packed[..16].try_into().expect("sixteen bytes");
        Self {
            command: CommandId(Uuid::from_bytes(command)),
            digest: Digest(number(16)),
            sequence: Sequence(number(24)),
            offset: Offset(number(32)),
        }
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 + self.0.len() * PACKED * 2);
        text.push_str("\\x");
        for byte in self.0.iter().flat_map(Remembered::pack) {
            write!(text, "{byte:02x}").expect("writing to memory cannot fail");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let malformed = || D::Error::custom("remembered commands are \\x and 80 hexadecimal digits for each");
        let digits = text.strip_prefix("\\x").ok_or_else(malformed)?.as_bytes();
        let (commands, rest) = digits.as_chunks::<{ PACKED * 2 }>();
        if !rest.is_empty() || commands.len() > REMEMBERED_MAX {
            return Err(malformed());
        }
        let unpack = |digits: &[u8; PACKED * 2]| {
            let mut packed = [0; PACKED];
            for (byte, pair) in packed.iter_mut().zip(digits.as_chunks::<2>().0) {
                let digit = |digit: u8| char::from(digit).to_digit(16);
                let value = digit(pair[0])? * 16 + digit(pair[1])?;
                *byte = u8::try_from(value).ok()?;
            }
            Some(Remembered::unpack(packed))
        };
        let memory: Option<VecDeque<_>> = commands.iter().map(unpack).collect();
        memory.map(Self).ok_or_else(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(number: u64) -> Remembered {
        Remembered {
            command: CommandId(Uuid::from_u128(u128::from(number) << 64 | 7)),
            digest: Digest(u64::MAX - number),
            sequence: Sequence(number),
            offset: Offset(number * 3),
        }
    }

    #[test]
    fn what_was_stored_is_remembered() {
        let mut memory = Memory::default();
        for number in 1..=300 {
            memory.remember(remembered(number));
        }
        let text = serde_json::to_string(&memory).expect("JSON");
        assert_eq!(text.len(), REMEMBERED_MAX * PACKED * 2 + r#""\\x""#.len());
        assert_eq!(
            serde_json::from_str::<Memory>(&text).expect("well formed"),
            memory
        );
        assert_eq!(memory.sequence(), Sequence(300));
        assert_eq!(memory.recall(remembered(44).command), None);
        assert_eq!(memory.recall(remembered(45).command), Some(&remembered(45)));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in [
            r#""""#,
            r#""\\x0""#,
            r#""\\x00""#,
            &format!(r#""\\x{}""#, "g0".repeat(PACKED)),
        ] {
            assert!(serde_json::from_str::<Memory>(text).is_err(), "{text}");
        }
        assert_eq!(
            serde_json::from_str::<Memory>(r#""\\x""#).expect("none"),
            Memory::default()
        );
    }
}
