//! Which jobs a request or a page is about: the queue reads it, and a problem says what is wrong.

use std::time::Duration;

use http::StatusCode;
pub(crate) use pgq_queue::JobFilterBody;
use pgq_queue::{BadFilter, asked_duration};

use crate::problem::Problem;

impl From<BadFilter> for Problem {
    fn from(bad: BadFilter) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, bad.0)
    }
}

/// Seconds, or a number with its unit.
pub(crate) fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    Ok(asked_duration(name, text)?)
}
