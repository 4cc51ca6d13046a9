//! HTTP by hand, because what is looked at is how connections end.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than any command may take.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// In lower case.
    head: String,
    pub(super) body: String,
}

impl Answer {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(super) fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it says for sure that nothing was written.
    pub(super) fn not_attempted(&self) -> bool {
        self.header("daybook-attempted") == Some("false")
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Ended {
    /// The connection was reset.
    Reset(io::Error),
    /// It was closed in the midst of a request.
    Cut,
}

/// A connection that is kept alive.
pub(super) struct Connection(TcpStream);

impl Connection {
    pub(super) async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Whether the server has closed it while nothing was asked. Every client looks before it sends.
    pub(super) fn was_closed(&self) -> bool {
        match self.0.try_read(&mut [0]) {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    pub(super) async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Ended> {
        let lines = headers
            .iter()
            .map(|(name, value)| [name, ": ", value, "\r\n"].concat());
        let headers = lines.collect::<Vec<_>>().concat();
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).await.map_err(Ended::Reset)?;
        tokio::time::timeout(ANSWER_MAX, self.answer())
            .await
            .expect("an answer in time")
    }

    async fn answer(&mut self) -> Result<Answer, Ended> {
        let mut bytes = Vec::new();
        loop {
            if self.0.read_buf(&mut bytes).await.map_err(Ended::Reset)? == 0 {
                return Err(Ended::Cut);
            }
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
            let answer = Answer {
                status: status.expect("a status"),
                head: head.to_ascii_lowercase(),
                body: body.to_owned(),
            };
            let length: usize = answer
                .header("content-length")
                .and_then(|length| length.parse().ok())
                .expect("a length");
            if answer.body.len() >= length {
                return Ok(answer);
            }
        }
    }
}

/// Of `http://127.0.0.1:8080`.
pub(super) fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://")
        .and_then(|address| address.parse().ok())
        .expect("an address")
}
