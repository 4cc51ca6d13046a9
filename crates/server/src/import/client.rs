//! A client of the command API that does not give up early and never does anything twice.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longer than a command may take on the server; a request that hangs is sent again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The command was accepted, now or before.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The aggregate's id.
    pub id: String,
    /// Whether it had been accepted before.
    pub replayed: bool,
}

/// The API said no.
#[derive(Clone, Debug, Deserialize)]
pub struct Refused {
    /// The problem's code.
    pub code: String,
    /// In words.
    #[serde(default)]
    pub detail: Option<String>,
    /// The wrong places.
    #[serde(default)]
    pub errors: Vec<Place>,
}

/// One wrong place.
#[derive(Clone, Debug, Deserialize)]
pub struct Place {
    /// `/lines/3/quantity`.
    pub pointer: String,
    /// What is wrong there.
    pub code: String,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SendError {
    /// A definite no.
    #[error("{}: {}", .0.code, .0.detail.as_deref().unwrap_or("no detail"))]
    Refused(Refused),
    /// No answer until the deadline.
    #[error("no answer from {url} within {seconds} s, last: {last}")]
    GaveUp {
        /// What was asked.
        url: String,
        /// How long.
        seconds: u64,
        /// The last failure.
        last: String,
    },
    /// Something that is not the API answered.
    #[error("{url} did not answer like a Daybook command API: {what}")]
    Strange {
        /// What was asked.
        url: String,
        /// What came back.
        what: String,
    },
}

#[derive(Deserialize)]
struct Body {
    id: String,
}

/// One attempt's outcome.
enum Attempt {
    Done(Result<Answer, SendError>),
    Again { after: Option<Duration>, why: String },
}

/// See the module. Clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    give_up_after: Duration,
}

impl Client {
    /// A client of the API at `base`.
    pub fn new(base: &str, concurrency: usize, give_up_after: Duration) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(concurrency)
            .build()?;
        Ok(Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            give_up_after,
        })
    }

    /// Sends a command; repeats it under the same key until there is a definite answer.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer, SendError> {
        let url = format!("{}{path}", self.base);
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.attempt(&url, key, body).await {
                Attempt::Done(outcome) => return outcome,
                Attempt::Again { after, why } => {
                    if started.elapsed() > self.give_up_after {
                        return Err(SendError::GaveUp {
                            url,
                            seconds: self.give_up_after.as_secs(),
                            last: why,
                        });
                    }
                    tokio::time::sleep(after.unwrap_or_default().max(pause).min(LONGEST_PAUSE)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn attempt(&self, url: &str, key: &str, body: &Value) -> Attempt {
        let sent = self
            .http
            .post(url)
            .header("Idempotency-Key", key)
            .json(body)
            .send()
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                return Attempt::Again {
                    after: None,
                    why: format!("{:#}", anyhow::Error::from(error)),
                };
            }
        };
        let status = response.status();
        let replayed = response
            .headers()
            .get("idempotent-replayed")
            .is_some_and(|value| value == "true");
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let text = match response.bytes().await {
            Ok(text) => text,
            Err(error) => {
                return Attempt::Again {
                    after: None,
                    why: error.to_string(),
                };
            }
        };
        // The key makes a repeat harmless, so whatever may be a passing failure is tried again.
        if status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
        {
            let why = format!("{status} {}", String::from_utf8_lossy(&text));
            return Attempt::Again {
                after: after.map(Duration::from_secs),
                why,
            };
        }
        let strange = |error: &serde_json::Error| SendError::Strange {
            url: url.to_owned(),
            what: format!("{status}, {error}"),
        };
        Attempt::Done(if status.is_success() {
            let answer = serde_json::from_slice::<Body>(&text).map(|body| Answer {
                id: body.id,
                replayed,
            });
            answer.map_err(|error| strange(&error))
        } else {
            Err(serde_json::from_slice(&text).map_or_else(|error| strange(&error), SendError::Refused))
        })
    }
}
