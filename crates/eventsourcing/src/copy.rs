//! One log into another, offset for offset: record k of a partition comes to lie at offset k there too, so
//! positions, fences and checkpoints mean the same in both.
//!
//! The target has one writer, this one, and one batch is on its way at a time. What lies there already must
//! equal the source, so a copy that was killed goes on where it ended, and a target that holds anything else
//! is refused. What was copied is read back and compared record by record; the hash is of what was read back.

mod close;
mod range;

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::clock::Environment;
use crate::codec::{Fence, encode_fence, parse};
use crate::ids::Offset;
use crate::log::{Appended, Bounds, Log, LogError};
use crate::record::{Record, Stored};
use crate::rule::{Rule, Term};
use crate::topic::TopicPartition;
pub use close::NODE;
pub use range::patiently;
pub(crate) use range::{Patience, Range, bounds};

/// Records between two words about the progress.
const TOLD_EVERY: u64 = 1_000;
/// How long a batch of unknown outcome may take to arrive before the copy gives up.
const ARRIVAL_MAX: Duration = Duration::from_mins(1);
const ARRIVAL_PAUSE: Duration = Duration::from_millis(100);

/// Limits.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Records in one batch.
    pub batch_records_max: usize,
    /// Bytes of keys, values and headers in one batch, unless one record has more.
    pub batch_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_records_max: 1_000,
            batch_bytes_max: 900_000,
        }
    }
}

/// Why a copy stops. Nothing of the source was changed, and what lies in the target is left there.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("the source: {0}")]
    Source(LogError),
    /// The target cannot be read.
    #[error("the target: {0}")]
    Target(LogError),
    /// Offsets of the target begin at 0, and the source no longer does.
    #[error(
        "{at} begins at offset {start} in the source: what lay before it is gone, and offsets cannot be kept"
    )]
    Cut {
        /// The partition.
        at: TopicPartition,
        /// Its first offset.
        start: Offset,
    },
    /// The target holds something else.
    #[error(
        "{at}@{offset} differs: {what}; the target is not a copy of the source. Delete its topics, or choose others"
    )]
    Differs {
        /// The partition.
        at: TopicPartition,
        /// The first offset that differs.
        offset: Offset,
        /// In which part.
        what: &'static str,
    },
    /// A batch came to lie elsewhere.
    #[error(
        "{at}: the batch for offset {expected} came to lie at {found}: somebody else writes into the target. Stop them, \
         and delete its topics"
    )]
    Intruder {
        /// The partition.
        at: TopicPartition,
        /// Where it belongs.
        expected: Offset,
        /// Where it lies.
        found: Offset,
    },
    /// Nobody knows what became of a batch, and it did not arrive.
    #[error("{at}@{offset}: the target does not take the batch: {reason}. Run the copy again to go on")]
    Stuck {
        /// The partition.
        at: TopicPartition,
        /// Where the batch begins.
        offset: Offset,
        /// What the target said.
        reason: String,
    },
}

/// The fence that whoever copies a log puts into it: nobody is to be reached behind it.
pub(crate) fn fence(node: &str, source: &'static str, term: Term, environment: &dyn Environment) -> Record {
    let fence = Fence {
        epoch: term.epoch,
        owner: term.owner,
        node: node.to_owned(),
        url: String::new(),
    };
    encode_fence(&Bytes::from_static(source.as_bytes()), &fence, environment.now())
}

/// Hears how far it is; called for each batch.
pub trait Progress: Sync {
    /// So many records and bytes more were copied.
    fn copied(&self, records: u64, bytes: u64);
    /// So many records and bytes more were compared.
    fn compared(&self, records: u64, bytes: u64);
}

/// The copy of one partition.
pub struct PartitionCopy {
    at: TopicPartition,
    /// Where the target ends.
    end: Offset,
    /// Up to where both were compared.
    compared: Offset,
    hash: Sha256,
    rule: Rule,
    /// Whether the fence lies behind it that ends the copying.
    closed: bool,
}

impl PartitionCopy {
    /// Takes up the copy of `at`: whatever the target holds must equal the source.
    pub async fn resume(
        source: &dyn Log,
        target: &dyn Log,
        at: &TopicPartition,
        progress: &dyn Progress,
    ) -> Result<Self, CopyError> {
        let Bounds { start, end: from } = bounds(source, at).await.map_err(CopyError::Source)?;
        if start != Offset(0) {
            return Err(CopyError::Cut {
                at: at.clone(),
                start,
            });
        }
        let there = bounds(target, at).await.map_err(CopyError::Target)?;
        let mut copy = Self {
            at: at.clone(),
            end: from.min(there.end),
            compared: Offset(0),
            hash: Sha256::new(),
            rule: Rule::default(),
            closed: false,
        };
        if there.start != Offset(0) {
            return Err(copy.differs(Offset(0), "the target no longer has it"));
        }
        copy.compare(source, target, copy.end, progress).await?;
        if there.end > from {
            copy.look_behind(target, from).await?;
        }
        Ok(copy)
    }

    fn differs(&self, offset: Offset, what: &'static str) -> CopyError {
        CopyError::Differs {
            at: self.at.clone(),
            offset,
            what,
        }
    }

    /// The partition.
    pub const fn at(&self) -> &TopicPartition {
        &self.at
    }

    /// Where the copy ends.
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// The hash of all that was read back, in hexadecimal.
    pub fn hash(&self) -> String {
        format!("{:x}", self.hash.clone().finalize())
    }

