//! A primary server and a standby that follows it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use pgq_embedded::{self as embedded, Server, Settings};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use crate::eventually;

pub struct Replicated {
    pub primary: Server,
    pub standby: Server,
    _folder: TempDir,
}

fn settings(home: &Path) -> Settings {
    let mut settings = Settings::new(home);
    for (name, value) in [
        ("fsync", "off"),
        ("wal_level", "replica"),
        ("max_wal_senders", "8"),
        ("wal_keep_size", "512MB"),
        ("hot_standby", "on"),
        ("wal_receiver_status_interval", "1"),
    ] {
        settings.settings.push((name.into(), value.into()));
    }
    settings
}

impl Replicated {
    /// Every commit on the primary waits until the standby has it.
    pub async fn start() -> Replicated {
        let folder =
            tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o711)).tempdir().expect("a folder");
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let primary = embedded::start(settings(&first)).await.expect("a primary");
        copy(&primary, &second).await;
        let standby = embedded::start(settings(&second)).await.expect("a standby");
        let replicated = Replicated { primary, standby, _folder: folder };
        let mut connection = replicated.connect(&replicated.primary).await;
        for setting in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
            connection.execute(setting).await.expect("set");
        }
        eventually("the standby is synchronous", async || {
            let sync = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            sqlx::query_scalar::<_, i64>(sync).fetch_one(&mut connection).await.expect("a count") == 1
        })
        .await;
        replicated
    }

    pub async fn connect(&self, server: &Server) -> PgConnection {
        PgConnection::connect(&server.dsn("postgres")).await.expect("it answers")
    }

    /// Both, in this order, with this in the query of the DSN.
    pub fn dsn(&self, more: &str) -> String {
        let dsn = self.primary.dsn("postgres");
        let port = self.primary.port();
        dsn.replace(&format!(":{port}/"), &format!(":{port},127.0.0.1:{}/", self.standby.port())) + "?" + more
    }

    /// End the primary at once, without a word.
    pub async fn kill_primary(&self) {
        let pid = Pid::from_raw(self.primary.pid()).expect("a process");
        kill_process(pid, Signal::KILL).expect("it runs");
        self.primary.ended().await;
    }

    /// The standby has all of the primary's, and becomes one.
    pub async fn promote_standby(&self) {
        let mut connection = self.connect(&self.standby).await;
        connection.execute(AssertSqlSafe("SELECT pg_promote(true, 60)".to_owned())).await.expect("promoted");
        // It waits for nobody.
        let sync: String =
            sqlx::query_scalar("SHOW synchronous_standby_names").fetch_one(&mut connection).await.expect("a setting");
        if !sync.is_empty() {
            for setting in ["ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"] {
                connection.execute(setting).await.expect("set");
            }
        }
    }
}

/// A copy of the server's cluster in a new folder, set up to follow it, with its password.
async fn copy(server: &Server, home: &Path) {
    let from = server.data_dir().to_owned();
    let password = fs::read_to_string(from.join("password")).expect("a password");
    let owner = fs::metadata(from.join("data")).expect("a cluster");
    fs::create_dir(home).expect("a folder");
    fs::write(home.join("password"), &password).expect("written");
    let data = home.join("data");
    fs::create_dir(&data).expect("a folder");
    chown(&data, Some(owner.uid()), Some(owner.gid())).expect("given to the server's user");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("set");
    let mut command = std::process::Command::new(program(server));
    command
        .args(["-h", "127.0.0.1", "-U", "pgq", "-R", "-X", "stream", "-c", "fast", "-p"])
        .arg(server.port().to_string());
    command.arg("-D").arg(&data).current_dir(&data).env("PGPASSWORD", password.trim());
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.expect("pg_basebackup runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `pg_basebackup` of the same installation.
fn program(server: &Server) -> PathBuf {
    let running = fs::read_link(format!("/proc/{}/exe", server.pid())).expect("a running server");
    running.with_file_name("pg_basebackup")
}
