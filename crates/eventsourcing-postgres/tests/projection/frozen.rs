//! A PostgreSQL that is stopped in its tracks (SIGSTOP): it closes no socket and answers nothing.

use std::time::{Duration, Instant};

use testkit::Frozen;

use crate::shop::{Shop, row};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_is_given_up_in_time_and_taken_up_again_exactly_once() {
    let (server, _directory) = testkit::private_postgres();
    let shop = Shop::open_at(&server.url("postgres")).await;
    let (running, _stop) = shop.live(3);
    for round in 0..4_u64 {
        let first = round * 50;
        let writing: Vec<_> = (1..=50)
            .map(|sequence| shop.event("a", first + sequence, 1))
            .collect();
        shop.append(writing).await;
        // In the midst of small batches, each time somewhere else: some commit is answered too late.
        tokio::time::sleep(Duration::from_millis(3 + 7 * round)).await;
        let frozen = Frozen::tree(server.process_id().expect("ours"));
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert!(!running.is_finished(), "it waits and tries again");
        drop(frozen);
        shop.caught_up().await;
        let all = i64::try_from(first + 50).expect("small");
        assert_eq!(shop.rows().await, [row("a", all)]);
        assert_eq!(shop.parked().await, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_of_a_frozen_database_ends_in_time_and_the_next_one_succeeds() {
    let (server, _directory) = testkit::private_postgres();
    let shop = Shop::open_at(&server.url("postgres")).await;
    shop.history(&["a", "b"], 100).await;
    let (_running, _stop) = shop.live(100);
    shop.caught_up().await;
    let started = Instant::now();
    let freezing = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Frozen::tree(server.process_id().expect("ours"))
    };
    let (ended, frozen) = tokio::join!(
        tokio::time::timeout(Duration::from_mins(1), shop.rebuild()),
        freezing
    );
    let ended = ended.expect("ends by itself");
    assert!(
        ended.is_err() || started.elapsed() < Duration::from_secs(1),
        "{ended:?}"
    );
    drop(frozen);
    testkit::eventually("a rebuild succeeds", Duration::from_secs(30), async || {
        shop.rebuild().await.ok()
    })
    .await;
    assert_eq!(shop.rows().await, [row("a", 100), row("b", 100)]);
}
