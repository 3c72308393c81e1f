//! Traces of jobs. Runs report plain facts (`pgq_job::TracedJob`); here they become spans if the
//! trace is sampled, or if the run failed or was slow, and go to a collector by OTLP.
//!
//! Nobody waits for a span: facts of runs that are over wait in a bounded queue, and one task sends
//! them. Without the `OTEL_*` variables nothing of this is there.

mod call_trace;
mod carrier;
mod clock;
mod exporter;
mod finished;
mod http_client;
mod ids;
mod job_trace;
mod keep;
mod lost_turn;
mod pump;
mod queue;
mod reached;
mod resource;
mod sampler;
mod settings;
mod sink;
mod spans;
mod statement_text;
mod statement_tokens;
mod tls;
mod tracer;
mod variables;

pub use exporter::TraceError;
pub use keep::Keep;
pub use lost_turn::LostTurn;
pub use pump::Pump;
pub use sampler::Sampler;
pub use settings::{Protocol, TraceSettings};
pub use tracer::{Claimed, Tracer, start};
