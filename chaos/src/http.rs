//! One HTTP/1.1 connection that knows exactly how it ended. A client library hides what counts here: whether a
//! request was sent at all, whether a connection was closed or reset, whether it was repeated on the quiet.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const HEADERS_MAX: usize = 32;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Lower-case names.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a str,
}

impl<'a> Request<'a> {
    pub(crate) const fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            headers: &[],
            body: "",
        }
    }
}

/// A complete answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of the header with this lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) const fn is_success(&self) -> bool {
        200 <= self.status && self.status < 300
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NoAnswer {
    /// Nobody took the connection: nothing was sent.
    NotConnected,
    /// The other side closed the connection in order, before any byte of an answer.
    Closed,
    /// The connection was reset, or ended within an answer.
    Reset,
    /// Nothing came in time.
    TimedOut,
}

/// A connection that is opened when it is needed and kept while it lasts.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Connection {
    pub(crate) const fn to(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends one request and waits for its answer.
    pub(crate) async fn send(&mut self, request: Request<'_>, limit: Duration) -> Result<Answer, NoAnswer> {
        // Taken out: whoever drops this call half-way leaves no connection with half an answer.
        let mut stream = match self.stream.take().filter(is_open) {
            Some(stream) => stream,
            None => match timeout(CONNECT_TIMEOUT.min(limit), TcpStream::connect(self.address)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(_)) | Err(_) => return Err(NoAnswer::NotConnected),
            },
        };
        let _ = stream.set_nodelay(true);
        let answer = match timeout(limit, exchange(&mut stream, request)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(NoAnswer::TimedOut),
        };
        if answer.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

/// Whether nothing has happened to an idle connection. One that was closed meanwhile costs nothing.
fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 1]);
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

async fn exchange(stream: &mut TcpStream, request: Request<'_>) -> Result<Answer, NoAnswer> {
    let broken = |error: io::Error| match error.kind() {
        // Written to after the other side had closed and gone.
        ErrorKind::BrokenPipe => NoAnswer::Closed,
        _ => NoAnswer::Reset,
    };
    let Request {
        method,
        path,
        headers,
        body,
    } = request;
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: chaos\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").expect("a string takes everything");
    }
    write!(text, "content-length: {}\r\n\r\n{body}", body.len()).expect("a string takes everything");
    stream.write_all(text.as_bytes()).await.map_err(broken)?;
    let mut received = Vec::with_capacity(1_024);
    loop {
        let read = stream.read_buf(&mut received).await.map_err(broken)?;
        if read == 0 {
            return Err(if received.is_empty() {
                NoAnswer::Closed
            } else {
                NoAnswer::Reset
            });
        }
        if let Some(answer) = parse(&received)? {
            return Ok(answer);
        }
    }
}

/// The answer, when all of it is there.
fn parse(received: &[u8]) -> Result<Option<Answer>, NoAnswer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(parsed) = head.parse(received) else {
        return Err(NoAnswer::Reset);
    };
    let (httparse::Status::Complete(length), Some(status)) = (parsed, head.code) else {
        return Ok(None);
    };
    let text = |header: &httparse::Header<'_>| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    };
    let mut answer = Answer {
        status,
        headers: head.headers.iter().map(text).collect(),
        body: Vec::new(),
    };
    let body = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let end = length + body.unwrap_or(0);
    if received.len() < end {
        return Ok(None);
    }
    answer.body = received[length..end].to_vec();
    Ok(Some(answer))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const LATE: Duration = Duration::from_secs(20);
    const ANSWER: &[u8] = b"HTTP/1.1 503 Busy\r\nDaybook-Attempted: false\r\ncontent-length: 2\r\n\r\n{}";

    /// What a connection gets for each request: these bytes, and perhaps its end.
    async fn told(bytes: &'static [u8], then: fn(TcpStream) -> Option<TcpStream>) -> Connection {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while stream.read(&mut [0; 1_024]).await.is_ok_and(|read| read > 0) {
                        stream.write_all(bytes).await.expect("sent");
                        let Some(kept) = then(stream) else {
                            return;
                        };
                        stream = kept;
                    }
                });
            }
        });
        Connection::to(address)
    }

    async fn ask(connection: &mut Connection) -> Result<u16, NoAnswer> {
        let answer = connection.send(Request::get("/"), LATE).await;
        answer.map(|answer| answer.status)
    }

    #[tokio::test]
    async fn an_answer_is_told_and_its_connection_kept() {
        let mut connection = told(ANSWER, Some).await;
        let answer = connection.send(Request::get("/"), LATE).await.expect("an answer");
        assert_eq!(
            (answer.status, answer.header("daybook-attempted")),
            (503, Some("false"))
        );
        assert_eq!(answer.body, b"{}");
        assert!(connection.stream.is_some());
        assert_eq!(ask(&mut connection).await, Ok(503));
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_between_requests_costs_nothing() {
        let mut connection = told(ANSWER, |_closed| None).await;
        for _ in 0..3 {
            assert_eq!(ask(&mut connection).await, Ok(503));
            // The end has arrived when it can be read.
            let stream = connection.stream.as_ref().expect("kept");
            stream.readable().await.expect("an end");
        }
    }

    #[tokio::test]
    async fn each_way_to_get_no_answer_has_its_name() {
        let closing = |_closed| None;
        assert_eq!(ask(&mut told(b"", closing).await).await, Err(NoAnswer::Closed));
        assert_eq!(
            ask(&mut told(b"HTTP/1.1 2", closing).await).await,
            Err(NoAnswer::Reset)
        );
        let resetting = |stream: TcpStream| {
            stream.set_zero_linger().expect("a socket");
            None
        };
        assert_eq!(ask(&mut told(b"", resetting).await).await, Err(NoAnswer::Reset));
        let mut silent = told(b"", Some).await;
        let answer = silent.send(Request::get("/"), Duration::from_millis(50)).await;
        assert_eq!(answer.map(|answer| answer.status), Err(NoAnswer::TimedOut));
        let nobody = embedded::free_port().expect("a port");
        let mut nobody = Connection::to((Ipv4Addr::LOCALHOST, nobody).into());
        assert_eq!(ask(&mut nobody).await, Err(NoAnswer::NotConnected));
    }
}
