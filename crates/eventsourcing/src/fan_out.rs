//! One reader for all who follow the same partitions. Whoever lives at the head of the log wants the same records
//! as its neighbours; fetching them once per process instead of once per projection is most of what following costs a
//! broker. Whoever is behind, or falls behind, reads by itself until it is at the head again.

mod feed;
mod member;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::ids::Offset;
use crate::log::{Appended, Bounds, Log, LogError, Reader};
use crate::record::Record;
use crate::topic::{Topic, TopicPartition};

use feed::Feed;
use member::Member;

/// A log whose readers share what they read at its head. Clones share everything.
#[derive(Clone)]
pub struct FanOut {
    log: Arc<dyn Log>,
    feeds: Arc<Mutex<HashMap<Vec<TopicPartition>, Weak<Feed>>>>,
}

impl FanOut {
    /// The same log.
    #[must_use]
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            feeds: Arc::default(),
        }
    }

    /// The feed of these partitions; begun when nobody follows them.
    async fn feed(&self, of: Vec<TopicPartition>) -> Result<Arc<Feed>, LogError> {
        let mut feeds = self.feeds.lock().await;
        feeds.retain(|_, feed| feed.strong_count() > 0);
        if let Some(feed) = feeds
            .get(&of)
            .and_then(Weak::upgrade)
            .filter(|feed| feed.is_open())
        {
            return Ok(feed);
        }
        let feed = Arc::new(Feed::begin(&*self.log, &of).await?);
        feeds.insert(of, Arc::downgrade(&feed));
        Ok(feed)
    }
}

#[async_trait]
impl Log for FanOut {
    async fn append(&self, to: &TopicPartition, records: Vec<Record>) -> Appended {
        self.log.append(to, records).await
    }

    async fn reader(&self, from: Vec<(TopicPartition, Offset)>) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(Member::begin(self.clone(), from).await?))
    }

    async fn bounds(&self, of: &TopicPartition) -> Result<Bounds, LogError> {
        self.log.bounds(of).await
    }

    async fn partitions(&self, of: &Topic) -> Result<u32, LogError> {
        self.log.partitions(of).await
    }
}
