//! libpq's way to a server, for drivers that know only a part of it: DSNs and settings, service files,
//! password files, several hosts of which one is the right one, TLS with certificates of both sides, and
//! logins that are bound to them.
//!
//! [`Route`] is what all of that comes to. [`Relay`] lets a driver in that cannot go there by itself.
//! Knows no driver, and nothing of queues.

mod attrs;
mod binding;
mod conninfo;
mod dial;
mod encryption;
mod endpoint;
mod environment;
mod failure;
mod hosts;
mod login;
mod message;
mod opening;
mod origin;
mod parameter;
mod passfile;
mod percent;
mod relay;
mod route;
mod service;
mod settings;
mod stream;
mod tls;
mod uri;

pub use attrs::{Role, SessionAttrs};
pub use encryption::{ChannelBinding, Encryption, SslMode};
pub use endpoint::{Endpoint, Place};
pub use environment::Environment;
pub use failure::{Failure, Refusal};
pub use hosts::{Attempt, first};
pub use opening::client_config;
pub use origin::Origin;
pub use parameter::variables;
pub use percent::encoded;
pub use relay::Relay;
pub use route::Route;
pub use settings::Settings;
