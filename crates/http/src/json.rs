//! The strict JSON body of a request.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::given::Given;
use crate::problem::Problem;

/// The deepest nesting of arrays and objects in a body.
pub const JSON_DEPTH_MAX: usize = 32;
/// The largest body unless [`crate::conventions::Conventions`] say otherwise, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of a body over the limit is read and thrown away, so that the client, still sending,
/// gets the answer and not a reset connection. In multiples of the limit.
const DISCARDED_MULTIPLE: usize = 4;

/// A JSON body of the shape `T`, which should refuse unknown fields (`#[serde(deny_unknown_fields)]`).
///
/// Problems: 415 `unsupported_media_type`, 413 `body_too_large`, 408 `request_timeout`, 400
/// `malformed_json`, 400 `json_too_deep`, 422 `unknown_field`, 422 `missing_field`, 422
/// `invalid_value`; the last three with a pointer.
#[derive(Clone, Debug)]
pub struct Json<T> {
    /// The body, parsed.
    pub value: T,
    /// The body as it came, for the request's digest.
    pub raw: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let given = request.extensions().get::<Given>();
        let limit = given.map_or(BODY_BYTES_MAX, |given| given.body_bytes_max);
        let raw = read(request.into_body(), limit).await?;
        let value = parse(&raw)?;
        Ok(Self { value, raw })
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
    let json = essence.eq_ignore_ascii_case("application/json")
        || (essence.len() > 5 && essence.to_ascii_lowercase().ends_with("+json"));
    if json {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The body must be JSON",
    )
    .at("content-type"))
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_READ_TIMEOUT, collect(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The request took too long to arrive",
        )),
    }
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut stream = body.into_data_stream();
    let Some(first) = stream.next().await else {
        return Ok(Bytes::new());
    };
    let first = first.map_err(|_| broken_off())?;
    // Nearly every body is one chunk; it is not copied.
    if first.len() == announced && announced <= limit {
        return Ok(first);
    }
    let mut received = first.len();
    let mut kept = BytesMut::from(first);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| broken_off())?;
        received = received.saturating_add(chunk.len());
        if received > limit.saturating_mul(DISCARDED_MULTIPLE) {
            break;
        }
        if received <= limit {
            kept.extend_from_slice(&chunk);
        }
    }
    if received > limit {
        return Err(too_large(limit));
    }
    Ok(kept.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "The body is over the limit",
    )
    .detail(format!("The limit is {limit} bytes."))
}

fn broken_off() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body_broken_off", "The body broke off")
}

/// The value of a JSON document; see [`Json`] for the problems.
pub fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, Problem> {
    if too_deep(raw) {
        let problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "json_too_deep",
            "The body is nested too deeply",
        );
        return Err(problem.detail(format!("The limit is {JSON_DEPTH_MAX} levels.")));
    }
    // Tracking the path costs; only a wrong body pays for it.
    serde_json::from_slice(raw).map_err(|error| explain::<T>(raw, &error))
}

fn explain<T: DeserializeOwned>(raw: &[u8], error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        let place = format!("At line {}, column {}.", error.line(), error.column());
        return Problem::new(StatusCode::BAD_REQUEST, "malformed_json", "The body is not JSON").detail(place);
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(raw);
    let Err(located) = serde_path_to_error::deserialize::<_, T>(deserializer) else {
        return Problem::internal();
    };
    let pointer = pointer(located.path());
    let message = located.inner().to_string();
    if let Some(field) = quoted(&message, "unknown field `") {
        // The path may or may not end in the unknown field itself.
        let at = match pointer.rsplit_once('/') {
            Some((_, last)) if last == escape(field) => pointer,
            Some(_) | None => format!("{pointer}/{}", escape(field)),
        };
        return unprocessable("unknown_field", "A field is not known").at(at);
    }
    if let Some(field) = quoted(&message, "missing field `") {
        let at = format!("{pointer}/{}", escape(field));
        return unprocessable("missing_field", "A field is missing").at(at);
    }
    let detail = message.split(" at line ").next().unwrap_or_default().to_owned();
    unprocessable("invalid_value", "A value is not what it must be")
        .at(pointer)
        .detail(detail)
}

fn unprocessable(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, title)
}

/// The text between `start` and the next backtick. serde's derive words its errors so; the tests
/// below notice should it ever change.
pub(crate) fn quoted<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split('`').next()
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.extend(["/", &index.to_string()]),
            Segment::Map { key } => pointer.extend(["/", &escape(key)]),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// RFC 6901's escapes; and no more of a strange name than helps.
fn escape(name: &str) -> String {
    name.chars()
        .take(80)
        .collect::<String>()
        .replace('~', "~0")
        .replace('/', "~1")
}

fn too_deep(raw: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in raw {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[expect(dead_code, reason = "only its shape matters")]
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[expect(dead_code, reason = "only its shape matters")]
        quantity: u32,
    }

    fn refused(text: &str) -> (u16, String, Option<String>) {
        let problem = parse::<Order>(text.as_bytes()).expect_err("is refused");
        let document = problem.document().clone();
        let pointer = document.errors.first().map(|error| error.pointer.clone());
        (document.status, document.code.into_owned(), pointer)
    }

    #[test]
    fn a_wrong_body_is_refused_with_its_place() {
        let unknown = refused(r#"{"lines":[{"quantity":1,"qty":2}]}"#);
        assert_eq!(
            unknown,
            (422, "unknown_field".into(), Some("/lines/0/qty".into()))
        );
        let missing = refused(r#"{"lines":[{}]}"#);
        assert_eq!(
            missing,
            (422, "missing_field".into(), Some("/lines/0/quantity".into()))
        );
        let wrong = refused(r#"{"lines":[{"quantity":1},{"quantity":-1}]}"#);
        assert_eq!(
            wrong,
            (422, "invalid_value".into(), Some("/lines/1/quantity".into()))
        );
        let top = refused(r#"{"lines":[],"a/b":1}"#);
        assert_eq!(top, (422, "unknown_field".into(), Some("/a~1b".into())));
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for text in [
            "",
            "{",
            r#"{"lines":[]} x"#,
            "{'lines':[]}",
            r#"{"lines":[{"quantity":01}]}"#,
        ] {
            assert_eq!(refused(text).1, "malformed_json", "{text:?}");
        }
    }

    #[test]
    fn depth_is_limited_outside_of_texts() {
        let deep = format!(
            "{}{}",
            "[".repeat(JSON_DEPTH_MAX + 1),
            "]".repeat(JSON_DEPTH_MAX + 1)
        );
        assert_eq!(refused(&deep).1, "json_too_deep");
        assert!(!too_deep(format!("\"{}\\\"[[\"", "[".repeat(100)).as_bytes()));
        assert!(!too_deep("[]".repeat(100).as_bytes()));
    }
}
