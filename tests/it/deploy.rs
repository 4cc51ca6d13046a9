//! Two real builds of the shop, one after the other (P5, P7): the program of an older commit, which `DAYBOOK_BEFORE` names, and
//! this one. There `orders` and `order_history` have no `shortage`, and `daybook.order.rejected.v2` is unknown.

mod balancer;
mod load;
mod nodes;
mod poisoned;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use self::balancer::Balancer;
use self::load::{Load, Seen};
use self::nodes::{Node, before, is_ready, says};
use crate::on_both_logs;
use crate::shop::{Log, Shop};

/// For whatever a busy machine may delay.
const PATIENCE: Duration = Duration::from_mins(2);
/// What the load goes on for in each state.
const STEADY: Duration = Duration::from_secs(5);
/// Of a build whose version has just become live.
const AT_ONCE: &str =
    "it reads everything at once, so nobody who asks for his own order is told to ask again";
/// What the new build folds in another way.
const VIEWS: [&str; 2] = ["orders", "order_history"];

on_both_logs!(a_changed_fold_is_deployed_switched_and_rolled_back_under_load);

/// Blue and green side by side, until the old one is stopped.
async fn a_changed_fold_is_deployed_switched_and_rolled_back_under_load(log: Log) {
    let Some(before) = before() else { return };
    let mut shop = Shop::prepare(log, "up", &[]).await;
    shop.process.program(&before);
    let node = Node::beside(&shop);
    shop.process.launch().await;
    shop.sell("MUG", 999, 1_000_000).await;
    shop.sell("RARE", 250, 1).await;
    let rejected = rejected(&shop).await;
    let load = Load::start(Balancer::over(&[&shop.process, &node.process]), shop.published());
    let mut deployment = Deployment {
        page: format!("/v1/orders/{rejected}"),
        shop,
        node,
        load,
        seen: Vec::new(),
    };
    deployment.goes_on("the old build alone").await;
    deployment.start().await;
    deployment.switch().await;
    deployment.roll_back(&before).await;
    deployment.go_forward().await;

    let Deployment {
        mut shop,
        mut node,
        load,
        mut seen,
        ..
    } = deployment;
    seen.push(load.stop("the new build alone").await);
    std::mem::swap(&mut shop.process, &mut node.process);
    nothing_is_lost(&shop, &seen, &rejected).await;
}

/// The shop's own process is the old node.
struct Deployment {
    shop: Shop,
    node: Node,
    load: Load,
    /// Of an order that the old build has rejected.
    page: String,
    seen: Vec<Seen>,
}

impl Deployment {
    async fn goes_on(&mut self, meanwhile: &str) -> &Seen {
        tokio::time::sleep(STEADY).await;
        self.seen.push(self.load.went_well(meanwhile));
        self.seen.last().expect("just pushed")
    }

    /// What the new node shows of the shortage.
    async fn shortage(&self) -> Value {
        let answer = reqwest::get(format!("{}{}", self.node.process.queries, self.page)).await;
        let page: Value = answer.expect("an answer").json().await.expect("JSON");
        assert_eq!(page["status"], "rejected", "{page}");
        page["shortage"].clone()
    }

    async fn start(&mut self) {
        self.node.process.spawn().expect("starts");
        says(&self.node.process, 0, "run `daybook rebuild orders`").await;
        is_ready(&self.node.process, false).await;
        is_ready(&self.shop.process, true).await;
        self.goes_on("the new build waits beside it").await;
        assert_eq!(self.shortage().await, Value::Null, "of the old version");
    }

    async fn switch(&mut self) {
        let (from, began) = (self.shop.process.log().len(), Instant::now());
        let said = run(&self.shop, None, &["rebuild", "orders", "order_history"], true).await;
        println!("{said}rebuilt in {:.1?}", began.elapsed());
        for name in VIEWS {
            assert!(said.contains(&format!("{name}: version 2 is live, ")), "{said}");
        }
        let told = "the live version 2 of orders was made by another fold";
        says(&self.shop.process, from, told).await;
        is_ready(&self.node.process, true).await;
        is_ready(&self.shop.process, false).await;
        let switched = self.goes_on("rebuilt and switched, the old build waits").await;
        // Whoever the partitions were given to: on PostgreSQL the old node has the lock, and with it all of them.
        assert_eq!(switched.not_yet, 0, "{AT_ONCE}");
        assert_eq!(self.shortage().await, short());
    }

