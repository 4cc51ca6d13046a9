//! Who owns the partitions while one process owns them all: whoever holds a PostgreSQL advisory lock.
//! A second process stands by. For liveness only: two holders would fence each other, not both write.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::topic::TopicPartition;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection, PgPool};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::deadline::within;

/// How often a standby asks, and a holder makes sure that its session lives.
const PULSE: Duration = Duration::from_millis(500);
/// A session that does not answer in this time is gone, and the lock with it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Of a holder that shows no pulse, a frozen one or one behind a cut line, the server ends the session.
const MORTAL: &str = "SET idle_session_timeout = '6s'";

/// One lock of one process, however many services it runs. Clones and assignments share it; it is let
/// go when the last of them is dropped.
#[derive(Clone)]
pub struct ProcessLock {
    held: watch::Receiver<bool>,
    _competitor: Arc<Competitor>,
}

/// The task that competes, ended with its last user. Its session ends with it, and so the lock.
struct Competitor(AbortHandle);

impl Drop for Competitor {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ProcessLock {
    /// Competes for the lock `name` from now on. Needs a tokio runtime.
    #[must_use]
    pub fn compete(pool: &PgPool, name: impl Into<String>) -> Self {
        let (holds, held) = watch::channel(false);
        let options = pool.connect_options();
        let name = name.into();
        let task = tokio::spawn(async move {
            let mut announced = false;
            loop {
                // A session of its own for as long as it lives: the lock lives and dies with it.
                let Err(error) = session(&options, &name, &holds, &mut announced).await;
                holds.send_replace(false);
                tracing::warn!(lock = name, %error, "cannot hold or compete for the partitions");
                tokio::time::sleep(PULSE).await;
            }
        });
        Self {
            held,
            _competitor: Arc::new(Competitor(task.abort_handle())),
        }
    }

    /// Assigns `partitions` to this process while it holds the lock.
    #[must_use]
    pub fn assignment(&self, partitions: Vec<TopicPartition>) -> LockAssignment {
        LockAssignment {
            lock: self.clone(),
            partitions,
            assigned: false,
            changes: VecDeque::new(),
        }
    }
}

/// Competes and holds on one session; ends with the error that ends it.
async fn session(
    options: &PgConnectOptions,
    name: &str,
    holds: &watch::Sender<bool>,
    announced: &mut bool,
) -> Result<std::convert::Infallible, sqlx::Error> {
    let mut connection = within(ANSWER_TIMEOUT, PgConnection::connect_with(options)).await?;
    within(ANSWER_TIMEOUT, connection.execute(MORTAL)).await?;
    loop {
        let asking = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 2))").bind(name);
        if within(ANSWER_TIMEOUT, asking.fetch_one(&mut connection)).await? {
            break;
        }
        if !*announced {
            *announced = true;
            tracing::info!(lock = name, "another process owns the partitions, standing by");
        }
        tokio::time::sleep(PULSE).await;
    }
    *announced = false;
    holds.send_replace(true);
    loop {
        tokio::time::sleep(PULSE).await;
        within(ANSWER_TIMEOUT, connection.ping()).await?;
    }
}

/// Some partitions, as the lock has it.
pub struct LockAssignment {
    lock: ProcessLock,
    partitions: Vec<TopicPartition>,
    assigned: bool,
    changes: VecDeque<AssignmentChange>,
}

#[async_trait]
impl Assignment for LockAssignment {
    async fn next(&mut self) -> Option<AssignmentChange> {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return Some(change);
            }
            let wanted = !self.assigned;
            // Ends only with the runtime: nothing is to be owned any more.
            self.lock.held.wait_for(|held| *held == wanted).await.ok()?;
            self.assigned = wanted;
            let change = if wanted {
                AssignmentChange::Assigned
            } else {
                AssignmentChange::Lost
            };
            self.changes.extend(self.partitions.iter().cloned().map(change));
        }
    }
}
