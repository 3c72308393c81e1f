//! What a check found: how bad it is, why it matters, and what fixes it.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;

use pgq_queue::told::told;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Ok,
    /// Worth knowing, and possibly intended.
    Note,
    /// Jobs run, but slower, later or less safely than they could.
    Warning,
    /// Jobs are lost, do not run, or will not after the next failure.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// One finding of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub severity: Severity,
    pub found: String,
    pub why: Option<String>,
    /// A command, a statement or a setting.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(found: impl Into<String>) -> Finding {
        Finding { check: "", severity: Severity::Ok, found: found.into(), why: None, remedy: None }
    }

    pub(super) fn note(found: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::bad(Severity::Note, found, why, remedy)
    }

    pub(super) fn warning(found: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::bad(Severity::Warning, found, why, remedy)
    }

    pub(super) fn error(found: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::bad(Severity::Error, found, why, remedy)
    }

    pub(super) fn bad(
        severity: Severity,
        found: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Finding { check: "", severity, found: found.into(), why: some(why.into()), remedy: some(remedy.into()) }
    }
}

/// What a check found, or why it could not run.
pub(super) type CheckResult = sqlx::Result<Vec<Finding>>;

/// The time limit of a check. A server that does not answer is a finding, too.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// The findings of all checks, in their order.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) async fn run(&mut self, check: &'static str, run: impl Future<Output = CheckResult>) {
        // Boxed, because the future of all checks together would be large.
        match tokio::time::timeout(CHECK_TIMEOUT, Box::pin(run)).await {
            Ok(seen) => self.add(check, seen),
            Err(_) => self.add(check, Ok(vec![not_checked(&format!("no answer within {CHECK_TIMEOUT:?}"), "")])),
        }
    }

    pub(super) fn add(&mut self, check: &'static str, seen: CheckResult) {
        let found = seen.unwrap_or_else(|error| vec![not_checked(&told(&error), remedy(&error))]);
        self.0.extend(found.into_iter().map(|finding| Finding { check, ..finding }));
    }

    pub(super) fn has_error(&self, check: &str) -> bool {
        self.0.iter().any(|finding| finding.check == check && finding.severity == Severity::Error)
    }

    pub(super) fn findings(self) -> Vec<Finding> {
        self.0
    }
}

fn not_checked(cause: &str, remedy: &str) -> Finding {
    Finding::note(format!("not checked: {cause}"), "", remedy)
}

/// A remedy for the most common reasons why a check cannot run.
fn remedy(error: &sqlx::Error) -> &'static str {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42501") => {
            "see `privileges`; or run this again as a role that may read everything, such as the tables' owner, with --role naming the hosts' role"
        }
        Some("42P01") => "see `schema`",
        _ => "",
    }
}
