//! `Idempotency-Key`: names a command for its client, so that a repeat gets the same outcome.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};

use crate::problem::Problem;

/// The request header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `true` in the answer to a repeat.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;

/// A key: 1 to [`KEY_BYTES_MAX`] printable ASCII characters. As an extractor it is required (400
/// `idempotency_key_required`); as `Option<IdempotencyKey>` it may be missing. Malformed either way:
/// 400 `idempotency_key_invalid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of these headers, if there is one.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value.to_str().map_err(|_| invalid())?;
        let fits = (1..=KEY_BYTES_MAX).contains(&key.len());
        if !fits || !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || values.next().is_some() {
            return Err(invalid());
        }
        Ok(Some(Self(key.into())))
    }
}

fn invalid() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "idempotency_key_invalid",
        "The Idempotency-Key is not one",
    )
    .at("idempotency-key")
    .detail(format!(
        "One key of 1 to {KEY_BYTES_MAX} printable ASCII characters."
    ))
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers)?.ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency_key_required",
                "An Idempotency-Key is required",
            )
            .at("idempotency-key")
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn key(text: &str) -> Result<Option<IdempotencyKey>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(
            IDEMPOTENCY_KEY,
            HeaderValue::from_bytes(text.as_bytes()).expect("a value"),
        );
        IdempotencyKey::of(&headers).map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn a_key_has_limits() {
        assert_eq!(
            key("order 1").expect("is fine").expect("is there").as_str(),
            "order 1"
        );
        assert!(key(&"x".repeat(128)).is_ok());
        for text in ["", &"x".repeat(129), "tab\there", "grün"] {
            assert_eq!(key(text), Err("idempotency_key_invalid".to_owned()), "{text:?}");
        }
        assert_eq!(IdempotencyKey::of(&HeaderMap::new()).expect("none is fine"), None);
    }
}
