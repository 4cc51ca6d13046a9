//! Why a value is not one of the shop's.

use thiserror::Error;

/// A value that breaks its type's limits. `code` is stable and part of the API.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{detail}")]
pub struct InvalidValue {
    /// For programs: `invalid_quantity`.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

impl InvalidValue {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}
