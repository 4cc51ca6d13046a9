//! Live projection and rebuild on a real PostgreSQL, with the smallest domain there is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::aggregate::Recorded;
use eventsourcing::clock::{Environment, System};
use eventsourcing::codec::{self, EventHead, Fence, Meta};
use eventsourcing::contract::account::Moved;
use eventsourcing::ids::{CommandId, Digest, Epoch, Offset, OwnerId, Sequence};
use eventsourcing::log::{Appended, Log};
use eventsourcing::projection::{Change, FoldError, Row, Table, View};
use eventsourcing::record::Record;
use eventsourcing::rule::Term;
use eventsourcing::topic::Topic;
use eventsourcing_postgres::log::{Config as LogConfig, PostgresLog};
use eventsourcing_postgres::migrate::migrate;
use eventsourcing_postgres::projection::{Config, Projection, ProjectionError, Runner};
use eventsourcing_postgres::rebuild::{RebuildError, rebuild};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct Balances;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct AccountRow {
    id: String,
    balance: i64,
    sequence: i64,
}

impl Row for AccountRow {
    const TABLE: Table = Table {
        name: "balances",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("balance", "BIGINT NOT NULL"),
            ("sequence", "BIGINT NOT NULL"),
        ],
        indexes: &["(balance)"],
    };
}

impl View for Balances {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = AccountRow;

    fn fold(row: Option<&AccountRow>, event: &Recorded<Moved>) -> Result<Change<AccountRow>, FoldError> {
        let sequence = row.map_or(0, |row| row.sequence) + 1;
        if event.sequence().0.cast_signed() != sequence {
            return Err(FoldError::new("a gap in the sequence"));
        }
        let balance = row.map_or(0, |row| row.balance) + event.event.by;
        Ok(Change::Put(AccountRow {
            id: event.aggregate.to_string(),
            balance,
            sequence,
        }))
    }
}

struct Shop {
    pool: PgPool,
    log: Arc<dyn Log>,
    topic: Topic,
    term: Term,
}

impl Shop {
    async fn open() -> Self {
        let database = testkit::postgres().await;
        let pool = PgPool::connect(&database.url).await.expect("connects");
        migrate(&pool).await.expect("migrates");
        let log = PostgresLog::open(database.url.parse().expect("a URL"), LogConfig::default());
        let topic = Topic::events("test", "accounts");
        log.create_topic(&topic, 1).await.expect("creates");
        let term = Term {
            epoch: Epoch(1),
            owner: OwnerId(Uuid::from_u128(1)),
        };
        let shop = Self {
            pool,
            log: Arc::new(log),
            topic,
            term,
        };
        let fence = Fence {
            epoch: term.epoch,
            owner: term.owner,
            node: "test".to_owned(),
            url: String::new(),
        };
        shop.append(vec![codec::encode_fence(&Bytes::new(), &fence, System.now())])
            .await;
        shop
    }

    async fn append(&self, records: Vec<Record>) {
        let appended = self.log.append(&self.topic.partition(0), records).await;
        assert!(matches!(appended, Appended::At(_)), "{appended:?}");
    }

    fn event(&self, account: &str, sequence: u64, by: i64) -> Record {
        let meta = Meta {
            sequence: Sequence(sequence),
            term: self.term,
            command: CommandId(Uuid::new_v4()),
            digest: Digest(0),
            correlation: "".into(),
            causation: None,
            actor: "".into(),
        };
        let aggregate = account.parse().expect("valid");
        let head = EventHead {
            aggregate: &aggregate,
            time: System.now(),
            meta: &meta,
            traceparent: None,
        };
        codec::encode_event(&Bytes::new(), &head, &Moved { by, balance: 0 })
    }

    /// Events `1..=count` of each account, one after the other.
    async fn history(&self, accounts: &[&str], count: u64) {
        for sequence in 1..=count {
            let round = accounts
                .iter()
                .map(|account| self.event(account, sequence, 1))
                .collect();
            self.append(round).await;
        }
    }

