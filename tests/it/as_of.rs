//! A read model as it stood equals what the imported file says of before that instant.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::on_both_logs;
use crate::shop::{Log, Shop};

on_both_logs!(sales_as_of_an_instant_are_what_the_file_says);

const END_OF_JUNE: &str = "2011-06-30T00:00:00Z";

const FILE: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,a,\"LAMP, RED\",6,2011-06-29 23:59:00,2.55,17850,United Kingdom
1,b,B,1,2011-06-30 00:01:00,1.50,17850,United Kingdom
2,a,LAMP,2,2011-06-30 00:00:00,2.55,17850,United Kingdom
3,a,LAMP,3,2011-05-01 08:00:00,2.50,12345,France
C4,a,LAMP,-1,2011-06-29 08:00:00,2.55,17850,United Kingdom
C5,a,LAMP,-1,2011-07-02 08:00:00,2.50,12345,France
6,c,FREE,1,2011-06-01 08:00:00,0,12345,Spain
";

/// Orders, units, revenue; credit notes, units and amount of them.
type Sums = BTreeMap<String, [i64; 6]>;

async fn sales_as_of_an_instant_are_what_the_file_says(log: Log) {
    let shop = Shop::open(log).await;
    import(&shop, FILE).await;
    let live = sales(&shop, "").await;
    assert_eq!(live, sums(FILE, "9"));

    let said = async |arguments: &[&str], succeeds: bool| {
        let (succeeded, output) = shop.run(arguments).await;
        assert_eq!(succeeded, succeeds, "{arguments:?}: {output}");
        output
    };
    let plan = said(&["rebuild", "sales", "--as-of", END_OF_JUNE, "--dry-run"], true).await;
    assert!(
        plan.contains("sales: a snapshot as of 2011-06-30T00:00:00Z; a new version; "),
        "{plan}"
    );
    let nothing = shop.get(&as_of("/v1/sales?by=country"), None).await;
    assert_eq!(
        (nothing.status, nothing.body["code"].as_str()),
        (404, Some("snapshot_not_found"))
    );

    let built = said(&["rebuild", "--all", "--as-of", END_OF_JUNE, "--json"], true).await;
    for line in [
        "nothing of what products --as-of 2011-06-30T00:00:00Z is made of happened before 2011-06-30T00:00:00Z",
        r#""event":"built""#,
    ] {
        assert!(built.contains(line), "{built}");
    }
    assert_eq!(sales(&shop, END_OF_JUNE).await, sums(FILE, "2011-06-30"));
    let orders = shop.get(&as_of("/v1/orders"), None).await;
    let invoices = orders.body["data"].as_array().expect("orders").iter();
    let invoices: Vec<_> = invoices
        .map(|order| order["invoice"].as_str().expect("imported"))
        .collect();
    assert_eq!(invoices, ["1", "C4", "3"], "the latest first");
    assert_eq!(
        orders.position,
        shop.get(&as_of("/v1/sales?by=sku"), None).await.position
    );

    // Some of the events only; the same instant is replaced.
    said(
        &[
            "rebuild",
            "sales",
            "--as-of",
            END_OF_JUNE,
            "--only",
            "order.imported",
        ],
        true,
    )
    .await;
    let mut orders_only = sums(FILE, "2011-06-30");
    for sums in orders_only.values_mut() {
        sums[3..].fill(0);
    }
    assert_eq!(sales(&shop, END_OF_JUNE).await, orders_only);
    let list = said(&["rebuild", "snapshots"], true).await;
    assert!(
        list.contains("sales --as-of 2011-06-30T00:00:00Z: ")
            && list.contains("of daybook.order.imported.v1 only"),
        "{list}"
    );
    assert_eq!(list.lines().count(), 3, "orders, their history, sales: {list}");

    // History of before that comes later is not there until the snapshot is built again.
    let more = format!("{FILE}7,a,LAMP,5,2011-01-01 08:00:00,1.00,12345,Spain\n");
    import(&shop, &more).await;
    assert_eq!(sales(&shop, END_OF_JUNE).await, orders_only);
    said(&["rebuild", "sales", "--as-of", END_OF_JUNE], true).await;
    assert_eq!(sales(&shop, END_OF_JUNE).await, sums(&more, "2011-06-30"));
    assert_eq!(
        sales(&shop, "").await,
        sums(&more, "9"),
        "the live one is as it was"
    );

    said(&["rebuild", "drop", "sales", "--as-of", END_OF_JUNE], true).await;
    assert_eq!(shop.get(&as_of("/v1/sales?by=country"), None).await.status, 404);
    said(&["verify", "--all"], true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_snapshot_can_be_made_of_is_said_in_one_line() {
    let shop = Shop::open(Log::Postgres).await;
    import(&shop, FILE).await;
    let cases: [(&[&str], &str); 10] = [
        (
            &["sales", "--as-of", "yesterday"],
            "--as-of \"yesterday\" is not a time with its zone, as in 2011-06-30T00:00:00Z",
        ),
        (
            &["sales", "--as-of", "2999-01-01T00:00:00Z"],
            "--as-of 2999-01-01T00:00:00Z is in the future: it is 2",
        ),
        (
            &["sales", "--as-of", "2010-01-01T00:00:00Z"],
            "happened before 2010-01-01T00:00:00Z; the first event is of 2011-05-01T08:00:00Z",
        ),
        (
            &["sails", "--as-of", END_OF_JUNE],
            "there is no read model \"sails\"; there are products, ",
        ),
        (
            &["order_states", "--as-of", END_OF_JUNE],
            "order_states is what owners start from, and no query reads it: --as-of is for products, ",
        ),
        (
            &["sales", "--only", "order.imported"],
            "--only goes with --as-of: a read model of some of the events must never become the live one",
        ),
        (
            &["orders", "--as-of", END_OF_JUNE, "--only", "order.imported"],
            "orders cannot be made of some types of events only: each row needs every event of its aggregate",
        ),
        (
            &["sales", "--as-of", END_OF_JUNE, "--only", "order.refunded"],
            "there is no type of event \"order.refunded\" here; there are daybook.order.placed.v1, ",
        ),
        (
            &["drop", "sales", "--as-of", END_OF_JUNE],
            "there is no snapshot of sales as of 2011-06-30T00:00:00Z",
        ),
        (
            &["pause", "sales", "--as-of", END_OF_JUNE],
            "no rebuild of sales --as-of 2011-06-30T00:00:00Z is under way",
        ),
    ];
    for (arguments, expected) in cases {
        let arguments = [&["rebuild"], arguments].concat();
        let (succeeded, output) = shop.run(&arguments).await;
        assert!(!succeeded && output.contains(expected), "{arguments:?}: {output}");
        assert_eq!(output.trim().lines().count(), 1, "{output}");
    }
    let (succeeded, output) = shop.run(&["rebuild", "snapshots"]).await;
    assert!(succeeded && output.contains("there are no snapshots"), "{output}");
}

/// Eight months of a real shop, as of a day in their midst.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_sales_as_of_an_instant_are_what_the_file_says() {
    let Some(data) = testkit::shared_data() else {
        println!("skipped: the folder of real data is not here");
        return;
    };
    let packed = data.join("online-retail-2010-12_2011-08.csv.gz");
    let unpacked = Command::new("gzip")
        .arg("-dc")
        .arg(packed)
        .output()
        .expect("gzip");
    let text = String::from_utf8_lossy(&unpacked.stdout).into_owned();
    let shop = Shop::open(Log::Postgres).await;
    import(&shop, &text).await;
    let (succeeded, output) = shop.run(&["rebuild", "sales", "--as-of", END_OF_JUNE]).await;
    assert!(succeeded, "{output}");
    println!("{output}");
    let expected = sums(&text, "2011-06-30");
    assert_eq!(
        expected["United Kingdom"],
        [8_717, 2_048_365, 402_024_301, 1_780, 125_317, 38_802_875]
    );
    assert_eq!(sales(&shop, END_OF_JUNE).await, expected);
    assert_eq!(
        sales(&shop, "").await,
        sums(&text, "9"),
        "the live one is untouched"
    );
}

fn as_of(path: &str) -> String {
    let joined = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joined}as_of={END_OF_JUNE}")
}

