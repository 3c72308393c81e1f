//! Changes of jobs: by their ids, or all that match a filter, which are counted first.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use pgq_queue::{Cancel, Change, Due, Operator, Requeue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ask::{Body, bad};
use crate::job_filter::{JobFilterBody, duration};
use crate::problem::Problem;
use crate::site::Site;
use crate::visitor::{Role, Visitor};
use pgq_queue::job_change::{Chosen, Order, Verb, apply};

/// Jobs of one request at most: named, and found by a filter.
const MOST_IDS: usize = 10_000;
const MOST_MATCHED: usize = 100_000;

/// Which jobs to change, and how. Either `ids` or `filter`.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JobChange {
    /// These jobs; up to 10,000.
    ids: Option<Vec<i64>>,
    /// All jobs that match; up to 100,000 in one request.
    filter: Option<JobFilterBody>,
    /// Count the jobs that match, and change nothing.
    dry_run: bool,
    /// Change the jobs that match if there are exactly so many.
    expected: Option<u64>,
    /// Change the jobs that match, however many there are.
    confirm: bool,
    /// Why, for the audit.
    reason: Option<String>,
    /// `reschedule`: due at this time.
    at: Option<DateTime<Utc>>,
    /// `reschedule`: due after this time, in seconds like `30`, or with a unit like `15m`.
    delay: Option<String>,
    /// `edit`: the new payload, as text.
    payload: Option<String>,
    /// `edit`: the new payload, two hexadecimal digits for each byte.
    payload_hex: Option<String>,
    /// `edit`: the new priority.
    priority: Option<i32>,
}

/// What was done.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(super) struct Changed {
    /// Jobs that were named, or that matched.
    matched: usize,
    /// Jobs that were changed.
    changed: usize,
    /// Whether more jobs match than one request changes: send it again.
    more: bool,
    /// What became of each of the `ids` that were cancelled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    canceled: Vec<Cancel>,
    /// What became of each of the `ids` that were requeued.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requeued: Vec<Requeue>,
}

impl JobChange {
    /// What the verb does to rows, and what the audit tells of it.
    fn change(&self, verb: Verb) -> Result<(Change, Value), Problem> {
        let of_other_verbs = [
            (self.at.is_some(), "at", Verb::Reschedule),
            (self.delay.is_some(), "delay", Verb::Reschedule),
            (self.payload.is_some(), "payload", Verb::Edit),
            (self.payload_hex.is_some(), "payload_hex", Verb::Edit),
            (self.priority.is_some(), "priority", Verb::Edit),
        ];
        if let Some((_, name, other)) = of_other_verbs.into_iter().find(|(set, _, other)| *set && *other != verb) {
            return Err(bad(format!("{name}: it is for {}, not for {}", other.action(), verb.action())));
        }
        match verb {
            Verb::Cancel | Verb::Requeue => Ok((Change::default(), Value::Null)),
            Verb::RetryNow => {
                let due = Some(Due::In(std::time::Duration::ZERO));
                Ok((Change { due, only_deferred: true, ..Change::default() }, Value::Null))
            }
            Verb::Reschedule => {
                let (due, told) = match (self.at, &self.delay) {
                    (Some(at), None) => (Due::At(at), json!({ "at": at })),
                    (None, Some(text)) => {
                        let delay = duration("delay", text)?;
                        (Due::In(delay), json!({ "delay_s": delay.as_secs_f64() }))
                    }
                    _ => return Err(bad("when? Send `at` with a time, or `delay` with a duration")),
                };
                Ok((Change { due: Some(due), ..Change::default() }, told))
            }
            Verb::Edit => {
                let payload = match (&self.payload, &self.payload_hex) {
                    (Some(_), Some(_)) => return Err(bad("send `payload` or `payload_hex`, not both")),
                    (Some(text), None) => Some(text.clone().into_bytes()),
                    (None, Some(digits)) => Some(unhex(digits)?),
                    (None, None) if self.priority.is_none() => {
                        return Err(bad("what? Send `payload`, `payload_hex` or `priority`"));
                    }
                    (None, None) => None,
                };
                // The audit has no payload: it may be secret.
                let told = json!({ "payload_bytes": payload.as_ref().map(Vec::len), "priority": self.priority });
                let change =
                    Change { payload: payload.map(Some), priority: self.priority, held_too: true, ..Change::default() };
                Ok((change, told))
            }
        }
    }

