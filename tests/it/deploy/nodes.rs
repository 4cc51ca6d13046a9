//! Nodes of two builds over one log and one database.

use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::Value;
use tempfile::TempDir;
use testkit::Daybook;

use super::PATIENCE;
use crate::shop::Shop;

/// The program of the build before the events had versions; tests that need it say how to make it, and skip.
pub(super) fn before() -> Option<PathBuf> {
    let named = std::env::var_os("DAYBOOK_BEFORE").map(PathBuf::from);
    if named.is_none() {
        println!(
            "skipped: DAYBOOK_BEFORE does not name the program of the older build; to make it:\n  \
             git worktree add ../before b3229e5 && cargo build --bin daybook --manifest-path ../before/Cargo.toml\n  \
             export DAYBOOK_BEFORE=../before/target/debug/daybook"
        );
    }
    let found = testkit::workspace().join(named?);
    assert!(found.exists(), "DAYBOOK_BEFORE: there is no {}", found.display());
    Some(found)
}

/// A node of this build beside the shop's own process.
pub(super) struct Node {
    pub(super) process: Daybook,
    _directory: TempDir,
}

impl Node {
    /// One that is not started yet.
    pub(super) fn beside(shop: &Shop) -> Self {
        let directory = testkit::directory().expect("a directory");
        Self {
            process: shop.another(directory.path()),
            _directory: directory,
        }
    }
}

/// What the probe of a node's query API says.
pub(super) async fn probe(node: &Daybook) -> (u16, Value) {
    let answer = reqwest::get(format!("{}/readyz", node.queries)).await;
    let answer = answer.expect("it lives");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

/// Until the probe says this: 200, or 503 for the projections.
pub(super) async fn is_ready(node: &Daybook, ready: bool) {
    testkit::eventually(&format!("ready: {ready}"), PATIENCE, async || {
        let (status, body) = probe(node).await;
        let as_expected = if ready {
            status == 200
        } else {
            status == 503 && body["failing"] == serde_json::json!(["projections"])
        };
        as_expected.then_some(())
    })
    .await;
}

/// Until its log says so, behind what it had said at `from`.
pub(super) async fn says(node: &Daybook, from: usize, what: &str) {
    testkit::eventually(what, PATIENCE, async || {
        node.log()[from..].contains(what).then_some(())
    })
    .await;
}

/// One role of a shop in a process of its own, of either build. Ended with the test.
pub(super) struct Role {
    child: Child,
    words: tempfile::NamedTempFile,
}

impl Role {
    pub(super) fn start(shop: &Shop, program: &Path, role: &str) -> Self {
        let words = tempfile::NamedTempFile::new().expect("a file");
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        let mut command = shop.command_of(program, &[role, "--dev"]);
        let command = command
            .args(["--commands-url", &shop.process.commands])
            .args(["--queries", &address(&shop.process.queries)])
            .env("DAYBOOK_LISTEN_PROJECTIONS", "127.0.0.1:0")
            .env("DAYBOOK_LISTEN_WORKERS", "127.0.0.1:0")
            .stdout(words.reopen().expect("a file"))
            .stderr(words.reopen().expect("a file"));
        let child = command.spawn().expect("starts");
        Self { child, words }
    }

    /// Until it has said so.
    pub(super) async fn says(&self, what: &str) {
        testkit::eventually(what, PATIENCE, async || self.said().contains(what).then_some(())).await;
    }

    /// All that it wrote.
    fn said(&self) -> String {
        std::fs::read_to_string(self.words.path()).expect("text")
    }

    /// As a deployment ends it.
    pub(super) async fn stop(&mut self) {
        testkit::interrupt(&self.child);
        let ended = testkit::eventually("it stops", PATIENCE, async || {
            self.child.try_wait().expect("ours")
        });
        assert!(ended.await.success(), "{}", self.said());
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.child.kill().expect("ours to kill");
        self.child.wait().expect("ours to wait for");
        if std::thread::panicking() {
            println!("it said:\n{}", self.said());
        }
    }
}
