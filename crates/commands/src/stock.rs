//! Stock items, by SKU.

mod adjust;
mod confirm;
mod receive;
mod release;
mod reserve;

use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use domain::ids::{OrderId, stock_of};
use domain::sku::Sku;
use domain::stock_item::StockCommand;
use http_kit::problem::Problem;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{self, Made};
use crate::api::CommandApi;
use crate::failure::{self, invalid};
use crate::request::Caller;

pub(crate) fn router() -> OpenApiRouter<Arc<CommandApi>> {
    OpenApiRouter::new()
        .routes(routes!(receive::receive))
        .routes(routes!(adjust::adjust))
        .routes(routes!(reserve::reserve))
        .routes(routes!(confirm::confirm))
        .routes(routes!(release::release))
}

/// Whose reservation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OfOrder {
    /// The order.
    order: String,
}

fn order_id(text: &str) -> Result<OrderId, Problem> {
    text.parse().map_err(invalid("/order"))
}

async fn execute(
    api: &CommandApi,
    caller: Caller,
    sku: &str,
    command: StockCommand,
    raw: Bytes,
) -> Result<Response, Problem> {
    let sku = Sku::new(sku).map_err(invalid("sku"))?;
    let aggregate = stock_of(&sku);
    let prefer = caller.prefer;
    let context = caller.context(api, aggregate.as_str(), raw);
    let accepted = api
        .stock
        .execute_within(aggregate.clone(), command, context, prefer.limit())
        .await
        .map_err(failure::problem)?;
    let location = format!("/v1/stock/{sku}");
    Ok(answer::accepted(api, prefer, &aggregate, &location, Made::Change, accepted).await)
}
