//! Credit notes.

mod import;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::CommandApi;

pub(crate) fn router() -> OpenApiRouter<Arc<CommandApi>> {
    OpenApiRouter::new().routes(routes!(import::import))
}
