//! Commands to owners in another process, over its internal endpoints.

use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use commands::internal::{Answered, Awaited, Forwarded, Reach, SETTLED, SettledAt, path};
use eventsourcing::aggregate::Aggregate;
use eventsourcing::command::{Accepted, Context, Failure, Unavailable};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::AggregateId;
use eventsourcing::position::Position;
use http_kit::prefer::DAYBOOK_TIMEOUT_MS;
use http_kit::problem::DAYBOOK_ATTEMPTED;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// For whoever has no limit of his own. Longer than an owner lets a caller wait: its own answer is the better one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Shorter than a server lets a connection idle: one that it is about to close is not used again.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// The other node has so much less time than we have, so that its answer is here before ours is due.
const MARGIN_MAX: Duration = Duration::from_millis(100);

/// A client for all remotes of a process; each request has a limit of its own.
pub fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_MAX)
        .build()
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It did not arrive: nobody listens there, or whoever does turned it away at the door.
    NotSent(Unavailable),
    /// It may have arrived.
    Cut,
}

/// Sends commands of one service to the process at a URL.
pub struct Remote<A> {
    http: reqwest::Client,
    base: String,
    service: String,
    reach: Reach,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Remote<A> {
    /// To the owners of `service` at `base`, as in `http://commands:8080`, and, where it may, beyond.
    pub fn new(http: reqwest::Client, base: &str, service: &str, reach: Reach) -> Self {
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            service: service.to_owned(),
            reach,
            aggregate: PhantomData,
        }
    }

    /// Waits there for an order to be decided, at most `limit`.
    pub async fn settled(&self, order: &AggregateId, limit: Duration) -> Result<Option<Position>, Broken> {
        let awaited = Awaited { order: order.clone() };
        let answer: SettledAt = self.ask(SETTLED, &awaited, limit).await?;
        Ok(answer.position.and_then(|position| position.parse().ok()))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<T, Broken> {
        let url = format!("{}{path}", self.base);
        let theirs = limit.saturating_sub(MARGIN_MAX.min(limit / 10));
        let asking = self
            .http
            .post(&url)
            .header(DAYBOOK_TIMEOUT_MS, theirs.as_millis().max(1).to_string())
            .timeout(limit)
            .json(body);
        let broken = |error: reqwest::Error| {
            tracing::debug!(url, %error, "no answer from another node");
            if error.is_connect() {
                Broken::NotSent(Unavailable::NoOwner)
            } else {
                Broken::Cut
            }
        };
        let response = asking.send().await.map_err(broken)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(broken);
        }
        if status.is_client_error() {
            // Refused before it came to an owner: two builds that do not understand each other.
            tracing::warn!(url, %status, "another node refuses what was handed on to it");
            return Err(Broken::NotSent(Unavailable::NoOwner));
        }
        let attempted = response.headers().get(DAYBOOK_ATTEMPTED);
        Err(match attempted {
            Some(attempted) if attempted == "false" => Broken::NotSent(Unavailable::Overloaded),
            Some(_) | None => Broken::Cut,
        })
    }
}

impl<A: Aggregate> Remote<A>
where
    A::Command: Serialize,
    A::Refusal: DeserializeOwned,
{
    /// The owner's answer, within `limit`.
    pub async fn answer(
        &self,
        forwarded: &Forwarded<A::Command>,
        limit: Duration,
    ) -> Result<Answered<A::Refusal>, Broken> {
        self.ask(&path(&self.service, self.reach), forwarded, limit).await
    }

    async fn send(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
        again: bool,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        let forwarded = Forwarded {
            aggregate,
            command,
            context,
            again,
        };
        let limit = limit.min(REQUEST_TIMEOUT);
        self.answer(&forwarded, limit)
            .await
            .unwrap_or_else(|broken| Err(failure(broken)))
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
        self.execute_within(aggregate, command, context, REQUEST_TIMEOUT)
            .await
    }

    async fn execute_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        self.send(aggregate, command, context, limit, false).await
    }

    async fn repeat_within(
        &self,
        aggregate: AggregateId,
        command: A::Command,
        context: Context,
        limit: Duration,
    ) -> Result<Accepted, Failure<A::Refusal>> {
        self.send(aggregate, command, context, limit, true).await
    }
}

/// What no answer means for the command.
pub(super) const fn failure<R>(broken: Broken) -> Failure<R> {
    match broken {
        Broken::NotSent(reason) => Failure::NotAttempted {
            reason,
            retry_after: Duration::from_secs(1),
        },
        Broken::Cut => Failure::Unknown,
    }
}
