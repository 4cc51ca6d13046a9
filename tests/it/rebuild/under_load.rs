//! Everything is rebuilt while the shop goes on: no command and no query fails, no answer mixes two versions, and what
//! waited is said. `REBUILD_TIMES=10 REBUILD_RATE=200` for the full one: 200 commands and 100
//! queries a second on ten times eight months of real sales.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::shop::{Log, Shop};

/// The real file's numbers lie closer together than this, so that copies of it do not meet.
const NUMBERS: u64 = 30_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_rebuilt_while_the_shop_goes_on() {
    let setting = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u32>().expect("a number"))
    };
    let (times, rate) = (setting("REBUILD_TIMES", 0), setting("REBUILD_RATE", 20));
    let directory = testkit::directory().expect("a directory");
    let Some(file) = history(directory.path(), times) else {
        println!("skipped: the folder of real data is not here");
        return;
    };
    let shop = Arc::new(Shop::open(Log::Kafka).await);
    import(&shop, &file, directory.path()).await;
    shop.sell("MUG", 999, 1_000_000).await;
    let past = sold(&shop).await;

    let load = Load::start(&shop, rate, past);
    tokio::time::sleep(Duration::from_secs(if times > 0 { 30 } else { 5 })).await;
    let before = load.take();
    let began = Instant::now();
    let (succeeded, output) = shop.run(&["rebuild", "--all"]).await;
    let took = began.elapsed();
    let during = load.take();
    println!("{output}");
    assert!(succeeded, "{output}");
    for projection in ["products", "orders", "sales", "order_states"] {
        let switched = format!("{projection}: version 2 is live, ");
        assert!(
            output.contains(&switched) && output.contains(" rows equal to the ones before"),
            "{output}"
        );
    }
    let after = load.stop().await;
    println!("all rebuilt in {took:.1?}\nbefore: {before}\nmeanwhile: {during}");
    if by_session() {
        println!(
            "processors are shared out by session here (docs/performance.md): latencies are worse than a server's"
        );
    }
    for seen in [&before, &during, &after] {
        assert_eq!(seen.failures, Vec::<String>::new());
    }
    for seen in [before, during] {
        assert!(!seen.commands.is_empty() && !seen.queries.is_empty());
    }
    let (succeeded, output) = shop.run(&["verify", "--all"]).await;
    println!("{output}");
    assert!(succeeded, "{output}");
}

/// Whether Linux gives each session the same share of the processors, be it one process of `PostgreSQL` or all of the shop. So
/// it does outside of containers and services, where a setting of the kernel says so.
fn by_session() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").is_ok_and(|text| text.trim() == "1")
}

/// A file of invoices: so many times the real ones under other numbers; a few made up for no times.
fn history(directory: &Path, times: u32) -> Option<PathBuf> {
    let mut lines =
        String::from("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n");
    if times == 0 {
        for number in 0..400 {
            let month = 1 + number % 8;
            writeln!(
                lines,
                "{number},S{},THING,2,2011-{month:02}-05 10:00:00,1.25,17850,France",
                number % 9
            )
            .expect("memory");
        }
    } else {
        let file = testkit::shared_data()?.join("online-retail-2010-12_2011-08.csv.gz");
        let unpacked = Command::new("gzip").arg("-dc").arg(file).output().expect("gzip");
        let real = String::from_utf8(unpacked.stdout).expect("text");
        for copy in 0..u64::from(times) {
            for line in real.lines().skip(1) {
                let Some((invoice, rest)) = line.split_once(',') else {
                    continue;
                };
                let digits = invoice.trim_start_matches('C');
                let Ok(number) = digits.parse::<u64>() else {
                    continue;
                };
                let kind = &invoice[..invoice.len() - digits.len()];
                writeln!(lines, "{kind}{},{rest}", number + copy * NUMBERS).expect("memory");
            }
        }
    }
    let file = directory.join("history.csv");
    std::fs::write(&file, lines).expect("writable");
    Some(file)
}

async fn import(shop: &Shop, file: &Path, directory: &Path) {
    let rejects = directory.join("rejects.csv");
    let [file, rejects] = [file, &rejects].map(|path| path.to_str().expect("a plain path"));
    let commands = &shop.process.commands;
    let (succeeded, output) = shop
        .run(&[
            "import",
            "online-retail",
            file,
            "--commands",
            commands,
            "--rejects",
            rejects,
            "--concurrency",
            "128",
        ])
        .await;
    println!("{output}");
    assert!(succeeded, "{output}");
}

