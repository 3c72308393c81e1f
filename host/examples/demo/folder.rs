//! The demo's own folder: configuration, database, log and samples. The demo writes nowhere else.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::stock::ROLE;

const FOLDER: &str = ".pgq-host/demo";

pub(crate) struct Folder {
    path: PathBuf,
    /// The host's standard error. It is locked, and the lock lasts until the last process that has
    /// it open ends, including the host.
    log: File,
}

impl Folder {
    /// Create or empty it. The database is kept, because `pgq-host dev` starts an existing one much
    /// faster.
    pub(crate) fn open() -> anyhow::Result<Folder> {
        let path = PathBuf::from(FOLDER);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {FOLDER}"))?;
        let name = path.join("host.log");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&name)
            .with_context(|| format!("cannot write {}", name.display()))?;
        if log.try_lock().is_err() {
            bail!("a demo is running in {FOLDER}, or is still stopping; end it first");
        }
        log.set_len(0)?;
        let folder = Folder { path, log };
        for stale in [folder.samples(), folder.config(), folder.dsn()] {
            remove(&stale).with_context(|| format!("cannot remove {}", stale.display()))?;
        }
        fs::create_dir(folder.samples())?;
        Ok(folder)
    }

    /// The grants that the demo needs: the webhook plugin may send requests to our receiver, and to no
    /// other address; the stock plugin may use the database as a role that sees one table.
    pub(crate) fn write_config(&self, origin: &str, password: &str) -> anyhow::Result<()> {
        let secret = std::path::absolute(self.path.join("stock-password"))?;
        fs::write(&secret, password).with_context(|| format!("cannot write {}", secret.display()))?;
        let text = format!(
            "# What the demo grants. Without it the webhook plugin has no network at all, and the stock plugin no database.\n\
             [plugins.webhook]\nhttp = [\"{origin}\"]\n\
             [plugins.stock]\nenqueue = [\"reorder\"]\n\
             [plugins.stock.sql]\nrole = \"{ROLE}\"\npassword = {{ file = {secret:?} }}\n"
        );
        fs::write(self.config(), text).with_context(|| format!("cannot write {}", self.config().display()))
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("pgq-host.toml")
    }

    /// The value of `--data-dir`.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("database")
    }

    /// The file in which `pgq-host dev` says how to connect.
    pub(crate) fn dsn(&self) -> PathBuf {
        self.database().join("dsn")
    }

    pub(crate) fn samples(&self) -> PathBuf {
        self.path.join("output")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("host.log")
    }

    /// The log as another process's standard error.
    pub(crate) fn log_file(&self) -> std::io::Result<File> {
        self.log.try_clone()
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
