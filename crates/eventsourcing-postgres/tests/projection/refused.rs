//! What does not fit: sums that outgrow a row, and rows that the database refuses.

use eventsourcing::aggregate::Recorded;
use eventsourcing::contract::account::Moved;
use eventsourcing::projection::{Change, Counter, FoldError, Row, Table, Tally, View};
use eventsourcing_postgres::projection::{OnError, Projection};
use serde::{Deserialize, Serialize};

use crate::shop::{AccountRow, Balances, Shop, row};

struct Totals;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Total {
    name: String,
    sum: i64,
}

impl Row for Total {
    const TABLE: Table = Table {
        name: "totals",
        key: &["name"],
        columns: &[("name", "TEXT NOT NULL"), ("sum", "NUMERIC NOT NULL")],
        indexes: &[],
    };
}

impl Counter for Total {
    const ADDED: &'static [&'static str] = &["sum"];
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn add(&mut self, other: &Self) -> Result<(), FoldError> {
        let sum = self.sum.checked_add(other.sum);
        self.sum = sum.ok_or_else(|| FoldError::new("overflows"))?;
        Ok(())
    }
}

impl Tally for Totals {
    const NAME: &'static str = "totals";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Counter = Total;

    fn count(event: &Recorded<Moved>) -> Result<Vec<Total>, FoldError> {
        Ok(vec![Total {
            name: "all".to_owned(),
            sum: event.event.by,
        }])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sum_beyond_64_bits_is_kept_whatever_the_batches() {
    for batch in [1, 2, 100] {
        let shop = Shop::open().await;
        let sums = [
            ("a", i64::MAX),
            ("b", i64::MAX),
            ("c", 5),
            ("d", -7),
            ("e", i64::MAX),
        ];
        let events = sums.map(|(account, by)| shop.event(account, 1, by)).to_vec();
        shop.append(events).await;
        let (_running, _stop) = shop.live_of(Projection::tally::<Totals>(), batch);
        shop.caught_up_in("totals").await;
        let shown = async || -> String {
            let sum = sqlx::query_scalar("SELECT sum::TEXT FROM read.totals WHERE name = 'all'");
            sum.fetch_one(&shop.pool).await.expect("a sum")
        };
        let expected = (3 * i128::from(i64::MAX) - 2).to_string();
        assert_eq!(shown().await, expected, "batches of {batch}");
        assert_eq!(shop.parked().await, []);
        shop.rebuild_of(&Projection::tally::<Totals>())
            .await
            .expect("equal to live");
        assert_eq!(shown().await, expected, "rebuilt");
    }
}

/// Balances in a table that refuses 100 and more.
struct Small;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct SmallRow(AccountRow);

impl Row for SmallRow {
    const TABLE: Table = Table {
        name: "balances",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("balance", "BIGINT NOT NULL CHECK (balance < 100)"),
            ("sequence", "BIGINT NOT NULL"),
        ],
        indexes: &[],
    };
}

impl View for Small {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = SmallRow;

    fn fold(row: Option<&SmallRow>, event: &Recorded<Moved>) -> Result<Change<SmallRow>, FoldError> {
        Ok(match Balances::fold(row.map(|row| &row.0), event)? {
            Change::Put(row) => Change::Put(SmallRow(row)),
            Change::Delete => Change::Delete,
            Change::Keep => Change::Keep,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_refuses_is_parked_in_its_place() {
    for batch in [1, 2, 100] {
        let shop = Shop::open().await;
        let events = [("a", 1, 1), ("b", 1, 1), ("a", 2, 99), ("b", 2, 1), ("a", 3, 1)];
        let events = events
            .map(|(account, sequence, by)| shop.event(account, sequence, by))
            .to_vec();
        shop.append(events).await;
        let (_running, _stop) = shop.live_of(Projection::view::<Small>(), batch);
        shop.caught_up().await;
        assert_eq!(
            shop.rows().await,
            [row("a", 1), row("b", 2)],
            "batches of {batch}"
        );
        let parked = shop.parked().await;
        let places: Vec<(i64, &str)> = parked
            .iter()
            .map(|(offset, key, _)| (*offset, key.as_str()))
            .collect();
        assert_eq!(places, [(3, "a"), (5, "a")], "batches of {batch}");
        assert!(parked[0].2.contains("check constraint"), "{}", parked[0].2);
        let rebuilt = shop.rebuild_of(&Projection::view::<Small>()).await;
        assert_eq!(rebuilt.expect("parks the same").rows, 2);
        assert_eq!(shop.parked().await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_refuses_halts_where_nothing_is_to_be_parked() {
    for batch in [1, 100] {
        let shop = Shop::open().await;
        let events = [("a", 1, 1), ("b", 1, 1), ("a", 2, 99), ("b", 2, 1)];
        let events = events.map(|(account, sequence, by)| shop.event(account, sequence, by));
        shop.append(events.to_vec()).await;
        let halting = Projection::view::<Small>().on_error(OnError::Halt);
        let (running, _stop) = shop.live_of(halting, batch);
        let error = running.await.expect("no panic").expect_err("halts").to_string();
        assert!(
            error.contains("balances halts before test.accounts.events/0@3 ")
                && error.contains("check constraint"),
            "batches of {batch}: {error}"
        );
        assert_eq!(shop.parked().await, []);
        let before = shop.rows().await;
        assert!(
            [vec![], vec![row("a", 1), row("b", 1)]].contains(&before),
            "batches of {batch}: {before:?}"
        );
    }
}
