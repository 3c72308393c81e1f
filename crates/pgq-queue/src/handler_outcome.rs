//! An outcome that a handler's own session records, so that it is one transaction with what the
//! handler wrote. Only functions of the queue's owner can do it, and only with a token of the host.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::attempt::{Attempts, Figures};
use super::enqueue::Columns;
use super::handler_functions::Function;
use super::lines::LinesColumns;
use super::millis::millis;
use super::{Queue, Record};
use pgq_job::Disposition;

/// The transaction of a handler's session, as the session itself tells it at its start.
#[derive(Debug, Clone, Copy)]
pub struct HandlerRun {
    pub pid: i32,
    /// `now()`, in microseconds since 1970.
    pub began_us: i64,
}

/// A call of one of the functions, and its arguments in their order.
#[derive(Debug, Clone)]
pub struct HandlerCall {
    /// The function, qualified and quoted.
    pub function: String,
    pub ids: Vec<i64>,
    pub worker: Uuid,
    pub claimed: Vec<DateTime<Utc>>,
    pub attempt: Vec<Option<i32>>,
    pub plugin: Vec<Option<i64>>,
    pub elapsed_us: Vec<Option<i64>>,
    pub memory: Vec<Option<i64>>,
    pub statuses: Vec<String>,
    pub end: HandlerEnd,
    pub claims_unlogged: Vec<String>,
    pub successes_unlogged: Vec<String>,
    pub cpu_us: Vec<Option<i64>>,
    pub sent: Vec<Option<i64>>,
    pub received: Vec<Option<i64>>,
    pub requests: Vec<Option<i32>>,
    pub lines: LinesColumns,
    pub token: Vec<u8>,
}

/// What the two functions do not have in common.
#[derive(Debug, Clone)]
pub enum HandlerEnd {
    Finish {
        tracebacks: Vec<Option<String>>,
        outputs: Vec<Option<Vec<u8>>>,
        parents: Vec<i64>,
        priority: Vec<i32>,
        entrypoint: Vec<String>,
        payload: Vec<Option<Vec<u8>>>,
        delay_ms: Vec<i64>,
        dedupe_key: Vec<Option<String>>,
        headers: Vec<Option<String>>,
    },
    PutBack {
        delays: Vec<i64>,
        failures: Vec<i32>,
        tracebacks: Vec<Option<String>>,
        /// This turn's place in its trace, for the next turn's.
        previous: Vec<Option<String>>,
    },
}

impl Queue {
    /// Whether handlers of this database can commit their rows with their outcome.
    pub fn has_handlers(&self) -> bool {
        self.sql.features.handlers && self.sql.features.hosts && self.sql.features.tally && self.sql.features.attempts
    }

    /// The call that records this in that transaction. `schema` is the queue's.
    pub fn handler_call(&self, record: &Record, run: HandlerRun, schema: &str) -> HandlerCall {
        let (attempts, figures) = (Attempts::of([record.attempt]), Figures::of([record.attempt]));
        let traceback =
            |value: &Option<serde_json::Value>| value.as_ref().map(|value| self.charset.json(value).to_string());
        let previous = || vec![record.trace.as_ref().and_then(|trace| trace.as_previous())];
        let (function, status, end) = match &record.disposition {
            Disposition::Finished { status, traceback: cause, output, follow_ups } => {
                let columns = Columns::of(follow_ups);
                let owned = |texts: Vec<Option<&str>>| {
                    texts.into_iter().map(|text| text.map(str::to_owned)).collect::<Vec<Option<String>>>()
                };
                let end = HandlerEnd::Finish {
                    tracebacks: vec![traceback(cause)],
                    outputs: vec![output.clone()],
                    parents: vec![record.claim.id; follow_ups.len()],
                    priority: columns.priority,
                    entrypoint: columns.entrypoint.into_iter().map(str::to_owned).collect(),
                    payload: columns.payload.into_iter().map(|bytes| bytes.map(<[u8]>::to_vec)).collect(),
                    delay_ms: columns.delay_ms,
                    dedupe_key: owned(columns.dedupe_key),
                    headers: columns.headers,
                };
                (Function::End, status.label(), end)
            }
            Disposition::Again { delay, counts, traceback: cause } => {
                let (delays, failures) = (vec![millis(*delay)], vec![i32::from(*counts)]);
                let tracebacks = vec![traceback(cause)];
                let end = HandlerEnd::PutBack { delays, failures, tracebacks, previous: previous() };
                (Function::Back, "queued", end)
            }
            Disposition::Held { traceback: cause } => {
                let tracebacks = vec![traceback(&Some(cause.clone()))];
                let (delays, failures) = (vec![0], vec![1]);
                let end = HandlerEnd::PutBack { delays, failures, tracebacks, previous: previous() };
                (Function::Back, "failed", end)
            }
        };
        HandlerCall {
            function: format!("{}.{}", quoted(schema), quoted(self.handler_function(function))),
            ids: vec![record.claim.id],
            worker: self.me,
            claimed: vec![record.claim.at],
            attempt: attempts.number,
            plugin: attempts.plugin,
            elapsed_us: attempts.elapsed_us,
            memory: attempts.memory,
            statuses: vec![status.to_owned()],
            end,
            claims_unlogged: self.history.claims_unlogged(),
            successes_unlogged: self.history.successes_unlogged(),
            cpu_us: figures.cpu_us,
            sent: figures.sent,
            received: figures.received,
            requests: figures.requests,
            lines: LinesColumns::of([record.lines.as_ref()]),
            token: self.handler_key.token(record.claim, run.pid, run.began_us),
        }
    }
}

/// As the catalog spells it, where a configured name is folded to lower case.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
