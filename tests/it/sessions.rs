//! What happens to a host's sessions when something changes beneath them: the database is read-only
//! for a while, tables are altered or created again, passwords are rotated, or the server has no
//! more sessions available.

use std::os::unix::fs::PermissionsExt;

use pgq_host_tests::{CliOutput, Database, Host, Plugins, eventually, pgq_host, run_command};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::process::Command;

/// A role that may do everything in one database, and is dropped with the test.
struct Role {
    name: String,
    place: String,
}

impl Role {
    async fn new(database: &Database, tag: &str, options: &str) -> Role {
        let name = format!("pgq_test_{tag}_{}", std::process::id());
        database.execute(&format!("DROP ROLE IF EXISTS {name}")).await;
        database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'first' {options}")).await;
        for what in ["ALL TABLES", "ALL SEQUENCES"] {
            database.execute(&format!("GRANT ALL ON {what} IN SCHEMA public TO {name}")).await;
        }
        let (_, place) = database.dsn().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        Role { name, place }
    }

    fn dsn(&self, password: &str) -> String {
        format!("postgresql://{}{password}@{}", self.name, self.place)
    }

    async fn gone(self, database: &Database) {
        database.execute(&format!("DROP OWNED BY {}", self.name)).await;
        eventually("its sessions are gone", async || database.execute_ok(&format!("DROP ROLE {}", self.name)).await)
            .await;
    }
}

trait Try {
    async fn execute_ok(&self, sql: &str) -> bool;
}

impl Try for Database {
    async fn execute_ok(&self, sql: &str) -> bool {
        self.pool().execute(AssertSqlSafe(sql.to_owned())).await.is_ok()
    }
}

fn host(dsn: &str, plugins: &Plugins, args: &[&str]) -> Command {
    let mut command = pgq_host(dsn);
    command.arg("run").arg("--plugins").arg(plugins.path()).args(args).env("PGQ_HOST_CONFIG", plugins.config());
    command
}

/// End all sessions of this role or application, and return their number.
async fn cut(database: &Database, whose: &str) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.count(&format!("{sql} AND {whose}")).await
}

#[tokio::test]
async fn sessions_that_were_opened_while_the_database_was_read_only_are_not_kept() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
    let host = Host::start(&database, &plugins, &["--dequeue-timeout", "1"]).await;
    let running = database.enqueue("nap", "6000").await;
    eventually("it has begun", async || host.log().contains("napping")).await;
    // As a fail-over tool does it: read-only, and all sessions closed. Sessions opened now stay
    // read-only.
    database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    cut(&database, "application_name = 'pgq-host' AND state IS NOT NULL AND query NOT LIKE '%pg_terminate%'").await;
    host.wait_for_log("read-only transaction").await;
    // That includes the tests' own sessions, so this one overrides the setting for itself.
    let mut admin = PgConnection::connect(&database.dsn()).await.unwrap();
    admin.execute("SET default_transaction_read_only = off").await.unwrap();
    admin.execute(AssertSqlSafe(format!("ALTER DATABASE {name} RESET default_transaction_read_only"))).await.unwrap();
    admin.close().await.unwrap();
    let after = Database::at(database.dsn()).await;
    after.wait_for(running, "successful").await;
    let id = after.enqueue("echo", "x").await;
    after.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn tables_that_change_under_prepared_statements_stop_nothing() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--dequeue-timeout", "1"]).await;
    for (column, kind) in [("entrypoint", "varchar(300)"), ("payload", "bytea"), ("entrypoint", "text")] {
        let ids = database.enqueue_many("echo", 20, "x").await;
        for id in ids {
            database.wait_for(id, "successful").await;
        }
        database.execute(&format!("ALTER TABLE pgqueuer ALTER COLUMN {column} TYPE {kind}")).await;
    }
    // A prepared statement that no longer exists has the same effect.
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn a_serializable_default_causes_no_conflicts() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
    database.execute(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")).await;
    let args = ["--max-concurrent-tasks", "10", "--batch-size", "10"];
    let hosts = [Host::start(&database, &plugins, &args).await, Host::start(&database, &plugins, &args).await];
    for round in 0..4 {
        let key = format!("key {round}");
        let race = (0..6).map(|_| {
            let mut command = pgq_host(&database.dsn());
            command.args(["queue", "echo", "x", "--dedupe-key", &key, "--on-conflict", "skip"]);
            run_command(command)
        });
        let all: Vec<CliOutput> = futures(race).await;
        assert!(all.iter().all(|said| said.code == 0), "{all:?}");
        database.enqueue_many("echo", 200, "x").await;
    }
    database.wait_until_done().await;
    for host in hosts {
        let log = host.stop().await;
        assert!(!log.contains("could not serialize"), "{log}");
    }
}

