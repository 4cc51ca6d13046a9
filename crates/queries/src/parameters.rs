//! Query parameters of reads without filters.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::reads::AsOf;

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
    /// Show it as it stood at this instant, `2011-06-30T00:00:00Z`: a snapshot that `daybook rebuild … --as-of` has built.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) as_of: Option<AsOf>,
}
