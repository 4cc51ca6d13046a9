//! Every way a command can fail, as a problem.

use axum::http::StatusCode;
use domain::order::OrderRefusal;
use domain::product::ProductRefusal;
use domain::stock_item::StockRefusal;
use domain::value::InvalidValue;
use eventsourcing::command::{Failure, Unavailable};
use http_kit::precondition::version_conflict;
use http_kit::problem::Problem;
use std::time::Duration;

/// A refusal that the API can name.
pub(crate) trait Coded: std::fmt::Display {
    /// Stable, part of the API.
    fn code(&self) -> &'static str;

    /// The place in the request that it is about.
    fn pointer(&self) -> Option<String> {
        None
    }
}

impl Coded for ProductRefusal {
    fn code(&self) -> &'static str {
        Self::code(self)
    }
}

impl Coded for StockRefusal {
    fn code(&self) -> &'static str {
        Self::code(self)
    }
}

impl Coded for OrderRefusal {
    fn code(&self) -> &'static str {
        Self::code(self)
    }

    fn pointer(&self) -> Option<String> {
        match self {
            Self::UnknownSku { line } => Some(format!("/lines/{line}/sku")),
            Self::PriceChanged { line, .. } => Some(format!("/lines/{line}/unit_price")),
            Self::OrderExists | Self::OrderNotFound | Self::NotPlaced | Self::NotCancellable => None,
        }
    }
}

/// The problem that says why a command was not accepted.
pub(crate) fn problem<R: Coded>(failure: Failure<R>) -> Problem {
    match failure {
        Failure::Refused(refusal) => refused(&refusal),
        Failure::VersionConflict { current } => version_conflict(current),
        Failure::KeyReused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "The Idempotency-Key was used for another request",
        )
        .at("idempotency-key"),
        Failure::NotAttempted { reason, retry_after } => {
            let code = match reason {
                Unavailable::Overloaded => "overloaded",
                Unavailable::NoOwner => "no_owner",
                Unavailable::NoState => "state_unavailable",
                Unavailable::Deposed => "deposed",
                Unavailable::Stopping => "stopping",
            };
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, "Not attempted, try again")
                .detail(format!("Nothing was written: {reason}."))
                .retry_after(retry_after)
                .not_attempted()
        }
        Failure::Unknown => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "outcome_unknown",
            "The outcome is not known",
        )
        .detail("Send the request again with the same Idempotency-Key: it has one outcome.")
        .retry_after(Duration::from_secs(1)),
    }
}

fn refused(refusal: &impl Coded) -> Problem {
    let code = refusal.code();
    if code.ends_with("_not_found") {
        return Problem::not_found(code);
    }
    let status = match code {
        "nothing_to_change" | "nothing_to_adjust" | "unknown_sku" => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    };
    let problem = Problem::new(status, code, "The rules do not allow it");
    let problem = problem.detail(sentence(&refusal.to_string()));
    match refusal.pointer() {
        Some(pointer) => problem.at(pointer),
        None => problem,
    }
}

/// 422: the value at `pointer` breaks its limits.
pub(crate) fn invalid(pointer: impl Into<String>) -> impl FnOnce(InvalidValue) -> Problem {
    let pointer = pointer.into();
    move |value| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            value.code,
            "A value breaks its limits",
        )
        .at(pointer)
        .detail(sentence(&value.detail))
    }
}

/// Messages of the domain begin small and end without a stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
