//! A shop goes on with more partitions while clients go on, and nobody loses anything (P1, P3, P5).

mod clients;
mod evidence;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;
use tokio::sync::oneshot;

use crate::on_both_logs;
use crate::shop::{Log, Shop};
use clients::Clients;
use evidence::nothing_is_lost;

const SERVICES: [&str; 3] = ["catalog", "inventory", "orders"];
/// For whatever a busy machine may delay.
const PATIENCE: Duration = Duration::from_mins(3);
const REPARTITION: [&str; 4] = ["log", "repartition", "--partitions", "8"];
/// When a run is killed: so many milliseconds after it has said this.
const KILLS: [(&str, u64); 5] = [
    ("; copying ", 0),
    ("; copying ", 40),
    ("; copying ", 120),
    ("; copying ", 300),
    ("sealed: ", 0),
];

on_both_logs!(a_shop_gets_more_partitions_under_load_and_keeps_every_answer);

/// Runs of the command that die in the middle, whatever they have done by then.
async fn runs_are_killed(shop: &Shop, clients: &Clients) {
    for (word, delay) in KILLS {
        let mut command = shop.command(&REPARTITION);
        let mut running = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let said = running.stderr.take().expect("piped");
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(said).lines().map_while(Result::ok);
            if lines.any(|line| line.contains(word)) {
                let _ = tell.send(());
            }
            // It goes on talking, and must be heard to go on.
            lines.for_each(drop);
        });
        let told = tokio::time::timeout(PATIENCE, told).await.expect("in time");
        told.unwrap_or_else(|_| panic!("it ended without a word of {word:?}"));
        tokio::time::sleep(Duration::from_millis(delay)).await;
        running.kill().expect("ours");
        running.wait().expect("ours");
        testkit::eventually("PostgreSQL notices", PATIENCE, async || {
            (!is_running(shop).await).then_some(())
        })
        .await;
        println!(
            "killed {delay} ms after {word:?}: {} events copied, generation {:?}",
            copied(shop).await,
            generation(shop).await
        );
        if !goes_on(shop, clients).await {
            // Closed from here on, until a run comes to its end.
            return;
        }
    }
}

/// Whether commands are taken still: a run may have been killed behind the seal, noted or not.
async fn goes_on(shop: &Shop, clients: &Clients) -> bool {
    let before = clients.answers().len();
    testkit::eventually("the clients go on, or hear of the seal", PATIENCE, async || {
        if shop.process.log().contains("sealed for good") {
            return Some(false);
        }
        (clients.answers().len() >= before + 30).then_some(true)
    })
    .await
}

/// Whether a run holds the lock against a second one.
async fn is_running(shop: &Shop) -> bool {
    let mut connection = sqlx::PgConnection::connect(&shop.database_url)
        .await
        .expect("connects");
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_locks
                        WHERE locktype = 'advisory' AND objsubid = 1
                          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                          AND (classid::bigint << 32 | objid::bigint) = hashtextextended($1, 3))",
    )
    .bind(format!("daybook.copy.{}", prefix(shop)))
    .fetch_one(&mut connection)
    .await
    .expect("readable")
}

