//! A parked event, from the command line: its key waits, others go on, and it is folded again or left out for ever.

mod admin;
mod poison;

use std::time::Duration;

use eventsourcing::ids::Offset;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use self::poison::{Projecting, poison};
use crate::on_both_logs;
use crate::shop::{Log, Shop};

const PATIENCE: Duration = Duration::from_mins(1);

on_both_logs!(
    what_the_table_refused_is_folded_once_it_is_mended,
    junk_is_left_out_of_every_version,
    a_read_model_that_halts_ends_its_process,
);

/// A table that takes no more of one key, as a mistaken constraint would have it.
const REFUSE: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no more mugs' USING ERRCODE = '23514'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON availability_v1.availability
        FOR EACH ROW WHEN (NEW.sku = 'MUG') EXECUTE FUNCTION refuse()";
const MEND: &str = "DROP TRIGGER refuse ON availability_v1.availability";

/// Waits until the metrics have this line.
async fn measures(shop: &Shop, line: &str) {
    let url = format!("{}/metrics", shop.process.queries);
    testkit::eventually(line, PATIENCE, async || {
        let answer = reqwest::get(&url).await.ok()?;
        answer.text().await.ok()?.contains(line).then_some(())
    })
    .await;
}

async fn what_the_table_refused_is_folded_once_it_is_mended(log: Log) {
    let shop = open(log).await;
    let mut database = database(&shop).await;
    sqlx::raw_sql(REFUSE)
        .execute(&mut database)
        .await
        .expect("refuses");
    receive(&shop, "MUG", 1).await;
    receive(&shop, "MUG", 2).await;
    receive(&shop, "CUP", 1).await;
    shows(&shop, "CUP", 11).await;
    waiting(&mut database, "availability", 2).await;
    measures(
        &shop,
        "daybook_projection_events_parked{projection=\"availability\"} 2\n",
    )
    .await;
    assert_eq!(on_hand(&shop, "MUG").await, 10);

    let listed = said(&shop, &["parked", "list"], true).await;
    assert!(
        listed.contains("availability ") && listed.contains(r#""stock_MUG", since "#),
        "{listed}"
    );
    assert!(listed.contains(", 1 behind it: "), "{listed}");
    assert!(
        listed.contains("no more mugs") && listed.ends_with("keys with parked events: 1\n"),
        "{listed}"
    );
    let retried = said(&shop, &["parked", "retry", "availability"], false).await;
    assert!(
        retried.contains(r#"availability "stock_MUG": 0 applied, the rest waits at "#),
        "{retried}"
    );
    assert!(
        retried.contains("no more mugs") && retried.contains("keys that still wait: 1; mend what"),
        "{retried}"
    );
    waiting(&mut database, "availability", 2).await;

    sqlx::raw_sql(MEND).execute(&mut database).await.expect("mends");
    let retried = said(&shop, &["parked", "retry", "--all"], true).await;
    assert_eq!(retried, "availability \"stock_MUG\": 2 applied, none wait\n");
    shows(&shop, "MUG", 12).await;
    measures(
        &shop,
        "daybook_projection_events_parked{projection=\"availability\"} 0\n",
    )
    .await;
    // The live projection goes on where the retry ended.
    receive(&shop, "MUG", 3).await;
    shows(&shop, "MUG", 13).await;
    let retried = said(&shop, &["parked", "retry", "availability"], false).await;
    assert!(
        retried.contains("error: availability has nothing parked"),
        "{retried}"
    );
    let listed = said(&shop, &["parked", "list"], true).await;
    assert_eq!(listed, "keys with parked events: 0\n");
    equals_the_log(&shop).await;
}

async fn junk_is_left_out_of_every_version(log: Log) {
    let mut shop = open(log).await;
    // Owners halt at a record that nobody can read, so only the projections run from here on.
    assert!(shop.process.terminate().await, "{}", shop.process.tail());
    let first = poison(&shop).await;
    let at = |offset: Offset| format!("{}@{offset}", first.0);
    let (first, behind) = (at(first.1), at(Offset(first.1.0 + 1)));
    let _projecting = Projecting::start(&shop, "park");
    let mut database = database(&shop).await;
    // Three of one key: junk, junk, and an event behind them. The other key goes on.
    waiting(&mut database, "availability", 3).await;
    waiting(&mut database, "stock_states", 3).await;
    assert_eq!(rows(&mut database).await, [("CUP", 20), ("MUG", 10)].map(own));

    let listed = said(&shop, &["parked", "list", "availability", "--json"], true).await;
    let line: Value = serde_json::from_str(&listed).expect("one line of JSON");
    assert_eq!(
        (&line["projection"], &line["key"], &line["waiting"]),
        (&json!("availability"), &json!("stock_MUG"), &json!(2)),
        "{line}"
    );
    let listed = said(&shop, &["parked", "list", "--limit", "1"], true).await;
    assert!(
        listed.ends_with("keys with parked events: 1, or more: see --limit\n"),
        "{listed}"
    );
    let examined = said(&shop, &["doctor"], true).await;
    assert!(
        examined
            .contains("warning: availability has events parked: 3; see `daybook parked list availability`"),
        "{examined}"
    );
    let retried = said(
        &shop,
        &["parked", "retry", "availability", "--key", "stock_MUG"],
        false,
    )
    .await;
    assert!(
        retried.contains(&format!("the rest waits at {first}: ")),
        "{retried}"
    );
    refusals(&shop, &first, &behind).await;
    waiting(&mut database, "availability", 3).await;

    let skipped = said(&shop, &skip("availability", "stock_MUG", &first), false).await;
    assert!(skipped.contains("is left out for ever"), "{skipped}");
    assert!(
        skipped.contains(&format!("the rest waits at {behind}: ")),
        "{skipped}"
    );
    assert!(
        skipped.contains("still waits, with an error of its own"),
        "{skipped}"
    );
    let skipped = said(&shop, &skip("availability", "stock_MUG", &behind), true).await;
    assert!(skipped.contains("1 applied, none wait"), "{skipped}");
    assert_eq!(rows(&mut database).await, [("CUP", 20), ("MUG", 20)].map(own));
    waiting(&mut database, "availability", 0).await;
    let reasons: Vec<(String, String)> =
        sqlx::query_as(r#"SELECT key, reason FROM daybook.skipped_events ORDER BY "offset""#)
            .fetch_all(&mut database)
            .await
            .expect("readable");
    let reason = ("stock_MUG".to_owned(), "written by a test".to_owned());
    assert_eq!(reasons, [reason.clone(), reason]);
    equals_the_log(&shop).await;
    assert_eq!(rows(&mut database).await, [("CUP", 20), ("MUG", 20)].map(own));
}

/// Live and in a rebuild; as soon as it parks, it goes on.
async fn a_read_model_that_halts_ends_its_process(log: Log) {
    let mut shop = open(log).await;
    assert!(shop.process.terminate().await, "{}", shop.process.tail());
    let (at, offset) = poison(&shop).await;
    let halts =
        format!("availability halts before {at}@{offset} (type junk, id unknown), which it cannot apply: ");
    let mut halting = Projecting::start(&shop, "park,availability=halt");
    let status = testkit::eventually("it ends by itself", PATIENCE, async || {
        halting.child.try_wait().expect("ours")
    })
    .await;
    assert_eq!(status.code(), Some(1));
    assert!(halting.said().contains(&halts), "{}", halting.said());
    let mut database = database(&shop).await;
    waiting(&mut database, "availability", 0).await;
    assert_eq!(rows(&mut database).await, [("CUP", 10), ("MUG", 10)].map(own));

    let _projecting = Projecting::start(&shop, "park");
    waiting(&mut database, "availability", 3).await;
    assert_eq!(rows(&mut database).await, [("CUP", 20), ("MUG", 10)].map(own));
    equals_the_log(&shop).await;
    shop.environment.push((
        "DAYBOOK_PROJECTIONS_ON_ERROR".to_owned(),
        "park,availability=halt".to_owned(),
    ));
    for command in ["verify", "rebuild"] {
        let refused = said(&shop, &[command, "availability"], false).await;
        assert!(refused.contains(&halts), "{refused}");
    }
    waiting(&mut database, "availability", 3).await;
    shop.environment.push((
        "DAYBOOK_PROJECTIONS_ON_ERROR".to_owned(),
        "park,availabilty=halt".to_owned(),
    ));
    let refused = said(&shop, &["parked", "list"], false).await;
    assert!(
        refused.contains("projections.on_error: there is no read model \"availabilty\"; there are "),
        "{refused}"
    );
}

/// Each is one clear line, and nothing changes.
async fn refusals(shop: &Shop, first: &str, behind: &str) {
    let offset = first.rsplit_once('@').expect("a place").1;
    let elsewhere = format!("daybook.orders.events/0@{offset}");
    let cases = [
        (
            skip("availability", "stock_MUG", behind),
            format!("is {first}: only that one"),
        ),
        (
            skip("availability", "stock_MUG", offset),
            "is no place".to_owned(),
        ),
        (
            skip("availability", "stock_MUG", "orders/zero@1"),
            "is no place".to_owned(),
        ),
        (
            skip("availability", "stock_MUG", &elsewhere),
            "availability folds ".to_owned(),
        ),
        (
            skip("availability", "stock_CUP", first),
            r#"nothing parked of the key "stock_CUP""#.to_owned(),
        ),
        (
            skip("avail", "stock_MUG", first),
            r#"there is no projection "avail"; there are products,"#.to_owned(),
        ),
        (
            skip("stock_states", "stock_MUG", first),
            "owners decide on stock_states".to_owned(),
        ),
        (
            vec!["parked", "retry", "orders"],
            "error: orders has nothing parked".to_owned(),
        ),
        (
            vec!["parked", "retry", "avail"],
            r#"there is no projection "avail""#.to_owned(),
        ),
        (
            vec!["parked", "list", "avail"],
            r#"there is no projection "avail""#.to_owned(),
        ),
        (vec!["parked", "retry"], "required".to_owned()),
        (vec!["parked", "list", "--limit", "0"], "--limit".to_owned()),
    ];
    for (arguments, expected) in cases {
        let output = said(shop, &arguments, false).await;
        assert!(output.contains(&expected), "{arguments:?}: {output}");
    }
}

fn skip<'a>(projection: &'a str, key: &'a str, at: &'a str) -> Vec<&'a str> {
    vec![
        "parked",
        "skip",
        projection,
        "--key",
        key,
        "--at",
        at,
        "--reason",
        "written by a test",
    ]
}

/// A shop of one partition, with ten mugs and ten cups.
async fn open(log: Log) -> Shop {
    let shop = Shop::open_with(log, &[("DAYBOOK_TOPICS_PARTITIONS", "1")]).await;
    for sku in ["MUG", "CUP"] {
        shop.sell(sku, 999, 10).await;
        shows(&shop, sku, 10).await;
    }
    shop
}

async fn database(shop: &Shop) -> PgConnection {
    PgConnection::connect(&shop.database_url).await.expect("connects")
}

async fn receive(shop: &Shop, sku: &str, number: u32) {
    let key = format!("receive {sku} again {number}");
    let path = format!("/v1/stock/{sku}/receive");
    let received = shop.insist(&path, &key, &json!({ "quantity": 1 })).await;
    assert_eq!(received.status, 200, "{received:?}");
}

async fn on_hand(shop: &Shop, sku: &str) -> i64 {
    let stock = shop.get(&format!("/v1/stock/{sku}"), None).await.body;
    stock["on_hand"].as_i64().expect("a number")
}

async fn shows(shop: &Shop, sku: &str, on_hand: i64) {
    let shown = |stock: &Value| stock["on_hand"] == on_hand;
    shop.shows(&format!("/v1/stock/{sku}"), shown).await;
}

/// Until so many events of the live version are parked.
async fn waiting(database: &mut PgConnection, projection: &str, events: i64) {
    testkit::eventually("so many are parked", PATIENCE, async || {
        let parked = "SELECT count(*) FROM daybook.parked_events e
            JOIN daybook.projections p ON p.name = e.projection AND p.version = e.version AND p.status = 'active'
            WHERE p.name = $1";
        let parked = sqlx::query_scalar(parked).bind(projection);
        let parked: i64 = parked.fetch_one(&mut *database).await.ok()?;
        (parked == events).then_some(())
    })
    .await;
}

fn own((sku, on_hand): (&str, i64)) -> (String, i64) {
    (sku.to_owned(), on_hand)
}

async fn rows(database: &mut PgConnection) -> Vec<(String, i64)> {
    let rows = "SELECT sku, on_hand::bigint FROM read.availability WHERE sku IN ('CUP', 'MUG') ORDER BY sku";
    sqlx::query_as(rows).fetch_all(database).await.expect("readable")
}

/// All that a command prints, once it ended as it should.
async fn said(shop: &Shop, arguments: &[&str], succeeds: bool) -> String {
    let (succeeded, output) = shop.run(arguments).await;
    assert_eq!(succeeded, succeeds, "{arguments:?}: {output}");
    output
}

async fn equals_the_log(shop: &Shop) {
    let verified = said(shop, &["verify", "availability"], true).await;
    assert!(
        verified.contains("rows equal a rebuild from the log"),
        "{verified}"
    );
    said(shop, &["rebuild", "availability"], true).await;
    said(shop, &["verify", "availability"], true).await;
}
