//! Query parameters of reads without filters.

use serde::Deserialize;
use utoipa::IntoParams;

/// For one thing.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OneParameters {
    /// Show at least this position, `orders/3@1042`; the same as the header `Daybook-Position`.
    #[expect(
        dead_code,
        reason = "read by the extractor of positions; here it is only let through"
    )]
    at: Option<String>,
}
