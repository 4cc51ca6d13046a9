//! Who owns the partitions while one node owns them all: whoever holds a PostgreSQL advisory lock. A
//! second process waits as standby. For liveness only: two holders would fence each other, not both
//! write.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::topic::TopicPartition;
use sqlx::{PgConnection, PgPool};

/// How often a standby asks, and a holder makes sure that its session lives.
const PULSE: Duration = Duration::from_millis(500);

/// Assigns all partitions to the holder of the lock called `name`.
pub struct LockAssignment {
    pool: PgPool,
    name: String,
    partitions: Vec<TopicPartition>,
    changes: VecDeque<AssignmentChange>,
    held: Option<PgConnection>,
    announced: bool,
}

impl LockAssignment {
    /// Competes for the lock `name`, which stands for `partitions`.
    #[must_use]
    pub fn new(pool: PgPool, name: impl Into<String>, partitions: Vec<TopicPartition>) -> Self {
        let name = name.into();
        Self {
            pool,
            name,
            partitions,
            changes: VecDeque::new(),
            held: None,
            announced: false,
        }
    }

    async fn try_take(&mut self) -> Result<bool, sqlx::Error> {
        // Out of the pool for good: the lock lives and dies with this session.
        let mut connection = self.pool.acquire().await?.detach();
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 2))")
            .bind(&self.name)
            .fetch_one(&mut connection)
            .await?;
        if taken {
            self.held = Some(connection);
        } else if !self.announced {
            self.announced = true;
            tracing::info!(
                lock = self.name,
                "another process owns the partitions, standing by"
            );
        }
        Ok(taken)
    }

    async fn alive(&mut self) -> bool {
        let Some(connection) = &mut self.held else {
            return false;
        };
        sqlx::query("SELECT 1").execute(connection).await.is_ok()
    }
}

#[async_trait]
impl Assignment for LockAssignment {
    async fn next(&mut self) -> Option<AssignmentChange> {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return Some(change);
            }
            if self.held.is_some() {
                tokio::time::sleep(PULSE).await;
                if !self.alive().await {
                    tracing::warn!(lock = self.name, "the session that held the partitions is gone");
                    self.held = None;
                    self.announced = false;
                    self.changes
                        .extend(self.partitions.iter().cloned().map(AssignmentChange::Lost));
                }
                continue;
            }
            match self.try_take().await {
                Ok(true) => {
                    self.changes
                        .extend(self.partitions.iter().cloned().map(AssignmentChange::Assigned));
                }
                Ok(false) => tokio::time::sleep(PULSE).await,
                Err(error) => {
                    tracing::warn!(lock = self.name, %error, "cannot compete for the partitions");
                    tokio::time::sleep(PULSE).await;
                }
            }
        }
    }
}
