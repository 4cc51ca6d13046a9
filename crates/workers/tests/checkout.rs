//! The checkout against real owners on the simulated log, with runners that are killed at random
//! points and started again, and in the end two at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::checkout::Checkout;
use domain::ids::{OrderId, stock_of};
use domain::money::Price;
use domain::order::{Line, Lines, Order, OrderCommand, OrderEvent, Sale};
use domain::quantity::Quantity;
use domain::sku::Sku;
use domain::stock_item::{StockCommand, StockItem};
use eventsourcing::aggregate::{Aggregate, Event};
use eventsourcing::assignment::Everything;
use eventsourcing::clock::Counted;
use eventsourcing::codec::{Parsed, decode, parse};
use eventsourcing::command::{Context, Expected};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{AggregateId, CommandId, Digest};
use eventsourcing::owner::{self, Service};
use eventsourcing::process::Process;
use eventsourcing::process::runner::{self, RunError, Settings};
use eventsourcing::process::send::Backoff;
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::simulated::{Faults, SimulatedCheckpoints, SimulatedLog, StoreFaults};
use eventsourcing::topic::Topic;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;
use workers::checkout::CheckoutCarrier;

const PARTITIONS: u32 = 4;

struct Shop {
    log: SimulatedLog,
    orders: Service<Order>,
    stock: Service<StockItem>,
    /// They survive the runner.
    checkpoints: SimulatedCheckpoints,
}

fn topic(service: &str) -> Topic {
    Topic::events("test", service)
}

fn owners<A: Aggregate>(log: &SimulatedLog, service: &str) -> Service<A> {
    let topic = topic(service);
    let partitions = (0..PARTITIONS).map(|number| topic.partition(number)).collect();
    let settings = owner::Settings {
        log: Arc::new(log.clone()),
        environment: Arc::new(Counted::default()),
        topic,
        partitions: PARTITIONS,
        node: "test".to_owned(),
        url: "http://test".to_owned(),
        routes: None,
        source: "/test".to_owned(),
        config: owner::Config::default(),
    };
    // The owners live as long as the test's runtime.
    owner::spawn::<A>(
        settings,
        None,
        Box::new(Everything::of(partitions)),
        CancellationToken::new(),
    )
    .0
}

async fn serving<A: Aggregate>(service: &Service<A>) {
    let mut status = service.status();
    status
        .wait_for(|status| status.serving == status.total)
        .await
        .expect("the owner lives");
}

impl Shop {
    async fn open(seed: u64, faults: Faults) -> Self {
        let log = SimulatedLog::new(seed, PARTITIONS, Faults::NONE);
        let shop = Self {
            orders: owners(&log, "orders"),
            stock: owners(&log, "inventory"),
            log,
            checkpoints: SimulatedCheckpoints::new(seed, StoreFaults::NONE),
        };
        serving(&shop.orders).await;
        serving(&shop.stock).await;
        shop.log.set_faults(faults);
        shop
    }

    fn run(&self) -> (CancellationToken, tokio::task::JoinHandle<Result<(), RunError>>) {
        let settings = Settings {
            log: Arc::new(self.log.clone()),
            topic: topic("orders"),
            checkpoints: Arc::new(self.checkpoints.clone()),
            config: runner::Config {
                batch_records_max: 32,
                ..runner::Config::default()
            },
        };
        let backoff = Backoff {
            first: Duration::from_millis(5),
            longest: Duration::from_millis(100),
        };
        let carrier = CheckoutCarrier {
            stock: Arc::new(self.stock.clone()),
            orders: Arc::new(self.orders.clone()),
            backoff,
        };
        let shutdown = CancellationToken::new();
        let all = (0..PARTITIONS).map(|number| topic("orders").partition(number));
        let all = Box::new(Everything::of(all.collect()));
        let share = Share::follow(topic("orders"), all, Presumption::Nothing);
        let (_, running) = runner::spawn::<Checkout>(settings, Arc::new(carrier), share, shutdown.clone());
        (shutdown, running)
    }

