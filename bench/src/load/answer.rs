//! Reading an answer: its status, its end, and the position it names.

use anyhow::{Context, bail};

/// The most headers an answer may have.
const HEADERS_MAX: usize = 48;

/// The place of an acknowledged record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ack {
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

/// An answer that has arrived as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes of head and body.
    pub(crate) length: usize,
    /// Set when the command was accepted.
    pub(crate) ack: Option<Ack>,
    /// Whether an answer without `ack` says for sure that nothing was written.
    pub(crate) definite: bool,
}

impl Answer {
    /// The answer at the start of `bytes`; `None` while it is not there as a whole.
    pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = response.parse(bytes)? else {
            return Ok(None);
        };
        let status = response.code.context("an answer without a status")?;
        let mut body = None;
        let mut ack = None;
        let mut attempted = true;
        for header in response.headers {
            let text = || std::str::from_utf8(header.value).context("a header that is no text");
            if header.name.eq_ignore_ascii_case("content-length") {
                body = Some(text()?.parse::<usize>()?);
            } else if header.name.eq_ignore_ascii_case("daybook-position") {
                ack = Some(position(text()?)?);
            } else if header.name.eq_ignore_ascii_case("daybook-attempted") {
                attempted = header.value != b"false";
            }
        }
        let Some(body) = body else {
            bail!("an answer {status} without a length");
        };
        if bytes.len() < head + body {
            return Ok(None);
        }
        let accepted = (200..300).contains(&status);
        Ok(Some(Self {
            status,
            length: head + body,
            ack: ack.filter(|_| accepted),
            definite: (400..500).contains(&status) || !attempted,
        }))
    }
}

/// Of `orders/3@1042`; the first one of several.
fn position(text: &str) -> anyhow::Result<Ack> {
    let text = text.split(',').next().unwrap_or(text);
    let place = text.split_once('/').and_then(|(_, place)| place.split_once('@'));
    let (partition, offset) = place.with_context(|| format!("no position: {text:?}"))?;
    Ok(Ack {
        partition: partition.parse()?,
        offset: offset.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: &[u8] =
        b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nDaybook-Position: orders/3@1042\r\n\r\n{}";

    #[test]
    fn an_acknowledgement_names_its_place() {
        let answer = Answer::parse(CREATED).expect("well formed").expect("complete");
        assert_eq!(
            answer.ack,
            Some(Ack {
                partition: 3,
                offset: 1042
            })
        );
        assert_eq!(answer.length, CREATED.len());
    }

    #[test]
    fn half_an_answer_is_none() {
        for end in 0..CREATED.len() {
            assert_eq!(Answer::parse(&CREATED[..end]).expect("well formed"), None);
        }
    }

    #[test]
    fn only_what_says_so_is_definite() {
        let parse = |text: &str| {
            Answer::parse(text.as_bytes())
                .expect("well formed")
                .expect("complete")
        };
        let shed = parse("HTTP/1.1 503 x\r\ndaybook-attempted: false\r\ncontent-length: 0\r\n\r\n");
        let unknown = parse("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n");
        let refused = parse("HTTP/1.1 422 x\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(
            (shed.definite, unknown.definite, refused.definite),
            (true, false, true)
        );
    }
}
