//! Where log lines, requests and statements go: in a component to the host, otherwise to the running
//! test.

#[cfg(target_family = "wasm")]
mod sql;

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::{SqlCursor, emit, sql_execute, sql_query, sql_savepoint, submit};
#[cfg(target_family = "wasm")]
pub(crate) use component::{emit, submit};
#[cfg(target_family = "wasm")]
pub(crate) use sql::{SqlCursor, sql_execute, sql_query, sql_savepoint};

#[cfg(target_family = "wasm")]
mod component {
    use crate::bindings::pgq::plugin::{enqueue, log};
    use crate::enqueued::Enqueued;
    use crate::log::Level;
    use crate::millis::millis;

    pub(crate) fn emit(level: Level, message: &str, fields: &[(&str, String)]) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        log::emit(level.into(), message, &fields);
    }

    pub(crate) fn submit(job: Enqueued) -> Result<(), String> {
        let request = enqueue::Request::new(&job.entrypoint);
        if let Some(bytes) = &job.payload {
            request.payload(bytes);
        }
        if job.priority != 0 {
            request.priority(job.priority);
        }
        if !job.delay.is_zero() {
            request.delay(millis(job.delay));
        }
        if let Some(key) = &job.dedupe_key {
            request.dedupe_key(key);
        }
        for (name, value) in &job.headers {
            request.header(name, value);
        }
        request.submit()
    }
}