    fn live(&self, batch_records_max: usize) -> (JoinHandle<Result<(), ProjectionError>>, CancellationToken) {
        let config = Config {
            batch_records_max,
            retry_pause: Duration::from_millis(20),
        };
        let projections = vec![Projection::view::<Balances>()];
        let runner = Runner::new(
            self.pool.clone(),
            Arc::clone(&self.log),
            "test",
            projections,
            config,
        );
        let stop = CancellationToken::new();
        (tokio::spawn(runner.run(stop.clone())), stop)
    }

    /// Waits until the live version has applied everything.
    async fn caught_up(&self) {
        let end = self
            .log
            .bounds(&self.topic.partition(0))
            .await
            .expect("readable")
            .end;
        testkit::eventually("the projection catches up", Duration::from_secs(30), async || {
            let sql = r#"SELECT "offset" FROM read.checkpoints WHERE projection = 'balances'"#;
            let last: Option<i64> = sqlx::query_scalar(sql).fetch_optional(&self.pool).await.ok()?;
            (Offset((last? + 1).cast_unsigned()) == end).then_some(())
        })
        .await;
    }

    async fn rows(&self) -> Vec<(String, i64, i64)> {
        let sql = "SELECT id, balance, sequence FROM read.balances ORDER BY id";
        sqlx::query_as(sql).fetch_all(&self.pool).await.expect("readable")
    }

    /// Offset, key and error of what is parked in the active version.
    async fn parked(&self) -> Vec<(i64, String, String)> {
        let sql = r#"SELECT e."offset", e.key, e.error FROM daybook.parked_events e
                     JOIN daybook.projections p ON p.name = e.projection AND p.version = e.version
                     WHERE p.status = 'active' ORDER BY 1"#;
        sqlx::query_as(sql).fetch_all(&self.pool).await.expect("readable")
    }

    async fn rebuild(&self) -> Result<i64, RebuildError> {
        let projection = Projection::view::<Balances>();
        rebuild(&self.pool, &self.log, "test", &projection, |_, _| ())
            .await
            .map(|rebuilt| rebuilt.rows)
    }
}

