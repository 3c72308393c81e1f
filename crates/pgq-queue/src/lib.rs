//! The queue in PostgreSQL: every statement about jobs is in this module, one function per
//! transition. A worker has a [`Queue`], a command that looks or changes something by hand an
//! [`Operator`].
//!
//! Each write after a claim is fenced: it names the claim's owner, so that a job which another
//! worker has taken over is left alone. Knows nothing of wasm.

pub mod boot_clock;
pub mod byte_budget;
pub mod environment;
pub mod names;
pub mod schema;
pub mod told;

mod access;
mod attempt;
mod body;
mod cancel;
mod claim;
mod claim_cursor;
mod claimed;
mod concurrency_limit;
mod connection;
mod database;
mod depth;
mod dsn;
mod due;
mod enqueue;
mod expiry_scan;
mod failure_detector;
mod fleet;
mod handover;
mod heartbeat;
mod inspect;
mod judgements;
mod listener;
mod millis;
mod operator;
mod options;
mod outcome;
mod pool;
mod presence;
mod record;
mod requeue;
mod rescue;
mod schedules;
mod schema_features;
mod server_version;
mod session;
mod sessions;
mod slots;
mod source;
mod sqlstate;
mod statements;
mod statistics;
mod suspect;
mod template;
mod text;
mod timeout;
mod timetable;
mod unreachable;
mod unsupported;
mod variables;
mod worker_queue;

pub use access::Access;
pub use attempt::Attempt;
pub use body::Body;
pub use cancel::{Cancel, CancelOutcome};
pub use claimed::Claimed;
pub use concurrency_limit::ConcurrencyLimit;
pub use connection::connect;
pub use database::{ConnectError, Connected, Database, ListenFrom};
pub use depth::Depth;
pub use enqueue::{EnqueueError, OnConflict, Placed};
pub use failure_detector::FailureDetector;
pub use fleet::{FleetCommand, FleetFile, HostRow, JOINED, PluginVersion};
pub use handover::HandedOver;
pub use inspect::{ActiveWorker, Backlog, HeldJob, StaleJob};
pub use listener::{Event, Listener, listen};
pub use operator::Operator;
pub use options::connect_options;
pub use pool::Pool;
pub use record::Record;
pub use requeue::{Requeue, RequeueOutcome};
pub use rescue::{Overdue, RescueRule, Rescued};
pub use schedules::{Fired, ScheduleKey, ScheduleRow, Tick};
pub use schema_features::SchemaFeatures;
pub use server_version::{NEWEST_SERVER, OLDEST_SERVER, ServerTooOld, check_server};
pub use session::AS_BYTES;
pub use session::worker_settings as session_settings;
pub use source::Source;
pub use sqlstate::Remedy;
pub use statements::{WORKER_STATEMENTS, worker_statement};
pub use statistics::Counted;
pub use timetable::{ListedSchedule, RemovedSchedule};
pub use unreachable::unreachable_database;
pub use variables::{in_time, pool_size};
pub use worker_queue::Queue;
