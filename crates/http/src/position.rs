//! `Daybook-Position`: what an answer shows, and what a reader asks to see at least.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use eventsourcing::position::{Position, Positions};

use crate::parameters::invalid_parameter;
use crate::problem::Problem;

/// In a request: show me at least this. In an answer: this is what it shows.
pub const DAYBOOK_POSITION: HeaderName = HeaderName::from_static("daybook-position");

/// The header's value for these positions.
pub fn header(positions: &Positions) -> HeaderValue {
    HeaderValue::try_from(positions.to_string()).expect("positions are printable ASCII")
}

/// The header's value for one position.
pub fn header_of(position: &Position) -> HeaderValue {
    HeaderValue::try_from(position.to_string()).expect("a position is printable ASCII")
}

/// What the reader asks to see: the header `Daybook-Position` and the query parameter `at`, merged;
/// empty without either. Malformed: 400 `malformed_header` or `invalid_parameter`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked(pub Positions);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut asked = in_headers(&parts.headers)?;
        for text in at_parameters(parts) {
            let positions: Positions = text
                .parse()
                .map_err(|error| invalid_parameter("at", &format!("{error}.")))?;
            merge(&mut asked, &positions);
        }
        Ok(Self(asked))
    }
}

/// What the header `Daybook-Position` alone asks to see, for a reader whose `at` can mean more than a position.
/// Malformed: 400 `malformed_header`.
pub fn in_headers(headers: &HeaderMap) -> Result<Positions, Problem> {
    let mut asked = Positions::default();
    for value in headers.get_all(DAYBOOK_POSITION) {
        let text = value.to_str().unwrap_or("");
        let positions: Positions = text
            .parse()
            .map_err(|error| Problem::malformed_header("daybook-position", format!("{error}.")))?;
        merge(&mut asked, &positions);
    }
    Ok(asked)
}

fn merge(asked: &mut Positions, more: &Positions) {
    more.iter().for_each(|position| asked.merge(position));
}

fn at_parameters(parts: &Parts) -> Vec<String> {
    // Most requests have none: look before parsing.
    if !parts.uri.query().is_some_and(|query| query.contains("at=")) {
        return Vec::new();
    }
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let pairs = pairs.map(|pairs| pairs.0).unwrap_or_default();
    pairs
        .into_iter()
        .filter(|(name, _)| name == "at")
        .map(|(_, value)| value)
        .collect()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn asked(uri: &str, header: Option<&str>) -> Result<String, String> {
        let mut request = Request::get(uri);
        if let Some(header) = header {
            request = request.header(DAYBOOK_POSITION, header);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        let asked = Asked::from_request_parts(&mut parts, &()).await;
        asked
            .map(|asked| asked.0.to_string())
            .map_err(|problem| problem.code().to_owned())
    }

    #[tokio::test]
    async fn header_and_parameter_merge() {
        let both = asked("/x?at=orders%2F3%4012", Some("orders/3@10,catalog/0@5")).await;
        assert_eq!(both, Ok("catalog/0@5,orders/3@12".to_owned()));
        assert_eq!(
            asked("/x?at=orders/3@12", None).await,
            Ok("orders/3@12".to_owned())
        );
        assert_eq!(asked("/x?status=placed", None).await, Ok(String::new()));
        assert_eq!(
            asked("/x?at=soon", None).await,
            Err("invalid_parameter".to_owned())
        );
        assert_eq!(
            asked("/x", Some("soon")).await,
            Err("malformed_header".to_owned())
        );
    }
}
