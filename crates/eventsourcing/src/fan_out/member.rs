//! A follower: at the head from the feed, behind it by a reader of its own.

use std::collections::VecDeque;

use async_trait::async_trait;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::FanOut;
use super::feed::{Following, Places};
use crate::ids::Offset;
use crate::log::{LogError, Reader};
use crate::record::Stored;
use crate::topic::TopicPartition;

pub(super) struct Member {
    fan_out: FanOut,
    /// What comes next, of each partition.
    next: Places,
    pending: VecDeque<Stored>,
    source: Source,
}

enum Source {
    /// Has everything up to where the feed goes on.
    Head(Following),
    /// Has not, and waits for a place in the feed meanwhile.
    Behind(Box<dyn Reader>, Following),
    /// Is to begin anew.
    Lost,
}

impl Source {
    /// Where to read from `next` on.
    async fn find(fan_out: &FanOut, next: &Places) -> Result<Self, LogError> {
        let of: Vec<TopicPartition> = next.keys().cloned().collect();
        let following = fan_out.feed(of).await?.follow()?;
        if has_reached(next, &following.from) && is_of_this_log(fan_out, next, &following.from).await? {
            return Ok(Self::Head(following));
        }
        // Refuses what the log does not have.
        let own = fan_out.log.reader(next.clone().into_iter().collect()).await?;
        Ok(Self::Behind(own, following))
    }
}

fn has_reached(next: &Places, from: &Places) -> bool {
    from.iter().all(|(at, offset)| next.get(at) >= Some(offset))
}

/// Whether the log goes as far as somebody has come: the feed may be a moment late, or it is another log.
async fn is_of_this_log(fan_out: &FanOut, next: &Places, from: &Places) -> Result<bool, LogError> {
    for (at, next) in next {
        if Some(next) > from.get(at) && fan_out.log.bounds(at).await?.end < *next {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Member {
    pub(super) async fn begin(
        fan_out: FanOut,
        from: Vec<(TopicPartition, Offset)>,
    ) -> Result<Self, LogError> {
        let next = from.into_iter().collect();
        let source = Source::find(&fan_out, &next).await?;
        Ok(Self {
            fan_out,
            next,
            pending: VecDeque::new(),
            source,
        })
    }

    fn take(&mut self, records: impl IntoIterator<Item = Stored>) {
        for stored in records {
            if let Some(next) = self.next.get_mut(&stored.at)
                && stored.offset >= *next
            {
                *next = stored.offset.next();
                self.pending.push_back(stored);
            }
        }
    }

    /// More of the feed, while some is there.
    fn take_waiting(&mut self, max: usize) {
        while self.pending.len() < max {
            let Source::Head(following) = &mut self.source else {
                return;
            };
            match following.batches.try_recv() {
                Ok(batch) => self.take(batch.iter().cloned()),
                Err(TryRecvError::Lagged(_)) => self.source = Source::Lost,
                // What has ended is told when there is nothing left.
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// The next records of the reader of its own, until the feed has them.
    async fn behind(&mut self, max: usize) -> Result<(), LogError> {
        let Source::Behind(own, following) = &mut self.source else {
            return Ok(());
        };
        if following.is_late() {
            *following = following.feed.follow()?;
        }
        let records = own.next(max).await?;
        self.take(records);
        let source = std::mem::replace(&mut self.source, Source::Lost);
        self.source = match source {
            Source::Behind(_, following) if has_reached(&self.next, &following.from) => {
                Source::Head(following)
            }
            source => source,
        };
        Ok(())
    }
}

#[async_trait]
impl Reader for Member {
    async fn next(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        self.take_waiting(max);
        // Nothing is taken from a source before it is in `pending`, so a dropped call loses nothing.
        while self.pending.is_empty() {
            match &mut self.source {
                Source::Head(following) => match following.batches.recv().await {
                    Ok(batch) => self.take(batch.iter().cloned()),
                    // The batches between are gone.
                    Err(RecvError::Lagged(_)) => self.source = Source::Lost,
                    Err(RecvError::Closed) => return Err(following.feed.end()),
                },
                Source::Behind(..) => self.behind(max).await?,
                Source::Lost => self.source = Source::find(&self.fan_out, &self.next).await?,
            }
            self.take_waiting(max);
        }
        let count = max.min(self.pending.len());
        Ok(self.pending.drain(..count).collect())
    }
}
