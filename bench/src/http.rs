//! A server under HTTP load, as a contender.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;

use crate::cell::{Cell, Contender};
use crate::load::{Requests, Tally, closed, flood, open};
use crate::verify::{Claims, Shared};

/// How the load comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pressure {
    /// As fast as the answers come, on so many connections.
    Closed { connections: usize },
    /// So many requests per second, whatever happens.
    Open { rate: u32 },
    /// So many requests per second, on so many connections that refusing is all a server can do with most.
    Flood { rate: u32, connections: usize },
}

/// Connections of an open load: none has to wait for its own last answer below this many
/// milliseconds at a thousand a second.
const OPEN_CONNECTIONS: u32 = 64;

/// See the module.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) name: String,
    pub(crate) server: SocketAddr,
    pub(crate) pressure: Pressure,
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) numbers: Arc<AtomicU64>,
    /// Shared by contenders that write to one topic.
    pub(crate) verifier: Shared,
}

#[async_trait]
impl Contender for Http {
    fn name(&self) -> String {
        match self.pressure {
            Pressure::Closed { connections } => format!("{}, {connections} connections", self.name),
            Pressure::Open { rate } => format!("{}, {rate} requests/s", self.name),
            Pressure::Flood { rate, connections } => {
                format!("{}, {rate} requests/s on {connections} connections", self.name)
            }
        }
    }

    async fn run(&mut self, duration: Duration) -> anyhow::Result<Cell> {
        let tally = self.load(duration).await?;
        if let Some(why) = &tally.first_failure {
            eprintln!("  {} failed, the first one: {why}", tally.refused + tally.unknown);
        }
        let claims = Claims {
            acks: &tally.acks,
            unknown: tally.unknown,
        };
        let checked = self.verifier.lock().await.check(claims).await?;
        Ok(Cell {
            acknowledged: tally.in_time,
            seconds: tally.duration.as_secs_f64(),
            cpu_seconds: tally.cpu_seconds,
            worked: tally.acks.len() as u64,
            bytes: checked.bytes_of(tally.in_time),
            latencies: tally.latencies,
            failures: tally.refused + tally.unknown,
            refusals: tally.refusals,
            void: checked.void,
        })
    }
}

impl Http {
    async fn load(&self, duration: Duration) -> anyhow::Result<Tally> {
        let (requests, numbers) = (Arc::clone(&self.requests), Arc::clone(&self.numbers));
        match self.pressure {
            Pressure::Closed { connections } => {
                closed::run(closed::Load {
                    server: self.server,
                    connections,
                    duration,
                    requests,
                    numbers,
                })
                .await
            }
            Pressure::Open { rate } => {
                open::run(open::Load {
                    server: self.server,
                    rate,
                    connections: OPEN_CONNECTIONS,
                    duration,
                    requests,
                    numbers,
                })
                .await
            }
            Pressure::Flood { rate, connections } => {
                flood::run(flood::Load {
                    server: self.server,
                    rate,
                    connections,
                    duration,
                    requests,
                    numbers,
                })
                .await
            }
        }
    }
}
