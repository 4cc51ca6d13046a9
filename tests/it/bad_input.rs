//! Bad input: a problem document with a stable code, and nothing written. And every code has its page.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::shop::{Log, Shop};

/// A server's head time-out is 10 s.
const SLOW_CLIENT_DEADLINE: Duration = Duration::from_secs(20);

fn order(lines: &Value) -> Value {
    json!({ "currency": "EUR", "lines": lines })
}

fn line(sku: &str, quantity: &Value) -> Value {
    json!([{ "sku": sku, "quantity": quantity }])
}

/// Name of the case, request, status, code.
#[expect(clippy::too_many_lines, reason = "a table: one case, one entry")]
fn cases(
    client: &Client,
    api: &str,
    product: &str,
) -> Vec<(&'static str, RequestBuilder, u16, &'static str)> {
    let post = |path: &str| client.post(format!("{api}{path}"));
    let keyed = |path: &str, body: &Value| post(path).header("Idempotency-Key", "bad").json(body);
    let raw = |body: &str| {
        let request = post("/v1/orders").header("Content-Type", "application/json");
        request.header("Idempotency-Key", "bad").body(body.to_owned())
    };
    let good = order(&line("MUG", &json!(1)));
    let price = |amount: Value, currency: &str| {
        let body = json!({ "price": { "amount": amount, "currency": currency } });
        post(&format!("/v1/products/{product}/price")).json(&body)
    };
    let many: Vec<Value> = (0..10_000)
        .map(|_| json!({ "sku": "MUG", "quantity": 1 }))
        .collect();
    let seen = |amount: i64| {
        let unit_price = json!({ "amount": amount, "currency": "EUR" });
        order(&json!([{ "sku": "MUG", "quantity": 1, "unit_price": unit_price }]))
    };
    let delete = client.request(Method::DELETE, format!("{api}/v1/orders"));
    let unknown = "order_00000000000000000000000000000000";
    let cancel = keyed(&format!("/v1/orders/{unknown}/cancel"), &json!({ "reason": "x" }));
    vec![
        ("malformed JSON", raw("{\"currency\":"), 400, "malformed_json"),
        (
            "unknown field",
            keyed(
                "/v1/orders",
                &json!({ "currency": "EUR", "lines": [], "gift": true }),
            ),
            422,
            "unknown_field",
        ),
        (
            "missing field",
            keyed("/v1/orders", &json!({ "lines": [] })),
            422,
            "missing_field",
        ),
        (
            "not JSON at all",
            post("/v1/orders").header("Idempotency-Key", "bad").body("hello"),
            415,
            "unsupported_media_type",
        ),
        (
            "missing key",
            post("/v1/orders").json(&good),
            400,
            "idempotency_key_required",
        ),
        (
            "oversized key",
            post("/v1/orders")
                .header("Idempotency-Key", "k".repeat(129))
                .json(&good),
            400,
            "idempotency_key_invalid",
        ),
        ("negative money", price(json!(-1), "EUR"), 422, "invalid_price"),
        ("no money", price(json!(0), "EUR"), 422, "invalid_price"),
        ("huge money", price(json!(i64::MAX), "EUR"), 422, "invalid_price"),
        (
            "overflowing money",
            price(json!(1e300), "EUR"),
            422,
            "invalid_value",
        ),
        (
            "unknown currency",
            price(json!(1), "XXX"),
            422,
            "unknown_currency",
        ),
        (
            "zero quantity",
            keyed("/v1/orders", &order(&line("MUG", &json!(0)))),
            422,
            "invalid_quantity",
        ),
        (
            "negative quantity",
            keyed("/v1/orders", &order(&line("MUG", &json!(-1)))),
            422,
            "invalid_quantity",
        ),
        (
            "huge quantity",
            keyed("/v1/orders", &order(&line("MUG", &json!(1_000_001)))),
            422,
            "invalid_quantity",
        ),
        (
            "empty order",
            keyed("/v1/orders", &order(&json!([]))),
            422,
            "empty_order",
        ),
        (
            "10,000 lines",
            keyed("/v1/orders", &order(&json!(many))),
            422,
            "too_many_lines",
        ),
        (
            "unknown SKU",
            keyed("/v1/orders", &order(&line("NO-SUCH", &json!(1)))),
            422,
            "unknown_sku",
        ),
        (
            "changed price",
            keyed("/v1/orders", &seen(998)),
            409,
            "price_changed",
        ),
        (
            "wrong If-Match",
            price(json!(5), "EUR").header("If-Match", "\"99\""),
            412,
            "version_conflict",
        ),
        (
            "malformed If-Match",
            price(json!(5), "EUR").header("If-Match", "99"),
            400,
            "malformed_header",
        ),
        (
            "body over the limit",
            raw(&format!("\"{}\"", "x".repeat(1_100_000))),
            413,
            "body_too_large",
        ),
        (
            "nested too deeply",
            raw(&format!("{}{}", "[".repeat(200), "]".repeat(200))),
            400,
            "json_too_deep",
        ),
        ("wrong method", delete, 405, "method_not_allowed"),
        (
            "unknown route",
            post("/v1/nothing").json(&good),
            404,
            "route_not_found",
        ),
        ("unknown order", cancel, 404, "order_not_found"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_a_problem_with_a_code_and_writes_nothing() {
    let shop = Shop::open(Log::Postgres).await;
    shop.sell("MUG", 999, 10).await;
    let product = shop.product("MUG").await;
    let before = records(&shop).await;
    let client = Client::new();
    for (name, request, status, code) in cases(&client, &shop.process.commands, &product) {
        let answer = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let kind = answer.headers().get("content-type").cloned();
        assert_eq!(
            kind.as_ref().and_then(|kind| kind.to_str().ok()),
            Some("application/problem+json"),
            "{name}"
        );
        assert!(answer.headers().contains_key("x-request-id"), "{name}");
        let got = answer.status().as_u16();
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(
            (got, &problem["code"]),
            (status, &json!(code)),
            "{name}: {problem}"
        );
    }
    assert_eq!(records(&shop).await, before, "nothing was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_with_another_body_is_refused() {
    let shop = Shop::open(Log::Postgres).await;
    shop.sell("MUG", 999, 10).await;
    let placed = shop.order("MUG", "key").await;
    assert_eq!(placed.status, 201);
    let other = shop
        .insist("/v1/orders", "key", &order(&line("MUG", &json!(2))))
        .await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (422, &json!("idempotency_key_reused"))
    );
    let again = shop.order("MUG", "key").await;
    assert_eq!((again.replayed, &again.body), (true, &placed.body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_is_cut_off() {
    let shop = Shop::open(Log::Postgres).await;
    let address = shop.process.commands.trim_start_matches("http://").to_owned();
    let cut = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).expect("connects");
        connection
            .set_read_timeout(Some(SLOW_CLIENT_DEADLINE))
            .expect("a socket");
        connection
            .write_all(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            .expect("writes");
        let started = Instant::now();
        let mut answer = String::new();
        // Either an answer (408) and the end, or the end; but an end.
        connection
            .read_to_string(&mut answer)
            .expect("the server closes the connection");
        (started.elapsed(), answer)
    });
    let (elapsed, answer) = cut.await.expect("no panic");
    assert!(elapsed < SLOW_CLIENT_DEADLINE, "{elapsed:?}");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
}

/// How many records all topics hold, once the demo catalogue is in and the rest is quiet.
async fn records(shop: &Shop) -> i64 {
    let mut connection = sqlx::PgConnection::connect(&shop.database_url)
        .await
        .expect("connects");
    let mut last = -1;
    for _ in 0..600 {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM daybook_log.records")
            .fetch_one(&mut connection)
            .await
            .expect("readable");
        if count == last {
            return count;
        }
        last = count;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the log does not come to rest")
}

/// Codes as the sources write them: `"snake_case"` after a status or in a `code()`.
#[test]
fn every_code_has_its_page() {
    let root = testkit::workspace();
    let mut codes = BTreeSet::new();
    for api in ["admin", "commands", "queries"] {
        let file = format!("schemas/openapi/{api}.json");
        let text = std::fs::read_to_string(root.join(file)).expect("committed");
        let api: Value = serde_json::from_str(&text).expect("JSON");
        collect(&api, &mut codes);
    }
    for (_, _, _, code) in cases(&Client::new(), "http://localhost", "product") {
        codes.insert(code.to_owned());
    }
    assert!(codes.len() > 25, "{codes:?}");
    for code in codes {
        let page = root.join(format!("docs/errors/{code}.md"));
        assert!(page.exists(), "{} is missing", page.display());
    }
}

/// The codes in backticks that descriptions of answers name.
fn collect(value: &Value, codes: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(responses) = fields.get("responses").and_then(Value::as_object) {
                for response in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                    let description = response.1["description"].as_str().unwrap_or_default();
                    let quoted = description.split('`').skip(1).step_by(2);
                    let is_code = |text: &&str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                    codes.extend(quoted.filter(is_code).map(str::to_owned));
                }
            }
            fields.values().for_each(|value| collect(value, codes));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, codes)),
        _ => {}
    }
}
