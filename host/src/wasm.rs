//! Everything that names wasmtime: the engine, what a component may import, and one run of one job.
//!
//! Knows no SQL, no queue and no file but its cache of compiled code.

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
mod enqueue_host;
mod exchange;
mod files_host;
mod grants;
mod holdings;
mod http_hooks;
mod instance;
mod jobs_host;
mod limits;
mod log_host;
mod met;
mod needs;
mod origin;
mod registry_host;
mod room;
mod run;
mod secret;
mod state;
mod stdio;
mod surface;
mod trap;
mod warm;

pub use address::Network;
pub use authorities::Authorities;
pub use cache::CodeCache;
pub use compiler::{COMPILE_VERB, DEFAULT_COMPILE_TIMEOUT, child as compile_as_child};
pub use component::{LoadError, Loaded, WIT_VERSION, load};
pub use control::{Control, Directive};
pub use declaration::Declaration;
pub use engine::{ENGINE_NAME, ENGINE_VERSION, Engine, EngineSettings};
pub use grants::{Grants, HttpGrant};
pub use limits::RunLimits;
pub use met::LimitMet;
pub use needs::{Kind, Missing, Need, Needs};
pub use origin::Origin;
pub use run::{Held, Ran, Terms, run};
pub use secret::{Secret, SecretGrant};
