//! Which jobs a page is about: read from a query, and written into links and forms.

use pgq_queue::JobFilter;
use serde_json::{Value, json};

use crate::job_filter::JobFilterBody;
use crate::pages::fields::Fields;
use crate::problem::Problem;

/// The fields of a filter.
const NAMES: [&str; 8] = ["status", "entrypoint", "older", "younger", "error", "header", "plugin", "cause"];

/// A filter as it was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Names of fields, and their values.
    pub(crate) pairs: Vec<(&'static str, String)>,
    pub(crate) body: JobFilterBody,
    pub(crate) filter: JobFilter,
}

impl Asked {
    pub(crate) fn read(fields: &Fields) -> Result<Asked, Problem> {
        let pairs = NAMES.iter().filter_map(|name| fields.text(name).map(|value| (*name, value.to_owned())));
        let pairs: Vec<(&'static str, String)> = pairs.collect();
        let text = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let owned = |name: &str| text(name).map(str::to_owned);
        let body = JobFilterBody {
            status: owned("status"),
            entrypoint: owned("entrypoint"),
            older: owned("older"),
            younger: owned("younger"),
            error: owned("error"),
            header: owned("header"),
            plugin: owned("plugin"),
            cause: owned("cause"),
        };
        let filter = body.filter()?;
        Ok(Asked { pairs, body, filter })
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
    use std::time::Duration;

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
