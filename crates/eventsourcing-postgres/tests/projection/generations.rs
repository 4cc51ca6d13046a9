//! The switch to topics with another number of partitions: in one transaction, and only when nothing is missed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eventsourcing::assignment::Everything;
use eventsourcing::checkpoint::{Checkpoint, ProcessCheckpoints};
use eventsourcing::clock::System;
use eventsourcing::codec::parse;
use eventsourcing::contract::account::Account;
use eventsourcing::copy::Progress;
use eventsourcing::ids::Offset;
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::repartition::{Checkpoints, Config, Extent, Repartition, Settings};
use eventsourcing::rule::Rule;
use eventsourcing::states::States;
use eventsourcing::topic::Topic;
use eventsourcing_postgres::generations::{self, Moved, SwitchError};
use eventsourcing_postgres::log::{Config as LogConfig, PostgresLog};
use eventsourcing_postgres::process::PostgresCheckpoints;
use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::rebuild::{RebuildError, Verified};

use crate::shop::{Balances, Running, Shop, row};

const PARTITIONS: u32 = 3;
const PROCESS: &str = "mirror";

struct Silent;

impl Progress for Silent {
    fn copied(&self, _: u64, _: u64) {}
    fn compared(&self, _: u64, _: u64) {}
}

fn read_models() -> Vec<Projection> {
    vec![Projection::view::<Balances>()]
}

fn states() -> Vec<Projection> {
    vec![Projection::view::<States<Account>>()]
}

/// Copies all of it into the second generation, and seals the first.
async fn copied(shop: &Shop) -> Repartition {
    let to = Topic::generation("test", "accounts", 2);
    let options = (*shop.pool.connect_options()).clone();
    let log = PostgresLog::open(options, LogConfig::default());
    log.create_topic(&to, PARTITIONS).await.expect("creates");
    generations::begin(&shop.pool, "test", 2, PARTITIONS)
        .await
        .expect("begins");
    let settings = Settings {
        log: Arc::clone(&shop.log),
        environment: Arc::new(System),
        from: Extent {
            topic: shop.topic.clone(),
            partitions: 1,
        },
        to: Extent {
            topic: to,
            partitions: PARTITIONS,
        },
        config: Config::default(),
    };
    let mut copy = Repartition::open(settings).await.expect("opens");
    while copy.round(&Silent).await.expect("copies") > 0 {}
    copy.seal().await.expect("seals");
    copy.finish(&Silent).await.expect("ends");
    copy
}

fn moved(copy: &Repartition) -> [Moved; 1] {
    [Moved {
        from: copy.source().clone(),
        to: copy.target().clone(),
        seals: copy.seals(),
        ends: copy.ends(),
    }]
}

async fn switch(shop: &Shop, copy: &Repartition) -> Result<(), SwitchError> {
    let mut resumed = Vec::new();
    for worked in generations::worked(&shop.pool, copy.source())
        .await
        .expect("answers")
    {
        let checkpoints = copy.resumed(&worked.seen).await.expect("reads");
        resumed.push((worked.process, copy.target().clone(), checkpoints));
    }
    let next = ("test", 2);
    generations::switch(
        &shop.pool,
        next,
        &read_models(),
        &states(),
        &moved(copy),
        &resumed,
    )
    .await
}

/// A projector of all partitions of the shop's topic.
fn live(shop: &Shop, projection: Projection, partitions: u32) -> Running {
    let all = (0..partitions)
        .map(|number| shop.topic.partition(number))
        .collect();
    let share = Share::follow(
        shop.topic.clone(),
        Box::new(Everything::of(all)),
        Presumption::Nothing,
    );
    shop.share_of(projection, share, 100)
}

/// Checkpoints of the active version, by topic and partition: the last offset applied.
async fn stands(shop: &Shop, projection: &str) -> BTreeMap<(String, i32), i64> {
    let sql = r#"SELECT topic, partition, "offset" FROM read.checkpoints WHERE projection = $1"#;
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(sql)
        .bind(projection)
        .fetch_all(&shop.pool)
        .await
        .expect("readable");
    rows.into_iter()
        .map(|(topic, partition, last)| ((topic, partition), last))
        .collect()
}

