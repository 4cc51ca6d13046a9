//! Snapshots: a read model as it stood, beside the live one.

mod entries;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::codec::{self, EventHead, Meta};
use eventsourcing::ids::{CommandId, Digest, Sequence};
use eventsourcing::record::Record;
use eventsourcing_postgres::projection::{Filter, Projection};
use eventsourcing_postgres::rebuild::{Built, Kept, Limits, RebuildError, Snapshotter, snapshots, status};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::shop::Shop;
use entries::{Accounts, Entry, LATER, NOW, Sums};

/// An event as it is told: of which account, its sequence, when it was recorded, and its day where that is another.
type Line = (String, u64, OffsetDateTime, Option<OffsetDateTime>);

const FIRST: OffsetDateTime = datetime!(2011-06-01 12:00 UTC);

/// Thirty days: each day `a` moves, and something of twenty days before is entered for an account of its own.
fn history() -> Vec<Line> {
    let days = (0..30).flat_map(|day| {
        let time = FIRST + time::Duration::days(day);
        let sequence = u64::try_from(day).expect("small") + 1;
        [
            ("a".to_owned(), sequence, time, None),
            (format!("b{day}"), 1, time, Some(time - time::Duration::days(20))),
        ]
    });
    days.collect()
}

fn before(history: &[Line], as_of: OffsetDateTime) -> impl Iterator<Item = &Line> {
    history
        .iter()
        .filter(move |(_, _, time, day)| day.unwrap_or(*time) < as_of)
}

/// Rows as PostgreSQL writes them.
fn accounts(history: &[Line], as_of: OffsetDateTime) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for (account, ..) in before(history, as_of) {
        *counts.entry(account).or_insert(0) += 1;
    }
    let mut rows: Vec<String> = counts
        .iter()
        .map(|(account, count)| format!("({account},{count},{count})"))
        .collect();
    rows.sort();
    rows
}

fn sums<'a>(lines: impl Iterator<Item = &'a Line>) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for (_, _, time, day) in lines {
        *counts.entry(day.unwrap_or(*time).date()).or_insert(0) += 1;
    }
    counts
        .iter()
        .map(|(day, count)| format!("({day},{count})"))
        .collect()
}

impl Shop {
    fn line(&self, (account, sequence, time, day): &Line) -> Record {
        let meta = Meta {
            sequence: Sequence(*sequence),
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
            time: *time,
            meta: &meta,
            traceparent: None,
        };
        codec::encode_event(&Bytes::new(), &head, &Entry { by: 1, day: *day })
    }

    async fn write(&self, lines: &[Line]) {
        self.append(lines.iter().map(|line| self.line(line)).collect())
            .await;
    }

    fn as_of(&self, projection: &Projection, as_of: OffsetDateTime) -> Snapshotter {
        let filter = Filter { as_of, only: None };
        self.rebuilder(projection).as_of(filter).expect("of all types")
    }

    async fn texts(&self, relation: &str) -> Vec<String> {
        let sql = format!("SELECT t::text FROM {relation} t ORDER BY 1");
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        rows.fetch_all(&self.pool).await.expect("readable")
    }

    async fn kept(&self) -> Vec<Kept> {
        let read_models = [Projection::view::<Accounts>(), Projection::tally::<Sums>()];
        snapshots(&self.pool, &read_models).await.expect("readable")
    }

    /// What there is of a projection by this name, wherever it is kept.
    async fn traces(&self, name: &str) -> i64 {
        let sql = "SELECT (SELECT count(*) FROM daybook.projections WHERE name = $1)
                + (SELECT count(*) FROM daybook.projection_folds WHERE name = $1)
                + (SELECT count(*) FROM daybook.checkpoints WHERE projection = $1)
                + (SELECT count(*) FROM daybook.parked_events WHERE projection = $1)
                + (SELECT count(*) FROM daybook.rebuilds WHERE projection = $1)
                + (SELECT count(*) FROM daybook.snapshots WHERE name = $1)
                + (SELECT count(*) FROM pg_class WHERE relname = $1)
                + (SELECT count(*) FROM pg_namespace WHERE nspname ~ ('^' || $1 || '_v'))";
        let count = sqlx::query_scalar(sql).bind(name).fetch_one(&self.pool).await;
        count.expect("readable")
    }
}

