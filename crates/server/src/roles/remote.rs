//! Commands to owners in another process, over its internal endpoint.

use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use commands::internal::{Answered, Forwarded, path};
use eventsourcing::aggregate::Aggregate;
use eventsourcing::command::{Accepted, Context, Failure, Unavailable};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::AggregateId;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longer than an owner lets a caller wait: the owner's own answer is the better one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client with the limits of commands; one for all remotes of a process.
pub fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
}

/// Sends commands of one service to the process at a URL.
pub struct Remote<A> {
    http: reqwest::Client,
    url: String,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Remote<A> {
    /// To the owners of `service` at `base`, as in `http://commands:8080`.
    pub fn new(http: reqwest::Client, base: &str, service: &str) -> Self {
        let url = format!("{}{}", base.trim_end_matches('/'), path(service));
        Self {
            http,
            url,
            aggregate: PhantomData,
        }
    }
}

#[async_trait]
impl<A: Aggregate> Dispatch<A> for Remote<A>
where
    A::Command: Serialize,
    A::Refusal: DeserializeOwned,
{
    async fn execute(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let forwarded = Forwarded {
            aggregate,
            command,
            context,
        };
        let sent = self.http.post(&self.url).json(&forwarded).send().await;
        let answered = match sent.and_then(reqwest::Response::error_for_status) {
            Ok(response) => response.json::<Answered<A::Refusal>>().await,
            Err(error) => Err(error),
        };
        answered.unwrap_or_else(|error| {
            if error.is_connect() {
                let (reason, retry_after) = (Unavailable::NoOwner, Duration::from_secs(1));
                return Err(Failure::NotAttempted { reason, retry_after });
            }
            // Whatever went wrong between us, the command may have arrived.
            tracing::debug!(url = self.url, %error, "no answer from the owner");
            Err(Failure::Unknown)
        })
    }
}
