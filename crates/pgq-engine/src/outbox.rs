//! Follow-up jobs of a run, held here until its outcome is committed.

use serde_json::Value;

use super::resources::{HEADER_BYTES, Request};
use pgq_job::NewJob;

/// The header in which PgQueuer's tracing keeps the context of whoever created a job.
const OTEL: &str = "otel";

/// The most follow-ups of one run.
const MAX_JOBS: usize = 1_000;
/// The most bytes of their payloads, headers and names together.
const MAX_BYTES: usize = 16 << 20;

/// The buffer. It is closed, with a reason, if there is no single job whose outcome could carry a
/// request.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    jobs: Vec<NewJob>,
    bytes: usize,
    closed: Option<&'static str>,
    full: bool,
}

impl Outbox {
    pub(super) fn closed(reason: &'static str) -> Outbox {
        Outbox { closed: Some(reason), ..Outbox::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether requests were denied because there were too many, or they were too large.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Add a job. The error is for the guest.
    pub(super) fn push(&mut self, request: &Request) -> Result<(), String> {
        if let Some(reason) = self.closed {
            return Err(reason.into());
        }
        request.job.check()?;
        let size = request.bytes();
        if self.jobs.len() == MAX_JOBS {
            self.full = true;
            return Err(format!("a run can enqueue at most {MAX_JOBS} jobs"));
        }
        if self.bytes + size > MAX_BYTES {
            self.full = true;
            return Err(format!(
                "the jobs that a run enqueues can have at most {MAX_BYTES} bytes together, and this one of {size} exceeds that"
            ));
        }
        self.bytes += size;
        self.jobs.push(request.job.clone());
        Ok(())
    }

    /// Have the last job carry its context, unless the guest gave it one.
    pub(super) fn carry(&mut self, context: Value) {
        let Some(job) = self.jobs.last_mut() else { return };
        let headers = job.headers.get_or_insert_default();
        if !headers.contains_key(OTEL) {
            self.bytes += context.to_string().len() + HEADER_BYTES;
            headers.insert(OTEL.into(), context);
        }
    }

    pub(super) fn take(&mut self) -> Vec<NewJob> {
        std::mem::take(&mut self.jobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_bad_names_are_refused_and_nothing_is_kept() {
        let mut outbox = Outbox::default();
        let request = |entrypoint: &str, payload: usize| Request {
            job: NewJob { entrypoint: entrypoint.into(), payload: Some(vec![0; payload]), ..NewJob::default() },
            call: 0,
        };
        let mut keyed = request("ok", 0);
        keyed.job.dedupe_key = Some("k".repeat(3_000));
        for bad in
            [request("", 0), request(&"x".repeat(256), 0), request("a\0b", 0), request("big", MAX_BYTES + 1), keyed]
        {
            outbox.push(&bad).expect_err("refused");
        }
        for _ in 0..MAX_JOBS {
            outbox.push(&request("ok", 1)).expect("within the limit");
        }
        assert!(outbox.push(&request("ok", 1)).expect_err("one too many").contains("1000"));
        assert_eq!(outbox.jobs.len(), MAX_JOBS);
    }
}