/// Imports a file of this content, and waits until its sales are shown.
async fn import(shop: &Shop, text: &str) {
    let directory = testkit::directory().expect("a directory");
    let path = |name: &str| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("a plain path")
            .to_owned()
    };
    let (file, rejects) = (path("sales.csv"), path("rejects.csv"));
    std::fs::write(&file, text).expect("written");
    let commands = shop.process.commands.clone();
    let arguments = [
        "import",
        "online-retail",
        &file,
        "--commands",
        &commands,
        "--rejects",
        &rejects,
    ];
    let (succeeded, output) = shop.run(&arguments).await;
    assert!(succeeded, "{output}\n{}", shop.process.tail());
    let invoices = |sums: &Sums| sums.values().map(|sums| sums[0] + sums[3]).sum::<i64>();
    let all = invoices(&sums(text, "9"));
    testkit::eventually("the sales are shown", Duration::from_mins(2), async || {
        (invoices(&sales(shop, "").await) >= all).then_some(())
    })
    .await;
}

/// By country, as the query API shows them.
async fn sales(shop: &Shop, as_of: &str) -> Sums {
    let as_of = if as_of.is_empty() {
        String::new()
    } else {
        format!("&as_of={as_of}")
    };
    let answer = shop
        .get(&format!("/v1/sales?by=country&limit=200{as_of}"), None)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let number = |row: &Value, at: &str| row.pointer(at).and_then(Value::as_i64).expect("a number");
    let rows = answer.body["data"].as_array().expect("rows").iter();
    let row = |row: &Value| {
        let columns = [
            "/orders",
            "/units",
            "/revenue/amount",
            "/credit_notes",
            "/credited_units",
            "/credited/amount",
        ];
        let key = row["key"].as_str().expect("a country").to_owned();
        (key, columns.map(|column| number(row, column)))
    };
    rows.map(row).collect()
}

