//! Something outside of the sandbox that a guest is reaching, as the trace of its call tells it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use pgq_job::{HostCall, Reached, SpanId, TraceContext, TracedCall};

/// A guest that is interrupted meanwhile leaves this behind.
const INTERRUPTED: &str = "interrupted";

/// From the beginning to the end of reaching it, however it ends.
#[derive(Debug)]
pub(super) struct Reach {
    call: Arc<dyn TracedCall>,
    span: SpanId,
    began: Instant,
    what: Option<Reached>,
}

impl Reach {
    pub(super) fn begin(call: &Arc<dyn TracedCall>, what: Reached) -> Reach {
        Reach { call: Arc::clone(call), span: call.new_span(), began: Instant::now(), what: Some(what) }
    }

    /// What whoever is reached may continue, if it is told.
    pub(super) fn context(&self) -> Option<TraceContext> {
        self.call.is_passed_on().then(|| self.call.context().with_span(self.span))
    }

    /// An HTTP server answered with this status.
    pub(super) fn answered(mut self, answer: u16) {
        if let Some(Reached::Server { status, .. }) = &mut self.what {
            *status = Some(answer);
        }
        self.end((answer >= 400).then(|| answer.to_string().into()));
    }

    pub(super) fn end(mut self, error: Option<Cow<'static, str>>) {
        self.report(error);
    }

    fn report(&mut self, error: Option<Cow<'static, str>>) {
        if let Some(what) = self.what.take() {
            self.call.reached(HostCall { span: self.span, began: self.began, ended: Instant::now(), what, error });
        }
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        self.report(Some(INTERRUPTED.into()));
    }
}
