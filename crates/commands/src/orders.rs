//! Orders.

mod cancel;
pub(crate) mod import;
mod place;

use std::sync::Arc;

use axum::response::Response;
use domain::ids::OrderId;
use domain::order::OrderCommand;
use eventsourcing::command::Context;
use http_kit::prefer::Prefer;
use http_kit::problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{self, Made};
use crate::api::CommandApi;
use crate::failure;

pub(crate) fn router() -> OpenApiRouter<Arc<CommandApi>> {
    OpenApiRouter::new()
        .routes(routes!(place::place))
        .routes(routes!(cancel::cancel))
        .routes(routes!(import::import))
}

/// What a key of a new order is scoped to: there is no aggregate yet.
pub(crate) const NEW: &str = "orders";

/// Executes a command that makes a new order, under the id derived from the command's.
pub(crate) async fn create(
    api: &CommandApi,
    prefer: Prefer,
    context: Context,
    command: OrderCommand,
) -> Result<Response, Problem> {
    let id = OrderId::created_by(context.id);
    execute(api, prefer, context, id, command, Made::New).await
}

async fn execute(
    api: &CommandApi,
    prefer: Prefer,
    context: Context,
    id: OrderId,
    command: OrderCommand,
    made: Made,
) -> Result<Response, Problem> {
    let aggregate = id.aggregate();
    let accepted = api
        .orders
        .execute_within(aggregate.clone(), command, context, prefer.limit())
        .await
        .map_err(failure::problem)?;
    let location = format!("/v1/orders/{aggregate}");
    Ok(answer::accepted(api, prefer, &aggregate, &location, made, accepted).await)
}
