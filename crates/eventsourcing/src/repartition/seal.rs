//! The seal: the last fence there can be, in every old partition.

use futures::future::try_join_all;

use super::source::Source;
use super::{Repartition, RepartitionError, Settings, end_of};
use crate::codec::parse;
use crate::copy::{Patience, Range};
use crate::ids::{Epoch, OwnerId};
use crate::log::Appended;
use crate::rule::Term;

impl Repartition {
    /// Seals every old partition. When this returns, nothing that is appended there counts any more, and what
    /// counts has an end. Safe to repeat.
    pub async fn seal(&self) -> Result<(), RepartitionError> {
        try_join_all(self.sources.iter().map(|source| source.seal(&self.settings))).await?;
        Ok(())
    }

    /// Whether every old partition has its seal; looks at the log.
    pub async fn is_sealed(&self) -> Result<bool, RepartitionError> {
        for source in &self.sources {
            if !source.is_sealed(&self.settings).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Source {
    async fn seal(&self, settings: &Settings) -> Result<(), RepartitionError> {
        let record = settings.fence(Term {
            epoch: Epoch::LAST,
            owner: OwnerId(settings.environment.fresh()),
        });
        let mut patience = Patience::default();
        while !self.is_sealed(settings).await? {
            // One of them is valid, however many arrive.
            if let Appended::Unknown(reason) = settings.log.append(&self.at, vec![record.clone()]).await {
                patience.wait(reason).await.map_err(RepartitionError::Stuck)?;
            }
        }
        Ok(())
    }

    /// From where it is verified to where it ends now.
    async fn is_sealed(&self, settings: &Settings) -> Result<bool, RepartitionError> {
        let log = &*settings.log;
        let mut rule = self.rule;
        let mut range = Range::of(log, self.at.clone(), self.next, end_of(log, &self.at).await?);
        while !rule.is_sealed()
            && let Some(stored) = range.next().await?
        {
            rule.judge(parse(&stored)?.claim());
        }
        Ok(rule.is_sealed())
    }
}