    async fn receive(&self, sku: &Sku, units: i64) {
        let command = StockCommand::Receive {
            quantity: Quantity::new(units).expect("valid"),
        };
        until_accepted(&self.stock, stock_of(sku), command, &format!("receive {sku}")).await;
    }

    async fn place(&self, number: usize, lines: Vec<(Sku, i64)>) -> OrderId {
        let id = CommandId::of_key("test", &format!("place {number}"));
        let order = OrderId::created_by(id);
        let line = |(sku, units): (Sku, i64)| Line {
            sku,
            quantity: Quantity::new(units).expect("valid"),
            unit_price: Price::new(100).expect("valid"),
        };
        let lines = Lines::new(lines.into_iter().map(line).collect()).expect("valid");
        let sale = Sale {
            customer: None,
            country: None,
            currency: domain::money::Currency::try_from("GBP".to_owned()).expect("valid"),
            lines: lines.into(),
        };
        until_accepted(
            &self.orders,
            order.aggregate(),
            OrderCommand::Place(Arc::new(sale)),
            &format!("place {number}"),
        )
        .await;
        order
    }

    /// All accepted events of a topic, in the order of each partition.
    fn events<E: Event>(&self, service: &str) -> Vec<(AggregateId, E)> {
        let mut events = Vec::new();
        for number in 0..PARTITIONS {
            let mut rule = Rule::default();
            for stored in self.log.records(&topic(service).partition(number)) {
                let parsed = parse(&stored).expect("well formed");
                let verdict = rule.judge(parsed.claim());
                if let (Parsed::Event(envelope), Verdict::Accepted) = (parsed, verdict) {
                    let recorded = decode::<E>(&stored, envelope).expect("decodes");
                    events.push((recorded.aggregate, recorded.event));
                }
            }
        }
        events
    }

    /// Confirmed and rejected orders, each counted once per event.
    fn decided(&self) -> (Vec<AggregateId>, Vec<AggregateId>) {
        let (mut confirmed, mut rejected) = (Vec::new(), Vec::new());
        for (order, event) in self.events::<OrderEvent>("orders") {
            match event {
                OrderEvent::Confirmed(_) => confirmed.push(order),
                OrderEvent::Rejected(_) => rejected.push(order),
                OrderEvent::Placed(_) | OrderEvent::Cancelled(_) => {}
                OrderEvent::Imported(_) | OrderEvent::CreditNoteImported(_) => {}
            }
        }
        (confirmed, rejected)
    }

    /// Where the process has come to in each partition.
    fn done_to(&self) -> Vec<u64> {
        let next = |number| {
            let at = topic("orders").partition(number);
            self.checkpoints.checkpoint(Checkout::NAME, &at).next.0
        };
        (0..PARTITIONS).map(next).collect()
    }

    fn stock_of(&self, sku: &Sku) -> <StockItem as Aggregate>::State {
        let mut state = <StockItem as Aggregate>::State::default();
        for (item, event) in self.events("inventory") {
            if item == stock_of(sku) {
                StockItem::evolve(&mut state, &event);
            }
        }
        state
    }
}

