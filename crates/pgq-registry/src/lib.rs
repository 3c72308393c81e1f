//! Components in OCI registries, in the format of the CNCF's "Wasm OCI Artifact", which wkg, Spin and
//! wasmCloud read and write. This crate knows neither the queue nor the engine: it moves bytes, each of
//! which is checked against the digest that was asked for.
//!
//! Nothing that a registry answers is read past a limit, and every request ends.

mod authorize;
mod body;
mod client;
mod credentials;
mod error;
mod limits;
mod manifest;
mod pull;
mod push;
mod reference;
mod signatures;
mod token;

pub use client::Client;
pub use error::RegistryError;
pub use manifest::WasmConfig;
pub use pull::Pulled;
pub use reference::Reference;
