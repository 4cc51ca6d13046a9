//! A running shop and what its clients do.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use testkit::Daybook;

/// Which log the shop is on.
#[derive(Clone, Copy)]
pub(crate) enum Log {
    Postgres,
    Kafka,
}

/// A shop of the test's own: own database, own topics, own process.
pub(crate) struct Shop {
    pub(crate) process: Daybook,
    pub(crate) database_url: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    client: Client,
    /// Where the newest product was published: orders name it, so that the price list has it.
    published: Mutex<String>,
    directory: tempfile::TempDir,
}

impl Shop {
    pub(crate) async fn open(log: Log) -> Self {
        Self::open_with(log, &[]).await
    }

    /// With these settings besides, as environment variables.
    pub(crate) async fn open_with(log: Log, settings: &[(&str, &str)]) -> Self {
        let mut shop = Self::prepare(log, "up", settings).await;
        shop.process.launch().await;
        shop
    }

    /// One whose process, of this role, is not started yet.
    pub(crate) async fn prepare(log: Log, role: &str, settings: &[(&str, &str)]) -> Self {
        let database_url = testkit::postgres().await.url;
        let mut arguments = vec![role.to_owned(), "--dev".to_owned()];
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut environment: Vec<(String, String)> = settings.iter().map(own).collect();
        environment.push(("DATABASE_URL".to_owned(), database_url.clone()));
        if let Log::Kafka = log {
            let broker = tokio::task::spawn_blocking(testkit::kafka)
                .await
                .expect("a broker");
            arguments.extend(["--log", "kafka"].map(str::to_owned));
            environment.push(("KAFKA_BROKERS".to_owned(), broker.brokers));
            environment.push(("DAYBOOK_TOPICS_PREFIX".to_owned(), broker.prefix));
        }
        Self::of(database_url, arguments, environment)
    }

    /// A shop on the PostgreSQL log that knows where Kafka is, for the day it outgrows the other.
    pub(crate) async fn open_before_kafka() -> Self {
        let database_url = testkit::postgres().await.url;
        let broker = tokio::task::spawn_blocking(testkit::kafka)
            .await
            .expect("a broker");
        let environment = [
            ("DATABASE_URL", database_url.clone()),
            ("KAFKA_BROKERS", broker.brokers),
            ("DAYBOOK_TOPICS_PREFIX", broker.prefix),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let arguments = ["up", "--dev"].map(str::to_owned);
        let mut shop = Self::of(database_url, arguments.to_vec(), environment.to_vec());
        shop.process.launch().await;
        shop
    }

    /// The same shop on Kafka from now on: another process, other addresses.
    pub(crate) async fn start_on_kafka(&mut self) {
        self.arguments.extend(["--log", "kafka"].map(str::to_owned));
        self.directory = testkit::directory().expect("a directory");
        self.process = self.another(self.directory.path());
        self.process.launch().await;
    }

    /// The same shop with these settings from now on: the old process stops, then another one starts.
    pub(crate) async fn start_with(&mut self, settings: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment.extend(settings.iter().map(own));
        assert!(self.process.terminate().await, "{}", self.process.tail());
        self.directory = testkit::directory().expect("a directory");
        self.process = self.another(self.directory.path());
        self.process.launch().await;
    }

    fn of(database_url: String, arguments: Vec<String>, environment: Vec<(String, String)>) -> Self {
        let directory = testkit::directory().expect("a directory");
        let process = process(directory.path(), &arguments, &environment);
        let client = Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        Self {
            process,
            database_url,
            arguments,
            environment,
            client,
            published: Mutex::default(),
            directory,
        }
    }

    /// Another process of the same shop, not yet started, its log in `directory`.
    pub(crate) fn another(&self, directory: &Path) -> Daybook {
        process(directory, &self.arguments, &self.environment)
    }

    /// Another command of the same shop, run to its end: `(succeeded, output)`.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (bool, String) {
        ended(self.command(arguments)).await
    }

    /// The same, by another build.
    pub(crate) async fn run_by(&self, program: &Path, arguments: &[&str]) -> (bool, String) {
        ended(self.command_of(program, arguments)).await
    }

