//! Whether a database, a role, a plugins folder and the hosts on a queue are fit for `run`. Looks, and changes nothing.
//!
//! A check is a function that looks at one thing and says what it found. One that cannot look (the role may not, the tables are not
//! there) says so, and keeps no other from looking.

mod activity;
mod autovacuum;
mod clock;
mod connection;
mod connections;
mod entrypoints;
mod finding;
mod fleet;
mod heartbeats;
mod listener;
mod patient;
mod plugins;
mod pooling;
mod privileges;
mod publications;
mod schedules;
mod schema;
mod server;
mod setting;
mod settings;
mod timeouts;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

pub use finding::{Finding, Severity};

use crate::names::Names;
use crate::plugins::File;
use finding::Report;

/// What is looked at, and what it is to be fit for.
#[derive(Debug)]
pub struct Settings {
    /// Where the database is.
    pub database: PgConnectOptions,
    /// What its objects are called.
    pub names: Names,
    /// Those names as flags, for the commands that are proposed.
    pub flags: String,
    /// Whom hosts connect as; `None` is whoever this connects as.
    pub role: Option<String>,
    /// How many hosts there are to be; `None` is those that are there, or one.
    pub hosts: Option<usize>,
    /// A host's, as configured.
    pub heartbeat_timeout: Duration,
    /// How long a transaction may be open before it is worth a word.
    pub long_transaction: Duration,
    /// The folder and what a host would make of it; `None` where none is named.
    pub plugins: Option<Plugins>,
}

/// A plugins folder.
#[derive(Debug)]
pub struct Plugins {
    /// Where it is.
    pub folder: PathBuf,
    /// What a host would make of its files, or why it cannot be read.
    pub files: Result<Vec<File>, String>,
    /// The plugins that the configuration has a section for.
    pub sections: Vec<String>,
}

/// Run all checks, one after the other: some of them count what goes on in the server.
pub async fn examine(settings: &Settings) -> Vec<Finding> {
    let mut report = Report::default();
    let folder = Ok(plugins::check(settings.plugins.as_ref()));
    let patient = match connection::check(settings).await {
        Ok((patient, found)) => {
            report.add("connection", Ok(vec![found]));
            patient
        }
        Err(found) => {
            report.add("connection", Ok(vec![found]));
            report.add("plugins", folder);
            return report.findings();
        }
    };
    let patient = &patient;
    report.run("pooling", pooling::check(patient)).await;
    // Everything else would prepare statements and LISTEN in sessions that are others' next, and see those sessions instead of its own.
    if report.has_error("pooling") {
        report.add("plugins", folder);
        patient.leave().await;
        return report.findings();
    }
    report.run("server", server::check(patient)).await;
    report.run("schema", schema::check(patient)).await;
    report.run("privileges", privileges::check(patient)).await;
    report.run("settings", settings::check(patient)).await;
    report.run("timeouts", timeouts::check(patient)).await;
    report.run("autovacuum", autovacuum::check(patient)).await;
    report.run("publications", publications::check(patient)).await;
    report.run("transactions", activity::check(patient)).await;
    report.run("connections", connections::check(patient)).await;
    report.run("clock", clock::check(patient)).await;
    report.run("schedules", schedules::check(patient)).await;
    report.run("listener", listener::check(patient)).await;
    report.run("hosts", fleet::check(patient)).await;
    report.run("entrypoints", entrypoints::check(patient)).await;
    report.run("heartbeats", heartbeats::check(patient)).await;
    report.add("plugins", folder);
    patient.leave().await;
    report.findings()
}