async fn build(snapshotter: &Snapshotter) -> Built {
    snapshotter
        .build(&Limits::default(), |_| ())
        .await
        .expect("builds")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_the_plain_fold_of_what_happened_before() {
    let shop = Shop::open().await;
    let history = history();
    shop.write(&history).await;
    let (view, tally) = (Projection::view::<Accounts>(), Projection::tally::<Sums>());
    let (_running, _stop) = shop.live_of(view.clone(), 100);
    shop.caught_up_in("accounts").await;
    let live = shop.texts("read.accounts").await;

    // Between two days, at the very moment of one, and behind all of them.
    for (as_of, name) in [
        (datetime!(2011-06-10 00:00 UTC), "20110610t000000z"),
        (datetime!(2011-06-10 12:00 UTC), "20110610t120000z"),
        (
            datetime!(2011-06-10 12:00:00.000_001 UTC),
            "20110610t120000_000001z",
        ),
        (datetime!(2012-01-01 00:00 UTC), "20120101t000000z"),
    ] {
        let built = build(&shop.as_of(&view, as_of)).await;
        let expected = accounts(&history, as_of);
        assert_eq!(shop.texts(&format!("read.accounts_as_of_{name}")).await, expected);
        let events = before(&history, as_of).count() as u64;
        let counts = (built.rows, built.sampled, built.events, built.parked);
        let rows = expected.len();
        assert_eq!(
            counts,
            (i64::try_from(rows).expect("few"), rows as u64, events, (0, 0)),
            "{as_of}"
        );
        build(&shop.as_of(&tally, as_of)).await;
        let expected = sums(before(&history, as_of));
        assert_eq!(shop.texts(&format!("read.sums_as_of_{name}")).await, expected);
    }
    assert_eq!(shop.kept().await.len(), 8);
    assert_eq!(shop.kept().await[0].position, "accounts/0@60");
    assert!(shop.kept().await.iter().all(|kept| kept.same_fold));

    // The live one is untouched, goes on, and no snapshot goes with it.
    assert_eq!(shop.texts("read.accounts").await, live);
    shop.write(&[("a".to_owned(), 31, FIRST, None)]).await;
    shop.caught_up_in("accounts").await;
    assert!(
        shop.texts("read.accounts")
            .await
            .contains(&"(a,31,31)".to_owned())
    );
    let still = datetime!(2012-01-01 00:00 UTC);
    assert_eq!(
        shop.texts("read.accounts_as_of_20120101t000000z").await,
        accounts(&history, still)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_interrupted_or_dropped_midway_is_taken_up_where_its_rows_were_stored() {
    let shop = Shop::open().await;
    let history = history();
    shop.write(&history).await;
    let as_of = datetime!(2011-06-20 00:00 UTC);
    let snapshotter = shop.as_of(&Projection::view::<Accounts>(), as_of);
    let slow = || Limits {
        events_per_s: NonZeroU64::new(40),
        ..Limits::default()
    };
    // Interrupted: what was folded is stored.
    let limits = slow();
    let stop = limits.stop.clone();
    let interrupting = async {
        testkit::eventually("it reads", Duration::from_secs(30), async || {
            let all = status(&shop.pool).await.expect("readable");
            let one = all.first().filter(|one| one.as_of == Some(as_of))?;
            (one.projection == "accounts" && one.partitions.first()?.done > 10).then_some(())
        })
        .await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(snapshotter.build(&limits, |_| ()), interrupting);
    let interrupted = outcome.expect_err("was interrupted").to_string();
    assert!(
        interrupted.contains("`daybook rebuild accounts --as-of 2011-06-20T00:00:00Z` goes on"),
        "{interrupted}"
    );
    let plan = snapshotter.plan().await.expect("readable");
    let done = plan.partitions[0].done;
    assert!(plan.resumes == Some(1) && (11..61).contains(&done), "{plan:?}");
    assert_eq!(shop.kept().await.len(), 0, "half of it is not shown");

    // Dropped, as by a kill: what was stored before is all there is.
    let limits = slow();
    let killed = tokio::time::timeout(Duration::from_millis(400), snapshotter.build(&limits, |_| ())).await;
    assert!(killed.is_err(), "{killed:?}");
    let built =
        testkit::eventually(
            "the lock of the dead goes",
            Duration::from_secs(20),
            async || match snapshotter.build(&Limits::default(), |_| ()).await {
                Ok(built) => Some(built),
                Err(RebuildError::Running(_)) => None,
                Err(error) => panic!("{error}"),
            },
        )
        .await;
    assert_eq!(built.version, 1, "the same version");
    assert!(built.records <= 61 - done, "{built:?}");
    assert_eq!(built.events, before(&history, as_of).count() as u64);
    assert_eq!(
        shop.texts("read.accounts_as_of_20110620t000000z").await,
        accounts(&history, as_of)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_one_of_the_same_instant_replaces_it_and_readers_see_one_of_them() {
    let shop = Shop::open().await;
    let history = history();
    shop.write(&history).await;
    let (tally, as_of) = (Projection::tally::<Sums>(), datetime!(2012-01-01 00:00 UTC));
    let some = Filter {
        as_of,
        only: Some(vec![LATER]),
    };
    let some = shop.rebuilder(&tally).as_of(some).expect("counters");
    let all = shop.as_of(&tally, as_of);
    build(&some).await;
    let entered = sums(history.iter().filter(|(_, _, _, day)| day.is_some()));
    let everything = sums(history.iter());
    assert_eq!(shop.texts("read.sums_as_of_20120101t000000z").await, entered);
    assert_eq!(shop.kept().await[0].only, Some(vec![LATER.to_owned()]));

    let replacing = async {
        for _ in 0..4 {
            build(&all).await;
            build(&some).await;
        }
        build(&all).await.version
    };
    let reading = async {
        let mut seen = [0, 0];
        while seen[0] < 20 || seen[1] < 20 {
            let rows = shop.texts("read.sums_as_of_20120101t000000z").await;
            if rows == entered {
                seen[0] += 1;
            } else {
                assert_eq!(rows, everything);
                seen[1] += 1;
            }
        }
    };
    let (version, ()) = tokio::join!(replacing, reading);
    assert_eq!(version, 10);
    let kept = shop.kept().await;
    assert_eq!((kept.len(), &kept[0].only, kept[0].same_fold), (1, &None, true));
    // View, snapshot, version, fold, checkpoint, schema: one of each, and no replaced one.
    assert_eq!(shop.traces("sums_as_of_20120101t000000z").await, 6);

    all.remove().await.expect("is there");
    assert_eq!(shop.traces("sums_as_of_20120101t000000z").await, 0);
    let nothing = all.remove().await.expect_err("is gone").to_string();
    assert!(
        nothing.contains("no snapshot of sums as of 2012-01-01T00:00:00Z"),
        "{nothing}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let shop = Shop::open().await;
    shop.write(&history()).await;
    let (view, tally) = (Projection::view::<Accounts>(), Projection::tally::<Sums>());
    let only = |as_of| Filter {
        as_of,
        only: Some(vec![NOW]),
    };
    let first_day = datetime!(2011-05-12 12:00 UTC);
    let Err(refused) = shop.rebuilder(&view).as_of(only(FIRST)) else {
        panic!("a view of some types")
    };
    assert!(
        refused
            .to_string()
            .contains("each row needs every event of its aggregate"),
        "{refused}"
    );

    // Not one event counts: neither of all, nor of those that are asked for.
    let early = shop.as_of(&tally, first_day);
    let some = shop.rebuilder(&tally).as_of(only(FIRST)).expect("counters");
    for (snapshotter, first) in [(early, "2011-05-12T12:00:00Z"), (some, "2011-06-01T12:00:00Z")] {
        let outcome = snapshotter.build(&Limits::default(), |_| ()).await;
        let refused = outcome.expect_err("nothing happened").to_string();
        let expected = format!("happened before {first}; the first event is of {first}");
        assert!(refused.contains(&expected), "{refused}");
        assert_eq!(shop.traces(snapshotter.name().as_str()).await, 0);
    }

    let sql = "INSERT INTO daybook.snapshots (name, projection, as_of, rows, events)
               SELECT 'other ' || n, 'sums', TIMESTAMPTZ '2000-01-01' + n * INTERVAL '1 day', 1, 1 FROM generate_series(1, 100) n";
    sqlx::query(sql).execute(&shop.pool).await.expect("many");
    let outcome = shop.as_of(&tally, FIRST).build(&Limits::default(), |_| ()).await;
    let refused = outcome.expect_err("too many").to_string();
    assert!(refused.contains("100 snapshots of sums already"), "{refused}");
}

/// A later event that happened earlier: its row cannot be, and that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregate_whose_times_run_backwards_is_parked_and_counted() {
    let shop = Shop::open().await;
    let (early, late) = (FIRST, datetime!(2011-07-01 00:00 UTC));
    let lines = [
        ("a".to_owned(), 1, late, None),
        ("a".to_owned(), 2, late, Some(early)),
        ("a".to_owned(), 3, late, Some(early)),
        ("b".to_owned(), 1, late, Some(early)),
    ];
    shop.write(&lines).await;
    let as_of = datetime!(2011-06-15 00:00 UTC);
    let built = build(&shop.as_of(&Projection::view::<Accounts>(), as_of)).await;
    assert_eq!((built.rows, built.events, built.parked), (1, 3, (2, 1)));
    assert_eq!(
        shop.texts("read.accounts_as_of_20110615t000000z").await,
        ["(b,1,1)"]
    );
    let kept = shop.kept().await;
    assert_eq!((kept[0].parked_events, kept[0].parked_keys), (2, 1));
    // Counters take each event by itself.
    let built = build(&shop.as_of(&Projection::tally::<Sums>(), as_of)).await;
    assert_eq!((built.events, built.parked), (3, (0, 0)));
    assert_eq!(
        shop.texts("read.sums_as_of_20110615t000000z").await,
        ["(2011-06-01,3)"]
    );
}
