//! Changes jobs, and notes who did it: for the API and for the pages.

use pgq_job::JobId;
use pgq_queue::{Actor, Cancel, CancelOutcome, Change, JobStatus, Operator, Requeue, RequeueOutcome};
use serde_json::{Value, json};

/// Ids that the audit names. Of more, it has the number.
const NAMED: usize = 100;

/// What can be done to jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Cancel,
    Requeue,
    RetryNow,
    Reschedule,
    Edit,
}

impl Verb {
    /// In the audit, as the command line has it.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Verb::Cancel => "cancel",
            Verb::Requeue => "requeue",
            Verb::RetryNow => "retry_now",
            Verb::Reschedule => "reschedule",
            Verb::Edit => "edit",
        }
    }

    /// The jobs that it can be done to.
    pub(crate) fn statuses(self) -> &'static [JobStatus] {
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
pub(crate) struct Order {
    pub(crate) verb: Verb,
    /// Empty for those verbs that need none.
    pub(crate) change: Change,
    /// What the audit tells of the change; null for nothing. It has no payload, which may be secret.
    pub(crate) told: Value,
}

/// To which jobs.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) ids: Vec<JobId>,
    /// Only those that still have one of these; `None`: the jobs were named, and are what they are.
    pub(crate) statuses: Option<Vec<JobStatus>>,
    /// For the audit.
    pub(crate) asked: Value,
}

impl Chosen {
    pub(crate) fn named(ids: Vec<JobId>) -> Chosen {
        let asked = json!({ "ids": ids.iter().take(NAMED).collect::<Vec<_>>(), "count": ids.len() });
        Chosen { ids, statuses: None, asked }
    }
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) changed: usize,
    pub(crate) canceled: Vec<Cancel>,
    pub(crate) requeued: Vec<Requeue>,
}

pub(crate) async fn apply(operator: &Operator, actor: &Actor, order: Order, chosen: &Chosen) -> sqlx::Result<Report> {
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
