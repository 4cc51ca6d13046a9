//! Open loop, for latency: requests leave at times fixed beforehand, whatever the server does, and
//! latency counts from the time a request *should* have left.
//!
//! Threads and blocking sockets, because the timer of an async runtime rounds to a millisecond, and
//! that is the size of what is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::{Answer, Requests, Tally};
use crate::processor;

/// An answer that takes longer than this is a failure.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Time for the threads to connect before the first request is due.
const LEAD: Duration = Duration::from_millis(200);

/// A load to be put on a server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) server: SocketAddr,
    /// Requests per second.
    pub(crate) rate: u32,
    /// Each sends every n-th request; so many that none is ever late on its own account.
    pub(crate) connections: u32,
    pub(crate) duration: Duration,
    pub(crate) requests: Arc<dyn Requests>,
    pub(crate) numbers: Arc<AtomicU64>,
}

/// When the requests of one of `of` senders are due: every n-th tick of `rate` per second.
pub(crate) fn schedule(
    start: Instant,
    rate: u32,
    sender: u32,
    of: u32,
    duration: Duration,
) -> impl Iterator<Item = Instant> {
    let tick = Duration::from_secs(1) / rate;
    (sender..)
        .step_by(of as usize)
        .map(move |number| tick * number)
        .take_while(move |after| *after < duration)
        .map(move |after| start + after)
}

/// Sleeps until `due`; returns at once when it has passed.
pub(crate) fn sleep_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// Puts the load on the server.
pub(crate) async fn run(load: Load) -> anyhow::Result<Tally> {
    tokio::task::spawn_blocking(move || {
        let start = Instant::now() + LEAD;
        let load = &load;
        thread::scope(|scope| {
            let senders: Vec<_> = (0..load.connections)
                .map(|number| scope.spawn(move || connection(load, number, start)))
                .collect();
            sleep_until(start);
            let worked = processor::busy_seconds()?;
            let mut tally = Tally::new(load.duration);
            for sender in senders {
                tally.add(sender.join().expect("a sender does not panic")?);
            }
            tally.cpu_seconds = processor::busy_seconds()? - worked;
            Ok(tally)
        })
    })
    .await?
}

fn connection(load: &Load, number: u32, start: Instant) -> anyhow::Result<Tally> {
    let mut stream = connect(load.server)?;
    let mut tally = Tally::new(load.duration);
    let (mut request, mut received) = (Vec::with_capacity(2_048), Vec::with_capacity(4_096));
    for due in schedule(start, load.rate, number, load.connections, load.duration) {
        request.clear();
        load.requests
            .write(load.numbers.fetch_add(1, Ordering::Relaxed), &mut request);
        sleep_until(due);
        let answer = exchange(&mut stream, &request, &mut received)?;
        tally.answered(&answer, due.elapsed(), true);
    }
    Ok(tally)
}

/// A connection that does not wait for ever.
pub(crate) fn connect(server: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

/// Sends a request and reads its answer, whose bytes are in `received` then.
pub(crate) fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    received: &mut Vec<u8>,
) -> anyhow::Result<Answer> {
    stream.write_all(request)?;
    received.clear();
    let mut bytes = [0; 4_096];
    loop {
        match stream.read(&mut bytes)? {
            0 => bail!("the server closed the connection"),
            count => received.extend_from_slice(&bytes[..count]),
        }
        if let Some(answer) = Answer::parse(received)? {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_senders_share_one_even_schedule() {
        let start = Instant::now();
        let mut due: Vec<Instant> = (0..4)
            .flat_map(|sender| schedule(start, 100, sender, 4, Duration::from_secs(1)))
            .collect();
        due.sort_unstable();
        let even = (0..100).map(|tick| start + Duration::from_millis(10) * tick);
        assert!(due.into_iter().eq(even));
    }
}