async fn until_accepted<A: Aggregate>(to: &Service<A>, aggregate: AggregateId, command: A::Command, key: &str)
where
    A::Command: Clone,
{
    let context = Context {
        id: CommandId::of_key("test", key),
        digest: Digest::of(&[key.as_bytes()]),
        expected: Expected::Any,
        correlation: key.into(),
        causation: None,
        actor: "test".into(),
        traceparent: None,
    };
    while to
        .execute(aggregate.clone(), command.clone(), context.clone())
        .await
        .is_err()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn sku(name: &str) -> Sku {
    Sku::new(name).expect("valid")
}

/// Runs the process, killing it `kills` times at random moments, then two of it at once, until all orders
/// are decided and nothing they could still do is left.
async fn work_off(shop: &Shop, orders: usize, kills: usize, random: &mut StdRng) {
    for _ in 0..kills {
        let (_, running) = shop.run();
        tokio::time::sleep(Duration::from_millis(random.random_range(1..60))).await;
        // As hard as a task can die: whatever it awaits is dropped.
        running.abort();
        assert!(
            running.await.is_err_and(|death| death.is_cancelled()),
            "it did not stop by itself"
        );
    }
    // Two at once, on the same partitions: neither has heard of the other.
    let runners = [shop.run(), shop.run()];
    let all = async {
        loop {
            let (confirmed, rejected) = shop.decided();
            let ends = (0..PARTITIONS).map(|number| shop.log.len(&topic("orders").partition(number)));
            let done = shop.done_to();
            if confirmed.len() + rejected.len() >= orders && ends.eq(done) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(10), all)
        .await
        .expect("everything is decided in time");
    for (shutdown, running) in runners {
        shutdown.cancel();
        running.await.expect("lives").expect("stops well");
    }
}

async fn last_item(seed: u64, faults: Faults) {
    let mut random = StdRng::seed_from_u64(seed);
    let shop = Arc::new(Shop::open(seed, faults).await);
    let lamp = sku("lamp");
    shop.receive(&lamp, 20).await;
    let placing = (0..200).map(|number| {
        let (shop, lamp) = (Arc::clone(&shop), lamp.clone());
        tokio::spawn(async move { shop.place(number, vec![(lamp, 1)]).await })
    });
    let placing: Vec<_> = placing.collect();
    work_off(&shop, 0, 5, &mut random).await;
    for placed in placing {
        placed.await.expect("placed");
    }
    work_off(&shop, 200, 5, &mut random).await;
    let (confirmed, rejected) = shop.decided();
    assert_eq!((confirmed.len(), rejected.len()), (20, 180), "seed {seed}");
    let stock = shop.stock_of(&lamp);
    assert_eq!(stock.available(), 0, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn the_last_items_are_sold_once() {
    last_item(1, Faults::NONE).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_items_are_sold_once_on_a_bad_day() {
    for seed in 0..10 {
        last_item(seed, Faults::MANY).await;
    }
}

/// Orders over several SKUs: whatever an order is rejected for, what it held of the others is free again.
#[tokio::test(start_paused = true)]
async fn a_rejected_order_holds_nothing() {
    for seed in 0..10 {
        let mut random = StdRng::seed_from_u64(seed);
        let shop = Shop::open(seed, Faults::MANY).await;
        let skus: Vec<Sku> = ["a", "b", "c"].into_iter().map(sku).collect();
        for sku in &skus {
            shop.receive(sku, 15).await;
        }
        let mut wanted = BTreeMap::new();
        for number in 0..40 {
            let mut lines: Vec<_> = skus
                .iter()
                .map(|sku| (sku.clone(), random.random_range(1..4)))
                .collect();
            lines.truncate(random.random_range(1..=3));
            let order = shop.place(number, lines.clone()).await;
            wanted.insert(order.aggregate(), lines);
        }
        work_off(&shop, 40, 8, &mut random).await;
        let (confirmed, rejected) = shop.decided();
        assert_eq!(
            confirmed.len() + rejected.len(),
            40,
            "seed {seed}: each decided once"
        );
        for sku in &skus {
            let sold: i64 = confirmed
                .iter()
                .flat_map(|order| &wanted[order])
                .filter(|(of, _)| of == sku)
                .map(|(_, units)| units)
                .sum();
            let available = shop.stock_of(sku).available();
            assert!(available >= 0, "seed {seed}: {sku} oversold");
            assert_eq!(available, 15 - sold, "seed {seed}: {sku}");
        }
    }
}

/// A record that is not ours stops the process with its place, before anything after it is done.
#[tokio::test(start_paused = true)]
async fn a_corrupt_record_halts_with_its_place() {
    use eventsourcing::log::Log;
    use eventsourcing::record::Record;

    let shop = Shop::open(1, Faults::NONE).await;
    let at = topic("orders").partition(0);
    let record = Record {
        key: bytes::Bytes::from_static(b"order_x"),
        value: bytes::Bytes::from_static(b"{}"),
        headers: Vec::new(),
    };
    shop.log.append(&at, vec![record]).await;
    let (_, running) = shop.run();
    let error = running.await.expect("lives").expect_err("halts").to_string();
    assert!(error.contains("test.orders.events/0@1"), "{error}");
}
