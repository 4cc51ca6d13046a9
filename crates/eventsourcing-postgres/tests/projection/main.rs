//! Live projection and rebuild on a real PostgreSQL, with the smallest domain there is.

mod as_of;
mod course;
mod frozen;
mod generations;
mod parked;
mod refused;
mod shared;
mod shop;
mod versions;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::record::Record;
use eventsourcing_postgres::rebuild::RebuildError;
use shop::{Shop, row};

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
        match dying {
            // Fast enough; or the one before, dead, still has its lock.
            Err(_) | Ok(Ok(_) | Err(RebuildError::Running(_))) => {}
            Ok(Err(error)) => panic!("{error}"),
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
