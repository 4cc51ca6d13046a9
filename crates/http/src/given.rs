//! What the conventions give a request on its way in, and the extractors find there.

use crate::trace::RequestContext;

/// One extension for all of it, because each costs an allocation.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) context: RequestContext,
    pub(crate) body_bytes_max: usize,
}
