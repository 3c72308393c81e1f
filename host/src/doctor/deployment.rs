//! What is looked at, and what it is to be fit for.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::plugins::File;
use pgq_queue::names::Names;

/// A database, a role, a folder and hosts.
#[derive(Debug)]
pub struct Deployment {
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
    pub plugins: Option<PluginsFolder>,
}

#[derive(Debug)]
pub struct PluginsFolder {
    pub folder: PathBuf,
    /// What a host would make of its files, or why it cannot be read.
    pub files: Result<Vec<File>, String>,
    /// The plugins that the configuration has a section for.
    pub sections: Vec<String>,
}