async fn versions(shop: &Shop, projection: &str) -> Vec<(i32, String)> {
    sqlx::query_as("SELECT version, status FROM daybook.projections WHERE name = $1 ORDER BY version")
        .bind(projection)
        .fetch_all(&shop.pool)
        .await
        .expect("readable")
}

/// A process that has worked off so many records.
async fn works_off(shop: &Shop, records: u64) -> Checkpoint {
    let mut done = Checkpoint {
        next: Offset(records),
        rule: Rule::default(),
    };
    let mut reader = shop
        .log
        .reader(vec![(shop.topic.partition(0), Offset(0))])
        .await
        .expect("readable");
    let most = usize::try_from(records).expect("small");
    for stored in reader.next(most).await.expect("readable") {
        done.rule.judge(parse(&stored).expect("well formed").claim());
    }
    let at = shop.topic.partition(0);
    PostgresCheckpoints(shop.pool.clone())
        .store(PROCESS, &at, Checkpoint::default(), done)
        .await
        .expect("stored");
    done
}

async fn stop((running, stop): Running) {
    stop.cancel();
    running.await.expect("no panic").expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_on_in_the_new_topic_where_they_were_in_the_old_one() {
    let mut shop = Shop::open().await;
    shop.history(&["a", "b", "c", "d"], 40).await;
    let of_states = live(&shop, Projection::view::<States<Account>>(), 1);
    shop.caught_up_in("account_states").await;
    let balances = live(&shop, Projection::view::<Balances>(), 1);
    shop.caught_up().await;
    stop(balances).await;
    let seen = works_off(&shop, 61).await;

    // The read model has not looked at the seal.
    let copy = copied(&shop).await;
    let behind = generations::behind(&shop.pool, &read_models(), &moved(&copy))
        .await
        .expect("answers");
    assert_eq!((behind[0].projection, behind[0].records), ("balances", 1));
    let refused = switch(&shop, &copy).await.expect_err("it is behind");
    assert!(matches!(refused, SwitchError::Behind("balances")), "{refused}");
    assert_eq!(stands(&shop, "balances").await.len(), 1, "nothing has changed");
    let old = live(&shop, Projection::view::<Balances>(), 1);
    shop.caught_up().await;

    switch(&shop, &copy).await.expect("switches");
    let again = switch(&shop, &copy).await.expect_err("it is live");
    assert!(matches!(again, SwitchError::NotNext(2)), "{again}");
    let known = generations::look(&shop.pool, "test").await.expect("answers");
    assert_eq!(known.keys(), "topics.generation=2 and topics.partitions=3");
    let at_seal = stands(&shop, "balances").await;
    assert_eq!(
        at_seal[&(shop.topic.to_string(), 0)],
        copy.seals()[&0].0.cast_signed()
    );
    for (partition, end) in copy.ends() {
        let place = (copy.target().to_string(), partition.cast_signed());
        assert_eq!(at_seal[&place], end.next.0.cast_signed() - 1);
    }
    let resumed: Checkpoints = copy.resumed(&BTreeMap::from([(0, seen)])).await.expect("reads");
    for (partition, place) in resumed {
        let checkpoints = PostgresCheckpoints(shop.pool.clone());
        let at = copy.target().partition(partition);
        assert_eq!(checkpoints.load(PROCESS, &at).await.expect("answers"), place);
    }

    // A projector of the old generation writes no table of states with old offsets, and does not die of it.
    let name = "account_states";
    assert_eq!(versions(&shop, name).await, [(1, "retired".to_owned())]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(versions(&shop, name).await.len(), 1);
    let refused = shop
        .rebuild_of(&Projection::view::<Balances>())
        .await
        .expect_err("of the old topic");
    assert!(
        matches!(refused, RebuildError::Projection(_)) && refused.to_string().contains("generation 2"),
        "{refused}"
    );
    stop(of_states).await;
    stop(old).await;

    // Those of the new one go on: a new owner's event, and the same rows from the beginning.
    shop.topic = copy.target().clone();
    let of_states = live(&shop, Projection::view::<States<Account>>(), PARTITIONS);
    let balances = live(&shop, Projection::view::<Balances>(), PARTITIONS);
    testkit::eventually("the states are made anew", Duration::from_secs(30), async || {
        let stands = stands(&shop, name).await;
        let at = |(partition, end): (u32, Checkpoint)| {
            stands.get(&(shop.topic.to_string(), partition.cast_signed()))
                == Some(&(end.next.0.cast_signed() - 1))
        };
        copy.ends().into_iter().all(at).then_some(())
    })
    .await;
    assert_eq!(versions(&shop, name).await.len(), 2);
    let all: Vec<_> = ["a", "b", "c", "d"].map(|id| row(id, 40)).into();
    assert_eq!(shop.rows().await, all);
    let rebuilt = shop
        .rebuild_of(&Projection::view::<Balances>())
        .await
        .expect("equal");
    assert_eq!((rebuilt.rows, rebuilt.verified), (4, Verified::EqualToLive));
    let after = stands(&shop, "balances").await;
    assert_eq!(
        after, at_seal,
        "what was shown of the old topic is shown after a rebuild, too"
    );
    assert_eq!(shop.parked().await, []);
    stop(of_states).await;
    stop(balances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_event_or_a_running_rebuild_is_in_the_way() {
    let shop = Shop::open().await;
    shop.history(&["a"], 5).await;
    let projector = live(&shop, Projection::view::<Balances>(), 1);
    shop.caught_up().await;
    let copy = copied(&shop).await;
    shop.caught_up().await;
    let park = r#"INSERT INTO daybook.parked_events (projection, version, topic, partition, "offset", key, error)
                  VALUES ('balances', 1, $1, 0, 3, 'a', 'test')"#;
    sqlx::query(park)
        .bind(shop.topic.as_str())
        .execute(&shop.pool)
        .await
        .expect("parked");
    for refused in [
        generations::preflight(&shop.pool, &read_models(), &states()).await,
        switch(&shop, &copy).await,
    ] {
        let refused = refused.expect_err("parked");
        assert!(
            matches!(refused, SwitchError::Parked { events: 1, .. }),
            "{refused}"
        );
    }
    sqlx::query("DELETE FROM daybook.parked_events")
        .execute(&shop.pool)
        .await
        .expect("mended");

    let skip = r#"INSERT INTO daybook.skipped_events (projection, topic, partition, "offset", key, reason)
                  VALUES ('balances', $1, 0, 3, 'a', 'test')"#;
    sqlx::query(skip)
        .bind(shop.topic.as_str())
        .execute(&shop.pool)
        .await
        .expect("skipped");
    for refused in [
        generations::preflight(&shop.pool, &read_models(), &states()).await,
        switch(&shop, &copy).await,
    ] {
        let refused = refused.expect_err("skipped");
        assert!(
            matches!(refused, SwitchError::Skipped { events: 1, .. }),
            "{refused}"
        );
    }
    sqlx::query("DELETE FROM daybook.skipped_events")
        .execute(&shop.pool)
        .await
        .expect("as if never");

    let mut rebuilding = shop.pool.acquire().await.expect("a session");
    let lock = "SELECT pg_advisory_lock(hashtextextended('daybook.rebuild.balances', 1))";
    sqlx::query(lock).execute(&mut *rebuilding).await.expect("locked");
    let refused = switch(&shop, &copy).await.expect_err("a rebuild");
    assert!(
        matches!(refused, SwitchError::Rebuilding("balances")),
        "{refused}"
    );
    let unlock = "SELECT pg_advisory_unlock_all()";
    sqlx::query(unlock)
        .execute(&mut *rebuilding)
        .await
        .expect("unlocked");
    generations::preflight(&shop.pool, &read_models(), &states())
        .await
        .expect("nothing is in the way");
    switch(&shop, &copy).await.expect("switches");
    stop(projector).await;
}
