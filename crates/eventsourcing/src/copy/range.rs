//! Part of a partition, read with patience: a log that is away for a while is asked again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::Offset;
use crate::log::{Bounds, Log, LogError, Reader};
use crate::record::Stored;
use crate::topic::TopicPartition;

/// How long either log may be away before the copy gives up.
const AWAY_MAX: Duration = Duration::from_mins(1);
const AWAY_PAUSE: Duration = Duration::from_millis(200);
/// Records read at once.
const READ_RECORDS_MAX: usize = 1_000;

/// Asks again while the log is away, for about a minute.
pub async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let mut patience = Patience::default();
    loop {
        match ask().await {
            Err(LogError::Unavailable(reason)) => patience.wait(reason).await?,
            answer => return answer,
        }
    }
}

pub(crate) async fn bounds(log: &dyn Log, at: &TopicPartition) -> Result<Bounds, LogError> {
    patiently(async || log.bounds(at).await).await
}

/// How long a log has been away, or of no use.
#[derive(Default)]
pub(crate) struct Patience {
    since: Option<Instant>,
}

impl Patience {
    pub(crate) async fn wait(&mut self, reason: String) -> Result<(), LogError> {
        if self.since.get_or_insert_with(Instant::now).elapsed() >= AWAY_MAX {
            return Err(LogError::Unavailable(reason));
        }
        tokio::time::sleep(AWAY_PAUSE).await;
        Ok(())
    }
}

/// The records of one partition from one offset to another.
pub(crate) struct Range<'a> {
    log: &'a dyn Log,
    at: TopicPartition,
    reader: Option<Box<dyn Reader>>,
    waiting: VecDeque<Stored>,
    next: Offset,
    to: Offset,
}

impl<'a> Range<'a> {
    pub(crate) fn of(log: &'a dyn Log, at: TopicPartition, from: Offset, to: Offset) -> Self {
        Self {
            log,
            at,
            reader: None,
            waiting: VecDeque::new(),
            next: from,
            to,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Stored>, LogError> {
        let mut patience = Patience::default();
        while self.waiting.is_empty() && self.next < self.to {
            match self.read().await {
                Ok(records) => self.waiting.extend(records),
                Err(LogError::Unavailable(reason)) => {
                    self.reader = None;
                    patience.wait(reason).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let stored = self.waiting.pop_front().filter(|stored| stored.offset < self.to);
        self.next = stored.as_ref().map_or(self.to, |stored| stored.offset.next());
        Ok(stored)
    }

    async fn read(&mut self) -> Result<Vec<Stored>, LogError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.log.reader(vec![(self.at.clone(), self.next)]).await?,
        };
        self.reader.insert(reader).next(READ_RECORDS_MAX).await
    }
}
