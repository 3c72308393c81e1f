//! Does a change to jobs, and notes who did it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use pgq_job::JobId;
use pgq_queue::{Actor, CancelOutcome, Change, Due, JobStatus, RequeueOutcome};
use serde_json::{Value, json};

use super::filter::duration;
use super::verb::Verb;
use crate::pages::desk::Desk;
use crate::pages::fields::{Fields, wrong};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// What to do, with what it has to know.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    verb: Verb,
    due: Option<Due>,
    priority: Option<i32>,
}

impl Order {
    pub(crate) fn read(verb: Verb, fields: &Fields) -> Result<Order, Problem> {
        let (mut due, mut priority) = (None, None);
        match verb {
            Verb::Reschedule => due = Some(when(fields.needed("when")?)?),
            Verb::RetryNow => due = Some(Due::In(Duration::ZERO)),
            Verb::Prioritize => {
                fields.needed("priority")?;
                priority = fields.parse("priority", "a whole number of 32 bits")?;
            }
            Verb::Requeue | Verb::Cancel => {}
        }
        Ok(Order { verb, due, priority })
    }

    fn told(&self) -> Value {
        match self.due {
            Some(Due::At(at)) => json!({ "at": at }),
            Some(Due::In(wait)) if self.verb == Verb::Reschedule => json!({ "delay_s": wait.as_secs_f64() }),
            _ => self.priority.map_or(Value::Null, |priority| json!({ "priority": priority })),
        }
    }
}

/// A time, or how long from now.
fn when(text: &str) -> Result<Due, Problem> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => Ok(Due::At(at.with_timezone(&Utc))),
        Err(_) => duration("when", text)
            .map(Due::In)
            .map_err(|_| wrong("when", text, "a time like 2026-11-26T18:00:00Z, nor a duration like 15m")),
    }
}

/// Who asks, for the audit.
pub(crate) fn actor(visitor: &Visitor, reason: Option<&str>) -> Actor {
    Actor { author: visitor.name.to_string(), reason: reason.map(str::to_owned) }
}

/// Do it. `statuses`: only to jobs that still have one of these. Returns how many were changed.
pub(crate) async fn apply(
    desk: &Desk,
    visitor: &Visitor,
    reason: Option<&str>,
    ids: &[JobId],
    statuses: Option<&[JobStatus]>,
    order: &Order,
    asked: Value,
) -> Result<usize, Problem> {
    if ids.is_empty() {
        return Ok(0);
    }
    let operator = &desk.site.operator;
    let what = order.told();
    let told = if what.is_null() { asked } else { json!({ "jobs": asked, "change": what }) };
    let audit = operator.begin_audit(order.verb.action(), &actor(visitor, reason), &told).await?;
    let changed = match order.verb {
        Verb::Requeue => {
            let report = operator.requeue(ids, audit).await?;
            report.iter().filter(|job| job.outcome == RequeueOutcome::Requeued).count()
        }
        Verb::Cancel => {
            let labels = statuses.map(|statuses| statuses.iter().map(|status| status.label()).collect::<Vec<_>>());
            let report = operator.cancel(ids, labels.as_deref(), audit).await?;
            report.iter().filter(|job| matches!(job.outcome, CancelOutcome::Canceled { .. })).count()
        }
        Verb::RetryNow | Verb::Reschedule | Verb::Prioritize => {
            let held_too =
                order.verb == Verb::Prioritize && statuses.is_none_or(|statuses| statuses.contains(&JobStatus::Failed));
            let only_deferred = order.verb == Verb::RetryNow;
            let change =
                Change { due: order.due, priority: order.priority, only_deferred, held_too, ..Change::default() };
            operator.change(ids, &change, audit).await?.len()
        }
    };
    desk.forget().await;
    Ok(changed)
}
