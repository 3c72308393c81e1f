//! Changes one job.

use axum::extract::{Path, State};
use axum::response::Response;
use pgq_queue::Change;
use serde_json::json;

use super::page::id;
use crate::pages::back::back;
use crate::pages::desk::Desk;
use crate::pages::fields::{Sent, wrong};
use crate::pages::flash::Flash;
use crate::pages::jobs::apply::{apply, order};
use crate::pages::jobs::verb::Verb;
use crate::problem::Problem;
use pgq_queue::job_change::{self, Chosen, Order};

/// One of the verbs.
pub(crate) async fn act(
    State(desk): State<Desk>,
    Path((name, verb)): Path<(String, String)>,
    Sent { visitor, fields }: Sent,
) -> Result<Response, Problem> {
    let id = id(&name)?;
    let verb = Verb::named(&verb).ok_or_else(|| wrong("verb", &verb, "a change of a job"))?;
    let order = order(verb, &fields)?;
    let changed = apply(&desk, &visitor, fields.text("reason"), order, &Chosen::named(vec![id])).await?;
    let flash = match changed {
        0 => Flash::bad(format!("Job {id} was left as it is: perhaps {}.", verb.left())),
        _ => Flash::good(format!("{} job {id}.", verb.done())),
    };
    Ok(back(&desk, fields.text("back").unwrap_or(&format!("/jobs/{id}")), &flash))
}

/// Another payload.
pub(crate) async fn edit(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Sent { visitor, fields }: Sent,
) -> Result<Response, Problem> {
    let id = id(&name)?;
    // As it was typed, but for the line ends that forms are sent with.
    let payload = fields.all("payload").next().unwrap_or_default().replace("\r\n", "\n").into_bytes();
    let (bytes, told) = (payload.len(), json!({ "payload_bytes": payload.len() }));
    let change = Change { payload: Some(Some(payload)), held_too: true, ..Change::default() };
    let order = Order { verb: job_change::Verb::Edit, change, told };
    let changed = apply(&desk, &visitor, fields.text("reason"), order, &Chosen::named(vec![id])).await?;
    let flash = match changed {
        0 => Flash::bad(format!("Job {id} was left as it is: it runs, or is no longer in the queue.")),
        _ => Flash::good(format!("Job {id} has a new payload of {bytes} bytes.")),
    };
    Ok(back(&desk, &format!("/jobs/{id}"), &flash))
}
