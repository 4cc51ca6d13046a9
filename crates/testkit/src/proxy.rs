//! A TCP proxy between two parts, to be cut, clogged and slowed down.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Bytes that travel together.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks on their way in one direction; a sender whose chunks do not arrive is held up by its own socket.
const CHUNKS_MAX: usize = 64;

/// Before another try where a port or a descriptor is not free, or nobody listens.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How bytes pass in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passage {
    /// At once.
    #[default]
    Open,
    /// Not at all: they wait, and nobody is told. What waits arrives when the passage is open again,
    /// as late packets do.
    Blocked,
    /// So much later.
    Delayed(Duration),
}

/// Both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passages {
    /// From whoever connected.
    pub there: Passage,
    /// Back to them.
    pub back: Passage,
}

impl Passages {
    /// The same in both directions.
    #[must_use]
    pub const fn both(passage: Passage) -> Self {
        Self {
            there: passage,
            back: passage,
        }
    }
}

/// A proxy. Dropping it closes its port and resets its connections.
pub struct Proxy {
    port: u16,
    listens: watch::Sender<bool>,
    passages: watch::Sender<Passages>,
    cuts: watch::Sender<()>,
    cut_connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Forwards what comes to `port` of the loopback to `target`, which need not listen yet.
    pub async fn start(port: u16, target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let (listens, _) = watch::channel(true);
        let (passages, _) = watch::channel(Passages::default());
        let (cuts, _) = watch::channel(());
        let cut_connections = Arc::new(AtomicU64::new(0));
        let accepting = Accepting {
            target,
            listens: listens.subscribe(),
            passages: passages.clone(),
            cuts: cuts.clone(),
            cut_connections: Arc::clone(&cut_connections),
        };
        Ok(Self {
            port,
            listens,
            passages,
            cuts,
            cut_connections,
            accepting: tokio::spawn(accepting.run(listener, port)),
        })
    }

    /// Where it listens, on loopback.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How bytes pass from now on, on connections old and new.
    pub fn set(&self, passages: Passages) {
        self.passages.send_replace(passages);
    }

    /// Resets all connections (RST on both sides); what was on its way is lost. New ones are let through.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }

    /// Stops listening, as the port of a process that is gone does: new connections are refused. A proxy
    /// that listens takes them before it knows whether anybody is there.
    pub fn close(&self) {
        self.listens.send_replace(false);
    }

    /// Listens again.
    pub fn open(&self) {
        self.listens.send_replace(true);
    }

    /// Listens again as soon as its target does.
    pub fn open_with(&self, target: SocketAddr) {
        let listens = self.listens.clone();
        tokio::spawn(async move {
            while TcpStream::connect(target).await.is_err() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            listens.send_replace(true);
        });
    }

    /// How many connections were cut so far.
    pub fn cut_connections(&self) -> u64 {
        self.cut_connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What takes connections.
struct Accepting {
    target: SocketAddr,
    listens: watch::Receiver<bool>,
    passages: watch::Sender<Passages>,
    cuts: watch::Sender<()>,
    cut_connections: Arc<AtomicU64>,
}

impl Accepting {
    async fn run(mut self, first: TcpListener, port: u16) {
        let mut listener = Some(first);
        loop {
            // The other end is there as long as this task is.
            if self.listens.wait_for(|listens| *listens).await.is_err() {
                return;
            }
            let bound = match listener.take() {
                Some(listener) => Ok(listener),
                None => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await,
            };
            let Ok(bound) = bound else {
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            };
            let mut listens = self.listens.clone();
            tokio::select! {
                _ = listens.wait_for(|listens| !listens) => {}
                () = self.accept(&bound) => {}
            }
        }
    }

    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok((client, _)) = listener.accept().await else {
                // No file descriptor is free: those in use end some time.
                tokio::time::sleep(RETRY_PAUSE).await;
                continue;
            };
            let (passages, cut) = (self.passages.subscribe(), self.cuts.subscribe());
            let (target, counter) = (self.target, Arc::clone(&self.cut_connections));
            tokio::spawn(async move { carry(client, target, passages, cut, &counter).await });
        }
    }
}

