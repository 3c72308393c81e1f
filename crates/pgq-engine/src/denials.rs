//! What a guest tried without a grant: counted each time, and logged once per call, with the
//! remedy.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::log_context::LogContext;

/// The most messages per call. A guest that tries everything must not fill the log.
const MAX_LOGGED: usize = 20;

/// Shared by everything that denies requests within one call.
#[derive(Debug)]
pub(super) struct Denials {
    context: LogContext,
    said: Mutex<BTreeSet<(&'static str, String)>>,
}

impl Denials {
    pub(super) fn new(context: LogContext) -> Arc<Denials> {
        Arc::new(Denials { context, said: Mutex::default() })
    }

    /// Record a denial. `what` is one of `http`, `address`, `secret`, `enqueue` and `sql`; `why` has the
    /// cause and the remedy.
    pub(super) fn deny(&self, what: &'static str, target: &str, why: &str) {
        let LogContext { plugin, entrypoint, job, trace, hits, .. } = &self.context;
        hits.deny(what, target, why);
        metrics::counter!("pgq_host_denied_total", "plugin" => Arc::clone(plugin), "what" => what).increment(1);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < MAX_LOGGED && said.insert((what, target.to_owned())) {
            tracing::warn!(job.id = job, job.entrypoint = %entrypoint, plugin = %plugin, trace_id = trace.map(|(trace, _)| display(trace)), span_id = trace.map(|(_, span)| display(span)), denied.what = what, denied.target = target, "denied: {why}");
        }
    }

    /// The remedy: the line that is missing in the plugin's section.
    pub(super) fn remedy(&self, line: &str) -> String {
        format!("add `{line}` to [plugins.{}] in pgq-host.toml", self.context.plugin)
    }
}
