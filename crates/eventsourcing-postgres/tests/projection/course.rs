//! The course of a rebuild: little memory, interruptions, what can be said to it, the way back.

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::time::Duration;

use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::rebuild::{Limits, Phase, Progress, RebuildError, Status, Verified, status};

use crate::shop::{Balances, Shop, row};
use crate::versions::Doubled;

const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

fn balances() -> Projection {
    Projection::view::<Balances>()
}

/// Ten records at a time, and memory for none of their rows.
fn slow() -> Limits {
    Limits {
        memory_bytes: 1,
        events_per_s: NonZeroU64::new(40),
        ..Limits::default()
    }
}

/// A shop with `3 * count` events and a live projection.
async fn busy(count: u64) -> (Shop, crate::shop::Running) {
    let shop = Shop::open().await;
    shop.history(&ACCOUNTS, count).await;
    let running = shop.live(100);
    shop.caught_up().await;
    (shop, running)
}

async fn told(shop: &Shop, what: &str, is: impl Fn(&Status) -> bool) -> Status {
    testkit::eventually(what, Duration::from_secs(20), async || {
        let all = status(&shop.pool).await.expect("readable");
        all.into_iter().find(|status| is(status))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_do_not_fit_into_memory_are_read_back() {
    let (shop, _running) = busy(40).await;
    let limits = Limits {
        events_per_s: NonZeroU64::new(400),
        ..slow()
    };
    let rebuilder = shop.rebuilder(&balances());
    let rebuilt = rebuilder.rebuild(&limits, |_| ()).await.expect("equal");
    assert_eq!(
        (rebuilt.rows, rebuilt.verified, rebuilt.records),
        (3, Verified::EqualToLive, 121)
    );
    assert_eq!(shop.rows().await, ACCOUNTS.map(|id| row(id, 40)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_rebuild_goes_on_where_it_stored_its_rows() {
    let (shop, _running) = busy(40).await;
    let rebuilder = shop.rebuilder(&balances());
    let limits = slow();
    let interrupted = rebuilder
        .rebuild(&limits, |progress: &Progress| {
            if progress.records >= 20 {
                limits.stop.cancel();
            }
        })
        .await;
    assert!(
        matches!(interrupted, Err(RebuildError::Interrupted(_))),
        "{interrupted:?}"
    );
    let kept = told(&shop, "it is kept", |status| !status.running).await;
    assert_eq!((kept.version, kept.phase.as_str()), (2, "reading"));
    let plan = rebuilder.plan().await.expect("readable");
    assert_eq!(
        (plan.live, plan.resumes, plan.same_fold),
        (Some(1), Some(2), true)
    );
    let at = plan.partitions[0];
    assert!(at.done >= 20 && at.total == 121, "{at:?}");
    let rebuilt = rebuilder
        .rebuild(&Limits::default(), |_| ())
        .await
        .expect("equal");
    assert_eq!(
        (rebuilt.version, rebuilt.records),
        (2, at.total - at.done),
        "only the rest is read"
    );
    assert_eq!(shop.rows().await, ACCOUNTS.map(|id| row(id, 40)));
    assert!(status(&shop.pool).await.expect("readable").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_does_what_it_is_told() {
    let (shop, _running) = busy(40).await;
    let rebuilder = shop.rebuilder(&balances());
    let nobody = rebuilder.pause(true).await;
    assert!(matches!(nobody, Err(RebuildError::NotUnderWay(_))), "{nobody:?}");
    let phases = Mutex::new(Vec::new());
    let limits = slow();
    let rebuilding = rebuilder.rebuild(&limits, |progress: &Progress| {
        phases.lock().expect("no panic").push(progress.phase);
    });
    let telling = async {
        told(&shop, "it runs", |status| {
            status.running && !status.partitions.is_empty()
        })
        .await;
        let second = shop.rebuild().await;
        assert!(matches!(second, Err(RebuildError::Running(_))), "{second:?}");
        rebuilder.pause(true).await.expect("told");
        // What it is doing is stored before it rests.
        let stored =
            "SELECT max(\"offset\") FROM daybook.checkpoints WHERE projection = 'balances' AND version = 2";
        let resting = testkit::eventually("it rests", Duration::from_secs(20), async || {
            let read = async || -> i64 {
                sqlx::query_scalar(stored)
                    .fetch_one(&shop.pool)
                    .await
                    .expect("readable")
            };
            let before = read().await;
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            (before == read().await && before >= 0).then_some(before)
        })
        .await;
        assert!(resting < 120, "it was paused before its end");
        rebuilder.throttle(None).await.expect("told");
        rebuilder.pause(false).await.expect("told");
    };
    let (rebuilt, ()) = tokio::join!(rebuilding, telling);
    assert_eq!(rebuilt.expect("equal").version, 2);
    assert_eq!(
        phases.into_inner().expect("no panic").first(),
        Some(&Phase::Reading)
    );
    assert_eq!(shop.rows().await, ACCOUNTS.map(|id| row(id, 40)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_rebuild_leaves_nothing() {
    let (shop, _running) = busy(40).await;
    let rebuilder = shop.rebuilder(&balances());
    let limits = slow();
    let cancelling = async {
        told(&shop, "it runs", |status| status.running).await;
        rebuilder.cancel().await.expect("told");
    };
    let (cancelled, ()) = tokio::join!(rebuilder.rebuild(&limits, |_| ()), cancelling);
    assert!(
        matches!(cancelled, Err(RebuildError::Cancelled(_))),
        "{cancelled:?}"
    );
    // One that nobody works on any more is removed by whoever cancels it.
    let limits = slow();
    limits.stop.cancel();
    let interrupted = rebuilder.rebuild(&limits, |_| ()).await;
    assert!(
        matches!(interrupted, Err(RebuildError::Interrupted(_))),
        "{interrupted:?}"
    );
    rebuilder.cancel().await.expect("removed");
    let again = rebuilder.cancel().await;
    assert!(matches!(again, Err(RebuildError::NotUnderWay(_))), "{again:?}");
    let versions: Vec<i32> = sqlx::query_scalar("SELECT version FROM daybook.projections")
        .fetch_all(&shop.pool)
        .await
        .expect("readable");
    assert_eq!(versions, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_table_is_verified_without_stopping_it() {
    let (shop, _running) = busy(3).await;
    let rebuilder = shop.rebuilder(&balances());
    let writing = shop.history(&["d"], 30);
    let limits = Limits::default();
    let (verified, ()) = tokio::join!(rebuilder.verify(&limits, |_| ()), writing);
    verified.expect("equal");
    shop.caught_up().await;
    sqlx::query("DELETE FROM balances_v1.balances WHERE id = 'b'")
        .execute(&shop.pool)
        .await
        .expect("tampers");
    let found = rebuilder
        .verify(&Limits::default(), |_| ())
        .await
        .expect_err("differs")
        .to_string();
    assert!(
        found.contains("live no row / rebuilt") && found.contains(r#""b""#),
        "{found}"
    );
    let other = shop
        .rebuilder(&Projection::view::<Doubled>())
        .verify(&Limits::default(), |_| ())
        .await;
    assert!(
        other
            .expect_err("another fold")
            .to_string()
            .contains("run `daybook rebuild balances`")
    );
    let versions: Vec<i32> = sqlx::query_scalar("SELECT version FROM daybook.projections")
        .fetch_all(&shop.pool)
        .await
        .expect("readable");
    assert_eq!(versions, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_altered_by_hand_is_named() {
    let (shop, _running) = busy(3).await;
    sqlx::query("ALTER TABLE balances_v1.balances ADD COLUMN note TEXT")
        .execute(&shop.pool)
        .await
        .expect("tampers");
    let refused = shop.rebuild().await.expect_err("altered").to_string();
    assert!(
        refused.contains("balances_v1.balances was altered by hand, it has note text"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_back_leads_to_the_version_before_brought_up_to_date() {
    let (shop, _running) = busy(3).await;
    let rebuilder = shop.rebuilder(&balances());
    let nothing = rebuilder.rollback().await;
    assert!(
        matches!(nothing, Err(RebuildError::NothingBefore(_))),
        "{nothing:?}"
    );
    shop.rebuild().await.expect("equal");
    shop.append(vec![shop.event("a", 4, 1)]).await;
    shop.caught_up().await;
    assert_eq!(rebuilder.rollback().await.expect("goes back"), 1);
    assert_eq!(shop.rows().await[0], row("a", 4), "what came since is there");
    shop.append(vec![shop.event("a", 5, 1)]).await;
    shop.caught_up().await;
    assert_eq!(rebuilder.rollback().await.expect("and forth"), 2);
    assert_eq!(shop.rows().await[0], row("a", 5));
    // Live by another fold: only the build that made a version can go back to it.
    let doubled = shop.rebuilder(&Projection::view::<Doubled>());
    doubled
        .rebuild(&Limits::default(), |_| ())
        .await
        .expect("switches");
    let refused = doubled.rollback().await;
    assert!(
        matches!(refused, Err(RebuildError::OtherBuild { version: 2, .. })),
        "{refused:?}"
    );
    assert_eq!(rebuilder.rollback().await.expect("this one can"), 2);
    assert_eq!(doubled.drop_retired().await.expect("dropped"), [3]);
    assert!(matches!(
        rebuilder.rollback().await,
        Err(RebuildError::NothingBefore(_))
    ));
}

/// A full disk, as PostgreSQL reports it, at the first row of the new version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_the_live_version_and_nothing_else() {
    use sqlx::Executor;

    let (shop, _running) = busy(3).await;
    let full = "
        CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE FUNCTION fill() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF to_regclass('balances_v2.balances') IS NOT NULL THEN
                    CREATE TRIGGER full_disk BEFORE INSERT ON balances_v2.balances FOR EACH ROW EXECUTE FUNCTION full_disk();
                END IF;
            END $$;
        CREATE EVENT TRIGGER fill ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION fill();";
    shop.pool.execute(full).await.expect("filled");
    let refused = shop.rebuild().await.expect_err("no room");
    assert!(matches!(refused, RebuildError::NoRoom { .. }), "{refused}");
    assert!(
        refused.to_string().contains("No space left on device"),
        "{refused}"
    );
    let versions: Vec<i32> = sqlx::query_scalar("SELECT version FROM daybook.projections")
        .fetch_all(&shop.pool)
        .await
        .expect("readable");
    assert_eq!(versions, [1]);
    assert_eq!(shop.rows().await, ACCOUNTS.map(|id| row(id, 3)));
    shop.pool
        .execute("DROP EVENT TRIGGER fill")
        .await
        .expect("room again");
    assert_eq!(shop.rebuild().await.expect("equal"), 3);
}
