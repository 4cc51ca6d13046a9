//! The admin API, beside the projections: what `daybook parked` does, over HTTP. For those who run a shop, not for its
//! clients: it listens where the command API does, and nobody is asked who they are yet.

mod parked;
mod problem;

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::parts::Parts;

#[derive(OpenApi)]
#[openapi(info(
    title = "Daybook admin",
    description = "For those who run a Daybook: events that a projection could not apply, seen, folded again, or left \
                   out. Served by `daybook projections`, and by `daybook up` at the address of the command API. Never \
                   publish it.",
    version = "1",
    license(name = "Apache-2.0 OR MIT")
))]
struct Description;

fn described() -> OpenApiRouter<Parts> {
    OpenApiRouter::with_openapi(Description::openapi()).merge(parked::router())
}

/// The endpoints, bare: put `http_kit::conventions` around them.
pub fn router(parts: Parts) -> Router {
    let (router, _) = described().split_for_parts();
    router.with_state(parts)
}

/// The API's description, as committed under `schemas/openapi/admin.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, description) = described().split_for_parts();
    description
}
