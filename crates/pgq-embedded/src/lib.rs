//! The embedded PostgreSQL of `pgq-host dev`: a private server in a folder of the project, kept
//! between runs.
//!
//! It never listens beyond 127.0.0.1, never runs as root, never outlives us unnoticed (on Linux:
//! never at all), never shares its folder with a second process, and never touches a database that
//! it did not create.

use std::fmt;
use std::path::{Path, PathBuf};

mod binaries;
mod cluster;
mod downloads;
mod error;
mod fallback_dir;
mod folder;
mod launch;
mod lock;
mod log;
mod pidfile;
mod process;
mod session;
mod takeover;
mod user;

pub use self::error::EmbeddedError;

use self::folder::Folder;
use self::process::Process;

/// The user's choices.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Contains the data, the password and the log. It is created if it is missing. If root starts
    /// the server and an unprivileged user cannot enter it, a fallback is used: see
    /// [`Server::data_dir`].
    pub data_dir: PathBuf,
    /// Use exactly this port. `None` means that of the last run, or a free one.
    pub port: Option<u16>,
    /// The folder of `postgres` and `initdb`. `None` searches `PGQ_HOST_PG_BIN`, `PATH` and the
    /// folders of packages, and then downloads.
    pub binaries: Option<PathBuf>,
    /// Server settings, which take precedence over our defaults.
    pub settings: Vec<(String, String)>,
}

impl Settings {
    /// All defaults, in this folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), port: None, binaries: None, settings: Vec::new() }
    }

    /// Without fsync, syncing initdb's files is pointless.
    fn is_synced(&self) -> bool {
        let last = self.settings.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case("fsync"));
        last.is_none_or(|(_, value)| !["off", "false", "no", "0"].contains(&value.to_ascii_lowercase().as_str()))
    }
}

/// A running server. If it is dropped without [`Server::stop`], it is told to stop, but nobody
/// waits for it.
pub struct Server {
    process: Process,
    port: u16,
    password: String,
    log_keeper: tokio::task::JoinHandle<()>,
    folder: Folder,
}

/// Start the server of this folder, or take over the one that is still running there. It answers
/// when this returns.
///
/// # Errors
///
/// Fails if no server is found or can be downloaded, if the folder or the port is in use, or if the
/// server does not start.
pub async fn start(settings: Settings) -> Result<Server, EmbeddedError> {
    let (folder, user) = Folder::open(&settings.data_dir)?;
    let (password, is_new) = folder.password()?;
    let kept = (!is_new).then_some(password.as_str());
    let running = takeover::find(&folder, kept, settings.port).await?;
    let (process, port) = match running {
        Some(running) => running,
        None => {
            let made_by = cluster::made_by(&folder.data())?;
            let binaries = binaries::find(settings.binaries.as_deref(), made_by, &folder.data(), &user).await?;
            cluster::prepare(&folder, &user, &binaries, &password, is_new, settings.is_synced()).await?;
            launch::launch(&folder, &user, &binaries, &password, settings.port, &settings.settings).await?
        }
    };
    folder.keep_port(port);
    let taken_over = process.is_adopted();
    tracing::info!(data_dir = %folder.path().display(), port, pid = process.pid(), taken_over, "the embedded PostgreSQL accepts connections");
    let log_keeper = log::keep_bounded(folder.log());
    Ok(Server { process, port, password, log_keeper, folder })
}

impl Server {
    /// The address of a database as its superuser. It contains the password, so do not log it.
    pub fn dsn(&self, database: &str) -> String {
        session::dsn(self.port, &self.password, database)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder in use, which may be a fallback for the requested one.
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The server's log, which is in the folder and limited in size.
    pub fn log_file(&self) -> PathBuf {
        self.folder.log()
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Whether an earlier run left this server running. Then it has that run's settings.
    pub fn taken_over(&self) -> bool {
        self.process.is_adopted()
    }

    /// Create a database unless one of this name exists.
    ///
    /// # Errors
    ///
    /// Fails if the name is invalid or the server does not answer.
    pub async fn create_database_if_missing(&self, name: &str) -> Result<(), EmbeddedError> {
        session::create_database_if_missing(self.port, &self.password, name).await
    }

    /// Wait for an unexpected end (somebody killed it, or the disk is full). Returns how it ended,
    /// with the end of its log.
    pub async fn ended(&self) -> String {
        let how = self.process.ended().await;
        format!(
            "PostgreSQL ended ({how}); its log {} ends with:\n{}",
            self.folder.log().display(),
            log::tail(&self.folder.log(), 0)
        )
    }

    /// Fast shutdown: closes connections, keeps everything that was committed, and returns when the
    /// server has ended.
    pub async fn stop(self) {
        if !self.process.stop().await {
            tracing::warn!(
                pid = self.process.pid(),
                "the embedded PostgreSQL did not stop and was killed; the next start recovers"
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.log_keeper.abort();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Server");
        debug
            .field("data_dir", &self.data_dir())
            .field("port", &self.port)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
