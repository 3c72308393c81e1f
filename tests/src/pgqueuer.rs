//! The real PgQueuer as its users have it: installed by pip, in Python.

use std::path::PathBuf;

use tokio::process::Command;

/// The interpreter with PgQueuer 1.6.0: that of `PGQ_PYTHON`, or that of the workspace's `.venv`.
pub fn python() -> PathBuf {
    let in_the_workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.venv/bin/python"));
    let python = std::env::var_os("PGQ_PYTHON").map_or(in_the_workspace, PathBuf::from);
    assert!(
        python.exists(),
        "{} is not there: run `make test`, which makes .venv, or set PGQ_PYTHON to a Python that has pgqueuer 1.6.0",
        python.display()
    );
    python
}

/// A `pgq` command on this database, with PgQueuer's default names whatever the environment says.
pub fn pgq(dsn: &str) -> Command {
    let mut command = Command::new(python());
    command
        .args(["-m", "pgqueuer"])
        .env("PGDSN", dsn)
        .env_remove("PGQUEUER_DSN")
        .env_remove("PGQUEUER_SCHEMA")
        .env_remove("PGQUEUER_PREFIX");
    command.kill_on_drop(true);
    command
}