fn row(id: &str, balance: i64) -> (String, i64, i64) {
    (id.to_owned(), balance, balance)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_rows_equal_the_fold_even_with_two_runners_that_die() {
    let shop = Shop::open().await;
    let writing = shop.history(&["a", "b", "c"], 150);
    let dying = async {
        for round in 0..12_u64 {
            // Two at once: the compare-and-set lets one of them move each checkpoint.
            let runners = [shop.live(7), shop.live(11)];
            tokio::time::sleep(Duration::from_millis(15 + round * 9)).await;
            for (running, _) in runners {
                running.abort();
            }
        }
    };
    tokio::join!(writing, dying);
    let (running, stop) = shop.live(100);
    shop.caught_up().await;
    assert_eq!(shop.rows().await, [row("a", 150), row("b", 150), row("c", 150)]);
    assert_eq!(shop.parked().await, []);
    stop.cancel();
    running.await.expect("no panic").expect("a clean end");
}

/// Junk under a key, and undecodable data: parked where they lie, with what follows of the key; other
/// keys go on; and it makes no difference how the log was cut into batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_parked_in_its_place_whatever_the_batches() {
    for batch in [1, 2, 100] {
        let shop = Shop::open().await;
        shop.history(&["a", "b", "c"], 1).await;
        let junk = Record {
            key: Bytes::from_static(b"a"),
            value: Bytes::from_static(b"junk"),
            headers: vec![(Cow::Borrowed("ce_type"), Bytes::from_static(b"junk"))],
        };
        let broken = Record {
            value: Bytes::from_static(b"{"),
            ..shop.event("b", 2, 1)
        };
        let rest = ["a", "b", "c"].map(|account| shop.event(account, if account == "b" { 3 } else { 2 }, 1));
        shop.append([vec![junk, broken], rest.to_vec()].concat()).await;
        let (_running, _stop) = shop.live(batch);
        shop.caught_up().await;
        assert_eq!(
            shop.rows().await,
            [row("a", 1), row("b", 1), row("c", 2)],
            "batches of {batch}"
        );
        let parked = shop.parked().await;
        let places: Vec<(i64, &str)> = parked
            .iter()
            .map(|(offset, key, _)| (*offset, key.as_str()))
            .collect();
        assert_eq!(
            places,
            [(4, "a"), (5, "b"), (6, "a"), (7, "b")],
            "batches of {batch}"
        );
        assert!(
            parked[0].2.contains("test.accounts.events/0@4"),
            "{}",
            parked[0].2
        );
        assert!(
            parked[1].2.contains("test.accounts.events/0@5"),
            "{}",
            parked[1].2
        );
        assert_eq!(shop.rebuild().await.expect("a rebuild parks the same"), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_dies_leaves_the_live_version_and_the_next_one_succeeds() {
    let shop = Shop::open().await;
    shop.history(&["a", "b"], 200).await;
    let (_running, _stop) = shop.live(100);
    shop.caught_up().await;
    let before = shop.rows().await;
    for patience in [1, 5, 20, 60, 120] {
        let dying = tokio::time::timeout(Duration::from_millis(patience), shop.rebuild()).await;
        if let Ok(rebuilt) = dying {
            rebuilt.expect("a rebuild that was fast enough");
        }
        assert_eq!(shop.rows().await, before);
    }
    // The dead ones' sessions, and so their locks, end a moment later.
    let rows = testkit::eventually("a rebuild may run", Duration::from_secs(20), async || match shop
        .rebuild()
        .await
    {
        Ok(rows) => Some(rows),
        Err(RebuildError::Running(_)) => None,
        Err(error) => panic!("{error}"),
    })
    .await;
    assert_eq!((rows, shop.rows().await), (2, before));
    let building: i64 =
        sqlx::query_scalar("SELECT count(*) FROM daybook.projections WHERE status = 'building'")
            .fetch_one(&shop.pool)
            .await
            .expect("readable");
    assert_eq!(building, 0, "what the dead left is cleared");
    // Live goes on with the new version.
    shop.append(vec![shop.event("a", 201, 1)]).await;
    shop.caught_up().await;
    assert_eq!(shop.rows().await, [row("a", 201), row("b", 200)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_table_that_was_tampered_with_is_not_replaced_but_named() {
    let shop = Shop::open().await;
    shop.history(&["a", "b"], 3).await;
    let (_running, _stop) = shop.live(100);
    shop.caught_up().await;
    sqlx::query("UPDATE balances_v1.balances SET balance = 99 WHERE id = 'b'")
        .execute(&shop.pool)
        .await
        .expect("tampers");
    let refused = shop.rebuild().await.expect_err("differs");
    assert!(
        matches!(refused, RebuildError::Differs { .. }) && refused.to_string().contains("99"),
        "{refused}"
    );
    assert_eq!(shop.rows().await[1].1, 99, "the live version stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_shorter_than_the_checkpoint_is_refused() {
    let shop = Shop::open().await;
    shop.history(&["a"], 5).await;
    let (running, stop) = shop.live(100);
    shop.caught_up().await;
    stop.cancel();
    running.await.expect("no panic").expect("a clean end");
    sqlx::query(r#"DELETE FROM daybook_log.records WHERE "offset" >= 3"#)
        .execute(&shop.pool)
        .await
        .expect("cuts");
    let (running, _stop) = shop.live(100);
    let ended = tokio::time::timeout(Duration::from_secs(20), running)
        .await
        .expect("ends by itself");
    let refused = ended.expect("no panic").expect_err("refuses").to_string();
    assert!(
        refused.contains("test.accounts.events/0") && refused.contains("ends at 3"),
        "{refused}"
    );
}
