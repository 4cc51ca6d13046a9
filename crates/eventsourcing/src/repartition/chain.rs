//! A hash over events in their order, without the term they were written in: the same before and after.

use sha2::{Digest, Sha256};

use crate::codec::{Defect, META_HEADER, meta_without_term};
use crate::record::Record;

/// The events of one old partition for one new one, so far.
#[derive(Clone, Default)]
pub(super) struct Chain {
    count: u64,
    hash: Sha256,
}

impl Chain {
    /// Adds the next event: each part with its length before it, so that no two events look alike.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), Defect> {
        let meta = meta_without_term(record)?;
        let mut part = |bytes: &[u8]| {
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(bytes);
        };
        part(&record.key);
        part(&record.value);
        part(&(record.headers.len() as u64).to_be_bytes());
        for (name, value) in &record.headers {
            part(name.as_bytes());
            part(if name == META_HEADER {
                meta.as_bytes()
            } else {
                value
            });
        }
        self.count += 1;
        Ok(())
    }

    /// How many events.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Whether both are the same events; of as many.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.count == other.count && self.hash.clone().finalize() == other.hash.clone().finalize()
    }

    /// One hash over all of these, in hexadecimal.
    pub(super) fn digest_of_all(chains: &[Self]) -> String {
        let whole = chains.iter().fold(Sha256::new(), |whole, chain| {
            whole.chain_update(chain.hash.clone().finalize())
        });
        format!("{:x}", whole.finalize())
    }
}
