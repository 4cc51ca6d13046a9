//! The router and its description.

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::reads::Reads;
use crate::{orders, products, sales, stock};

#[derive(OpenApi)]
#[openapi(info(
    title = "Daybook queries",
    description = "The read models of a Daybook. Every answer says which position of the log it shows \
                   (`Daybook-Position`); send one back to be shown at least that.",
    version = "1",
    license(name = "Apache-2.0 OR MIT")
))]
struct Description;

fn described() -> OpenApiRouter<Reads> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(products::router())
        .merge(stock::router())
        .merge(orders::router())
        .merge(sales::router())
}

/// The endpoints, bare: put `http_kit::conventions` around them.
pub fn router(reads: Reads) -> Router {
    let (router, _) = described().split_for_parts();
    router.with_state(reads)
}

/// The API's description, as committed under `schemas/openapi/queries.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, description) = described().split_for_parts();
    description
}
