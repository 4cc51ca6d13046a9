//! Versions: a changed fold, old ones that go, and a switch that holds nobody up.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use eventsourcing::aggregate::Recorded;
use eventsourcing::contract::account::Moved;
use eventsourcing::projection::read_model::{ReadModel, ReadModelError};
use eventsourcing::projection::{Change, FoldError, View};
use eventsourcing_postgres::projection::{Config, PostgresReadModel, Projection};
use eventsourcing_postgres::rebuild::{RebuildError, Verified};

use crate::shop::{AccountRow, Balances, Shop, row};

/// Balances in half pennies: the same events, other rows.
pub(crate) struct Doubled;

impl View for Doubled {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    const FOLD: u32 = 2;
    type Event = Moved;
    type Row = AccountRow;

    fn fold(row: Option<&AccountRow>, event: &Recorded<Moved>) -> Result<Change<AccountRow>, FoldError> {
        let Change::Put(mut after) = Balances::fold(row, event)? else {
            panic!("every movement is shown")
        };
        after.balance += event.event.by;
        Ok(Change::Put(after))
    }
}

/// A fold that is none: it gives other rows each time.
struct Erratic;

impl View for Erratic {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    const FOLD: u32 = 3;
    type Event = Moved;
    type Row = AccountRow;

    fn fold(row: Option<&AccountRow>, event: &Recorded<Moved>) -> Result<Change<AccountRow>, FoldError> {
        static TIMES: AtomicI64 = AtomicI64::new(0);
        let Change::Put(mut after) = Balances::fold(row, event)? else {
            panic!("every movement is shown")
        };
        after.balance = TIMES.fetch_add(1, Ordering::Relaxed);
        Ok(Change::Put(after))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_fold_goes_live_by_a_rebuild_and_by_nothing_else() {
    let shop = Shop::open().await;
    shop.history(&["a", "b"], 3).await;
    let (old, _stop) = shop.live(100);
    shop.caught_up().await;
    let newer = Projection::view::<Doubled>();
    assert_eq!(
        foreign(&shop, &newer).await,
        "the live version 1 of balances was made by another fold: run `daybook rebuild balances`"
    );
    // A projector with the new fold must not write into the old version, and does not die of it.
    let (new, _stop) = shop.live_of(Projection::view::<Doubled>(), 100);
    shop.append(vec![shop.event("a", 4, 1)]).await;
    shop.caught_up().await;
    assert_eq!(shop.rows().await, [row("a", 4), row("b", 3)]);

    let refused = shop.rebuild_of(&Projection::view::<Erratic>()).await;
    assert!(
        matches!(refused, Err(RebuildError::SampleDiffers { .. })),
        "{refused:?}"
    );
    assert_eq!(shop.rows().await, [row("a", 4), row("b", 3)]);

    let rebuilt = shop
        .rebuild_of(&Projection::view::<Doubled>())
        .await
        .expect("switches");
    assert_eq!((rebuilt.rows, rebuilt.verified), (2, Verified::Sample(2)));
    let doubled = |id: &str, sequence: i64| (id.to_owned(), 2 * sequence, sequence);
    assert_eq!(shop.rows().await, [doubled("a", 4), doubled("b", 3)]);
    // Now it is the old fold that waits, and the new one that goes on. Told to rebuild it would undo the deployment.
    let told = foreign(&shop, &Projection::view::<Balances>()).await;
    assert!(
        told.starts_with("the live version 2 of balances was made by a newer build: deploy it here, too"),
        "{told}"
    );
    shop.append(vec![shop.event("b", 4, 1)]).await;
    shop.caught_up().await;
    assert_eq!(shop.rows().await, [doubled("a", 4), doubled("b", 4)]);
    let again = shop
        .rebuild_of(&Projection::view::<Doubled>())
        .await
        .expect("equal");
    assert_eq!(again.verified, Verified::EqualToLive);
    assert!(!old.is_finished() && !new.is_finished());
}

/// What a projector of this fold is told, and `daybook doctor` says.
async fn foreign(shop: &Shop, projection: &Projection) -> String {
    let config = Config::default();
    let read_model = PostgresReadModel::new(shop.pool.clone(), projection.clone(), config);
    let Err(ReadModelError::Foreign(told)) = read_model.start(&shop.topic, 1).await else {
        panic!("another fold's version is no place to write")
    };
    let checked = shop.rebuilder(projection).check().await;
    let checked = checked.expect_err("another fold");
    assert!(
        checked.is_other_fold() && checked.to_string() == told,
        "{checked}"
    );
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_before_is_kept_and_older_ones_go() {
    let shop = Shop::open().await;
    shop.history(&["a"], 3).await;
    let (_running, _stop) = shop.live(100);
    shop.caught_up().await;
    for _ in 0..3 {
        shop.rebuild().await.expect("switches");
    }
    let sql = "SELECT nspname::TEXT FROM pg_namespace WHERE nspname LIKE 'balances%' ORDER BY 1";
    let schemas: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&shop.pool)
        .await
        .expect("readable");
    assert_eq!(schemas, ["balances_v3", "balances_v4"]);
    for table in [
        "projections WHERE name",
        "projection_folds WHERE name",
        "checkpoints WHERE projection",
    ] {
        let sql = format!("SELECT DISTINCT version FROM daybook.{table} = 'balances' ORDER BY 1");
        let versions: Vec<i32> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&shop.pool)
            .await
            .expect("readable");
        assert_eq!(versions, [3, 4], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_delays_the_switch_but_no_other_reader() {
    let shop = Shop::open().await;
    shop.history(&["a", "b"], 3).await;
    let (_running, _stop) = shop.live(100);
    shop.caught_up().await;
    let mut long = shop.pool.begin().await.expect("begins");
    let read = "SELECT count(*) FROM read.balances";
    sqlx::query(read).execute(&mut *long).await.expect("reads");
    let others = async {
        let (started, mut slowest) = (Instant::now(), Duration::ZERO);
        while started.elapsed() < Duration::from_secs(3) {
            let asked = Instant::now();
            sqlx::query(read).execute(&shop.pool).await.expect("reads");
            slowest = slowest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let version: i32 =
            sqlx::query_scalar("SELECT version FROM daybook.projections WHERE status = 'active'")
                .fetch_one(&shop.pool)
                .await
                .expect("readable");
        long.rollback().await.expect("ends");
        (slowest, version)
    };
    let (rebuilt, (slowest, version)) = tokio::join!(shop.rebuild(), others);
    assert_eq!((rebuilt.expect("switches in the end"), version), (2, 1));
    assert!(slowest < Duration::from_secs(1), "a reader waited {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_during_a_switch_sees_what_was_switched_to() {
    let shop = Shop::open().await;
    shop.history(&["a"], 3).await;
    let (_running, stop) = shop.live(100);
    shop.caught_up().await;
    shop.rebuild().await.expect("switches");
    stop.cancel();
    let mut switch = shop.pool.begin().await.expect("begins");
    for (version, status) in [(2, "retired"), (1, "active")] {
        sqlx::query("UPDATE daybook.projections SET status = $1 WHERE version = $2")
            .bind(status)
            .bind(version)
            .execute(&mut *switch)
            .await
            .expect("updates");
    }
    let projection = Projection::view::<Balances>();
    let read_model = PostgresReadModel::new(shop.pool.clone(), projection, Config::default());
    let topic = shop.topic.clone();
    let looking = tokio::spawn(async move { read_model.look(&topic, 1).await });
    testkit::eventually("it waits for the switch", Duration::from_mins(1), async || {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FOR SHARE%')",
        )
        .fetch_one(&shop.pool)
        .await
        .expect("readable");
        waiting.then_some(())
    })
    .await;
    switch.commit().await.expect("switches");
    let started = looking.await.expect("no panic").expect("a look");
    assert_eq!(started.version, 1);
}