    /// The jobs, and whether more match than one request changes.
    async fn choose(&self, operator: &Operator, verb: Verb) -> Result<(Chosen, bool), Problem> {
        match (&self.ids, &self.filter) {
            (Some(_), Some(_)) => Err(bad("send `ids` or a `filter`, not both")),
            (None, None) => Err(bad("which jobs? Send `ids`, or a `filter`; all of them have the filter {}")),
            (Some(ids), None) if ids.len() > MOST_IDS => {
                Err(bad(format!("ids: {} are more than {MOST_IDS}; send them in parts", ids.len())))
            }
            (Some(ids), None) => Ok((Chosen::named(ids.clone()), false)),
            (None, Some(body)) => {
                let filter = body.changeable(verb.statuses())?;
                let statuses = filter.status.map_or_else(|| verb.statuses().to_vec(), |status| vec![status]);
                let (ids, more) = operator.matching_up_to(&filter, &statuses, MOST_MATCHED).await?;
                Ok((Chosen { ids, statuses: Some(statuses), asked: json!(body) }, more))
            }
        }
    }

    /// Whether the number of jobs that matched is one that the visitor knows of.
    fn check(&self, matched: usize) -> Result<(), Problem> {
        match self.expected {
            Some(expected) if u64::try_from(matched).is_ok_and(|matched| matched == expected) => Ok(()),
            Some(expected) => Err(Problem::new(
                StatusCode::CONFLICT,
                format!("{matched} jobs match, not {expected}, and nothing was done; count them again with `dry_run`"),
            )),
            None if self.confirm => Ok(()),
            None => Err(Problem::new(
                StatusCode::CONFLICT,
                format!("{matched} jobs match, and nothing was done: send `expected`: {matched}, or `confirm`: true"),
            )),
        }
    }
}

fn unhex(digits: &str) -> Result<Vec<u8>, Problem> {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = digits.as_bytes();
    let even = bytes.len().is_multiple_of(2) && bytes.iter().all(u8::is_ascii_hexdigit);
    let read = || bytes.chunks(2).map(byte).collect::<Option<Vec<u8>>>();
    even.then(read).flatten().ok_or_else(|| bad("payload_hex: it has not two hexadecimal digits for each byte"))
}

async fn run(site: &Site, visitor: &Visitor, verb: Verb, asked: JobChange) -> Result<Json<Changed>, Problem> {
    visitor.require(Role::Operator)?;
    let (change, told) = asked.change(verb)?;
    let (chosen, more) = asked.choose(&site.operator, verb).await?;
    let mut answer = Changed { matched: chosen.ids.len(), more, ..Changed::default() };
    if asked.dry_run || chosen.ids.is_empty() {
        return Ok(Json(answer));
    }
    let is_named = chosen.statuses.is_none();
    if !is_named {
        asked.check(chosen.ids.len())?;
    }
    let actor = visitor.actor(asked.reason.as_deref());
    let report = apply(&site.operator, &actor, Order { verb, change, told }, &chosen).await?;
    answer.changed = report.changed;
    if is_named {
        (answer.canceled, answer.requeued) = (report.canceled, report.requeued);
    }
    Ok(Json(answer))
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident $path:literal $verb:expr;)*) => {$(
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, request_body = JobChange,
            responses(
                (status = 200, body = Changed),
                (status = 409, body = Problem, description = "Another number of jobs matches than expected"),
                (status = "default", body = Problem)
            )
        )]
        pub(super) async fn $name(
            State(site): State<Site>,
            visitor: Visitor,
            Body(asked): Body<JobChange>,
        ) -> Result<Json<Changed>, Problem> {
            run(&site, &visitor, $verb, asked).await
        }
    )*};
}

verbs! {
    /// Remove jobs from the queue. Those that run are told to stop.
    cancel "/jobs/cancel" Verb::Cancel;
    /// Put held jobs back into the queue, as if they had never run.
    requeue "/jobs/requeue" Verb::Requeue;
    /// Make jobs due now that wait for their time.
    retry_now "/jobs/retry-now" Verb::RetryNow;
    /// Change when queued jobs are due.
    reschedule "/jobs/reschedule" Verb::Reschedule;
    /// Change the payload or the priority of jobs that do not run.
    edit "/jobs/edit" Verb::Edit;
}
