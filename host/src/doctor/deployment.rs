//! What the checks examine, and what it should be fit for.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::location::Location;
use crate::plugins::File;
use crate::sealing::SealingSettings;
use pgq_queue::names::Names;
use pgq_queue::{Retention, Source};

/// A database, a role, a folder of plugins, and the planned hosts.
#[derive(Debug)]
pub struct Deployment {
    /// The address of the database.
    pub database: Source,
    /// The names of the queue's objects.
    pub names: Names,
    /// Those names as flags, for suggested commands.
    pub flags: String,
    /// The role that hosts connect as. `None` means the role of this connection.
    pub role: Option<String>,
    /// How many hosts are planned. `None` means those that are running, or one.
    pub hosts: Option<usize>,
    /// The configured timeout of a host.
    pub heartbeat_timeout: Duration,
    /// How long a transaction may stay open without a finding.
    pub long_transaction: Duration,
    /// How long the configuration keeps rows that jobs leave behind.
    pub retention: Retention,
    /// Where the keys of payloads are.
    pub sealing: SealingSettings,
    /// The folder and what a host would make of it. `None` if none is configured.
    pub plugins: Option<PluginsFolder>,
}

#[derive(Debug)]
pub struct PluginsFolder {
    pub places: Vec<Location>,
    /// What a host would make of its files, or why it cannot be read.
    pub files: Result<Vec<File>, String>,
    /// The plugins for which the configuration has a section.
    pub sections: Vec<String>,
    /// The roles of those that may use the database.
    pub roles: BTreeMap<String, String>,
}
