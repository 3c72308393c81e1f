//! Errors of the embedded server. Each names the object, the cause and the remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded PostgreSQL server did not start, stop or answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    #[error("no usable PostgreSQL server was found ({looked}); {remedy}")]
    NoServer { looked: String, remedy: String },

    #[error("{origin} says the PostgreSQL server is in {}, but {reason}; point it at a folder that contains postgres and initdb", dir.display())]
    BadBinaries { origin: &'static str, dir: PathBuf, reason: String },

    #[error(
        "the data in {} was created by PostgreSQL {made_by}, but the server found is {found}; install PostgreSQL {made_by}, or set \
         PGQ_HOST_PG_BIN to the folder of its programs, or move that folder away to start with an empty database",
        data.display()
    )]
    OtherMajor { data: PathBuf, made_by: u32, found: String },

    #[error("downloading {package} failed: {reason}; {remedy}")]
    Download { package: String, reason: String, remedy: String },

    #[error(
        "the database in {} is in use by process {pid}; stop that process (kill {pid}) or choose another data folder",
        data_dir.display()
    )]
    InUse { data_dir: PathBuf, pid: String },

    #[error(
        "PostgreSQL with process id {pid} runs on {} and {state}; wait for it, or end it with: kill -INT {pid}",
        data.display()
    )]
    Stuck { data: PathBuf, pid: i32, state: String },

    #[error("port {port} on 127.0.0.1 is taken; free it, choose another port, or omit the port to use any free one")]
    PortTaken { port: u16 },

    #[error("the data folder {} cannot be used: {reason}", path.display())]
    Folder { path: PathBuf, reason: String },

    #[error("initdb could not create a database in {} ({status}): {output}", data.display())]
    Initdb { data: PathBuf, status: String, output: String },

    #[error("PostgreSQL on {} did not start ({status}); its log {} ends with:\n{tail}", data.display(), log.display())]
    Start { data: PathBuf, status: String, log: PathBuf, tail: String },

    #[error(
        "PostgreSQL on {} rejected the stored password; delete {} and start again to set a new one",
        data.display(), password.display()
    )]
    Password { data: PathBuf, password: PathBuf },

    #[error("{database:?} is not a valid name for a database: {reason}")]
    DatabaseName { database: String, reason: &'static str },

    #[error("{doing} on the embedded server failed")]
    Sql {
        doing: String,
        #[source]
        source: sqlx::Error,
    },

    #[error("cannot {doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl EmbeddedError {
    /// For `map_err`: what was being done to which path.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// For `map_err`: which request to the server failed.
    pub(super) fn sql(doing: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Sql { doing, source }
    }
}
