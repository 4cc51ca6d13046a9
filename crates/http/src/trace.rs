//! One id and one trace for everything that follows from a request: log lines, records, commands.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use eventsourcing::clock::Environment;
use thiserror::Error;
use uuid::Uuid;

use crate::given::Given;
use crate::problem::Problem;

/// Names the request; taken from the client where sane, else drawn.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The longest request id taken from a client, in bytes. It is also what a record's header holds.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// What a request carries through everything that follows from it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// Names the request; also in the answer, as `X-Request-Id`.
    pub request_id: Arc<str>,
    /// The trace, with the span id of this request.
    pub traceparent: Traceparent,
}

impl RequestContext {
    /// The context these headers ask for, completed from `environment`.
    pub fn of(headers: &HeaderMap, environment: &dyn Environment) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = given.filter(|id| is_sane(id)).map_or_else(
            || {
                Arc::from(
                    &*environment
                        .fresh()
                        .simple()
                        .encode_lower(&mut Uuid::encode_buffer()),
                )
            },
            Arc::<str>::from,
        );
        let span = environment.fresh();
        let (_, span_id) = span.as_u64_pair();
        let parent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let traceparent = match parent.and_then(|text| text.parse::<Traceparent>().ok()) {
            Some(parent) => Traceparent { span_id, ..parent },
            None => Traceparent {
                trace_id: span.as_u128(),
                span_id,
                flags: 0,
            },
        };
        Self {
            request_id,
            traceparent,
        }
    }
}

/// Nothing that could forge a log line, a header or a field of a record.
fn is_sane(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(plain)
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    /// Fails (500) only where [`crate::conventions`] have not been applied: a defect of ours.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Given>()
            .map(|given| given.context.clone())
            .ok_or_else(Problem::internal)
    }
}

/// `version-trace-parent-flags`, as in `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span that is the parent of what follows; never 0.
    pub span_id: u64,
    /// Bit 0: sampled.
    pub flags: u8,
}

/// The text is not a trace context; a new trace is started instead.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a W3C traceparent")]
pub struct InvalidTraceparent;

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }
}

impl FromStr for Traceparent {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.split('-');
        let mut next = |digits| hex(fields.next(), digits).ok_or(InvalidTraceparent);
        let (version, trace_id) = (next(2)?, next(32)?);
        let (span_id, flags) = (next(16)?, next(2)?);
        // Later versions may add fields; version 00 has none, ff is forbidden.
        let more = fields.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceparent);
        }
        Ok(Self {
            trace_id,
            span_id: u64::try_from(span_id).expect("sixteen digits fit"),
            flags: u8::try_from(flags).expect("two digits fit"),
        })
    }
}

fn hex(field: Option<&str>, digits: usize) -> Option<u128> {
    let field = field.filter(|field| field.len() == digits)?;
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    field
        .bytes()
        .all(lower)
        .then(|| u128::from_str_radix(field, 16).ok())?
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use eventsourcing::clock::Counted;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_and_a_malformed_one_does_not() {
        let parsed: Traceparent = PARENT.parse().expect("well formed");
        assert_eq!(parsed.to_string(), PARENT);
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<Traceparent>(), Err(InvalidTraceparent), "{text:?}");
        }
    }

    #[test]
    fn a_trace_is_continued_under_a_span_of_our_own() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(PARENT));
        headers.insert(REQUEST_ID, HeaderValue::from_static("shop-42"));
        let context = RequestContext::of(&headers, &Counted::default());
        let parent: Traceparent = PARENT.parse().expect("well formed");
        assert_eq!(context.request_id.as_ref(), "shop-42");
        assert_eq!(context.traceparent.trace_id, parent.trace_id);
        assert_ne!(context.traceparent.span_id, parent.span_id);
        assert_eq!(context.traceparent.flags, 1);
    }

    #[test]
    fn a_strange_request_id_is_replaced() {
        let drawn = RequestContext::of(&HeaderMap::new(), &Counted::default());
        for id in ["a b", "a;b", &"x".repeat(129)] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).expect("a value"));
            assert_eq!(RequestContext::of(&headers, &Counted::default()), drawn, "{id:?}");
        }
        assert_ne!(drawn.traceparent.span_id, 0);
    }
}