/// The sales of the months of history, once all of them are there. Nothing of today changes them.
async fn sold(shop: &Shop) -> Value {
    let mut last = Value::Null;
    testkit::eventually("history is shown", Duration::from_mins(10), async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = months(&shop.get(MONTHS, None).await.body);
        let same = now == last && now.as_array().is_some_and(|months| !months.is_empty());
        last = now;
        same.then_some(())
    })
    .await;
    last
}

const MONTHS: &str = "/v1/sales?by=month&limit=200";

fn months(page: &Value) -> Value {
    let rows = page["data"].as_array().into_iter().flatten();
    rows.filter(|row| row["key"].as_str().is_some_and(|month| month < "2012"))
        .cloned()
        .collect()
}

/// What clients met.
#[derive(Default)]
struct Seen {
    commands: Vec<Duration>,
    queries: Vec<Duration>,
    failures: Vec<String>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |latencies: &[Duration]| {
            let mut sorted = latencies.to_vec();
            sorted.sort_unstable();
            let at = |hundredths: usize| {
                let place = sorted.len() * hundredths / 100;
                sorted.get(place).copied().unwrap_or_default()
            };
            format!("{} (p50 {:.1?}, p99 {:.1?})", sorted.len(), at(50), at(99))
        };
        let (commands, queries) = (of(&self.commands), of(&self.queries));
        write!(
            f,
            "commands {commands}; queries {queries}; failures {}",
            self.failures.len()
        )
    }
}

/// Commands and queries at fixed rates, whatever the shop does; latencies count from when each was due.
struct Load {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(shop: &Arc<Shop>, rate: u32, past: Value) -> Self {
        let (seen, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let ordering = {
            let (shop, seen) = (Arc::clone(shop), Arc::clone(&seen));
            move |number: u64, due: Instant| {
                let (shop, seen) = (Arc::clone(&shop), Arc::clone(&seen));
                async move {
                    let order = json!({ "currency": "EUR", "lines": [{ "sku": "MUG", "quantity": 1 }] });
                    let answer = shop
                        .post("/v1/orders", Some(&format!("load {number}")), &order)
                        .await;
                    let status = answer.map(|answer| answer.status().as_u16());
                    note(&seen, |seen| match status {
                        Ok(201) => seen.commands.push(due.elapsed()),
                        other => seen.failures.push(format!("a command: {other:?}")),
                    });
                }
            }
        };
        let asking = {
            let (shop, seen) = (Arc::clone(shop), Arc::clone(&seen));
            move |number: u64, due: Instant| {
                let (shop, seen, past) = (Arc::clone(&shop), Arc::clone(&seen), past.clone());
                async move {
                    let path = [
                        MONTHS,
                        "/v1/orders?limit=20",
                        "/v1/products?limit=20",
                        "/v1/stock/MUG",
                    ];
                    let path = path[usize::try_from(number % 4).expect("small")];
                    let answer = shop.get(path, None).await;
                    let whole = path != MONTHS || months(&answer.body) == past;
                    note(&seen, |seen| match (answer.status, whole) {
                        (200, true) => seen.queries.push(due.elapsed()),
                        (status, _) => seen.failures.push(format!("{path}: {status} {}", answer.body)),
                    });
                }
            }
        };
        let tasks = vec![
            tokio::spawn(at_a_rate(rate, Arc::clone(&over), ordering)),
            tokio::spawn(at_a_rate(rate / 2, Arc::clone(&over), asking)),
        ];
        Self { seen, over, tasks }
    }

    /// What was met since the last time.
    fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().expect("no holder panics"))
    }

    /// What was met at last; whatever was under way has its answer.
    async fn stop(mut self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.await.expect("no panic");
        }
        self.take()
    }
}

fn note(seen: &Mutex<Seen>, what: impl FnOnce(&mut Seen)) {
    what(&mut seen.lock().expect("no holder panics"));
}

async fn at_a_rate<F: Future<Output = ()> + Send + 'static>(
    rate: u32,
    over: Arc<AtomicBool>,
    one: impl Fn(u64, Instant) -> F,
) {
    let (began, tick) = (Instant::now(), Duration::from_secs(1) / rate);
    let mut under_way = tokio::task::JoinSet::new();
    let mut due = began;
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep_until(due).await;
        under_way.spawn(one(number, due));
        while under_way.try_join_next().is_some() {}
        due += tick;
    }
    under_way.join_all().await;
}
