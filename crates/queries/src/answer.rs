//! From snapshots to answers: position, `ETag`, 304, 404 and pages, the same for every resource.

use axum::Json;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::response::Response;
use eventsourcing::ids::{Digest, Sequence};
use eventsourcing::position::Positions;
use http_kit::page::{self, Page};
use http_kit::position::{self, DAYBOOK_POSITION};
use http_kit::precondition::{IfNoneMatch, etag};
use http_kit::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;

use crate::reads::{AsOf, ReadModel, Reads, Snapshot, Statement};

/// The instant of the snapshot that an answer shows.
const DAYBOOK_AS_OF: HeaderName = HeaderName::from_static("daybook-as-of");
/// The types of events it is made of, where those are not all.
const DAYBOOK_ONLY: HeaderName = HeaderName::from_static("daybook-only");

/// One thing of a resource.
pub(crate) struct One<T> {
    /// Where it is shown.
    pub(crate) model: ReadModel,
    /// Its columns.
    pub(crate) columns: &'static str,
    /// The condition that finds it, as in `id =`.
    pub(crate) by: &'static str,
    /// Of its row.
    pub(crate) decode: fn(&PgRow) -> Result<T, sqlx::Error>,
    /// Its `ETag`, which its commands take as `If-Match`.
    pub(crate) sequence: fn(&T) -> i64,
    /// The 404 when it is not there.
    pub(crate) missing: &'static str,
}

impl<T> One<T> {
    /// Reads the thing with this id and answers with it.
    pub(crate) async fn answer(
        &self,
        reads: &Reads,
        asked: &Positions,
        as_of: Option<AsOf>,
        known: &IfNoneMatch,
        id: &str,
    ) -> Result<Response, Problem>
    where
        T: Serialize,
    {
        let found = self.find(reads, asked, as_of, id).await?;
        let sequence = (self.sequence)(&found.thing);
        found.answer(known, sequence)
    }

    /// Reads the thing with this id.
    pub(crate) async fn find(
        &self,
        reads: &Reads,
        asked: &Positions,
        as_of: Option<AsOf>,
        id: &str,
    ) -> Result<Found<T>, Problem> {
        let source = self.model.seen(as_of);
        let statement = || Statement::of(source, self.columns).filter(self.by, Some(id.to_owned()));
        let Snapshot { rows, shown, only } = reads.read(source, asked, statement, self.decode).await?;
        let stood = stood(as_of, only.as_deref());
        match rows.into_iter().next() {
            Some(thing) => Ok(Found { thing, shown, stood }),
            None => Err(standing_at(Problem::not_found(self.missing), &shown, stood)),
        }
    }
}

/// A thing, and where the read model stood.
pub(crate) struct Found<T> {
    pub(crate) thing: T,
    shown: Positions,
    stood: Vec<(HeaderName, HeaderValue)>,
}

impl<T> Found<T> {
    /// What is wanted of it; a problem says the position, too.
    pub(crate) fn then<U>(self, wanted: impl FnOnce(T) -> Result<U, Problem>) -> Result<Found<U>, Problem> {
        let Self { thing, shown, stood } = self;
        match wanted(thing) {
            Ok(thing) => Ok(Found { thing, shown, stood }),
            Err(problem) => Err(standing_at(problem, &shown, stood)),
        }
    }

    /// The answer, under an `ETag` of this sequence.
    pub(crate) fn answer(self, known: &IfNoneMatch, sequence: i64) -> Result<Response, Problem>
    where
        T: Serialize,
    {
        let sequence = u64::try_from(sequence).map_err(|_| Problem::internal())?;
        let answer = known.answer(etag(Sequence(sequence)), Json(self.thing));
        Ok(showing(answer, &self.shown, self.stood))
    }
}

fn standing_at(problem: Problem, shown: &Positions, stood: Vec<(HeaderName, HeaderValue)>) -> Problem {
    let problem = stood
        .into_iter()
        .fold(problem, |problem, (name, value)| problem.header(name, value));
    if shown.is_empty() {
        problem
    } else {
        problem.header(DAYBOOK_POSITION, position::header(shown))
    }
}

/// What a client says of the page it wants.
pub(crate) struct Wanted<'a> {
    /// Rows.
    pub(crate) limit: Option<u32>,
    /// The cursor of the page before.
    pub(crate) after: Option<&'a str>,
    /// At least this position.
    pub(crate) asked: &'a Positions,
    /// As it stood then, instead of as it is.
    pub(crate) as_of: Option<AsOf>,
    /// What it has already.
    pub(crate) known: &'a IfNoneMatch,
    /// What it asked for, for the link to the next page.
    pub(crate) uri: &'a Uri,
}

/// A list of a resource, in the order of the key `K`.
pub(crate) struct List<T, K> {
    /// Where it is shown.
    pub(crate) model: ReadModel,
    /// A row's columns.
    pub(crate) columns: &'static str,
    /// The order, as in `placed_at DESC, id DESC`.
    pub(crate) order: &'static str,
    /// Of a row.
    pub(crate) decode: fn(&PgRow) -> Result<T, sqlx::Error>,
    /// Where a row lies in the order.
    pub(crate) key: fn(&T) -> K,
}

impl<T: Serialize, K: Serialize + DeserializeOwned> List<T, K> {
    /// Reads the page that is wanted, of rows that `narrow` keeps beyond the cursor's key, and answers
    /// with it under an `ETag` of its content.
    pub(crate) async fn answer(
        &self,
        reads: &Reads,
        wanted: Wanted<'_>,
        narrow: impl Fn(Statement, Option<&K>) -> Statement,
    ) -> Result<Response, Problem> {
        let limit = page::limit(wanted.limit)?;
        let after: Option<K> = page::after(wanted.after)?;
        let source = self.model.seen(wanted.as_of);
        let statement =
            || narrow(Statement::of(source, self.columns), after.as_ref()).page(self.order, limit);
        let Snapshot { rows, shown, only } = reads.read(source, wanted.asked, statement, self.decode).await?;
        let page = Page::cut(rows, limit, self.key);
        let content = serde_json::to_vec(&page).map_err(|_| Problem::internal())?;
        let tag = format!("W/\"{:016x}\"", Digest::of(&[&content]).0);
        let tag = HeaderValue::try_from(tag).map_err(|_| Problem::internal())?;
        let answer = wanted.known.answer(tag, page.answer(wanted.uri));
        Ok(showing(answer, &shown, stood(wanted.as_of, only.as_deref())))
    }
}

/// What an answer says of the snapshot it shows: when that was, and what it is made of where that is not everything.
fn stood(as_of: Option<AsOf>, only: Option<&[String]>) -> Vec<(HeaderName, HeaderValue)> {
    let header = |name, text: String| HeaderValue::try_from(text).ok().map(|value| (name, value));
    let as_of = as_of.and_then(|as_of| header(DAYBOOK_AS_OF, as_of.to_string()));
    let only = only.and_then(|only| header(DAYBOOK_ONLY, only.join(",")));
    as_of.into_iter().chain(only).collect()
}

fn showing(mut response: Response, shown: &Positions, stood: Vec<(HeaderName, HeaderValue)>) -> Response {
    let headers = response.headers_mut();
    headers.extend(stood);
    if !shown.is_empty() {
        headers.insert(DAYBOOK_POSITION, position::header(shown));
    }
    // May be kept, but must be asked about: the ETag makes that cheap.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}
