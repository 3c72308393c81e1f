//! Changes jobs, and notes who did it: for the API, the pages and the terminal.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Actor, Cancel, CancelOutcome, Change, Due, JobStatus, Operator, Requeue, RequeueOutcome};
use pgq_job::JobId;

/// Ids that the audit names. Of more, it has the number.
const NAMED: usize = 100;

/// What can be done to jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Cancel,
    Requeue,
    RetryNow,
    Reschedule,
    Edit,
}

impl Verb {
    /// In the audit, as the command line has it.
    pub fn action(self) -> &'static str {
        match self {
            Verb::Cancel => "cancel",
            Verb::Requeue => "requeue",
            Verb::RetryNow => "retry_now",
            Verb::Reschedule => "reschedule",
            Verb::Edit => "edit",
        }
    }

    /// What it does, to whom.
    pub fn meaning(self) -> &'static str {
        match self {
            Verb::Cancel => "Jobs leave the queue. Those that run are told to stop.",
            Verb::Requeue => "Held jobs are queued again, as if they had never run.",
            Verb::RetryNow => "Queued jobs whose time has not come are due at once.",
            Verb::Reschedule => "Queued jobs are due at another time.",
            Verb::Edit => "Queued and held jobs get another payload or priority.",
        }
    }

    /// What was done, before the number of jobs.
    pub fn done(self) -> &'static str {
        match self {
            Verb::Cancel => "Canceled:",
            Verb::Requeue => "Put back into the queue:",
            Verb::RetryNow => "Made due:",
            Verb::Reschedule => "Rescheduled:",
            Verb::Edit => "Edited:",
        }
    }

    /// Why jobs were left as they are.
    pub fn left(self) -> &'static str {
        match self {
            Verb::Cancel => "they are no longer in the queue",
            Verb::Requeue => "they are not held, or another job has their dedupe key",
            Verb::RetryNow => "they do not wait, or are due already",
            Verb::Reschedule => "they do not wait",
            Verb::Edit => "they run, or are no longer in the queue",
        }
    }

    /// The jobs that it can be done to.
    pub fn statuses(self) -> &'static [JobStatus] {
        match self {
            Verb::Cancel => &[JobStatus::Queued, JobStatus::Picked, JobStatus::Failed],
            Verb::Requeue => &[JobStatus::Failed],
            Verb::RetryNow | Verb::Reschedule => &[JobStatus::Queued],
            Verb::Edit => &[JobStatus::Queued, JobStatus::Failed],
        }
    }
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Order {
    pub verb: Verb,
    /// Empty for those verbs that need none.
    pub change: Change,
    /// What the audit tells of the change; null for nothing. It has no payload, which may be secret.
    pub told: Value,
}

impl Order {
    /// Make jobs due now that wait.
    pub fn retry_now() -> Order {
        let due = Some(Due::In(Duration::ZERO));
        let change = Change { due, only_deferred: true, ..Change::default() };
        Order { verb: Verb::RetryNow, change, told: Value::Null }
    }

    /// One that needs to know no more.
    pub fn plain(verb: Verb) -> Order {
        match verb {
            Verb::RetryNow => Order::retry_now(),
            verb => Order { verb, change: Change::default(), told: Value::Null },
        }
    }
}

/// To which jobs.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub ids: Vec<JobId>,
    /// Only those that still have one of these; `None`: the jobs were named, and are what they are.
    pub statuses: Option<Vec<JobStatus>>,
    /// For the audit.
    pub asked: Value,
}

impl Chosen {
    pub fn named(ids: Vec<JobId>) -> Chosen {
        let asked = json!({ "ids": ids.iter().take(NAMED).collect::<Vec<_>>(), "count": ids.len() });
        Chosen { ids, statuses: None, asked }
    }
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    pub changed: usize,
    pub canceled: Vec<Cancel>,
    pub requeued: Vec<Requeue>,
}

pub async fn apply(operator: &Operator, actor: &Actor, order: Order, chosen: &Chosen) -> sqlx::Result<Report> {
    let mut report = Report::default();
    if chosen.ids.is_empty() {
        return Ok(report);
    }
    let Order { verb, change, told } = order;
    let asked = chosen.asked.clone();
    let noted = if told.is_null() { asked } else { json!({ "jobs": asked, "change": told }) };
    let audit = operator.begin_audit(verb.action(), actor, &noted).await?;
    let statuses = chosen.statuses.as_deref();
    match verb {
        Verb::Cancel => {
            let labels = statuses.map(|all| all.iter().map(|status| status.label()).collect::<Vec<_>>());
            report.canceled = operator.cancel(&chosen.ids, labels.as_deref(), audit).await?;
            let canceled = |job: &&Cancel| matches!(job.outcome, CancelOutcome::Canceled { .. });
            report.changed = report.canceled.iter().filter(canceled).count();
        }
        Verb::Requeue => {
            report.requeued = operator.requeue(&chosen.ids, audit).await?;
            let requeued = |job: &&Requeue| job.outcome == RequeueOutcome::Requeued;
            report.changed = report.requeued.iter().filter(requeued).count();
        }
        Verb::RetryNow | Verb::Reschedule | Verb::Edit => {
            let held_too = change.held_too && statuses.is_none_or(|all| all.contains(&JobStatus::Failed));
            report.changed = operator.change(&chosen.ids, &Change { held_too, ..change }, audit).await?.len();
        }
    }
    Ok(report)
}
