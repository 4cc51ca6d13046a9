//! From snapshots to answers: position, `ETag`, 304, 404 and pages, the same for every resource.

use axum::Json;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use eventsourcing::ids::{Digest, Sequence};
use eventsourcing::position::Positions;
use http_kit::page::Page;
use http_kit::position::{self, DAYBOOK_POSITION};
use http_kit::precondition::{IfNoneMatch, etag};
use http_kit::problem::Problem;
use serde::Serialize;

use crate::reads::Snapshot;

/// The one thing read, under the `ETag` its commands take as `If-Match`; or 404 `code`.
pub(crate) fn one<T: Serialize>(
    snapshot: Snapshot<T>,
    known: &IfNoneMatch,
    code: &'static str,
    sequence: impl Fn(&T) -> i64,
) -> Result<Response, Problem> {
    let Snapshot { rows, shown } = snapshot;
    let Some(thing) = rows.into_iter().next() else {
        let missing = Problem::not_found(code);
        return Err(if shown.is_empty() {
            missing
        } else {
            missing.header(DAYBOOK_POSITION, position::header(&shown))
        });
    };
    let sequence = u64::try_from(sequence(&thing)).map_err(|_| Problem::internal())?;
    let answer = known.answer(etag(Sequence(sequence)), Json(thing));
    Ok(showing(answer, &shown))
}

/// A page of what was read, under an `ETag` of its content.
pub(crate) fn page<T: Serialize, K: Serialize>(
    snapshot: Snapshot<T>,
    known: &IfNoneMatch,
    uri: &Uri,
    limit: u32,
    key: impl Fn(&T) -> K,
) -> Result<Response, Problem> {
    let page = Page::cut(snapshot.rows, limit, key);
    let content = serde_json::to_vec(&page).map_err(|_| Problem::internal())?;
    let tag = format!("W/\"{:016x}\"", Digest::of(&content).0);
    let tag = HeaderValue::try_from(tag).map_err(|_| Problem::internal())?;
    let answer = known.answer(tag, page.answer(uri));
    Ok(showing(answer, &snapshot.shown))
}

fn showing(mut response: Response, shown: &Positions) -> Response {
    let headers = response.headers_mut();
    if !shown.is_empty() {
        headers.insert(DAYBOOK_POSITION, position::header(shown));
    }
    // May be kept, but must be asked about: the ETag makes that cheap.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}
