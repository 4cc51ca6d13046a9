//! `If-Match` of a command, `If-None-Match` of a read, and the `ETag` both speak of.

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use eventsourcing::command::Expected;
use eventsourcing::ids::Sequence;

use crate::problem::Problem;

/// The `ETag` of an aggregate at `sequence`: `"7"`.
pub fn etag(sequence: Sequence) -> HeaderValue {
    HeaderValue::try_from(format!("\"{sequence}\"")).expect("digits in quotes are a header value")
}

/// `If-Match` as a command's expectation. Absent or `*`: any. Anything but one strong `ETag` of ours:
/// 400 `malformed_header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfMatch(pub Expected);

impl IfMatch {
    /// The expectation of these headers.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(IF_MATCH).iter();
        let Some(value) = values.next() else {
            return Ok(Self(Expected::Any));
        };
        let malformed = || Problem::malformed_header("if-match", "One ETag, as the last answer gave it.");
        let text = value.to_str().map_err(|_| malformed())?.trim();
        if values.next().is_some() {
            return Err(malformed());
        }
        if text == "*" {
            return Ok(Self(Expected::Any));
        }
        let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let digits = digits.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        let sequence = digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(malformed)?;
        Ok(Self(Expected::Exactly(sequence)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers)
    }
}

/// 412 `version_conflict` with the sequence the aggregate has.
pub fn version_conflict(current: Sequence) -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "version_conflict",
        "The thing has changed since",
    )
    .sequence(current.0)
    .header(ETAG, etag(current))
}

/// What the client has already (`If-None-Match`).
#[derive(Clone, Debug, Default)]
pub struct IfNoneMatch(Vec<HeaderValue>);

impl IfNoneMatch {
    /// Whether the client has the representation called `etag`; weak comparison, as reads want it.
    pub fn has(&self, etag: &HeaderValue) -> bool {
        let Ok(etag) = etag.to_str() else {
            return false;
        };
        let opaque = etag.trim_start_matches("W/");
        self.0.iter().filter_map(|value| value.to_str().ok()).any(|list| {
            list.trim() == "*"
                || list
                    .split(',')
                    .any(|known| known.trim().trim_start_matches("W/") == opaque)
        })
    }

    /// `answer` with its `ETag`, or 304 without a body when the client has it. Headers stay.
    pub fn answer(&self, etag: HeaderValue, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        if self.has(&etag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = axum::body::Body::empty();
            response.headers_mut().remove(axum::http::header::CONTENT_TYPE);
            response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
        }
        response.headers_mut().insert(ETAG, etag);
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(
            parts.headers.get_all(IF_NONE_MATCH).iter().cloned().collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(text: &'static str) -> Result<Expected, String> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, HeaderValue::from_static(text));
        IfMatch::of(&headers)
            .map(|matched| matched.0)
            .map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn if_match_takes_one_etag_of_ours() {
        assert_eq!(expected("\"7\""), Ok(Expected::Exactly(Sequence(7))));
        assert_eq!(expected("*"), Ok(Expected::Any));
        assert_eq!(
            IfMatch::of(&HeaderMap::new()).map(|m| m.0).ok(),
            Some(Expected::Any)
        );
        for text in [
            "7",
            "\"\"",
            "\"x\"",
            "\"+7\"",
            "W/\"7\"",
            "\"7\", \"8\"",
            "\"99999999999999999999\"",
        ] {
            assert_eq!(expected(text), Err("malformed_header".to_owned()), "{text}");
        }
    }

    #[test]
    fn if_none_match_is_a_list() {
        let known = IfNoneMatch(vec![HeaderValue::from_static("\"1\", W/\"7\"")]);
        assert!(known.has(&etag(Sequence(7))));
        assert!(!known.has(&etag(Sequence(8))));
        let answer = known.answer(etag(Sequence(7)), "body");
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer.headers()[ETAG], "\"7\"");
    }
}
