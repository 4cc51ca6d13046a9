//! Path and query parameters, as strict as bodies.

use axum::extract::{FromRequestParts, rejection::PathRejection};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::fallback;
use crate::json::quoted;
use crate::problem::Problem;

/// Path parameters. What does not parse names no resource: 404 `route_not_found`.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(fallback::route_not_found().await),
            Err(_) => Err(Problem::internal()),
        }
    }
}

/// Query parameters of the shape `T`, a closed list (`#[serde(deny_unknown_fields)]`).
///
/// Problems: 400 `unknown_parameter`, 400 `invalid_parameter`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parsed = axum::extract::Query::try_from_uri(&parts.uri);
        match parsed {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(explain(&source_of(&rejection))),
        }
    }
}

/// What the innermost error says: the outer ones only say that something is wrong.
fn source_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn explain(message: &str) -> Problem {
    // The path to the value comes first where serde knows it: `limit: invalid digit found in string`.
    let (path, reason) = match message.split_once(": ") {
        Some((path, reason)) if !path.contains(['`', ' ']) => (path, reason),
        Some(_) | None => ("", message),
    };
    if let Some(name) = quoted(reason, "unknown field `") {
        return refused("unknown_parameter", "A query parameter is not known").at(clipped(name));
    }
    if let Some(name) = quoted(reason, "missing field `") {
        return invalid_parameter(name, "It is required.");
    }
    if let Some(name) = quoted(reason, "duplicate field `") {
        return invalid_parameter(name, "It is given more than once.");
    }
    invalid_parameter(path, reason)
}

/// 400 `invalid_parameter`: the value of the query parameter `name` is not what it must be.
pub fn invalid_parameter(name: &str, detail: &str) -> Problem {
    refused("invalid_parameter", "A query parameter is not what it must be")
        .at(clipped(name))
        .detail(detail.chars().take(200).collect::<String>())
}

fn refused(code: &'static str, title: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, title)
}

fn clipped(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        limit: Option<u32>,
        by: String,
    }

    async fn parsed(uri: &str) -> Result<Filter, (String, String)> {
        let (mut parts, ()) = Request::get(uri).body(()).expect("a request").into_parts();
        let query = Query::<Filter>::from_request_parts(&mut parts, &()).await;
        query.map(|query| query.0).map_err(|problem| {
            let document = problem.document().clone();
            (document.code.into_owned(), document.errors[0].pointer.clone())
        })
    }

    #[tokio::test]
    async fn parameters_are_a_closed_list() {
        let filter = parsed("/x?by=month&limit=3").await.expect("is fine");
        assert_eq!((filter.limit, filter.by.as_str()), (Some(3), "month"));
        let refused = |code: &str, at: &str| Err::<(), _>((code.to_owned(), at.to_owned()));
        let outcome = |uri: &'static str| async move { parsed(uri).await.map(|_| ()) };
        assert_eq!(
            outcome("/x?by=a&colour=red").await,
            refused("unknown_parameter", "colour")
        );
        assert_eq!(outcome("/x").await, refused("invalid_parameter", "by"));
        assert_eq!(outcome("/x?by=a&by=b").await, refused("invalid_parameter", "by"));
        assert_eq!(
            outcome("/x?by=a&limit=many").await,
            refused("invalid_parameter", "limit")
        );
    }
}