async fn futures<T: Send + 'static>(all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    let tasks: Vec<_> = all.map(tokio::spawn).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test]
async fn two_sessions_are_enough_for_a_host() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let role = Role::new(&database, "two", "CONNECTION LIMIT 2").await;
    let host = Host::launch(host(&role.dsn(":first"), &plugins, &["--max-concurrent-tasks", "20"]));
    host.wait_for_log("ready").await;
    let mut ids = database.enqueue_many("echo", 300, "x").await;
    ids.extend(database.enqueue_many("nap", 20, "100").await);
    database.wait_until_done().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, ids.len() as i64);
    let log = host.stop().await;
    assert!(!log.contains("pool timed out"), "{log}");
    role.gone(&database).await;
}

#[tokio::test]
async fn announcements_that_were_dropped_with_their_table_are_repeated_at_once() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let hosts = [Host::start(&database, &plugins, &[]).await, Host::start(&database, &plugins, &[]).await];
    for verb in [&["uninstall", "--yes"][..], &["install"]] {
        let mut command = pgq_host(&database.dsn());
        command.args(verb);
        let said = run_command(command).await;
        assert_eq!(said.code, 0, "{said:?}");
    }
    let installed = std::time::Instant::now();
    let announced = "SELECT count(*) FROM pgqueuer_host WHERE presence IS NOT NULL";
    eventually("both are announced", async || database.count(announced).await == 2).await;
    assert!(installed.elapsed().as_secs() < 20, "{:?}", installed.elapsed());
    let id = Database::at(database.dsn()).await.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test]
async fn a_rotated_password_is_read_for_the_next_session_wherever_it_comes_from() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let role = Role::new(&database, "rotated", "").await;
    let folder = tempfile::tempdir().unwrap();
    let (passfile, secret) = (folder.path().join("passfile"), folder.path().join("secret"));
    let write = |password: &str| {
        std::fs::write(&passfile, format!("*:*:*:{}:{password}\n", role.name)).unwrap();
        std::fs::set_permissions(&passfile, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&secret, format!("{password}\n")).unwrap();
    };
    write("first");
    let print = format!("cat '{}'", secret.display());
    let ways = [
        ("PGPASSFILE", passfile.to_str().unwrap()),
        ("PGQ_HOST_PASSWORD_FILE", secret.to_str().unwrap()),
        ("PGQ_HOST_PASSWORD_COMMAND", &print),
    ];
    let mut hosts = Vec::new();
    for (name, value) in ways {
        let mut command = host(&role.dsn(""), &plugins, &["--dequeue-timeout", "1"]);
        command.env(name, value).env("PGQUEUER_APPLICATION_NAME", name);
        let host = Host::launch(command);
        host.wait_for_log("ready").await;
        hosts.push(host);
    }
    database.execute(&format!("ALTER ROLE {} PASSWORD 'rotated-word'", role.name)).await;
    write("rotated-word");
    assert!(cut(&database, &format!("usename = '{}'", role.name)).await >= 6);
    for (name, _) in ways {
        let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
        eventually(name, async || database.count(&sessions).await >= 2).await;
    }
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    for host in hosts {
        let log = host.stop().await;
        assert!(!log.contains("rotated-word"), "{log}");
    }
    role.gone(&database).await;
}
