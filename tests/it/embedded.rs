//! The embedded PostgreSQL, with every way in which a process on a developer's machine ends:
//! stopped, killed, killed half-way, started twice.
//!
//! Each test creates its cluster in its own folder. A process that has to die is this test binary,
//! run again as [`child`].

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use pgq_embedded::{self as embedded, EmbeddedError, Server, Settings};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Names the folder in which [`child`] starts a server.
const CHILD: &str = "PGQ_TEST_EMBEDDED_CHILD";

/// For events that come at once or not at all.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn data_port_and_password_survive_a_restart() {
    let home = folder();
    let server = start(home.path()).await;
    server.create_database_if_missing("jobs").await.expect("a database");
    server.create_database_if_missing("jobs").await.expect("the same database");
    server.create_database_if_missing("Ünusual \"name\"").await.expect("a database");
    remember(&server, "jobs", 7).await;
    let (dsn, pid) = (server.dsn("jobs"), server.pid());
    server.stop().await;
    assert!(is_gone(pid), "stop returns when the server is gone");

    let begun = Instant::now();
    let server = start(home.path()).await;
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "an existing cluster starts in well under a second: {:?}",
        begun.elapsed()
    );
    assert!(!server.taken_over());
    assert_eq!(server.dsn("jobs"), dsn);
    assert_eq!(remembered(&server, "jobs").await, 7);
    let mut odd = PgConnection::connect(&server.dsn("Ünusual \"name\""))
        .await
        .expect("a connection to a name that needs escaping");
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut odd).await.expect("an answer");
    assert_eq!(name, "Ünusual \"name\"");
    // A client that stays connected does not delay the stop.
    server.stop().await;
}

#[tokio::test]
async fn a_server_is_private_and_configured() {
    let home = folder();
    let server = start(home.path()).await;
    let mut connection = PgConnection::connect(&server.dsn("postgres")).await.expect("a connection");
    for (name, wanted) in [
        ("listen_addresses", "127.0.0.1"),
        ("jit", "off"),
        ("fsync", "off"),
        ("wal_level", "minimal"),
        ("lc_collate", "C"),
    ] {
        let value: String = sqlx::query_scalar(
            "SELECT COALESCE(current_setting($1, true), (SELECT datcollate FROM pg_database LIMIT 1))",
        )
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .expect("an answer");
        assert_eq!(value, wanted, "{name}");
    }
    let is_superuser: bool =
        sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user AND rolname = 'pgq'")
            .fetch_one(&mut connection)
            .await
            .expect("an answer");
    assert!(is_superuser);
    let address = format!("postgresql://pgq:wrong@127.0.0.1:{}/postgres", server.port());
    let refused = PgConnection::connect(&address).await.expect_err("a wrong password").to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");

    assert_eq!(mode(&home.path().join("password")), 0o600);
    assert_eq!(mode(&home.path().join("data")), 0o700);
    assert_eq!(fs::read_to_string(home.path().join(".gitignore")).expect("a file"), "*\n");
    assert!(
        home.path().join("data").join(format!(".s.PGSQL.{}", server.port())).exists(),
        "the socket lies with the data"
    );
    let password = fs::read_to_string(home.path().join("password")).expect("a file");
    assert!(!format!("{server:?}").contains(&password));
    assert_ne!(uid_of(server.pid()), 0, "PostgreSQL never runs as root");
    server.stop().await;
}

#[tokio::test]
async fn a_killed_host_leaves_no_server_and_loses_nothing() {
    let home = folder();
    let server = start(home.path()).await;
    remember(&server, "postgres", 1).await;
    server.stop().await;
    let mut host = Host::start(home.path(), |_| {});
    host.kill();
    wait_until_gone(host.server);
    let server = start(home.path()).await;
    assert!(!server.taken_over());
    assert_eq!(remembered(&server, "postgres").await, 1);
    let log = fs::read_to_string(server.log_file()).expect("a log");
    assert!(!log.contains("not properly shut down"), "the kernel asked for a proper shutdown:\n{log}");
    server.stop().await;
}