/// By country, of the invoices before `before` (a beginning of the file's dates), computed from the file by the rules of
/// `docs/import.md` and by nothing else.
fn sums(text: &str, before: &str) -> Sums {
    let mut invoices: BTreeMap<String, Vec<(String, String, i64, i64)>> = BTreeMap::new();
    for fields in records(text).into_iter().skip(1) {
        let [number, _, _, quantity, date, price, _, country] =
            <[String; 8]>::try_from(fields).expect("eight columns");
        let digits = number.strip_prefix('C').unwrap_or(&number);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let (Some(pence), Ok(quantity)) = (pence(&price), quantity.parse::<i64>()) else {
            continue;
        };
        if is_number && (quantity > 0 || number.starts_with('C')) {
            let line = (date, country, quantity.abs(), quantity.abs() * pence);
            invoices.entry(number).or_default().push(line);
        }
    }
    let mut sums = Sums::new();
    for (number, lines) in invoices {
        let (date, country, ..) = lines.iter().min_by_key(|(date, ..)| date).expect("a line");
        if date.as_str() < before {
            let of_country = sums.entry(country.clone()).or_default();
            let at = if number.starts_with('C') { 3 } else { 0 };
            of_country[at] += 1;
            of_country[at + 1] += lines.iter().map(|line| line.2).sum::<i64>();
            of_country[at + 2] += lines.iter().map(|line| line.3).sum::<i64>();
        }
    }
    sums
}

/// A positive price with at most two decimals that count.
fn pence(price: &str) -> Option<i64> {
    let (pounds, pence) = price.split_once('.').unwrap_or((price, ""));
    let pence = pence.trim_end_matches('0');
    let amount: i64 = format!("{pounds}{pence:0<2}").parse().ok()?;
    (pence.len() <= 2 && amount > 0).then_some(amount)
}

/// The records of a CSV file.
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' if quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            '\r' if !quoted => {}
            character => field.push(character),
        }
    }
    records
}
