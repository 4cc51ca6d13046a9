//! Keyset pages: `?limit=50&after=<opaque>` → `{data, has_more, next_cursor}` and `Link`.

use axum::Json;
use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::parameters::invalid_parameter;
use crate::problem::Problem;

/// The most rows of one page.
pub const LIMIT_MAX: u32 = 200;
/// The rows of a page when nobody says.
pub const LIMIT_DEFAULT: u32 = 50;
/// The longest cursor taken, in bytes.
const CURSOR_BYTES_MAX: usize = 1024;

/// The number of rows asked for: 1 to [`LIMIT_MAX`], else 400 `invalid_parameter`.
pub fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(invalid_parameter("limit", &format!("From 1 to {LIMIT_MAX}."))),
    }
}

/// The key of the last row seen, as the cursor `after` holds it; a foreign cursor is 400
/// `invalid_parameter`.
pub fn after<K: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<K>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let key = Some(cursor)
        .filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX)
        .and_then(|cursor| BASE64_URL_SAFE_NO_PAD.decode(cursor).ok())
        .and_then(|json| serde_json::from_slice(&json).ok());
    match key {
        Some(key) => Ok(Some(key)),
        None => Err(invalid_parameter(
            "after",
            "A cursor as a page of this list gave it.",
        )),
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Whether there are more.
    pub has_more: bool,
    /// What to send as `after` to get them.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page of `rows`, which were read with one more than `limit`; `key` is what orders them.
    pub fn cut<K: Serialize>(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| has_more);
        let next_cursor = last.map(|row| {
            let json = serde_json::to_vec(&key(row)).expect("a key is plain JSON");
            BASE64_URL_SAFE_NO_PAD.encode(json)
        });
        Self {
            data: rows,
            has_more,
            next_cursor,
        }
    }

    /// The same page of other rows.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page {
            data: self.data.into_iter().map(each).collect(),
            has_more: self.has_more,
            next_cursor: self.next_cursor,
        }
    }

    /// `Link: <…>; rel="next"` for the page that was asked for at `uri`.
    pub fn link(&self, uri: &Uri) -> Option<HeaderValue> {
        let cursor = self.next_cursor.as_ref()?;
        // `at` held for this read; the next page is as new as it can be anyway.
        let kept = uri.query().unwrap_or("").split('&');
        let kept = kept.filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
        let query = kept
            .chain([format!("after={cursor}").as_str()])
            .collect::<Vec<_>>()
            .join("&");
        HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", uri.path())).ok()
    }
}

impl<T: Serialize> Page<T> {
    /// The answer to a request for `uri`.
    pub fn answer(&self, uri: &Uri) -> Response {
        let mut response = Json(self).into_response();
        if let Some(link) = self.link(uri) {
            response.headers_mut().insert(LINK, link);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_to_the_next_page() {
        let page = Page::cut(vec!["a", "b", "c"], 2, |row| (*row).to_owned());
        assert_eq!(page.data, ["a", "b"]);
        assert!(page.has_more);
        let key: Option<String> = after(page.next_cursor.as_deref()).expect("our own cursor");
        assert_eq!(key.as_deref(), Some("b"));
        let uri: Uri = "/v1/orders?status=placed&after=old&limit=2"
            .parse()
            .expect("a uri");
        let link = page.link(&uri).expect("has more");
        let cursor = page.next_cursor.expect("has more");
        let expected = format!("</v1/orders?status=placed&limit=2&after={cursor}>; rel=\"next\"");
        assert_eq!(link.to_str().ok(), Some(expected.as_str()));
    }

    #[test]
    fn the_last_page_leads_nowhere() {
        let page = Page::cut(vec!["a", "b"], 2, |row| (*row).to_owned());
        assert!(!page.has_more);
        assert_eq!(page.next_cursor, None);
        assert_eq!(page.link(&Uri::from_static("/x")), None);
    }

    #[test]
    fn limits_and_foreign_cursors_are_refused() {
        assert_eq!(limit(None).ok(), Some(LIMIT_DEFAULT));
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(201)).is_err());
        assert!(after::<String>(Some("nonsense!")).is_err());
        let number = BASE64_URL_SAFE_NO_PAD.encode("7");
        assert!(after::<String>(Some(&number)).is_err());
    }
}
