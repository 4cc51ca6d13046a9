//! Parked events: folded again in their order, or left out for ever.

use std::borrow::Cow;
use std::num::NonZeroU64;

use bytes::Bytes;
use eventsourcing::aggregate::Recorded;
use eventsourcing::contract::account::Moved;
use eventsourcing::projection::{Change, FoldError, View};
use eventsourcing::record::Record;
use eventsourcing_postgres::projection::{OnError, Projection};
use eventsourcing_postgres::rebuild::{Limits, RebuildError, Skip, Verified};

use crate::shop::{AccountRow, Balances, Shop, row};

/// What `Balances` was before it was mended: it cannot take 7.
struct Broken;

impl View for Broken {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = AccountRow;

    fn fold(row: Option<&AccountRow>, event: &Recorded<Moved>) -> Result<Change<AccountRow>, FoldError> {
        if event.event.by == 7 {
            return Err(FoldError::new("seven is too much"));
        }
        Balances::fold(row, event)
    }
}

/// `Balances` by a newer fold, so that a rebuild is checked by a sample.
struct Raised;

impl View for Raised {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    const FOLD: u32 = 2;
    type Event = Moved;
    type Row = AccountRow;

    fn fold(row: Option<&AccountRow>, event: &Recorded<Moved>) -> Result<Change<AccountRow>, FoldError> {
        Balances::fold(row, event)
    }
}

fn junk(key: &'static str) -> Record {
    Record {
        key: Bytes::from_static(key.as_bytes()),
        value: Bytes::from_static(b"junk"),
        headers: vec![(Cow::Borrowed("ce_type"), Bytes::from_static(b"junk"))],
    }
}

fn skip(key: &str, offset: u64) -> Skip {
    Skip {
        key: key.to_owned(),
        partition: 0,
        offset,
        reason: "a test".to_owned(),
    }
}

