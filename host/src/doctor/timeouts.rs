//! Checks for timeouts that end a worker's statements or its listener.

use std::time::Duration;

use super::finding::{CheckResult, Finding, Severity};
use super::setting;
use super::target::Target;

/// A claim takes milliseconds, but counting a long log, or searching a long queue for lost jobs,
/// can take seconds.
const MIN_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

const NAMES: [&str; 4] = ["statement_timeout", "transaction_timeout", "lock_timeout", "idle_session_timeout"];

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let settings = setting::read(target, &NAMES).await?;
    let mut found = Vec::new();
    for (name, setting) in &settings {
        let Some(time) = setting.time() else { continue };
        let (severity, why) = match name.as_str() {
            "idle_session_timeout" => (
                Severity::Warning,
                "the server considers a listening connection idle and closes it; until it is back, jobs wait for the next poll",
            ),
            "lock_timeout" => {
                (Severity::Note, "a statement that waits for a table lock fails instead; the host tries again")
            }
            _ if time < MIN_STATEMENT_TIMEOUT => (
                Severity::Warning,
                "counting a long log, or searching a long queue for lost jobs, can take longer: each attempt is cancelled, and it never completes",
            ),
            _ => (
                Severity::Note,
                "a worker's statements take milliseconds, but those that count a long log can take longer",
            ),
        };
        let what = format!("{name} = {} {}", humantime::format_duration(time), setting.place());
        found.push(Finding::bad(severity, what, why, setting.remedy_for_role(target, name, "0")));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("none for the role {:?}", target.role)));
    }
    Ok(found)
}
