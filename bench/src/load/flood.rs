//! Open loop beyond what a server can do: many connections, each with its share of the schedule. One that is late
//! sends at once, so the load stays what it is as long as answers, refusals among them, come fast enough.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::open::schedule;
use super::{Answer, Requests, Tally};
use crate::processor;

/// An answer that takes longer than this is a failure.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A load to be put on a server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) server: SocketAddr,
    /// Requests per second.
    pub(crate) rate: u32,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) numbers: Arc<AtomicU64>,
}

/// Puts the load on the server, from one thread of its own. Latencies count from when a request was sent.
pub(crate) async fn run(load: Load) -> anyhow::Result<Tally> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        LocalSet::new().block_on(&runtime, all(&load))
    })
    .await?
}

async fn all(load: &Load) -> anyhow::Result<Tally> {
    let mut streams = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        let stream = TcpStream::connect(load.server).await.context("connecting")?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let tally = Rc::new(RefCell::new(Tally::new(load.duration)));
    let worked = processor::busy_seconds()?;
    let start = Instant::now();
    let connections = (0..).zip(streams).map(|(number, stream)| {
        let (load, tally) = (load.clone(), Rc::clone(&tally));
        tokio::task::spawn_local(async move {
            if let Err(error) = connection(stream, &load, number, start, &tally).await {
                // The request in flight may have been carried out.
                tally.borrow_mut().failed(false, || format!("{error:#}"));
            }
        })
    });
    for connection in connections.collect::<Vec<_>>() {
        connection.await?;
    }
    let mut tally = Rc::into_inner(tally)
        .context("all connections have ended")?
        .into_inner();
    tally.cpu_seconds = processor::busy_seconds()? - worked;
    Ok(tally)
}

async fn connection(
    mut stream: TcpStream,
    load: &Load,
    number: u32,
    start: Instant,
    tally: &RefCell<Tally>,
) -> anyhow::Result<()> {
    let mut request = Vec::with_capacity(2_048);
    let mut received = Vec::with_capacity(4_096);
    let deadline = start + load.duration;
    let connections = u32::try_from(load.connections)?;
    for due in schedule(start, load.rate, number, connections, load.duration) {
        tokio::time::sleep_until(due.into()).await;
        let sent = Instant::now();
        if sent > deadline {
            break;
        }
        request.clear();
        load.requests
            .write(load.numbers.fetch_add(1, Ordering::Relaxed), &mut request);
        stream.write_all(&request).await?;
        let answer = timeout(ANSWER_MAX, answer(&mut stream, &mut received)).await??;
        let now = Instant::now();
        tally.borrow_mut().answered(&answer, now - sent, now <= deadline);
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, received: &mut Vec<u8>) -> anyhow::Result<Answer> {
    received.clear();
    loop {
        if stream.read_buf(received).await? == 0 {
            bail!("the server closed the connection");
        }
        if let Some(answer) = Answer::parse(received)? {
            return Ok(answer);
        }
    }
}
