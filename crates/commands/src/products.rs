//! Products.

mod create;
mod publish;
mod set_price;
mod update_details;

use std::sync::Arc;

use axum::body::Bytes;
use domain::ids::ProductId;
use domain::product::ProductCommand;
use http_kit::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{self, Made};
use crate::api::CommandApi;
use crate::failure;
use crate::request::Caller;

pub(crate) fn router() -> OpenApiRouter<Arc<CommandApi>> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(update_details::update_details))
        .routes(routes!(set_price::set_price))
        .routes(routes!(publish::publish))
}

/// An id in a path: what is not one of ours does not exist.
fn product_id(text: &str) -> Result<ProductId, Problem> {
    text.parse().map_err(|_| Problem::not_found("product_not_found"))
}

async fn execute(
    api: &CommandApi,
    caller: Caller,
    id: ProductId,
    command: ProductCommand,
    made: Made,
    raw: Bytes,
) -> Result<axum::response::Response, Problem> {
    let aggregate = id.aggregate();
    let prefer = caller.prefer;
    let context = caller.context(api, aggregate.as_str(), raw);
    let accepted = api
        .products
        .execute_within(aggregate.clone(), command, context, prefer.limit())
        .await
        .map_err(failure::problem)?;
    let location = format!("/v1/products/{aggregate}");
    Ok(answer::accepted(api, prefer, &aggregate, &location, made, accepted).await)
}
