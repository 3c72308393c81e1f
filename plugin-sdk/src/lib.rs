//! Write job handlers for [pgq-host](https://github.com/pgq-host/pgq-host) in Rust.
//!
//! A handler is a plain function. The SDK decodes the payload, hands over the [`Job`], turns what
//! the function returns into what the queue does next, and exports everything as one WASI 0.2
//! component:
//!
//! ```
//! use pgq_plugin_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     id: u64,
//!     items: Vec<String>,
//! }
//!
//! fn pack(job: &Job, Json(order): Json<Order>) -> Result<Outcome> {
//!     if order.items.is_empty() {
//!         return Err(Failure::reject("an order without items cannot be packed"));
//!     }
//!     log::info!(order = order.id, attempt = job.attempt(), "packing {} items", order.items.len());
//!
//!     // Inserted in the transaction that records this job as done, or not at all.
//!     Request::new("ship").json(&order.id)?.priority(5).submit()?;
//!     Outcome::json(&json!({ "packed": order.items.len() }))
//! }
//!
//! fn plugin() -> Plugin {
//!     Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).entrypoint(
//!         Entrypoint::new("pack", pack)
//!             .max_attempts(5)
//!             .timeout(Duration::from_secs(10)),
//!     )
//! }
//!
//! pgq_plugin_sdk::export!(plugin);
//!
//! // The same plugin under `cargo test`, without a host or a database:
//! # #[cfg(not(target_family = "wasm"))] {
//! use pgq_plugin_sdk::testing::{TestJob, TestRun};
//!
//! let job = TestJob::new("pack").json(&json!({ "id": 7, "items": ["lamp", "desk"] }));
//! let run = TestRun::of(&plugin(), job);
//!
//! assert_eq!(run.result, Ok(Outcome::output(r#"{"packed":2}"#)));
//! assert_eq!(run.logs[0].message, "packing 2 items");
//! assert_eq!(run.enqueued[0].entrypoint, "ship");
//! # }
//! ```
//!
//! The crate needs `serde` (with `derive`) beside this one and `crate-type = ["cdylib"]`. Build it
//! with `cargo build --release --target wasm32-wasip2` and drop the `.wasm` file into the host's
//! folder.
//!
//! # What a handler takes and gives
//!
//! | second argument | the payload |
//! |---|---|
//! | none | is not read |
//! | [`Json<T>`](Json) | is decoded with serde |
//! | [`Text`] | must be UTF-8 |
//! | [`Bytes`] | comes as it is |
//! | `Option<_>` of one of these | may be absent (SQL `NULL`) |
//!
//! A payload that cannot be decoded fails the job for good: another attempt would read the same
//! bytes.
//!
//! | return value, or `Ok` of it | the queue |
//! |---|---|
//! | `()`, [`Outcome::done`] | is done with the job |
//! | [`Outcome::output`], [`Outcome::json`], [`Json<T>`](Json), [`Text`], [`Bytes`] | keeps the bytes as the job's output too |
//! | [`Outcome::snooze`] | runs the job again later, at no cost of an attempt |
//! | [`Outcome::discard`] | logs the job as `canceled` |
//! | **`Err` of** any [`std::error::Error`], [`Failure::retry`] | tries again as long as attempts are left |
//! | [`Failure::reject`] | fails the job now |
//!
//! Handlers use the database through [`sql`], in the transaction of their outcome.
//!
//! A panic is a trap: it counts like a retry, and the job's traceback has the guest's backtrace.

#[doc(hidden)] // for what `export!` expands to
pub mod bindings;
mod declaration;
mod enqueue;
mod enqueued;
mod entrypoint;
mod export;
mod failure;
mod handler;
mod host;
mod host_job;
mod job;
pub mod log;
mod millis;
mod outcome;
mod payload;
mod plugin;
pub mod sql;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use enqueue::{EnqueueError, Request};
pub use enqueued::Enqueued;
pub use entrypoint::{Entrypoint, OnFailure};
pub use failure::{Failure, OrFail, Result};
pub use handler::{Handler, Reply};
pub use job::{Directive, Job};
pub use outcome::Outcome;
pub use payload::{Bytes, FromPayload, Json, Text};
pub use plugin::Plugin;

/// Everything a handler usually names, in one `use`.
pub mod prelude {
    pub use std::time::Duration;

    pub use serde::{Deserialize, Serialize};
    pub use serde_json::json;

    pub use crate::{
        Bytes, Directive, Entrypoint, Failure, Job, Json, OnFailure, OrFail, Outcome, Plugin, Request, Result, Text,
    };
    pub use crate::{log, sql};
}

/// For the expansion of [`export!`] only.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::{handle, handle_batch, register};
}
