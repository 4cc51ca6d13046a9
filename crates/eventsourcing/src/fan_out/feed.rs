//! What is read once, for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::broadcast;
use tokio::task::AbortHandle;

use crate::ids::Offset;
use crate::log::{Log, LogError, Reader};
use crate::record::Stored;
use crate::topic::TopicPartition;

/// Batches that a slow follower may be behind before it reads by itself.
const BATCHES_MAX: usize = 32;
/// Records of one batch.
const BATCH_RECORDS_MAX: usize = 1_000;

pub(super) type Batch = Arc<[Stored]>;
pub(super) type Places = BTreeMap<TopicPartition, Offset>;

/// The head of some partitions. Read until the last follower has gone, or until the log cannot be read.
pub(super) struct Feed {
    shared: Arc<Mutex<Shared>>,
    reading: AbortHandle,
}

struct Shared {
    /// What comes next.
    next: Places,
    /// None when it has ended.
    followers: Option<broadcast::Sender<Batch>>,
    /// Why it has ended.
    end: String,
}

/// A place in a feed.
pub(super) struct Following {
    pub(super) feed: Arc<Feed>,
    pub(super) batches: broadcast::Receiver<Batch>,
    /// The first batch begins here.
    pub(super) from: Places,
}

impl Following {
    /// Whether it is about to lose its place.
    pub(super) fn is_late(&self) -> bool {
        self.batches.len() > BATCHES_MAX / 2
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("no holder of this lock panics")
}

impl Feed {
    /// Reads these partitions from their ends on.
    pub(super) async fn begin(log: &dyn Log, of: &[TopicPartition]) -> Result<Self, LogError> {
        let mut next = Places::new();
        for at in of {
            next.insert(at.clone(), log.bounds(at).await?.end);
        }
        let reader = log.reader(next.clone().into_iter().collect()).await?;
        let shared = Arc::new(Mutex::new(Shared {
            next,
            followers: Some(broadcast::Sender::new(BATCHES_MAX)),
            end: String::new(),
        }));
        let reading = tokio::spawn(read(reader, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, reading })
    }

    /// Whether it can be followed.
    pub(super) fn is_open(&self) -> bool {
        locked(&self.shared).followers.is_some()
    }

    /// A place at its head.
    pub(super) fn follow(self: &Arc<Self>) -> Result<Following, LogError> {
        let shared = locked(&self.shared);
        let Some(followers) = &shared.followers else {
            return Err(LogError::Unavailable(shared.end.clone()));
        };
        Ok(Following {
            feed: Arc::clone(self),
            batches: followers.subscribe(),
            from: shared.next.clone(),
        })
    }

    /// Why nothing more comes.
    pub(super) fn end(&self) -> LogError {
        LogError::Unavailable(locked(&self.shared).end.clone())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(mut reader: Box<dyn Reader>, shared: Arc<Mutex<Shared>>) {
    loop {
        let batch = reader.next(BATCH_RECORDS_MAX).await;
        let mut shared = locked(&shared);
        match batch {
            Ok(records) => {
                for stored in &records {
                    shared.next.insert(stored.at.clone(), stored.offset.next());
                }
                if let Some(followers) = &shared.followers {
                    // Nobody may be listening: all of them may be behind.
                    let _listening = followers.send(records.into());
                }
            }
            // Whoever begins again learns what kind of error this is.
            Err(error) => {
                shared.end = error.to_string();
                shared.followers = None;
                return;
            }
        }
    }
}
