//! Problems: every refusal of both APIs is one RFC 9457 document with a stable `code`.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// `false` says that no event was written for sure.
pub const DAYBOOK_ATTEMPTED: HeaderName = HeaderName::from_static("daybook-attempted");

/// One wrong place in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer into the request body (`/lines/0/quantity`), or the name of a parameter or header.
    pub pointer: String,
    /// What is wrong there, stable.
    pub code: Cow<'static, str>,
}

/// The document as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// Where the code is explained, relative to the documentation: `/errors/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words; the same for every problem of this code.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What went wrong, stable: what a client may branch on.
    pub code: Cow<'static, str>,
    /// The wrong places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The sequence the aggregate has now, where the problem is about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Quote it when asking for help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// A refusal on its way to the client. It never holds internals: the detail is written by us.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    document: Document,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with its status, stable code and title.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        let code = code.into();
        Self(Box::new(Parts {
            status,
            document: Document {
                kind: format!("/errors/{code}"),
                title: title.into(),
                status: status.as_u16(),
                detail: None,
                code,
                errors: Vec::new(),
                sequence: None,
                request_id: None,
                retryable: false,
            },
            headers: Vec::new(),
        }))
    }

    /// Says what is wrong this time, for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.document.detail = Some(detail.into());
        self
    }

    /// Names a wrong place, with the problem's own code.
    #[must_use]
    pub fn at(self, pointer: impl Into<String>) -> Self {
        let code = self.0.document.code.clone();
        self.at_with(pointer, code)
    }

    /// Names a wrong place and what is wrong there.
    #[must_use]
    pub fn at_with(mut self, pointer: impl Into<String>, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.document.errors.push(FieldError {
            pointer: pointer.into(),
            code: code.into(),
        });
        self
    }

    /// The sequence the aggregate has now.
    #[must_use]
    pub fn sequence(mut self, sequence: u64) -> Self {
        self.0.document.sequence = Some(sequence);
        self
    }

    /// Says that the same request may succeed later.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.document.retryable = true;
        self
    }

    /// Says when a retry is worth it (`Retry-After`, whole seconds, at least one).
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.retryable()
            .header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Says that nothing was written, for sure (`Daybook-Attempted: false`).
    #[must_use]
    pub fn not_attempted(self) -> Self {
        self.header(DAYBOOK_ATTEMPTED, HeaderValue::from_static("false"))
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The status it answers with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Its stable code.
    pub fn code(&self) -> &str {
        &self.0.document.code
    }

    /// The document as it stands.
    pub fn document(&self) -> &Document {
        &self.0.document
    }

    /// The answer, naming the request.
    pub(crate) fn answer(mut self, request_id: Option<&str>) -> Response {
        self.0.document.request_id = request_id.map(str::to_owned);
        let body = serde_json::to_vec(&self.0.document).expect("a problem is plain JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in self.0.headers.drain(..) {
            headers.insert(name, value);
        }
        response
    }
}

impl IntoResponse for Problem {
    /// The problem also travels in the response's extensions, so that [`crate::conventions`] can add
    /// the request id.
    fn into_response(self) -> Response {
        let mut response = self.clone().answer(None);
        response.extensions_mut().insert(self);
        response
    }
}

/// The problems both APIs share.
impl Problem {
    /// 500 `internal`: a defect of ours. What it was is in the log, under the request id.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error")
    }

    /// 503 `overloaded`: more requests at once than the limit allows. Nothing was attempted.
    pub fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "Too many requests at once",
        )
        .retry_after(Duration::from_secs(1))
        .not_attempted()
    }

    /// 400 `malformed_header`: the value of the header `name` is not what it must be.
    pub fn malformed_header(name: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed_header",
            "A header is malformed",
        )
        .at(name)
        .detail(detail)
    }

    /// 404 `<noun>_not_found`, as in `order_not_found`.
    pub fn not_found(code: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, "There is no such thing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_a_client_may_branch_on() {
        let problem = Problem::new(StatusCode::CONFLICT, "insufficient_stock", "Not enough stock")
            .detail("3 left")
            .at("/lines/0/quantity");
        let document = serde_json::to_value(problem.document()).expect("serializes");
        let expected = serde_json::json!({
            "type": "/errors/insufficient_stock",
            "title": "Not enough stock",
            "status": 409,
            "detail": "3 left",
            "code": "insufficient_stock",
            "errors": [{"pointer": "/lines/0/quantity", "code": "insufficient_stock"}],
            "retryable": false,
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn retry_after_is_never_zero() {
        let response = Problem::internal()
            .retry_after(Duration::from_millis(20))
            .into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let response = Problem::internal()
            .retry_after(Duration::from_millis(1200))
            .into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }
}
