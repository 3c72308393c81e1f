//! Checks whether a database, a role, a plugins folder and the hosts on a queue are fit for `run`.
//! Changes nothing.
//!
//! Each check examines one thing and reports what it found. A check that cannot run (a missing
//! privilege, missing tables) says so and does not affect the others.

mod activity;
mod autovacuum;
mod clock;
mod connection;
mod connections;
mod deployment;
mod entrypoints;
mod finding;
mod fleet;
mod handlers;
mod heartbeats;
mod listener;
mod plugins;
mod pooling;
mod privileges;
mod publications;
mod retention;
mod schedules;
mod schema;
mod sealing;
mod server;
mod setting;
mod settings;
mod target;
mod timeouts;

pub use deployment::{Deployment, PluginsFolder};
use finding::Report;
pub use finding::{Finding, Severity};

/// Run all checks, one after the other, because some of them count activity on the server.
pub async fn examine(deployment: &Deployment) -> Vec<Finding> {
    let mut report = Report::default();
    let folder = Ok(plugins::check(deployment.plugins.as_ref()));
    let keys = Ok(sealing::check(deployment).await);
    let target = match connection::check(deployment).await {
        Ok((target, found)) => {
            report.add("connection", Ok(vec![found]));
            target
        }
        Err(found) => {
            report.add("connection", Ok(vec![found]));
            report.add("plugins", folder);
            report.add("sealing", keys);
            return report.findings();
        }
    };
    let target = &target;
    report.run("pooling", pooling::check(target)).await;
    // The other checks would prepare statements and LISTEN in sessions that the pooler lends to
    // others next, and would see those sessions instead of their own.
    if report.has_error("pooling") {
        report.add("plugins", folder);
        report.add("sealing", keys);
        target.close().await;
        return report.findings();
    }
    report.run("server", server::check(target)).await;
    report.run("schema", schema::check(target)).await;
    report.run("privileges", privileges::check(target)).await;
    report.run("settings", settings::check(target)).await;
    report.run("timeouts", timeouts::check(target)).await;
    report.run("autovacuum", autovacuum::check(target)).await;
    report.run("retention", retention::check(target)).await;
    report.run("publications", publications::check(target)).await;
    report.run("transactions", activity::check(target)).await;
    report.run("connections", connections::check(target)).await;
    report.run("clock", clock::check(target)).await;
    report.run("schedules", schedules::check(target)).await;
    report.run("listener", listener::check(target)).await;
    report.run("hosts", fleet::check(target)).await;
    report.run("entrypoints", entrypoints::check(target)).await;
    report.run("heartbeats", heartbeats::check(target)).await;
    report.run("handlers", handlers::check(target)).await;
    report.add("plugins", folder);
    report.add("sealing", keys);
    target.close().await;
    report.findings()
}
