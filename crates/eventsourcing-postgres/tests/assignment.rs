//! Two processes, one lock: one owns everything, the other stands by.

use std::time::Duration;

use eventsourcing::assignment::{Assignment, AssignmentChange};
use eventsourcing::topic::{Topic, TopicPartition};
use eventsourcing_postgres::assignment::{LockAssignment, ProcessLock};
use sqlx::PgPool;
use testkit::Frozen;

const LOCK: &str = "daybook.test";
/// The pulse, the wait for an answer, and slack for a busy machine.
const BOUND: Duration = Duration::from_secs(10);
/// Long enough for a standby to have asked several times.
const A_WHILE: Duration = Duration::from_secs(2);

/// A process with three services of two partitions each.
struct Process(Vec<LockAssignment>);

fn partitions(service: usize) -> Vec<TopicPartition> {
    let topic = Topic::events("test", ["catalog", "inventory", "orders"][service]);
    (0..2).map(|number| topic.partition(number)).collect()
}

impl Process {
    fn start(pool: &PgPool) -> Self {
        let lock = ProcessLock::compete(pool, LOCK);
        Self(
            (0..3)
                .map(|service| lock.assignment(partitions(service)))
                .collect(),
        )
    }

    /// All six partitions change in this way, in time.
    async fn all(&mut self, change: fn(TopicPartition) -> AssignmentChange) {
        for (service, assignment) in self.0.iter_mut().enumerate() {
            for at in partitions(service) {
                let next = tokio::time::timeout(BOUND, assignment.next())
                    .await
                    .expect("in time");
                assert_eq!(next, Some(change(at)));
            }
        }
    }

    async fn nothing(&mut self) {
        for assignment in &mut self.0 {
            let next = tokio::time::timeout(A_WHILE / 3, assignment.next()).await;
            assert!(next.is_err(), "{next:?}");
        }
    }
}

async fn pool(url: &str) -> PgPool {
    PgPool::connect(url).await.expect("connects")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_owns_every_service_and_the_next_takes_over_all_of_them() {
    let database = testkit::postgres().await;
    let pool = pool(&database.url).await;
    let mut first = Process::start(&pool);
    first.all(AssignmentChange::Assigned).await;
    let mut second = Process::start(&pool);
    second.nothing().await;
    drop(first);
    second.all(AssignmentChange::Assigned).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_takes_the_partitions_along() {
    let database = testkit::postgres().await;
    let pool = pool(&database.url).await;
    let mut first = Process::start(&pool);
    first.all(AssignmentChange::Assigned).await;
    let ended: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()",
    )
    .fetch_all(&pool)
    .await
    .expect("may end sessions");
    assert_eq!(ended, [true], "one lock for the whole process");
    first.all(AssignmentChange::Lost).await;
    first.all(AssignmentChange::Assigned).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_noticed_and_the_lock_taken_again() {
    let (server, _directory) = testkit::private_postgres();
    let pool = pool(&server.url("postgres")).await;
    let mut first = Process::start(&pool);
    first.all(AssignmentChange::Assigned).await;
    let frozen = Frozen::tree(server.process_id().expect("ours"));
    first.all(AssignmentChange::Lost).await;
    drop(frozen);
    first.all(AssignmentChange::Assigned).await;
}