/// Carries one connection until both directions are done, one fails, or it is cut.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    passages: watch::Receiver<Passages>,
    mut cut: watch::Receiver<()>,
    cut_connections: &AtomicU64,
) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        // As without a proxy: nobody is there.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let clean = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                pump(from_client, to_server, passages.clone(), |passages| passages
                    .there),
                pump(from_server, to_client, passages.clone(), |passages| passages.back),
            )
        };
        tokio::select! {
            ended = both => ended.is_ok(),
            // The proxy is cut, or gone.
            _ = cut.changed() => {
                cut_connections.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    };
    if !clean {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Moves bytes in one direction, each chunk when it is due and the passage lets it.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut passages: watch::Receiver<Passages>,
    of: fn(&Passages) -> Passage,
) -> io::Result<()> {
    let (send, mut receive) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let arriving = passages.clone();
    let reading = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            if from.read_buf(&mut chunk).await? == 0 {
                return Ok::<_, io::Error>(());
            }
            let due = match of(&arriving.borrow()) {
                Passage::Delayed(delay) => Instant::now() + delay,
                Passage::Open | Passage::Blocked => Instant::now(),
            };
            if send.send((due, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = receive.recv().await {
            tokio::time::sleep_until(due).await;
            // An error means that the proxy is gone.
            let open = passages
                .wait_for(|passages| of(passages) != Passage::Blocked)
                .await;
            open.map_err(io::Error::other)?;
            to.write_all(&chunk).await?;
        }
        let open = passages
            .wait_for(|passages| of(passages) != Passage::Blocked)
            .await;
        open.map_err(io::Error::other)?;
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(100);
    const LATE: Duration = Duration::from_secs(20);

    /// A server that sends back what it gets, a proxy before it, a connection through it.
    async fn echo() -> (Proxy, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let target = server.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        let proxy = Proxy::start(0, target).await.expect("a port");
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await;
        (proxy, client.expect("accepted"))
    }

    async fn said(client: &mut TcpStream, words: &[u8]) {
        client.write_all(words).await.expect("sent");
    }

    async fn heard(client: &mut TcpStream, words: &[u8]) {
        let mut answer = vec![0; words.len()];
        let read = timeout(LATE, client.read_exact(&mut answer))
            .await
            .expect("in time");
        read.expect("an answer");
        assert_eq!(answer, words);
    }

    #[tokio::test]
    async fn what_is_blocked_waits_and_arrives_later() {
        let (proxy, mut client) = echo().await;
        said(&mut client, b"one").await;
        heard(&mut client, b"one").await;
        for blocked in [
            Passages::both(Passage::Blocked),
            Passages {
                back: Passage::Blocked,
                ..Passages::default()
            },
        ] {
            proxy.set(blocked);
            said(&mut client, b"two").await;
            let silent = timeout(SOON, client.read_u8()).await;
            assert!(silent.is_err(), "{silent:?}");
            proxy.set(Passages::default());
            heard(&mut client, b"two").await;
        }
    }

    #[tokio::test]
    async fn what_is_delayed_arrives_in_order() {
        let (proxy, mut client) = echo().await;
        proxy.set(Passages {
            there: Passage::Delayed(SOON),
            back: Passage::Open,
        });
        let sent = Instant::now();
        said(&mut client, b"one").await;
        said(&mut client, b"two").await;
        heard(&mut client, b"onetwo").await;
        assert!(sent.elapsed() >= SOON);
    }

    #[tokio::test]
    async fn a_cut_is_a_reset_and_new_connections_pass() {
        let (proxy, mut client) = echo().await;
        said(&mut client, b"one").await;
        heard(&mut client, b"one").await;
        proxy.cut();
        let read = timeout(LATE, client.read_u8()).await.expect("in time");
        let error = read.expect_err("it was cut");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(proxy.cut_connections(), 1);
        let again = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await;
        let mut again = again.expect("accepted");
        said(&mut again, b"two").await;
        heard(&mut again, b"two").await;
    }

    #[tokio::test]
    async fn a_closed_one_refuses_and_opens_again() {
        let (proxy, mut client) = echo().await;
        // What is in the backlog goes with the port.
        said(&mut client, b"here").await;
        heard(&mut client, b"here").await;
        let there = || TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port()));
        proxy.close();
        let refused = async || there().await.is_err().then_some(());
        crate::eventually("it refuses", LATE, refused).await;
        said(&mut client, b"still here").await;
        heard(&mut client, b"still here").await;
        proxy.open();
        let mut again = crate::eventually("it listens again", LATE, async || there().await.ok()).await;
        said(&mut again, b"one").await;
        heard(&mut again, b"one").await;
    }

    #[tokio::test]
    async fn a_clean_end_is_passed_on() {
        let (_proxy, mut client) = echo().await;
        said(&mut client, b"last words").await;
        client.shutdown().await.expect("half closed");
        heard(&mut client, b"last words").await;
        let end = timeout(LATE, client.read(&mut [0; 1])).await.expect("in time");
        assert_eq!(end.expect("a clean end"), 0);
    }
}
