//! Answers where no endpoint is: unknown routes and wrong methods.

use axum::http::StatusCode;

use crate::problem::Problem;

/// 404 `route_not_found`.
pub async fn route_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", "There is no such route")
}

/// 405 `method_not_allowed`; the router adds `Allow`.
pub async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "The route does not take this method",
    )
}

/// The problem for an answer that some layer wrote without one.
pub(crate) fn of_status(status: StatusCode) -> Problem {
    let (code, title) = match status {
        StatusCode::BAD_REQUEST => ("bad_request", "The request is malformed"),
        StatusCode::NOT_FOUND => ("route_not_found", "There is no such route"),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "The route does not take this method"),
        StatusCode::REQUEST_TIMEOUT => ("request_timeout", "The request took too long to arrive"),
        StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "The body is over the limit"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "The body must be JSON"),
        StatusCode::UNPROCESSABLE_ENTITY => ("unprocessable", "The request cannot be processed"),
        other if other.is_client_error() => ("refused", "The request is refused"),
        _ => ("internal", "Internal error"),
    };
    Problem::new(status, code, title)
}