    /// Another command of the same shop, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        self.command_of(&testkit::daybook_binary().expect("built"), arguments)
    }

    /// The same, of another build.
    pub(crate) fn command_of(&self, program: &Path, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .env_remove("DAYBOOK_BEFORE")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        if self.arguments.iter().any(|argument| argument == "kafka") {
            command.args(["--log", "kafka"]);
        }
        command
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> reqwest::Result<Response> {
        let request = self
            .client
            .post(format!("{}{path}", self.process.commands))
            .json(body);
        let request = match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        let published = self.published.lock().expect("no panic inside").clone();
        let request = if published.is_empty() {
            request
        } else {
            request.header("Daybook-Position", published)
        };
        request.send().await
    }

    /// Repeats the request under its key until the outcome is known, as a good client does.
    pub(crate) async fn insist(&self, path: &str, key: &str, body: &Value) -> Answer {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
        loop {
            if let Ok(response) = self.post(path, Some(key), body).await
                && response.status() != StatusCode::SERVICE_UNAVAILABLE
            {
                return Answer::of(response).await;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{path} stays unknown:\n{}",
                self.process.tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn get(&self, path: &str, position: Option<&str>) -> Answer {
        let request = self.client.get(format!("{}{path}", self.process.queries));
        let request = match position {
            Some(position) => request.header("Daybook-Position", position),
            None => request,
        };
        Answer::of(request.send().await.expect("the query API answers")).await
    }

    /// Creates, prices and publishes a product and receives stock.
    pub(crate) async fn sell(&self, sku: &str, price: i64, stock: i64) {
        let product = json!({ "sku": sku, "name": sku });
        let created = self
            .insist("/v1/products", &format!("create {sku}"), &product)
            .await;
        assert_eq!(created.status, 201, "{created:?}");
        let id = created.body["id"].as_str().expect("an id").to_owned();
        let price = json!({ "price": { "amount": price, "currency": "EUR" } });
        self.insist(
            &format!("/v1/products/{id}/price"),
            &format!("price {sku}"),
            &price,
        )
        .await;
        let path = format!("/v1/products/{id}/publish");
        let published = self.insist(&path, &format!("publish {sku}"), &Value::Null).await;
        assert_eq!(published.status, 200, "{published:?}");
        let received = json!({ "quantity": stock });
        let path = format!("/v1/stock/{sku}/receive");
        self.insist(&path, &format!("receive {sku}"), &received).await;
        self.published
            .lock()
            .expect("no panic inside")
            .clone_from(&published.position);
    }

    /// Where the newest product was published.
    pub(crate) fn published(&self) -> String {
        self.published.lock().expect("no panic inside").clone()
    }

    /// The id of a product that was published with [`Shop::sell`].
    pub(crate) async fn product(&self, sku: &str) -> String {
        let published = self.published.lock().expect("no panic inside").clone();
        let products = self.get("/v1/products?limit=200", Some(&published)).await;
        let rows = products.body["data"].as_array().expect("products");
        let product = rows.iter().find(|product| product["sku"] == sku);
        product.expect("what is published is shown at its position")["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// Another price for a product that is on sale.
    pub(crate) async fn set_price(&self, sku: &str, amount: i64) {
        let path = format!("/v1/products/{}/price", self.product(sku).await);
        let price = json!({ "price": { "amount": amount, "currency": "EUR" } });
        let set = self.insist(&path, &format!("price {sku} {amount}"), &price).await;
        assert_eq!(set.status, 200, "{set:?}");
        self.published
            .lock()
            .expect("no panic inside")
            .clone_from(&set.position);
    }

    /// Orders one unit of what was published at `position`.
    pub(crate) async fn order(&self, sku: &str, key: &str) -> Answer {
        let order = json!({ "currency": "EUR", "lines": [{ "sku": sku, "quantity": 1 }] });
        self.insist("/v1/orders", key, &order).await
    }

    /// The page once it says what it should; the read models follow the log a moment later.
    pub(crate) async fn shows(&self, path: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Value::Null;
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            seen = self.get(path, None).await.body;
            if expected(&seen) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} still shows {seen}")
    }

    /// The order's page once it is decided.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        let path = format!("/v1/orders/{id}");
        testkit::eventually("the order is decided", Duration::from_mins(1), async || {
            let order = self.get(&path, None).await;
            (order.status == 200 && order.body["status"] != "placed").then_some(order.body)
        })
        .await
    }
}

fn process(directory: &Path, arguments: &[String], environment: &[(String, String)]) -> Daybook {
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let pairs: Vec<(&str, &str)> = environment
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    Daybook::prepare(directory, &texts, &pairs)
}

async fn ended(mut command: std::process::Command) -> (bool, String) {
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) position: String,
    pub(crate) replayed: bool,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (position, replayed) = (
            header("daybook-position"),
            header("idempotent-replayed") == "true",
        );
        let status = response.status().as_u16();
        let body = response.json().await.unwrap_or(Value::Null);
        Self {
            status,
            body,
            position,
            replayed,
        }
    }
}
