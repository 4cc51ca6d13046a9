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

/// `Serialize` as the text that `$text` lends; serde's `into` would copy it for each event and each row.
macro_rules! serialize_as_text {
    ($(const $max:ident,)? $name:ty: $text:ident) => {
        impl$(<const $max: usize>)? serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.$text())
            }
        }
    };
}

pub(crate) use serialize_as_text;
