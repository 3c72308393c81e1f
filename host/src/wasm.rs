//! Everything that names wasmtime: the engine, what a component may import, and one run of one job.
//!
//! Knows no SQL, no queue and no file but its cache of compiled code.

mod bindings;
mod cache;
mod compiler;
mod component;
mod control;
mod engine;
mod enqueue_host;
mod grants;
mod http_hooks;
mod instance;
mod jobs_host;
mod limits;
mod log_host;
mod met;
mod registry_host;
mod run;
mod state;
mod stdio;
mod surface;
mod trap;
mod warm;

pub use cache::CodeCache;
pub use compiler::{COMPILE_VERB, DEFAULT_COMPILE_TIMEOUT, child as compile_as_child};
pub use component::{LoadError, Loaded, load};
pub use control::{Control, Directive};
pub use engine::{Engine, EngineSettings};
pub use grants::{Grants, Origin};
pub use limits::RunLimits;
pub use met::LimitMet;
pub use registry_host::Declaration;
pub use run::{Held, Ran, Terms, run};