    /// Copies up to where the source ends now, reads it back, and returns how many records that were.
    pub async fn catch_up(
        &mut self,
        source: &dyn Log,
        target: &dyn Log,
        config: Config,
        progress: &dyn Progress,
    ) -> Result<u64, CopyError> {
        let Bounds { end, .. } = bounds(source, &self.at).await.map_err(CopyError::Source)?;
        let from = self.end;
        if self.closed && end > from {
            return Err(self.differs(from, "the copy was closed, but the source went on"));
        }
        self.copy(source, target, end, config, progress).await?;
        self.compare(source, target, self.end, progress).await?;
        Ok(self.end.0 - from.0)
    }

    async fn copy(
        &mut self,
        source: &dyn Log,
        target: &dyn Log,
        to: Offset,
        config: Config,
        progress: &dyn Progress,
    ) -> Result<(), CopyError> {
        let mut range = Range::of(source, self.at.clone(), self.end, to);
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(stored) = range.next().await.map_err(CopyError::Source)? {
            let size = stored.record.size();
            let full = batch.len() >= config.batch_records_max || bytes + size > config.batch_bytes_max;
            if full && !batch.is_empty() {
                self.append(target, std::mem::take(&mut batch), bytes, progress)
                    .await?;
                bytes = 0;
            }
            bytes += size;
            batch.push(stored.record);
        }
        if !batch.is_empty() {
            self.append(target, batch, bytes, progress).await?;
        }
        Ok(())
    }

    /// One batch, which must come to lie where the target ends.
    async fn append(
        &mut self,
        target: &dyn Log,
        batch: Vec<Record>,
        bytes: usize,
        progress: &dyn Progress,
    ) -> Result<(), CopyError> {
        let expected = self.end;
        let count = batch.len() as u64;
        let next = Offset(expected.0 + count);
        match target.append(&self.at, batch).await {
            Appended::At(offsets) => {
                let places = (expected.0..next.0).map(Offset);
                if let Some((_, found)) = places.zip(&offsets).find(|(place, found)| place != *found) {
                    return Err(CopyError::Intruder {
                        at: self.at.clone(),
                        expected,
                        found: *found,
                    });
                }
            }
            Appended::Unknown(reason) => self.arrives(target, next, reason).await?,
        }
        self.end = next;
        progress.copied(count, bytes as u64);
        Ok(())
    }

    /// Waits for a batch of unknown outcome. It is never sent again: it may still be on its way. What lies
    /// there then is compared like everything else.
    async fn arrives(&self, target: &dyn Log, next: Offset, reason: String) -> Result<(), CopyError> {
        let arrival = async {
            loop {
                // Away for the moment: asked again until the time is over.
                if let Ok(bounds) = target.bounds(&self.at).await
                    && bounds.end >= next
                {
                    return bounds.end;
                }
                tokio::time::sleep(ARRIVAL_PAUSE).await;
            }
        };
        match tokio::time::timeout(ARRIVAL_MAX, arrival).await {
            Ok(found) if found == next => Ok(()),
            Ok(found) => Err(CopyError::Intruder {
                at: self.at.clone(),
                expected: next,
                found,
            }),
            Err(_) => Err(CopyError::Stuck {
                at: self.at.clone(),
                offset: self.end,
                reason,
            }),
        }
    }

    /// Reads both logs on to `to`; they must be equal.
    async fn compare(
        &mut self,
        source: &dyn Log,
        target: &dyn Log,
        to: Offset,
        progress: &dyn Progress,
    ) -> Result<(), CopyError> {
        let from = self.compared;
        let mut left = Range::of(source, self.at.clone(), from, to);
        let mut right = Range::of(target, self.at.clone(), from, to);
        let (mut records, mut bytes) = (0, 0);
        while let Some(original) = left.next().await.map_err(CopyError::Source)? {
            let copied = right.next().await.map_err(CopyError::Target)?;
            if let Some(what) = difference(&original, copied.as_ref()) {
                return Err(self.differs(original.offset, what));
            }
            add(&mut self.hash, &original.record);
            // What cannot be read counts for nobody.
            if let Ok(parsed) = parse(&original) {
                self.rule.judge(parsed.claim());
            }
            self.compared = original.offset.next();
            records += 1;
            bytes += original.record.size() as u64;
            if records == TOLD_EVERY {
                progress.compared(records, bytes);
                (records, bytes) = (0, 0);
            }
        }
        progress.compared(records, bytes);
        Ok(())
    }
}

/// Which part of the two is not the same. Only the log's own time stamp may differ: it tells when the record
/// was written to *this* log.
fn difference(original: &Stored, copied: Option<&Stored>) -> Option<&'static str> {
    let Some(copied) = copied else {
        return Some("the target has nothing there");
    };
    let (left, right) = (&original.record, &copied.record);
    if copied.offset != original.offset {
        Some("the target has a hole there")
    } else if left.key != right.key {
        Some("the key")
    } else if left.value != right.value {
        Some("the value")
    } else if left.headers != right.headers {
        Some("the headers")
    } else {
        None
    }
}

/// Each part with its length before it, so that no two records look alike.
fn add(hash: &mut Sha256, record: &Record) {
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(&record.key);
    part(&record.value);
    part(&(record.headers.len() as u64).to_be_bytes());
    for (name, value) in &record.headers {
        part(name.as_bytes());
        part(value);
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
