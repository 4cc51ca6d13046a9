//! A record as the log carries it: key, value, headers. What they mean is [`crate::codec`]'s business.

use std::borrow::Cow;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::ids::Offset;
use crate::topic::TopicPartition;

/// One header: a name and its bytes.
pub type Header = (Cow<'static, str>, Bytes);

/// A record before it has a place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The aggregate id; empty for a fence.
    pub key: Bytes,
    /// JSON.
    pub value: Bytes,
    /// CloudEvents attributes and ours, in the order written.
    pub headers: Vec<Header>,
}

impl Record {
    /// The value of the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The key as text that any store can hold.
    pub fn key_text(&self) -> String {
        let key = String::from_utf8_lossy(&self.key);
        if key.contains('\0') {
            return key.replace('\0', "\u{fffd}");
        }
        key.into_owned()
    }

    /// Bytes of key, value and headers together.
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.key.len() + self.value.len() + headers
    }
}

/// A record with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it lies.
    pub at: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// When its producer wrote it, as the log keeps it; informative only, the event's time is `ce_time`.
    pub timestamp: OffsetDateTime,
    /// The record.
    pub record: Record,
}
