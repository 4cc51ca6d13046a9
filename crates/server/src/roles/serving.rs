//! Listening: conventions around the endpoints, probes beside them, limits on everything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use eventsourcing::clock::Environment;
use http_kit::conventions::{self, Conventions};
use http_kit::health::{self, Readiness};
use http_kit::metrics::Recorder;
use http_kit::serve::{Drained, Limits, serve};
use tokio::net::TcpListener;

use crate::config::{Config, Listen};
use crate::supervisor::{Stage, Supervisor};

/// What a role offers over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    /// The command API.
    Commands,
    /// The query API.
    Queries,
    /// Probes of the projections.
    Projections,
    /// Probes of the processes.
    Workers,
}

impl Api {
    /// Names it in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Queries => "queries",
            Self::Projections => "projections",
            Self::Workers => "workers",
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(self, listen: &Listen) -> &str {
        match self {
            Self::Commands => &listen.commands,
            Self::Queries => &listen.queries,
            Self::Projections => &listen.projections,
            Self::Workers => &listen.workers,
        }
    }
}

/// What to listen for.
pub struct Endpoint {
    /// Which.
    pub api: Api,
    /// The endpoints; probes and metrics are added.
    pub router: Router,
    /// What its `/readyz` looks at.
    pub readiness: Readiness,
}

/// Starts servers.
pub struct Server {
    /// Limits, and whether others than loopback may connect.
    pub config: Arc<Config>,
    /// For request ids.
    pub environment: Arc<dyn Environment>,
    /// What `/metrics` shows.
    pub recorder: Recorder,
}

impl Server {
    /// Serves under `supervisor`.
    pub fn start(
        &self,
        listener: TcpListener,
        endpoint: Endpoint,
        supervisor: &mut Supervisor,
    ) -> anyhow::Result<()> {
        let Endpoint {
            api,
            router,
            readiness,
        } = endpoint;
        let api = api.name();
        let http = &self.config.http;
        let conventions = Conventions {
            api,
            body_bytes_max: http.body_bytes_max,
            requests_max: http.requests_max,
        };
        let limits = Limits {
            api,
            header_read_timeout: Duration::from_millis(http.header_read_timeout_ms),
            header_bytes_max: http.header_bytes_max,
            connections_max: http.connections_max,
            linger: Duration::from_millis(self.config.shutdown.linger_ms),
            drain_timeout: Duration::from_millis(self.config.shutdown.drain_timeout_ms),
        };
        let readiness = Arc::new(readiness);
        let router = conventions::apply(router, conventions, Arc::clone(&self.environment)).merge(
            health::router(Arc::clone(&readiness), Some(self.recorder.clone())),
        );
        supervisor.announce(readiness);
        let stop = supervisor.stop_of(Stage::Servers);
        tracing::info!(api, address = %listener.local_addr()?, "listening");
        supervisor.spawn(Stage::Servers, api, async move {
            match serve(listener, router, limits, stop.cancelled_owned()).await {
                Drained::Completely => tracing::info!(api, "drained"),
                Drained::CutOff(connections) => tracing::warn!(api, connections, "cut off at the deadline"),
            }
            Ok(())
        });
        Ok(())
    }
}

/// Without `--dev` only loopback: nobody is asked who they are yet, and nothing is encrypted.
pub(super) async fn bind(address: &str, dev: bool) -> anyhow::Result<TcpListener> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("{address:?} is not host:port"))?
        .collect();
    if !dev && let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) {
        bail!(
            "refusing to listen on {open}: there is no identity check yet, so only loopback (127.0.0.1) is allowed; \
             put a gateway in front, or use --dev where everybody may come in"
        );
    }
    TcpListener::bind(&addresses[..]).await.with_context(|| {
        format!("cannot listen on {address}; is another daybook running? Choose another address (--commands, --queries)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_dev_only_loopback_is_served() {
        let error = bind("0.0.0.0:0", false).await.expect_err("refused").to_string();
        assert!(error.contains("loopback"), "{error}");
        assert!(bind("127.0.0.1:0", false).await.is_ok());
        assert!(bind("0.0.0.0:0", true).await.is_ok());
    }
}
