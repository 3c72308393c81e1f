//! Checks for server settings that cost jobs, or time per job.

use super::finding::{CheckResult, Finding, Severity};
use super::setting::{self, Setting};
use super::target::Target;

/// A setting that can be wrong.
struct Rule {
    name: &'static str,
    is_bad: fn(&Setting) -> bool,
    severity: Severity,
    why: &'static str,
    /// What it should be.
    recommended: &'static str,
}

/// Figures appear here only if benchmarks/README.md has the measurement.
const RULES: &[Rule] = &[
    Rule {
        name: "default_transaction_read_only",
        is_bad: |setting| !setting.is_off(),
        severity: Severity::Error,
        why: "every claim writes, and would be rejected",
        recommended: "off",
    },
    Rule {
        name: "session_replication_role",
        is_bad: |setting| setting.value == "replica",
        severity: Severity::Error,
        why: "the queue's triggers do not fire: no notifications of new jobs, so workers find them at their next poll",
        recommended: "origin",
    },
    Rule {
        name: "default_transaction_isolation",
        is_bad: |setting| setting.value != "read committed",
        severity: Severity::Warning,
        why: "claims of several hosts would fail with serialization errors instead of skipping each other's rows",
        recommended: "'read committed'",
    },
    Rule {
        name: "fsync",
        is_bad: Setting::is_off,
        severity: Severity::Error,
        why: "a crash of the machine can destroy the database, not just lose the last jobs",
        recommended: "on",
    },
    Rule {
        name: "full_page_writes",
        is_bad: Setting::is_off,
        severity: Severity::Error,
        why: "a crash of the machine in the middle of a write can destroy pages for good",
        recommended: "on",
    },
    Rule {
        name: "synchronous_commit",
        is_bad: |setting| ["off", "false", "no", "0"].contains(&setting.value.as_str()),
        severity: Severity::Note,
        why: "a crash of the server loses the jobs enqueued in the last fraction of a second; jobs finished then run again",
        recommended: "on",
    },
    Rule {
        name: "synchronous_commit",
        is_bad: |setting| setting.value == "remote_apply",
        severity: Severity::Note,
        why: "every claim and every batch of outcomes waits until a standby has replayed it",
        recommended: "on",
    },
    Rule {
        name: "log_statement",
        is_bad: |setting| ["all", "mod"].contains(&setting.value.as_str()),
        severity: Severity::Warning,
        why: "every claim, outcome and heartbeat is written to the server's log, including the payloads of enqueued jobs and the outputs of finished ones",
        recommended: "ddl",
    },
    Rule {
        name: "log_min_duration_statement",
        is_bad: |setting| setting.value == "0",
        severity: Severity::Warning,
        why: "every claim, outcome and heartbeat is written to the server's log, including the payloads of enqueued jobs and the outputs of finished ones",
        recommended: "'1s'",
    },
    Rule {
        name: "track_commit_timestamp",
        is_bad: |setting| !setting.is_off(),
        severity: Severity::Note,
        why: "every commit records its time, which neither pgq-host nor PgQueuer reads; turn it off if nothing else does (needs a restart)",
        recommended: "off",
    },
];

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).chain(["synchronous_standby_names"]).collect();
    let settings = setting::read(target, &names).await?;
    let mut found = Vec::new();
    for rule in RULES {
        let Some(setting) = settings.get(rule.name).filter(|setting| (rule.is_bad)(setting)) else { continue };
        let what = format!("{} = {} {}", rule.name, setting.value, setting.place());
        found.push(Finding::bad(rule.severity, what, rule.why, setting.remedy(target, rule.name, rule.recommended)));
    }
    if let Some(standbys) = settings.get("synchronous_standby_names").filter(|setting| !setting.value.is_empty()) {
        found.extend(missing_standby(target, standbys, settings.get("synchronous_commit")).await?);
    }
    if found.is_empty() {
        found.push(Finding::ok("no setting costs jobs or time"));
    }
    Ok(found)
}

/// Detects commits that wait, forever and without an error, for a standby that is not connected.
async fn missing_standby(
    target: &Target<'_>,
    standbys: &Setting,
    commit: Option<&Setting>,
) -> sqlx::Result<Option<Finding>> {
    if commit.is_some_and(|commit| ["off", "local", "false", "no", "0"].contains(&commit.value.as_str())) {
        return Ok(None);
    }
    // A role without the privilege sees that there is a connection, but not what it is.
    let (connected, hidden, synchronous): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE state IS NULL), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) FROM pg_stat_replication",
    )
    .fetch_one(&mut *target.read_only().await?)
    .await?;
    let what = format!("synchronous_standby_names = {}", standbys.value);
    let why = "every commit waits for a standby's answer: enqueueing, claiming and finishing stall until one connects";
    let remedy = "reconnect the standby; or ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();";
    Ok(if synchronous > 0 {
        None
    } else if hidden > 0 {
        let remedy =
            "GRANT pg_read_all_stats TO the role that runs this command, to see whether one of them is synchronous";
        Some(Finding::note(format!("{what}, and {connected} standbys are connected"), why, remedy))
    } else {
        Some(Finding::error(format!("{what}, and no such standby is connected"), why, remedy))
    })
}
