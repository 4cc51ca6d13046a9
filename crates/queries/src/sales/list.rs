//! `GET /v1/sales`

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use http_kit::page::Page;
use http_kit::parameters::Query;
use http_kit::position::Asked;
use http_kit::precondition::IfNoneMatch;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{COLUMNS, Sales, decode};
use crate::answer::{List, Wanted};
use crate::reads::{AsOf, ReadModel, Reads};

/// What sales are counted by.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dimension {
    /// Where the order went to.
    Country,
    /// When it was placed.
    Month,
    /// What was ordered.
    Sku,
}

impl Dimension {
    const fn name(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Month => "month",
            Self::Sku => "sku",
        }
    }
}

/// What to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// What to count by.
    #[param(inline)]
    by: Dimension,
    /// Rows of a page: 1 to 200, 50 when not given.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    after: Option<String>,
    /// Show at least this position, `orders/3@1042`; the same as the header `Daybook-Position`.
    #[expect(
        dead_code,
        reason = "read by the extractor of positions; here it is only let through"
    )]
    at: Option<String>,
    /// Show it as it stood at this instant, `2011-06-30T00:00:00Z`: a snapshot that `daybook rebuild … --as-of` has built.
    #[param(value_type = Option<String>, format = DateTime)]
    as_of: Option<AsOf>,
}

const LIST: List<Sales, (String, String)> = List {
    model: ReadModel::Sales,
    columns: COLUMNS,
    order: "key, currency",
    decode,
    key: |sales| (sales.key.clone(), sales.revenue.currency.clone()),
};

/// Sales, by key.
#[utoipa::path(
    get,
    path = "/v1/sales",
    operation_id = "list_sales",
    params(ListParameters),
    responses(
        (status = 200, description = "With `ETag`, `Link` and `Daybook-Position`; with `as_of` also `Daybook-As-Of`, and `Daybook-Only` of a snapshot of some types of events", body = Page<Sales>),
        (status = 304, description = "The client has it already (`If-None-Match`)"),
        (status = 400, description = "`unknown_parameter`, `invalid_parameter`", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "`snapshot_not_found`", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "`position_not_reached`, `read_models_unavailable`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(reads): State<Reads>,
    uri: Uri,
    Query(asked_for): Query<ListParameters>,
    Asked(asked): Asked,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let wanted = Wanted {
        limit: asked_for.limit,
        after: asked_for.after.as_deref(),
        asked: &asked,
        as_of: asked_for.as_of,
        known: &known,
        uri: &uri,
    };
    LIST.answer(&reads, wanted, |statement, after| {
        statement
            .filter("dimension =", Some(asked_for.by.name()))
            .beyond("(key, currency) >", after.cloned())
    })
    .await
}
