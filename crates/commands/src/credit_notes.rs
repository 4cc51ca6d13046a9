//! Credit notes.

mod import;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::CommandApi;

pub(crate) fn router() -> OpenApiRouter<CommandApi> {
    OpenApiRouter::new().routes(routes!(import::import))
}
