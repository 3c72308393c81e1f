//! The call that records an outcome, as it is sent: every type is named, so that no other function
//! of that name could be meant.

use tokio_postgres::types::{ToSql, Type};

use pgq_queue::{HandlerCall, HandlerEnd};

type Argument<'a> = (&'a (dyn ToSql + Sync), Type);

/// Text and arguments. It returns the jobs that were still ours, and the transaction.
pub(super) fn of(call: &HandlerCall) -> (String, Vec<Argument<'_>>) {
    let mut arguments: Vec<Argument<'_>> = vec![
        (&call.ids, Type::INT8_ARRAY),
        (&call.worker, Type::UUID),
        (&call.claimed, Type::TIMESTAMPTZ_ARRAY),
        (&call.attempt, Type::INT4_ARRAY),
        (&call.plugin, Type::INT8_ARRAY),
        (&call.elapsed_us, Type::INT8_ARRAY),
        (&call.memory, Type::INT8_ARRAY),
        (&call.statuses, Type::TEXT_ARRAY),
    ];
    match &call.end {
        HandlerEnd::Finish {
            tracebacks,
            outputs,
            parents,
            priority,
            entrypoint,
            payload,
            delay_ms,
            dedupe_key,
            headers,
        } => {
            arguments.push((tracebacks, Type::TEXT_ARRAY));
            arguments.push((outputs, Type::BYTEA_ARRAY));
            arguments.push((parents, Type::INT8_ARRAY));
            arguments.push((priority, Type::INT4_ARRAY));
            arguments.push((entrypoint, Type::TEXT_ARRAY));
            arguments.push((payload, Type::BYTEA_ARRAY));
            arguments.push((delay_ms, Type::INT8_ARRAY));
            arguments.push((dedupe_key, Type::TEXT_ARRAY));
            arguments.push((headers, Type::TEXT_ARRAY));
        }
        HandlerEnd::PutBack { delays, failures, tracebacks, previous: _ } => {
            arguments.push((delays, Type::INT8_ARRAY));
            arguments.push((failures, Type::INT4_ARRAY));
            arguments.push((tracebacks, Type::TEXT_ARRAY));
        }
    }
    arguments.push((&call.claims_unlogged, Type::TEXT_ARRAY));
    arguments.push((&call.successes_unlogged, Type::TEXT_ARRAY));
    arguments.push((&call.cpu_us, Type::INT8_ARRAY));
    arguments.push((&call.sent, Type::INT8_ARRAY));
    arguments.push((&call.received, Type::INT8_ARRAY));
    arguments.push((&call.requests, Type::INT4_ARRAY));
    arguments.push((&call.lines.packed, Type::BYTEA_ARRAY));
    arguments.push((&call.lines.cut, Type::INT8_ARRAY));
    arguments.push((&call.lines.keep_ms, Type::INT8_ARRAY));
    arguments.push((&call.lines.failed, Type::BOOL_ARRAY));
    if let HandlerEnd::PutBack { previous, .. } = &call.end {
        arguments.push((previous, Type::TEXT_ARRAY));
    }
    arguments.push((&call.token, Type::BYTEA));
    let places: Vec<String> = (1..=arguments.len()).map(|place| format!("${place}")).collect();
    // No operator, and nothing that a search_path could lead elsewhere.
    let text = format!(
        "SELECT ended.id, pg_catalog.pg_current_xact_id()::pg_catalog.text FROM {}({}) AS ended(id)",
        call.function,
        places.join(", ")
    );
    (text, arguments)
}