/// A shop where `a` waits at its second event, with `behind` more.
async fn poisoned(behind: u64) -> Shop {
    let shop = Shop::open().await;
    shop.history(&["a", "b"], 1).await;
    shop.append(vec![shop.event("a", 2, 7), shop.event("b", 2, 1)])
        .await;
    for sequence in 3..3 + behind {
        shop.append(vec![shop.event("a", sequence, 1)]).await;
    }
    let (running, stop) = shop.live_of(Projection::view::<Broken>(), 100);
    shop.caught_up().await;
    stop.cancel();
    running.await.expect("no panic").expect("a clean end");
    assert_eq!(shop.rows().await, [row("a", 1), row("b", 2)]);
    assert_eq!(shop.parked().await.len() as u64, 1 + behind);
    shop
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_by_the_fold_that_failed_changes_nothing_and_says_why() {
    let shop = poisoned(2).await;
    let before = shop.parked().await;
    let retried = shop.rebuilder(&Projection::view::<Broken>()).retry(None).await;
    let retried = retried.expect("tries");
    assert_eq!(retried.len(), 1);
    assert_eq!((&*retried[0].key, retried[0].applied), ("a", 0));
    let left = retried[0].left.as_ref().expect("waits");
    assert_eq!(left.at, "test.accounts.events/0@3");
    assert!(left.error.contains("seven is too much"), "{}", left.error);
    assert_eq!(shop.parked().await, before);
    assert_eq!(shop.rows().await, [row("a", 1), row("b", 2)]);
}

/// More comes for the key while it is retried, by two at once: nothing twice, nothing out of order, or the sequence
/// would have a gap and be parked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_beside_the_live_projector_brings_the_key_up_to_date() {
    let shop = poisoned(30).await;
    // Still the fold that fails: it parks what comes, behind what is retried.
    let (_running, _stop) = shop.live_of(Projection::view::<Broken>(), 3);
    let rebuilder = shop.rebuilder(&Projection::view::<Balances>());
    let writing = async {
        for sequence in 33..133 {
            shop.append(vec![shop.event("a", sequence, 1)]).await;
        }
    };
    let (first, second, ()) = tokio::join!(rebuilder.retry(None), rebuilder.retry(Some("a")), writing);
    let mut applied = 0;
    for outcome in [first, second] {
        match outcome {
            Ok(keys) => {
                assert!(keys.iter().all(|key| key.left.is_none()), "{keys:?}");
                applied += keys.iter().map(|key| key.applied).sum::<u64>();
            }
            Err(RebuildError::Running(_) | RebuildError::NothingParked { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(applied >= 31, "{applied} applied");
    shop.caught_up().await;
    assert_eq!(shop.parked().await, []);
    assert_eq!(shop.rows().await, [("a".to_owned(), 138, 132), row("b", 2)]);
    assert!(matches!(
        rebuilder.retry(Some("a")).await,
        Err(RebuildError::NothingParked { .. })
    ));
    let rebuilt = shop.rebuild().await.expect("equal to live");
    assert_eq!(rebuilt, 2);
}

/// Notes each move of a checkpoint.
const NOTE_MOVES: &str = "
    CREATE TABLE moves (version INTEGER NOT NULL);
    CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO moves VALUES (NEW.version); RETURN NULL; END $$;
    CREATE TRIGGER note_move AFTER UPDATE ON daybook.checkpoints
        FOR EACH ROW EXECUTE FUNCTION note_move()";

/// Junk is left out, live, in every rebuild, of one stretch or many, and in the sample that a new fold is checked by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_skipped_stays_out_of_every_version() {
    let shop = Shop::open().await;
    shop.history(&["a", "b"], 1).await;
    shop.append(vec![junk("a"), junk("a")]).await;
    shop.append(vec![shop.event("a", 2, 1), shop.event("b", 2, 1)])
        .await;
    let (_running, _stop) = shop.live(100);
    shop.caught_up().await;
    let rebuilder = shop.rebuilder(&Projection::view::<Balances>());
    let refused = rebuilder.skip(&skip("a", 4)).await.expect_err("not the first");
    assert!(
        matches!(&refused, RebuildError::NotFirst { first, .. } if first == "test.accounts.events/0@3"),
        "{refused}"
    );
    let refused = rebuilder.skip(&skip("b", 4)).await.expect_err("nothing parked");
    assert!(matches!(refused, RebuildError::NothingParked { .. }), "{refused}");
    // The second junk has an error of its own.
    let first = rebuilder.skip(&skip("a", 3)).await.expect("skips");
    assert_eq!(first.left.expect("waits").at, "test.accounts.events/0@4");
    let second = rebuilder.skip(&skip("a", 4)).await.expect("skips");
    assert_eq!((second.applied, second.left), (1, None));
    assert_eq!(shop.rows().await, [row("a", 2), row("b", 2)]);
    for sequence in 3..300 {
        shop.append(vec![shop.event("a", sequence, 1), shop.event("b", sequence, 1)])
            .await;
    }
    shop.caught_up().await;
    // A quarter of a second's worth is read at once, and written then: there is no memory for more.
    let many = Limits {
        memory_bytes: 1,
        events_per_s: NonZeroU64::new(400),
        ..Limits::default()
    };
    sqlx::raw_sql(NOTE_MOVES)
        .execute(&shop.pool)
        .await
        .expect("notes");
    rebuilder.verify(&many, |_| ()).await.expect("equal to live");
    let stretches: i64 = sqlx::query_scalar("SELECT count(*) FROM moves WHERE version = 2")
        .fetch_one(&shop.pool)
        .await
        .expect("noted");
    assert!(stretches > 3, "{stretches} stretches");
    for limits in [many, Limits::default()] {
        let rebuilt = rebuilder.rebuild(&limits, |_| ()).await.expect("equal to live");
        assert_eq!(rebuilt.verified, Verified::EqualToLive);
        assert_eq!(shop.rows().await, [row("a", 299), row("b", 299)]);
        assert_eq!(shop.parked().await, []);
    }
    let raised = shop.rebuild_of(&Projection::view::<Raised>()).await;
    assert_eq!(raised.expect("equal to its sample").verified, Verified::Sample(2));
    assert_eq!(shop.rows().await, [row("a", 299), row("b", 299)]);
    assert_eq!(shop.parked().await, []);
}

/// What follows a skipped event of the sequence is refused by a view that counts, and says so itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_needs_the_skipped_event_waits_with_its_own_error() {
    let shop = poisoned(2).await;
    let rebuilder = shop.rebuilder(&Projection::view::<Broken>());
    let skipped = rebuilder.skip(&skip("a", 3)).await.expect("skips");
    let left = skipped.left.expect("waits");
    assert_eq!(left.at, "test.accounts.events/0@5");
    assert!(left.error.contains("a gap in the sequence"), "{}", left.error);
    let parked = shop.parked().await;
    assert_eq!(parked.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), [5, 6]);
    assert!(parked[0].2.contains("a gap in the sequence"), "{}", parked[0].2);
    rebuilder
        .rebuild(&Limits::default(), |_| ())
        .await
        .expect("equal to live");
    assert_eq!(shop.parked().await, parked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_gone_is_named_and_can_be_skipped() {
    let shop = poisoned(0).await;
    sqlx::query(r#"DELETE FROM daybook_log.records WHERE "offset" >= 3"#)
        .execute(&shop.pool)
        .await
        .expect("cuts");
    let rebuilder = shop.rebuilder(&Projection::view::<Balances>());
    let refused = rebuilder.retry(None).await.expect_err("gone").to_string();
    assert!(refused.contains("test.accounts.events/0@3 is gone"), "{refused}");
    let skipped = rebuilder.skip(&skip("a", 3)).await.expect("skips");
    assert_eq!((skipped.applied, skipped.left), (0, None));
    assert_eq!(shop.parked().await, []);
}

/// It says at what, live and in a rebuild, and nothing behind the event is applied; mended, it goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_halts_applies_nothing_behind_the_event() {
    let halting = Projection::view::<Broken>().on_error(OnError::Halt);
    let says = |error: &str| {
        let place = "balances halts before test.accounts.events/0@3 (type test.account.moved.v1, id ";
        assert!(
            error.contains(place) && error.contains("seven is too much"),
            "{error}"
        );
    };
    for batch in [1, 100] {
        let shop = Shop::open().await;
        shop.history(&["a", "b"], 1).await;
        shop.append(vec![shop.event("a", 2, 7), shop.event("b", 2, 1)])
            .await;
        let (running, _stop) = shop.live_of(halting.clone(), batch);
        says(&running.await.expect("no panic").expect_err("halts").to_string());
        assert_eq!(shop.parked().await, []);
        assert!(shop.rows().await.iter().all(|(_, balance, _)| *balance == 1));
        if batch == 1 {
            assert_eq!(shop.rows().await, [row("a", 1), row("b", 1)]);
        }

        let (running, stop) = shop.live(batch);
        shop.caught_up().await;
        stop.cancel();
        running.await.expect("no panic").expect("a clean end");
        let before = shop.rows().await;
        assert_eq!(before, [("a".to_owned(), 8, 2), row("b", 2)]);
        for memory_bytes in [1, Limits::default().memory_bytes] {
            let limits = Limits {
                memory_bytes,
                ..Limits::default()
            };
            let rebuilder = shop.rebuilder(&halting);
            says(
                &rebuilder
                    .rebuild(&limits, |_| ())
                    .await
                    .expect_err("halts")
                    .to_string(),
            );
            says(
                &rebuilder
                    .verify(&limits, |_| ())
                    .await
                    .expect_err("halts")
                    .to_string(),
            );
            assert_eq!(shop.rows().await, before);
        }
        let versions: i64 = sqlx::query_scalar("SELECT count(*) FROM daybook.projections")
            .fetch_one(&shop.pool)
            .await
            .expect("readable");
        assert_eq!(versions, 1, "what cannot be ended is dropped");
    }
}
