//! The engine: everything that depends on wasmtime. It defines what a component may import, and
//! runs one job.
//!
//! This crate knows no SQL and no queue, and its only files are the cache of compiled code.

pub mod descriptors;
pub mod digest;
pub mod guests;
pub mod host_memory;
pub mod printable;

mod address;
mod authorities;
mod bindings;
mod border;
mod cache;
mod compiler;
mod component;
mod connector;
mod control;
mod declaration;
mod denials;
mod describe;
mod engine;
mod engine_settings;
mod enqueue_host;
mod exchange;
mod files_host;
mod grants;
mod holdings;
mod http_hooks;
mod instance;
mod instance_pool;
mod interrupt;
mod jobs_host;
mod limit_hit;
mod limits;
mod linked_component;
mod linker;
mod load_error;
mod log_context;
mod log_host;
mod log_sink;
mod needs;
mod origin;
mod outbox;
mod processor_time;
mod registry_host;
mod resources;
mod room;
mod run;
mod schedule_caps;
mod secret;
mod shares;
mod state;
mod stdio;
mod tail;
mod traffic;
mod trap;

pub use address::Network;
pub use authorities::Authorities;
pub use cache::CodeCache;
pub use compiler::{COMPILE_VERB, DEFAULT_COMPILE_TIMEOUT, child as compile_as_child};
pub use component::{Loaded, load};
pub use control::{Control, Directive};
pub use declaration::Declaration;
pub use engine::{ENGINE_NAME, ENGINE_VERSION, Engine};
pub use engine_settings::EngineSettings;
pub use grants::{Grants, HttpGrant};
pub use limit_hit::LimitHit;
pub use limits::RunLimits;
pub use load_error::{LoadError, WIT_VERSION};
pub use needs::{Kind, Missing, Need, Needs};
pub use origin::Origin;
pub use room::RoomShare;
pub use run::{AssignedJob, CallReport, CallSpec, run};
pub use secret::{Secret, SecretGrant};
pub use shares::PoolShare;