    /// The build whose fold made the version before is the one that can bring it up to date.
    async fn roll_back(&mut self, before: &Path) {
        let refused = run(&self.shop, None, &["rebuild", "rollback", "orders"], false).await;
        assert!(
            refused.contains("roll back with the build that made it"),
            "{refused}"
        );
        let from = self.node.process.log().len();
        for name in VIEWS {
            let said = run(&self.shop, Some(before), &["rebuild", "rollback", name], true).await;
            let live = format!("{name}: version 1 is live again");
            assert!(said.contains(&live), "{said}");
        }
        says(&self.node.process, from, "the live version 1 of orders").await;
        is_ready(&self.shop.process, true).await;
        let back = self.goes_on("rolled back, the new build waits").await;
        let relieved = "who was relieved is ready until the other one is";
        assert_eq!(back.none_ready, 0, "{relieved}");
        assert_eq!(self.shortage().await, Value::Null, "of the old version");
    }

    async fn go_forward(&mut self) {
        for name in VIEWS {
            let said = run(&self.shop, None, &["rebuild", "rollback", name], true).await;
            let live = format!("{name}: version 2 is live again");
            assert!(said.contains(&live), "{said}");
        }
        is_ready(&self.node.process, true).await;
        let old = &mut self.shop.process;
        assert!(old.terminate().await, "{}", old.tail());
        let forward = self.goes_on("forward again, the old build stopped").await;
        assert_eq!(forward.not_yet, 0, "{AT_ONCE}");
        assert_eq!(self.shortage().await, short());
    }
}

fn short() -> Value {
    json!({ "sku": "RARE", "requested": 3, "available": 1 })
}

/// An order of more than there is, once it is settled.
async fn rejected(shop: &Shop) -> String {
    let id = place(shop, "RARE", 3, "too many").await;
    assert_eq!(shop.settled(&id).await["status"], "rejected");
    id
}

/// Places an order; returns its id.
async fn place(shop: &Shop, sku: &str, quantity: u32, key: &str) -> String {
    let lines = json!({ "currency": "EUR", "lines": [{ "sku": sku, "quantity": quantity }] });
    let order = shop.insist("/v1/orders", key, &lines).await;
    assert_eq!(order.status, 201, "{order:?}");
    order.body["id"].as_str().expect("an id").to_owned()
}

/// All that a command prints, of this build or of another, once it ended as it should.
async fn run(shop: &Shop, program: Option<&Path>, arguments: &[&str], succeeds: bool) -> String {
    let (succeeded, output) = match program {
        None => shop.run(arguments).await,
        Some(program) => shop.run_by(program, arguments).await,
    };
    assert_eq!(succeeded, succeeds, "{arguments:?}: {output}");
    output
}

/// Each acknowledged order is in the log once and on its page, and all read models are what the log says.
async fn nothing_is_lost(shop: &Shop, seen: &[Seen], besides: &str) {
    let lines = run(shop, None, &["log", "read", "orders", "--json"], true).await;
    let mut placed: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if line["verdict"] == "accepted" && line["type"] == "daybook.order.placed.v1" {
            let order = line["aggregate"].as_str().expect("an id").to_owned();
            *placed.entry(order).or_default() += 1;
        }
    }
    let acknowledged = seen.iter().flat_map(|seen| seen.orders.iter().cloned());
    let once: BTreeMap<String, u32> = acknowledged
        .chain([besides.to_owned()])
        .map(|id| (id, 1))
        .collect();
    assert_eq!(placed, once, "what was acknowledged, and nothing else");
    let verified = run(shop, None, &["verify", "--all"], true).await;
    println!("{verified}");
    for id in once.keys() {
        let page = shop.get(&format!("/v1/orders/{id}"), None).await;
        assert_eq!(page.status, 200, "{id}");
    }
    let parked = run(shop, None, &["parked", "list"], true).await;
    assert!(parked.contains("keys with parked events: 0"), "{parked}");
}