/// Events in the new topics.
async fn copied(shop: &Shop) -> usize {
    let mut count = 0;
    for service in SERVICES {
        let topic = format!("{}.{service}-g2.events", prefix(shop));
        let (_, lines) = shop.run(&["log", "read", &topic, "--json"]).await;
        count += lines.matches(r#""verdict":"accepted""#).count();
    }
    count
}

fn prefix(shop: &Shop) -> &str {
    let set = shop
        .environment
        .iter()
        .find(|(name, _)| name == "DAYBOOK_TOPICS_PREFIX");
    set.map_or("daybook", |(_, prefix)| prefix)
}

/// Whether the topics are sealed, and whether the second generation is live; `None` before it was begun.
async fn generation(shop: &Shop) -> Option<(bool, bool)> {
    let mut connection = sqlx::PgConnection::connect(&shop.database_url)
        .await
        .expect("connects");
    sqlx::query_as(
        "SELECT sealed_at IS NOT NULL, live_at IS NOT NULL FROM daybook.generations WHERE generation = 2",
    )
    .fetch_optional(&mut connection)
    .await
    .expect("readable")
}

/// Says why it does not do it.
async fn refused(shop: &Shop, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = shop.command(arguments);
    command.env("DAYBOOK_LISTEN_PROJECTIONS", "127.0.0.1:0");
    command.envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("starts");
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The node of the old generation goes on, for its readers' sake, and says what is to be done.
async fn old_node_is_closed(shop: &Shop) {
    let http = reqwest::Client::new();
    testkit::eventually("the old node is not ready", PATIENCE, async || {
        let url = format!("{}/readyz", shop.process.commands);
        let report: Value = http.get(url).send().await.ok()?.json().await.ok()?;
        let failing = report["failing"].as_array()?.clone();
        failing.contains(&json!("partitions")).then_some(())
    })
    .await;
    testkit::eventually("it says why", PATIENCE, async || {
        shop.process
            .log()
            .contains("this node serves nothing any more")
            .then_some(())
    })
    .await;
    // Queries are answered.
    assert_eq!(shop.get("/v1/stock/MUG", None).await.status, 200);
}

async fn a_shop_gets_more_partitions_under_load_and_keeps_every_answer(log: Log) {
    let mut shop = Shop::open(log).await;
    shop.sell("MUG", 999, 10_000).await;
    let ordered = shop.order("MUG", "before").await;
    let id = ordered.body["id"].as_str().expect("an id").to_owned();
    let settled = shop.settled(&id).await;
    let (clients, tasks) = Clients::start(&shop);
    clients.go_on(200).await;

    // What is asked for wrongly.
    let refusal = refused(&shop, &["log", "repartition", "--partitions", "4"], &[]).await;
    assert!(refusal.contains("have 4 partitions already"), "{refusal}");
    let ahead = [
        ("DAYBOOK_TOPICS_GENERATION", "2"),
        ("DAYBOOK_TOPICS_PARTITIONS", "8"),
    ];
    let refusal = refused(&shop, &["projections"], &ahead).await;
    assert!(refusal.contains("are of generation 1"), "{refusal}");
    let (told, said) = shop.run(&[&REPARTITION[..], &["--dry-run"]].concat()).await;
    assert!(told && said.contains("nothing is changed"), "{said}");
    assert_eq!(generation(&shop).await, None);

    runs_are_killed(&shop, &clients).await;
    let other = refused(&shop, &["log", "repartition", "--partitions", "16"], &[]).await;
    assert!(
        other.contains("partitions 8") || other.contains("partitions=8"),
        "{other}"
    );
    let (switched, said) = shop.run(&REPARTITION).await;
    // The last kill may have come too late.
    assert!(
        switched && (said.contains("generation 2 is live") || said.contains("nothing to do")),
        "{said}\n{}",
        shop.process.tail()
    );
    println!("{said}");
    assert_eq!(generation(&shop).await, Some((true, true)));
    old_node_is_closed(&shop).await;
    let refusal = refused(&shop, &["projections"], &[]).await;
    assert!(
        refusal.contains("set topics.generation=2 and topics.partitions=8"),
        "{refusal}"
    );
    let refusal = refused(&shop, &["rebuild", "--all"], &[]).await;
    assert!(refusal.contains("set topics.generation=2"), "{refusal}");
    let (again, said) = shop.run(&REPARTITION).await;
    assert!(again && said.contains("nothing to do"), "{said}");
    let before = clients.answers().len();

    shop.start_with(&ahead).await;
    shop.process
        .commands
        .clone_into(&mut clients.shop.lock().expect("no panic inside"));
    clients.go_on(200).await;
    clients.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("no client failed");
    }
    println!(
        "{before} commands answered before, {} in all",
        clients.answers().len()
    );

    clients.answered_again().await;
    let again = shop.order("MUG", "before").await;
    assert!(
        again.replayed && again.position.starts_with("orders-g2/"),
        "{again:?}"
    );
    // Positions of either generation.
    for position in [&ordered.position, &again.position] {
        let shown = shop.get(&format!("/v1/orders/{id}"), Some(position)).await;
        assert_eq!((shown.status, &shown.body), (200, &settled), "{position}");
        assert!(
            shown.position.contains("orders-g2/") && !shown.position.contains("orders/"),
            "{shown:?}"
        );
    }
    let unknown = shop.get(&format!("/v1/orders/{id}"), Some("orders-g3/0@1")).await;
    assert_eq!(unknown.body["code"], "position_not_reached", "{unknown:?}");
    assert!(
        unknown.body["detail"]
            .to_string()
            .contains("generation 3 of orders"),
        "{unknown:?}"
    );

    // Whoever ordered around the seal is served.
    for answered in clients.answers() {
        if let Some(id) = answered.id.as_ref().filter(|_| answered.path == "/v1/orders") {
            assert_eq!(shop.settled(id).await["status"], "confirmed", "{answered:?}");
        }
    }
    for answered in clients.answers().iter().step_by(20) {
        let shown = shop.get("/v1/stock/MUG", Some(&answered.position)).await;
        assert_eq!(shown.status, 200, "{answered:?} {shown:?}");
    }
    nothing_is_lost(&shop, &clients).await;
    let (rebuilt, said) = shop.run(&["rebuild", "--all"]).await;
    assert!(rebuilt, "{said}");
    assert_eq!(said.matches("rows equal to the ones before").count(), 8, "{said}");
    println!("{said}");
    let shown = shop
        .get(&format!("/v1/orders/{id}"), Some(&ordered.position))
        .await;
    assert_eq!(shown.status, 200, "an old position after a rebuild: {shown:?}");
}

/// From one generation to the next and the next, to more partitions and to fewer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_of_all_generations_are_shown() {
    let mut shop = Shop::open(Log::Postgres).await;
    shop.sell("MUG", 999, 1_000).await;
    let mut orders = Vec::new();
    for (generation, partitions, service) in [
        ("1", "4", "orders"),
        ("2", "8", "orders-g2"),
        ("3", "3", "orders-g3"),
    ] {
        if generation != "1" {
            let (switched, said) = shop
                .run(&["log", "repartition", "--partitions", partitions])
                .await;
            assert!(switched, "{said}");
            let settings = [
                ("DAYBOOK_TOPICS_GENERATION", generation),
                ("DAYBOOK_TOPICS_PARTITIONS", partitions),
            ];
            shop.start_with(&settings).await;
        }
        let order = shop.order("MUG", generation).await;
        assert!(order.position.starts_with(&format!("{service}/")), "{order:?}");
        let id = order.body["id"].as_str().expect("an id").to_owned();
        let settled = shop.settled(&id).await;
        orders.push((id, order.position, settled));
        for (id, position, settled) in &orders {
            let shown = shop.get(&format!("/v1/orders/{id}"), Some(position)).await;
            assert_eq!((shown.status, &shown.body), (200, settled), "{position}");
            let path = format!("/v1/orders/{id}/history");
            let history = shop.get(&path, Some(position)).await;
            // The position is that of the first event: no more is promised.
            assert_eq!(
                history.body["entries"][0]["status"], "placed",
                "{position} {history:?}"
            );
        }
        let again = shop.order("MUG", "1").await;
        assert!(again.replayed, "{again:?}");
    }
    let (rebuilt, said) = shop.run(&["rebuild", "--all"]).await;
    assert!(rebuilt, "{said}");
    assert_eq!(said.matches("rows equal to the ones before").count(), 8, "{said}");
    let (healthy, said) = shop.run(&["doctor"]).await;
    assert!(healthy && said.contains("ok: daybook.orders-g3.events"), "{said}");
}
