//! `Prefer` (RFC 7240), `Daybook-Wait` and `Daybook-Timeout-Ms`: how long, and for what, an answer to a command
//! may wait.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use crate::problem::Problem;

/// `Prefer`.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");
/// `Preference-Applied`.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// What to wait for.
pub const DAYBOOK_WAIT: HeaderName = HeaderName::from_static("daybook-wait");
/// How long the command itself may take, in whole milliseconds. Carried along with a forwarded command.
pub const DAYBOOK_TIMEOUT_MS: HeaderName = HeaderName::from_static("daybook-timeout-ms");
/// The longest wait a client may ask for; longer ones are cut to it.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// What the answer to a command waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitFor {
    /// The event is in the log.
    #[default]
    Committed,
    /// The read models show it.
    Visible,
    /// The process that the command started has ended.
    Settled,
}

/// The client's preferences. Unknown preferences are ignored, as RFC 7240 asks; an unknown
/// `Daybook-Wait` or a `Daybook-Timeout-Ms` that is no positive number is 400 `malformed_header`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `Prefer: wait=N`, in whole seconds, at most [`WAIT_MAX`].
    pub wait: Option<Duration>,
    /// `Prefer: respond-async`: answer 202 rather than wait.
    pub respond_async: bool,
    /// `Daybook-Wait`.
    pub wait_for: WaitFor,
    /// `Daybook-Timeout-Ms`: less than the configured bound, if it is to have an effect.
    pub timeout: Option<Duration>,
}

impl Prefer {
    /// The preferences of these headers.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut prefer = Self::default();
        let lists = headers
            .get_all(PREFER)
            .iter()
            .filter_map(|value| value.to_str().ok());
        for preference in lists.flat_map(|list| list.split(',')) {
            // Parameters of a preference (`;…`) mean nothing to us.
            let preference = preference.split(';').next().unwrap_or("").trim();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("respond-async") {
                prefer.respond_async = true;
            } else if name.eq_ignore_ascii_case("wait") && prefer.wait.is_none() {
                let seconds = value.trim().trim_matches('"').parse().ok();
                prefer.wait = seconds.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX));
            }
        }
        prefer.wait_for = wait_for(headers)?;
        prefer.timeout = timeout(headers)?;
        Ok(prefer)
    }

    /// How long the command may take, for whoever has a bound of his own.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.timeout.unwrap_or(Duration::MAX)
    }
}

/// `Daybook-Timeout-Ms`.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(DAYBOOK_TIMEOUT_MS) else {
        return Ok(None);
    };
    let milliseconds = value
        .to_str()
        .ok()
        .and_then(|text| text.parse::<u32>().ok())
        .filter(|milliseconds| *milliseconds > 0);
    let milliseconds = milliseconds
        .ok_or_else(|| Problem::malformed_header("daybook-timeout-ms", "Whole milliseconds, at least 1."))?;
    Ok(Some(Duration::from_millis(milliseconds.into())))
}

fn wait_for(headers: &HeaderMap) -> Result<WaitFor, Problem> {
    let Some(value) = headers.get(DAYBOOK_WAIT) else {
        return Ok(WaitFor::default());
    };
    match value.as_bytes() {
        b"committed" => Ok(WaitFor::Committed),
        b"visible" => Ok(WaitFor::Visible),
        b"settled" => Ok(WaitFor::Settled),
        _ => Err(Problem::malformed_header(
            "daybook-wait",
            "One of committed, visible, settled.",
        )),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Prefer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn prefer(preference: &'static str, wait: &'static str) -> Result<Prefer, String> {
        let mut headers = HeaderMap::new();
        headers.insert(PREFER, HeaderValue::from_static(preference));
        headers.insert(DAYBOOK_WAIT, HeaderValue::from_static(wait));
        Prefer::of(&headers).map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn preferences_are_read_and_bounded() {
        let read = prefer("respond-async, wait=5;foo=bar, handling=lenient", "settled").expect("is fine");
        let expected = Prefer {
            wait: Some(Duration::from_secs(5)),
            respond_async: true,
            wait_for: WaitFor::Settled,
            timeout: None,
        };
        assert_eq!(read, expected);
        assert_eq!(
            prefer("wait=86400", "visible").expect("is fine").wait,
            Some(WAIT_MAX)
        );
        assert_eq!(prefer("wait=soon", "committed").expect("is fine").wait, None);
        assert_eq!(prefer("wait=5", "eternity"), Err("malformed_header".to_owned()));
        assert_eq!(Prefer::of(&HeaderMap::new()).ok(), Some(Prefer::default()));
    }
    #[test]
    fn a_timeout_is_a_positive_number_of_milliseconds() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(DAYBOOK_TIMEOUT_MS, HeaderValue::from_static(text));
            Prefer::of(&headers).map(|prefer| prefer.limit()).ok()
        };
        assert_eq!(read("250"), Some(Duration::from_millis(250)));
        for text in ["0", "-1", "1.5", "soon", "", "99999999999"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(
            Prefer::of(&HeaderMap::new()).map(|prefer| prefer.limit()).ok(),
            Some(Duration::MAX)
        );
    }
}
