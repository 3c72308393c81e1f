//! The test harness: a private PostgreSQL, a separate database per test, hosts as real processes,
//! and guests built from source.
//!
//! Tests wait for conditions, never for time to pass.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on ends, and says why")]

mod authority;
mod browser;
mod catalog;
mod cli;
mod collector;
mod database;
mod failure_page;
mod guests;
mod host;
mod http;
mod keys;
mod mcp;
mod node;
mod pages;
mod pgbouncer;
mod pgqueuer;
mod proxy;
mod receiver;
mod registry;
mod replicated;
mod screen;
mod sealing_keys;
mod server;
mod spans;
mod toolchains;
mod versions;

pub use authority::{Authority, put};
pub use browser::Browser;
pub use catalog::everything;
pub use cli::{CliOutput, pgq_host, run_command};
pub use collector::{Collector, Otlp};
pub use database::Database;
pub use failure_page::{error_of, failures_are_documented};
pub use guests::{Plugins, guest};
pub use host::{Host, host_binary};
pub use http::{Answer, Ask};
pub use keys::{Key, trust};
pub use mcp::McpSession;
pub use node::node;
pub use pages::Pages;
pub use pgbouncer::PgBouncer;
pub use pgqueuer::{pgq, python};
pub use proxy::Proxy;
pub use receiver::Receiver;
pub use registry::{PASSWORD, Registry};
pub use replicated::Replicated;
pub use screen::Screen;
pub use sealing_keys::SealingKeys;
pub use spans::{Link, Span};
pub use toolchains::{C, GO, JS, Language, NewPlugin, PYTHON, TS};
pub use versions::postgres;

use std::time::{Duration, Instant};

/// The longest time that a test waits for a condition. Guests that compute for long run at a low
/// priority, so beside other busy processes each of them has a twentieth of a core.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Try until it holds. Panics with `what` after [`PATIENCE`].
pub async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
