//! A change to jobs as a form asks for it.

use chrono::{DateTime, Utc};
use pgq_queue::{Change, Due};
use serde_json::json;

use super::verb::Verb;
use crate::job_filter::duration;
use crate::pages::desk::Desk;
use crate::pages::fields::{Fields, wrong};
use crate::problem::Problem;
use crate::visitor::Visitor;
use pgq_queue::job_change::{self, Chosen, Order};

/// What the form says to do.
pub(crate) fn order(verb: Verb, fields: &Fields) -> Result<Order, Problem> {
    let (change, told) = match verb {
        Verb::Requeue | Verb::Cancel | Verb::RetryNow => return Ok(Order::plain(verb.change())),
        Verb::Reschedule => {
            let due = when(fields.needed("when")?)?;
            let told = match due {
                Due::At(at) => json!({ "at": at }),
                Due::In(wait) => json!({ "delay_s": wait.as_secs_f64() }),
            };
            (Change { due: Some(due), ..Change::default() }, told)
        }
        Verb::Prioritize => {
            fields.needed("priority")?;
            let priority = fields.parse("priority", "a whole number of 32 bits")?;
            (Change { priority, held_too: true, ..Change::default() }, json!({ "priority": priority }))
        }
    };
    Ok(Order { verb: verb.change(), change, told })
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

/// Do it. Returns how many were changed.
pub(crate) async fn apply(
    desk: &Desk,
    visitor: &Visitor,
    reason: Option<&str>,
    order: Order,
    chosen: &Chosen,
) -> Result<usize, Problem> {
    let report = job_change::apply(&desk.site.operator, &visitor.actor(reason), order, chosen).await?;
    desk.forget().await;
    Ok(report.changed)
}
