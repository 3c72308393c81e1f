//! Every supported version of PostgreSQL: a queue is installed, verified, worked on, upgraded and
//! removed. And one that is not supported.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use pgq_embedded as embedded;
use pgq_host_tests::{Database, Host, Plugins, eventually, pgq_host, postgres, run_command};
use tempfile::TempDir;

async fn works_on(major: u32) {
    let Some(programs) = postgres(major).await else { return };
    let home = folder();
    let mut settings =
        embedded::Settings { binaries: Some(programs), ..embedded::Settings::new(home.path().join("postgres")) };
    for (name, value) in [("fsync", "off"), ("full_page_writes", "off")] {
        settings.settings.push((name.into(), value.into()));
    }
    let server = embedded::start(settings).await.unwrap();
    server.create_database_if_missing("jobs").await.unwrap();
    let database = Database::at(server.dsn("jobs")).await;
    assert_eq!(database.count("SELECT current_setting('server_version_num')::bigint / 10000").await, i64::from(major));

    database.cli_ok(&["install", "--durability", "balanced"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    assert_eq!(database.cli_ok(&["upgrade", "--plan", "--json"]).await.json()["planned"], serde_json::json!([]));
    database.cli_ok(&["durability", "durable"]).await;
    database.cli_ok(&["autovac"]).await;
    database.execute("CREATE ROLE worker; CREATE PUBLICATION everything FOR ALL TABLES").await;
    database.cli_ok(&["grant", "worker", "--apply"]).await;
    // What an upgrade has to fix, and the script that does the same without seeing the database.
    for mend in ["verb", "script"] {
        database.execute("DROP INDEX pgqueuer_log_status; ALTER TABLE pgqueuer_attempt REPLICA IDENTITY DEFAULT").await;
        database.execute("DROP TRIGGER tg_pgqueuer_requeued ON pgqueuer; DROP TABLE pgqueuer_tally").await;
        match mend {
            "verb" => drop(database.cli_ok(&["upgrade"]).await),
            _ => sqlx::raw_sql(sqlx::AssertSqlSafe(database.cli_ok(&["sql", "upgrade"]).await.stdout))
                .execute(database.pool())
                .await
                .map(drop)
                .unwrap(),
        }
        database.cli_ok(&["verify", "--expect", "present"]).await;
    }

    let plugins = Plugins::with(&["hostile"]);
    let host = Host::start(&database, &plugins, &["--log-aggregation-interval", "0.2"]).await;
    let (echo, failing) = (database.enqueue("echo", "kept").await, database.enqueue("fail", "no luck").await);
    let limited = database.enqueue("nap_limited", "1").await;
    database.wait_for(echo, "successful").await;
    database.wait_for(limited, "successful").await;
    database.wait_for(failing, "failed").await;
    assert_eq!(database.output(echo).await.as_deref(), Some("kept"));
    eventually("the log is counted", async || {
        database.count("SELECT count(*) FROM pgqueuer_statistics WHERE status = 'failed'").await > 0
    })
    .await;
    for verb in [
        &["failed"][..],
        &["stale"],
        &["workers"],
        &["backlog"],
        &["schedules"],
        &["plugin", "list", "--hosts"],
        &["requeue", "--all"],
    ] {
        database.cli_ok(&[verb, &["--json"]].concat()).await;
    }
    let examined = database.run_cli(&["doctor", "--json"]).await.json();
    // No folder of plugins is named.
    let looked_at = |finding: &serde_json::Value| {
        finding["check"] == "plugins" || !finding["found"].as_str().unwrap().starts_with("not checked")
    };
    assert!(examined.as_array().unwrap().iter().all(looked_at), "{examined}");
    let log = host.stop().await;
    let expected = |line: &str| line.contains("failed for good, held");
    assert!(!log.contains("ERROR ") && log.lines().filter(|line| line.contains(" WARN ")).all(expected), "{log}");

    database.cli_ok(&["uninstall", "--yes"]).await;
    database.cli_ok(&["verify", "--expect", "absent"]).await;
    database.pool().close().await;
    server.stop().await;
}

/// Others may pass through, because the server runs as another user if this is root.
fn folder() -> TempDir {
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap()
}

#[tokio::test]
async fn postgresql_14_works() {
    works_on(14).await;
}

#[tokio::test]
async fn postgresql_15_works() {
    works_on(15).await;
}

#[tokio::test]
async fn postgresql_16_works() {
    works_on(16).await;
}

#[tokio::test]
async fn postgresql_17_works() {
    works_on(17).await;
}

#[tokio::test]
async fn postgresql_18_works() {
    works_on(18).await;
}

/// A server that the embedding refuses to start.
struct Old(Child);

impl Drop for Old {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One of its programs, run as `nobody` if we are root.
fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

#[tokio::test]
async fn postgresql_13_is_refused_by_host_and_verbs() {
    let Some(programs) = postgres(13).await else { return };
    let home = folder();
    let data = home.path().join("data");
    std::fs::create_dir(&data).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&data, Some(65534), Some(65534)).unwrap();
    }
    let made = program(&programs.join("initdb"))
        .args(["--auth=trust", "--username=postgres", "--no-sync", "-D"])
        .arg(&data)
        .status();
    assert!(made.unwrap().success());
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut postgres = program(&programs.join("postgres"));
    postgres.args([
        "-p",
        &port.to_string(),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories=",
        "-c",
        "fsync=off",
        "-D",
    ]);
    let _server = Old(postgres.arg(&data).spawn().unwrap());
    let dsn = format!("postgresql://postgres@127.0.0.1:{port}/postgres");
    eventually("it answers", async || {
        let connection = <sqlx::PgConnection as sqlx::Connection>::connect(&dsn).await;
        connection.is_ok()
    })
    .await;
    let refused = "the server is PostgreSQL 13, and pgq-host needs PostgreSQL 14 or later";
    for args in [
        &["install"][..],
        &["verify", "--expect", "present"],
        &["upgrade"],
        &["queue", "work"],
        &["run", "--plugins", "/tmp"],
    ] {
        let mut command = pgq_host(&dsn);
        command.args(args);
        let said = run_command(command).await;
        assert!(said.code == 1 && said.stderr.contains(refused), "{args:?}: {said:?}");
    }
    let mut doctor = pgq_host(&dsn);
    doctor.args(["doctor", "--json"]);
    let examined = run_command(doctor).await;
    let server =
        examined.json().as_array().unwrap().iter().find(|finding| finding["check"] == "server").cloned().unwrap();
    assert!(
        examined.code == 1
            && server["severity"] == "error"
            && server["remedy"].to_string().contains("PostgreSQL 14 or later"),
        "{server}"
    );
}
