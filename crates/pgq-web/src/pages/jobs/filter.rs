//! Which jobs a page is about: read from a query, and written into links and forms.

use std::time::Duration;

use http::StatusCode;
use pgq_queue::{JobFilter, JobStatus};
use serde_json::{Value, json};

use crate::pages::fields::{Fields, wrong};
use crate::problem::Problem;

/// The fields of a filter.
const NAMES: [&str; 8] = ["status", "entrypoint", "older", "younger", "error", "header", "plugin", "cause"];

/// A filter as it was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Names of fields, and their values.
    pub(crate) pairs: Vec<(&'static str, String)>,
    pub(crate) filter: JobFilter,
}

/// Seconds like 30, or with a unit like 15m.
pub(crate) fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    let wrong = || wrong(name, text, "a duration; write seconds like 30, or a unit like 90s, 15m, 2h");
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| wrong()),
        Err(_) => humantime::parse_duration(text).map_err(|_| wrong()),
    }
}

impl Asked {
    pub(crate) fn read(fields: &Fields) -> Result<Asked, Problem> {
        let pairs = NAMES.iter().filter_map(|name| fields.text(name).map(|value| (*name, value.to_owned())));
        let pairs: Vec<(&'static str, String)> = pairs.collect();
        let text = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let time = |name: &'static str| text(name).map(|value| duration(name, value)).transpose();
        let status = text("status").map(|label| {
            let known = JobStatus::ALL.into_iter().find(|status| status.label() == label);
            known.ok_or_else(|| {
                wrong("status", label, &format!("one of {}", JobStatus::ALL.map(JobStatus::label).join(", ")))
            })
        });
        let status = status.transpose()?;
        let header = text("header").map(|header| match header.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (header.to_owned(), None),
        });
        let plugin = text("plugin").map(str::to_ascii_lowercase);
        if let Some(digits) = plugin.as_deref().filter(|digits| !digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(wrong("plugin", digits, "the beginning of a sha256; it has the digits 0 to 9 and a to f"));
        }
        if let Some(over) = status.filter(|status| status.is_over()) {
            let refused = |detail: String| Err(Problem::new(StatusCode::BAD_REQUEST, detail));
            if header.is_some() {
                return refused(format!(
                    "headers leave the queue with their jobs, and {} jobs are in the log alone: take one of both away",
                    over.label()
                ));
            }
            if over == JobStatus::Successful && plugin.is_some() {
                return refused(
                    "the log names plugin versions only in errors: take the version or the status away".into(),
                );
            }
        }
        let (entrypoint, error) = (text("entrypoint").map(str::to_owned), text("error").map(str::to_owned));
        let cause = text("cause").map(str::to_owned);
        if cause.is_some() && status != Some(JobStatus::Failed) {
            let detail = "only held jobs are found by their cause: choose the status failed as well";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        let (older, younger) = (time("older")?, time("younger")?);
        let filter = JobFilter { status, entrypoint, older, younger, error, header, plugin, cause };
        Ok(Asked { pairs, filter })
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.pairs.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// As a query, with these fields as well, or instead.
    pub(crate) fn query(&self, more: &[(&str, &str)]) -> String {
        let ours = self.pairs.iter().map(|(name, value)| (*name, value.as_str()));
        let kept = ours.filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        query(&kept.chain(more.iter().copied()).filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>())
    }

    /// For the audit.
    pub(crate) fn told(&self) -> Value {
        Value::Object(self.pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
    }
}

/// These fields behind a path: nothing, or a question mark and pairs.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    pairs.iter().enumerate().fold(String::new(), |mut query, (place, (name, value))| {
        query.push(if place == 0 { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => {
                    query.push(char::from(byte))
                }
                _ => query.push_str(&format!("%{byte:02X}")),
            }
        }
        query
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Asked, Problem> {
        Asked::read(&Fields(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()))
    }

    #[test]
    fn a_filter_is_read_written_and_refused_by_name() {
        let asked = read(&[("status", "failed"), ("entrypoint", "a b&c"), ("older", "15m"), ("error", ""), ("x", "y")]);
        let asked = asked.expect("a filter");
        assert_eq!(asked.query(&[]), "?status=failed&entrypoint=a%20b%26c&older=15m");
        assert_eq!(asked.query(&[("status", "queued"), ("older", "")]), "?entrypoint=a%20b%26c&status=queued");
        assert_eq!(asked.filter.older, Some(Duration::from_secs(900)));
        assert_eq!(query(&[("e", "gr\u{f6}\u{df}e\"<")]), "?e=gr%C3%B6%C3%9Fe%22%3C");
        for (pairs, named) in [
            (&[("status", "done")][..], "\"done\""),
            (&[("older", "soon")], "\"soon\""),
            (&[("plugin", "xyz")], "\"xyz\""),
            (&[("status", "successful"), ("header", "a")], "headers"),
        ] {
            let problem = read(pairs).expect_err("a mistake");
            assert!(problem.detail.contains(named), "{}", problem.detail);
        }
    }
}
