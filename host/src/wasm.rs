//! Everything that names wasmtime: the engine, what a component may import, and one run of one job.
//!
//! Knows no SQL, no queue and no file but its cache of compiled code.

mod address;
mod authorities;
mod bindings;
mod cache;
mod compiler;
mod component;
mod connector;
mod control;
mod denials;
mod engine;
mod enqueue_host;
mod exchange;
mod grants;
mod http_hooks;
mod instance;
mod jobs_host;
mod limits;
mod load_error;
mod log_host;
mod met;
mod needs;
mod origin;
mod registry_host;
mod run;
mod schedule_caps;
mod secret;
mod shares;
mod state;
mod stdio;
mod surface;
mod trap;
mod warm;

pub use address::Network;
pub use authorities::Authorities;
pub use cache::CodeCache;
pub use compiler::{COMPILE_VERB, DEFAULT_COMPILE_TIMEOUT, child as compile_as_child};
pub use component::{Loaded, load};
pub use control::{Control, Directive};
pub use engine::{ENGINE_NAME, ENGINE_VERSION, Engine, EngineSettings};
pub use grants::{Grants, HttpGrant};
pub use limits::RunLimits;
pub use load_error::{LoadError, WIT_VERSION};
pub use met::LimitMet;
pub use needs::{Kind, Missing, Need, Needs};
pub use origin::Origin;
pub use registry_host::Declaration;
pub use run::{Held, Ran, Terms, run};
pub use secret::{Secret, SecretGrant};
pub use shares::Share;