/// The start happens while the old server still runs, has been told to stop, or is stopping.
#[tokio::test]
async fn a_host_can_start_right_after_another_was_killed() {
    let home = folder();
    for _ in 0..4 {
        let mut host = Host::start(home.path(), |_| {});
        host.kill();
        let server = start(home.path()).await;
        assert!(!server.taken_over(), "that server was about to go");
        remember(&server, "postgres", 2).await;
        assert_eq!(remembered(&server, "postgres").await, 2);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_recovers() {
    let home = folder();
    let server = start(home.path()).await;
    remember(&server, "postgres", 3).await;
    signal("KILL", server.pid());
    let how = tokio::time::timeout(PATIENCE, server.ended()).await.expect("noticed");
    assert!(how.contains("signal: 9"), "{how}");
    drop(server);
    let server = start(home.path()).await;
    assert_eq!(remembered(&server, "postgres").await, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_second_host_on_one_folder_is_refused() {
    let home = folder();
    let host = Host::start(home.path(), |_| {});
    let refused = embedded::start(settings(home.path())).await.expect_err("it is in use");
    assert!(matches!(&refused, EmbeddedError::InUse { pid, .. } if *pid == host.process.id().to_string()), "{refused}");
    host.stop();
    start(home.path()).await.stop().await;
}

#[tokio::test]
async fn a_dropped_server_stops_and_can_be_started_again() {
    let home = folder();
    let server = start(home.path()).await;
    let pid = server.pid();
    drop(server);
    let server = start(home.path()).await;
    assert!(is_gone(pid) && !server.taken_over());
    server.stop().await;
}

#[tokio::test]
async fn stale_pid_files_are_no_obstacle() {
    let home = folder();
    start(home.path()).await.stop().await;
    let mut dead = Command::new("true").spawn().expect("a process");
    dead.wait().expect("it ends");
    let data = home.path().join("data");
    for pid in [dead.id(), std::process::id()] {
        fs::write(data.join("postmaster.pid"), stale(pid, &data)).expect("written");
        start(home.path()).await.stop().await;
    }
}

#[tokio::test]
async fn a_half_finished_initdb_is_started_over() {
    let home = folder();
    let cancelled = tokio::time::timeout(Duration::from_millis(300), embedded::start(settings(home.path()))).await;
    assert!(cancelled.is_err(), "initdb takes longer than that");
    fs::create_dir_all(home.path().join(".initdb-1/data/base")).expect("a leftover");
    fs::create_dir_all(home.path().join("data")).expect("an empty folder");
    let server = start(home.path()).await;
    assert!(!home.path().join(".initdb-1").exists());
    server.stop().await;
}

#[tokio::test]
async fn another_major_version_is_refused_by_name() {
    let home = folder();
    start(home.path()).await.stop().await;
    let version = home.path().join("data/PG_VERSION");
    let made_by = fs::read_to_string(&version).expect("a version");
    fs::write(&version, "13\n").expect("written");
    let refused = embedded::start(settings(home.path())).await.expect_err("13 is not served").to_string();
    assert!(refused.contains("created by PostgreSQL 13") && refused.contains("PGQ_HOST_PG_BIN"), "{refused}");
    fs::write(&version, made_by).expect("written");
    start(home.path()).await.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_only_when_asked_for() {
    let home = folder();
    let server = start(home.path()).await;
    let port = server.port();
    server.stop().await;
    let taken = TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
    let refused =
        embedded::start(Settings { port: Some(port), ..settings(home.path()) }).await.expect_err("the port is taken");
    assert!(matches!(refused, EmbeddedError::PortTaken { port: p } if p == port), "{refused}");
    let server = start(home.path()).await;
    assert_ne!(server.port(), port);
    server.stop().await;
    drop(taken);
    let server = embedded::start(Settings { port: Some(port), ..settings(home.path()) }).await.expect("a server");
    assert_eq!(server.port(), port);
    server.stop().await;
}

#[tokio::test]
async fn a_server_left_running_is_taken_over() {
    let home = folder();
    let server = start(home.path()).await;
    remember(&server, "postgres", 4).await;
    let (port, program) = (server.port(), fs::read_link(format!("/proc/{}/exe", server.pid())).expect("a program"));
    server.stop().await;

    let mut orphan = orphan(&program, home.path(), port);
    let server = wait_for_orphan(home.path(), &orphan).await;
    assert_eq!(remembered(&server, "postgres").await, 4);
    server.stop().await;
    assert!(orphan.wait().expect("it ended").success());

    // With another port requested, it cannot be taken over as it is.
    let mut orphan = self::orphan(&program, home.path(), port);
    wait_until_ready(home.path(), &orphan);
    let reaper = std::thread::spawn(move || orphan.wait());
    let other = TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("an address").port();
    let server = embedded::start(Settings { port: Some(other), ..settings(home.path()) }).await.expect("a server");
    assert!(!server.taken_over() && server.port() == other);
    assert_eq!(remembered(&server, "postgres").await, 4);
    assert!(reaper.join().expect("joined").expect("it ended").success());
    server.stop().await;
}

#[tokio::test]
async fn a_lost_password_is_replaced() {
    let home = folder();
    let server = start(home.path()).await;
    remember(&server, "postgres", 5).await;
    let before = server.dsn("postgres");
    server.stop().await;
    fs::remove_file(home.path().join("password")).expect("removed");
    let server = start(home.path()).await;
    assert_ne!(server.dsn("postgres"), before);
    assert_eq!(remembered(&server, "postgres").await, 5);
    server.stop().await;

    fs::write(home.path().join("password"), "0".repeat(64)).expect("written");
    let refused = embedded::start(settings(home.path())).await.expect_err("another's password").to_string();
    assert!(refused.contains("delete") && refused.contains("password"), "{refused}");
    fs::remove_file(home.path().join("password")).expect("removed");
    start(home.path()).await.stop().await;
}

#[tokio::test]
async fn a_start_that_fails_shows_the_servers_words() {
    let home = folder();
    let mut wrong = settings(home.path());
    wrong.settings.push(("shared_buffers".into(), "plenty".into()));
    let failed = embedded::start(wrong).await.expect_err("no such size").to_string();
    assert!(
        failed.contains("invalid value for parameter \"shared_buffers\"") && failed.contains("server.log"),
        "{failed}"
    );
    let missing = Settings { binaries: Some("/nonexistent".into()), ..settings(home.path()) };
    let failed = embedded::start(missing).await.expect_err("no such folder").to_string();
    assert!(failed.contains("/nonexistent"), "{failed}");
    start(home.path()).await.stop().await;
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_does_without() {
    let home = folder();
    let deep = home.path().join("d".repeat(100));
    let server = start(&deep).await;
    let mut connection = PgConnection::connect(&server.dsn("postgres")).await.expect("a connection");
    let sockets: String =
        sqlx::query_scalar("SHOW unix_socket_directories").fetch_one(&mut connection).await.expect("an answer");
    assert_eq!(sockets, "");
    server.stop().await;
}

/// A project in root's home, which PostgreSQL's user cannot enter.
#[tokio::test]
async fn root_in_a_closed_folder_gets_a_fallback() {
    let closed = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().expect("a folder");
    if fs::metadata(closed.path()).expect("a folder").uid() != 0 {
        return;
    }
    let wanted = closed.path().join("project/.pgq-host");
    let server = start(&wanted).await;
    let used = server.data_dir().to_owned();
    assert!(!used.starts_with(closed.path()), "{}", used.display());
    remember(&server, "postgres", 6).await;
    server.stop().await;
    let server = start(&wanted).await;
    assert_eq!(server.data_dir(), used);
    assert_eq!(remembered(&server, "postgres").await, 6);
    server.stop().await;
    fs::remove_dir_all(used).expect("removed");
}

/// All of the above as an ordinary user, if this runs as root.
#[tokio::test]
async fn an_ordinary_user_needs_no_root() {
    let home = folder();
    if fs::metadata(home.path()).expect("a folder").uid() != 0 {
        return;
    }
    let nobody = 65534;
    std::os::unix::fs::chown(home.path(), Some(nobody), Some(nobody)).expect("given away");
    let as_nobody = |command: &mut Command| {
        command.uid(nobody).gid(nobody);
    };
    let mut host = Host::start(home.path(), as_nobody);
    assert_eq!(uid_of(host.server), nobody);
    host.kill();
    wait_until_gone(host.server);
    // A live process of the same user has the old server's id. The server itself would refuse to
    // start.
    let mut stranger = Command::new("sleep").arg("600").uid(nobody).spawn().expect("a process");
    let data = home.path().join("data");
    fs::write(data.join("postmaster.pid"), stale(stranger.id(), &data)).expect("written");
    Host::start(home.path(), as_nobody).stop();
    stranger.kill().expect("killed");
    stranger.wait().expect("reaped");
    // Root continues as the owner of the existing files.
    let server = start(home.path()).await;
    assert_eq!(uid_of(server.pid()), nobody);
    server.stop().await;
}

/// Not a test, but the process that tests kill. Starts a server, prints its id, and stops the
/// server when its standard input ends.
#[tokio::test]
#[ignore = "run by the tests above"]
async fn child() {
    let Some(home) = std::env::var_os(CHILD) else { return };
    let server = start(Path::new(&home)).await;
    // Written directly, because the harness captures what the print macros write.
    writeln!(std::io::stdout(), "\nserver {}", server.pid()).expect("written");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.expect("joined").expect("read");
    server.stop().await;
}

struct Host {
    process: Child,
    stdin: Option<ChildStdin>,
    server: i32,
}

impl Host {
    fn start(home: &Path, prepare: impl Fn(&mut Command)) -> Self {
        let name = format!("{}::child", module_path!());
        let name = name.split_once("::").expect("a crate and a path").1;
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", name, "--include-ignored", "--nocapture"]).env(CHILD, home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        let mut process = command.spawn().expect("a process");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let server = lines
            .by_ref()
            .find_map(|line| line.ok()?.strip_prefix("server ")?.parse().ok())
            .expect("the child's server");
        // Keep reading, or the child's harness fails on a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { stdin: process.stdin.take(), process, server }
    }

    fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
    }

    fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.process.wait().expect("reaped").success());
        assert!(is_gone(self.server));
    }
}

/// Does nothing after a passing test. After a failing one, it leaves no process behind.
impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("pgq-embedded-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("a folder")
}

fn settings(home: &Path) -> Settings {
    Settings { settings: vec![("fsync".into(), "off".into())], ..Settings::new(home) }
}

async fn start(home: &Path) -> Server {
    embedded::start(settings(home)).await.expect("a server")
}

async fn remember(server: &Server, database: &str, value: i32) {
    let mut connection = PgConnection::connect(&server.dsn(database)).await.expect("a connection");
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS remembered (value int)").execute(&mut connection).await.expect("a table");
    sqlx::query("INSERT INTO remembered VALUES ($1)").bind(value).execute(&mut connection).await.expect("a row");
    connection.close().await.expect("closed");
}

async fn remembered(server: &Server, database: &str) -> i32 {
    let mut connection = PgConnection::connect(&server.dsn(database)).await.expect("a connection");
    sqlx::query_scalar("SELECT value FROM remembered LIMIT 1").fetch_one(&mut connection).await.expect("a row")
}

/// A server on this cluster that was started by hand.
fn orphan(program: &Path, home: &Path, port: u16) -> Child {
    let data = home.join("data");
    let owner = fs::metadata(&data).expect("a cluster");
    let mut command = Command::new(program);
    command.arg("-D").arg(&data).args([
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
        "-p",
        &port.to_string(),
    ]);
    command.uid(owner.uid()).gid(owner.gid()).current_dir("/").stderr(Stdio::null()).spawn().expect("a server")
}

fn wait_until_ready(home: &Path, orphan: &Child) {
    let file = home.join("data/postmaster.pid");
    let is_ready = || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        text.starts_with(&format!("{}\n", orphan.id()))
            && text.lines().nth(7).is_some_and(|status| status.trim() == "ready")
    };
    wait_until(is_ready, "the orphan is ready");
}

async fn wait_for_orphan(home: &Path, orphan: &Child) -> Server {
    wait_until_ready(home, orphan);
    let server = start(home).await;
    assert!(server.taken_over());
    assert_eq!(u32::try_from(server.pid()), Ok(orphan.id()));
    server
}

fn stale(pid: u32, data: &Path) -> String {
    format!("{pid}\n{}\n1700000000\n5432\n\n127.0.0.1\n\nready   \n", data.display())
}

fn signal(name: &str, pid: i32) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("kill").success());
}

fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| matches!(rest.trim_start().chars().next(), None | Some('Z' | 'X')))
}

fn wait_until_gone(pid: i32) {
    wait_until(|| is_gone(pid), "the server is gone");
}

fn wait_until(condition: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn uid_of(pid: i32) -> u32 {
    fs::metadata(PathBuf::from(format!("/proc/{pid}"))).expect("a process").uid()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}
