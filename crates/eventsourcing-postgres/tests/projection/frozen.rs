//! A PostgreSQL that is stopped in its tracks (SIGSTOP): it closes no socket and answers nothing.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::shop::{Shop, row};

/// The server and all its processes, stopped until dropped.
struct Frozen(Vec<String>);

impl Frozen {
    fn all_of(data: &Path) -> Self {
        let pid = find(data).expect("a running server has a postmaster.pid");
        let children = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &pid])
            .output()
            .expect("ps is there");
        let children = String::from_utf8(children.stdout).expect("numbers");
        // The parent first: it must not replace what seems to hang.
        let mut all = vec![pid];
        all.extend(children.split_whitespace().map(str::to_owned));
        let frozen = Self(all);
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        for pid in &self.0 {
            // A backend may have ended in between.
            let sent = Command::new("kill").args([signal, pid]).status();
            sent.expect("kill is there");
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// The first line of `postmaster.pid` somewhere below.
fn find(directory: &Path) -> Option<String> {
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(pid) = find(&path) {
                return Some(pid);
            }
        } else if path.ends_with("postmaster.pid") {
            return std::fs::read_to_string(path)
                .ok()?
                .lines()
                .next()
                .map(str::to_owned);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_is_given_up_in_time_and_taken_up_again_exactly_once() {
    let (server, directory) = testkit::private_postgres();
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
        let frozen = Frozen::all_of(directory.path());
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
    let (server, directory) = testkit::private_postgres();
    let shop = Shop::open_at(&server.url("postgres")).await;
    shop.history(&["a", "b"], 100).await;
    let (_running, _stop) = shop.live(100);
    shop.caught_up().await;
    let started = Instant::now();
    let freezing = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Frozen::all_of(directory.path())
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
