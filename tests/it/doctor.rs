//! `doctor` on a sound set-up and on broken ones, each on a real PostgreSQL: it finds what is
//! wrong, and suggests a fix.

use std::path::Path;

use pgq_embedded::{self as embedded, Server};
use pgq_host_tests::{CliOutput, Database, Host, Plugins, eventually, everything, pgq, pgq_host, run_command};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use tempfile::TempDir;
use tokio::process::Command;

/// The output of `doctor`.
#[derive(Debug)]
struct Examined {
    code: i32,
    findings: Vec<Value>,
}

impl Examined {
    /// The only finding of this check and severity with this text.
    fn finding(&self, check: &str, severity: &str, text: &str) -> &Value {
        let is_it = |finding: &&Value| {
            finding["check"] == check
                && finding["severity"] == severity
                && finding["found"].as_str().unwrap().contains(text)
        };
        self.findings.iter().find(is_it).unwrap_or_else(|| panic!("no {severity} of {check} says {text:?}:\n{self:#?}"))
    }

    /// The same for an error, which must have made the command fail.
    fn error(&self, check: &str, text: &str) -> &Value {
        assert_eq!(self.code, 1, "{self:#?}");
        self.finding(check, "error", text)
    }

    fn severities(&self, check: &str) -> Vec<&str> {
        self.findings
            .iter()
            .filter(|finding| finding["check"] == check)
            .map(|finding| finding["severity"].as_str().unwrap())
            .collect()
    }
}

fn remedy(finding: &Value) -> &str {
    finding["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {finding}"))
}

async fn examine(dsn: &str, args: &[&str]) -> Examined {
    let mut command: Command = pgq_host(dsn);
    command.args(["doctor", "--json"]).args(args).env_remove("PGQ_HOST_PLUGINS").current_dir(std::env::temp_dir());
    let CliOutput { code, stdout, stderr } = run_command(command).await;
    let findings = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    Examined { code, findings }
}

/// A role with the login privilege only, and the DSN that it connects with. It lasts as long as the
/// test's server, or until [`Role::gone`].
struct Role {
    name: String,
    dsn: String,
}

impl Role {
    async fn new(database: &Database, tag: &str) -> Role {
        let name = format!("pgq_doctor_{tag}_{}", std::process::id());
        database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'pw'")).await;
        let dsn = database.dsn();
        let (_, place) = dsn.rsplit_once('@').unwrap();
        Role { dsn: format!("postgresql://{name}:pw@{place}"), name }
    }

    async fn granted(database: &Database, tag: &str) -> Role {
        let role = Role::new(database, tag).await;
        database.cli_ok(&["grant", "--apply", &role.name]).await;
        role
    }

    /// The server ends a session some time after its client has closed it, and counts it until
    /// then.
    async fn idle(&self, database: &Database) {
        let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", self.name);
        eventually("its sessions have ended", async || database.count(&sessions).await == 0).await;
    }

    async fn gone(self, database: &Database) {
        self.idle(database).await;
        database.execute(&format!("DROP OWNED BY {}", self.name)).await;
        database.execute(&format!("DROP ROLE {}", self.name)).await;
    }
}

/// A server of the test's own, with fsync on, as in production.
async fn server(folder: &Path, settings: &[(&str, &str)]) -> Server {
    let mut all = embedded::Settings::new(folder.join("postgres"));
    for (name, value) in
        [("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")].iter().chain(settings)
    {
        all.settings.push(((*name).into(), (*value).into()));
    }
    embedded::start(all).await.unwrap()
}

async fn database(server: &Server) -> Database {
    server.create_database_if_missing("jobs").await.unwrap();
    let database = Database::at(server.dsn("jobs")).await;
    database.install().await;
    database
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_sound_set_up_is_found_sound_and_left_as_it_was() {
    let home = folder();
    let server = server(home.path(), &[]).await;
    let (database, plugins) = (database(&server).await, Plugins::with(&["hostile"]));
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    database.cli_ok(&["autovac"]).await;
    let role = Role::granted(&database, "sound").await;
    let before = everything(&mut database.connect().await, "public").await;
    let config = plugins.config();
    let args = ["--strict", "--plugins", plugins.path().to_str().unwrap(), "--config", config.to_str().unwrap()];
    let examined = examine(&role.dsn, &args).await;
    assert_eq!(examined.code, 0, "{examined:#?}");
    assert!(examined.findings.iter().all(|finding| finding["severity"] == "ok"), "{examined:#?}");
    let checks: Vec<&str> = examined.findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert_eq!(
        checks,
        [
            "connection",
            "pooling",
            "server",
            "schema",
            "privileges",
            "settings",
            "timeouts",
            "autovacuum",
            "retention",
            "publications",
            "transactions",
            "connections",
            "clock",
            "schedules",
            "listener",
            "hosts",
            "entrypoints",
            "heartbeats",
            "plugins"
        ]
    );
    assert_eq!(everything(&mut database.connect().await, "public").await, before);
    for table in ["pgqueuer", "pgqueuer_log", "pgqueuer_host"] {
        assert_eq!(database.count(&format!("SELECT count(*) FROM {table}")).await, 0);
    }
    eventually("its sessions are gone", async || {
        database.count(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}'", role.name)).await == 0
    })
    .await;

    // The same as text. A host of that role runs beside it and is found.
    let mut command = pgq_host(&role.dsn);
    command.arg("run").arg("--plugins").arg(plugins.path()).env("PGQ_HOST_CONFIG", plugins.config());
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    eventually("it is announced", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 1).await;
    let mut command = pgq_host(&role.dsn);
    command.arg("doctor").args(args);
    let said = run_command(command).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.stdout.contains("ok       hosts         1 of version") && said.stderr.contains("Fit for `run`"),
        "{said:?}"
    );
    let log = host.stop().await;
    assert!(!log.contains("ERROR") && !log.contains("permission denied"), "{log}");
    server.stop().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_an_error_that_says_how_to_name_another() {
    let examined = examine("postgresql://nobody@127.0.0.1:1/nowhere", &[]).await;
    assert!(remedy(examined.error("connection", "127.0.0.1:1")).contains("--pg-dsn"));
}

#[tokio::test]
async fn tables_that_are_missing_or_not_as_declared() {
    let database = Database::empty().await;
    let examined = examine(&database.dsn(), &[]).await;
    assert_eq!(remedy(examined.error("schema", "table pgqueuer")), "pgq-host install");
    let placed = examine(&database.dsn(), &["--schema", "jobs", "--prefix", "p_"]).await;
    assert_eq!(remedy(placed.error("schema", "table p_pgqueuer")), "pgq-host --prefix p_ --schema jobs install");
    // A check that could not run says so. That is neither an error nor a success.
    for check in ["hosts", "autovacuum"] {
        assert_eq!(examined.severities(check), ["note"], "{check}");
    }
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    let role = Role::new(&database, "early").await;
    assert_eq!(examine(&database.dsn(), &["--role", &role.name]).await.severities("privileges"), ["note"]);
    role.gone(&database).await;

    database.install().await;
    database.execute("DROP INDEX pgqueuer_ep_ea_idx").await;
    database.execute("ALTER TABLE pgqueuer_log SET UNLOGGED").await;
    let examined = examine(&database.dsn(), &[]).await;
    assert!(
        remedy(examined.finding("schema", "warning", "index pgqueuer_ep_ea_idx"))
            .starts_with("pgq-host upgrade --plan")
    );
    examined.finding("schema", "note", "unlogged): pgqueuer_log");
    database.execute("ALTER TABLE pgqueuer DISABLE TRIGGER tg_pgqueuer_requeued").await;
    assert_eq!(
        remedy(examine(&database.dsn(), &[]).await.error("schema", "trigger tg_pgqueuer_requeued")),
        "pgq-host upgrade"
    );
}

#[tokio::test]
async fn a_role_that_lacks_privileges() {
    let database = Database::new().await;
    let role = Role::new(&database, "little").await;
    let examined = examine(&role.dsn, &[]).await;
    let finding = examined.error("privileges", "UPDATE on pgqueuer,");
    assert_eq!(remedy(finding), format!("pgq-host grant --apply {} (as the tables' owner)", role.name));
    // It may not read the hosts, and says so. It can read the rest.
    examined.finding("hosts", "note", "permission denied");
    examined.finding("listener", "ok", "comes back");

    // Without one privilege, and checked by another role.
    database.cli_ok(&["grant", "--apply", &role.name]).await;
    database.execute(&format!("REVOKE DELETE ON pgqueuer FROM {}", role.name)).await;
    let examined = examine(&database.dsn(), &["--role", &role.name]).await;
    examined.error("privileges", &format!("\"{}\" lacks DELETE on pgqueuer", role.name));
    let examined = examine(&database.dsn(), &["--role", "pgq_nobody_has_this_name"]).await;
    assert!(remedy(examined.error("privileges", "there is no role")).starts_with("CREATE ROLE"));

    // Jobs whose rows a policy hides never run.
    database.execute(&format!("GRANT DELETE ON pgqueuer TO {}", role.name)).await;
    database.execute("ALTER TABLE pgqueuer ENABLE ROW LEVEL SECURITY").await;
    let examined = examine(&role.dsn, &[]).await;
    assert_eq!(
        remedy(examined.error("privileges", "row-level security")),
        "ALTER TABLE \"pgqueuer\" DISABLE ROW LEVEL SECURITY;"
    );
    role.gone(&database).await;
}

#[tokio::test]
async fn a_role_with_too_many_privileges() {
    let database = Database::new().await;
    examine(&database.dsn(), &[]).await.finding("privileges", "warning", "is a superuser");

    let role = Role::granted(&database, "much").await;
    database.execute("CREATE TABLE customers (name text)").await;
    for sql in
        ["ALTER ROLE {} CREATEDB BYPASSRLS", "GRANT pg_read_server_files TO {}", "GRANT SELECT ON customers TO {}"]
    {
        database.execute(&sql.replace("{}", &role.name)).await;
    }
    database.execute(&format!("GRANT TRUNCATE ON pgqueuer TO {}", role.name)).await;
    let examined = examine(&role.dsn, &[]).await;
    let finding = examined.finding("privileges", "warning", "CREATEDB, BYPASSRLS, membership in pg_read_server_files");
    database.execute(remedy(finding)).await;
    examined.finding("privileges", "note", "may also read or write customers");
    database
        .execute(remedy(examined.finding("privileges", "warning", "may truncate, or put triggers on, pgqueuer")))
        .await;
    let mended = examine(&role.dsn, &[]).await;
    assert!(!mended.severities("privileges").contains(&"warning"), "{mended:#?}");

    database.execute(&format!("ALTER TABLE pgqueuer OWNER TO {}", role.name)).await;
    let examined = examine(&role.dsn, &[]).await;
    examined.finding("privileges", "warning", "owns pgqueuer");
    let strict = examine(&role.dsn, &["--strict"]).await;
    assert_eq!(strict.code, 1, "a warning counts when that is asked for");
    let owner: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(database.pool()).await.unwrap();
    database.execute(&format!("ALTER TABLE pgqueuer OWNER TO \"{owner}\"")).await;
    role.gone(&database).await;
}

#[tokio::test]
async fn settings_of_role_and_database_that_end_statements_or_slow_them_down() {
    let database = Database::new().await;
    let role = Role::granted(&database, "slow").await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
    for sql in [
        format!("ALTER DATABASE {name} SET log_statement = 'all'"),
        format!("ALTER ROLE {} SET statement_timeout = '2s'", role.name),
        format!("ALTER ROLE {} SET idle_session_timeout = '5min'", role.name),
        format!("ALTER ROLE {} IN DATABASE {name} SET default_transaction_isolation = 'serializable'", role.name),
        format!("ALTER DATABASE {name} SET session_replication_role = 'replica'"),
    ] {
        database.execute(&sql).await;
    }
    // Checked by the role itself, and by another role on its behalf.
    for (dsn, args) in [(role.dsn.clone(), vec![]), (database.dsn(), vec!["--role", &role.name])] {
        let examined = examine(&dsn, &args).await;
        examined.finding("settings", "warning", "log_statement = all for this database");
        examined.finding("settings", "warning", "default_transaction_isolation = serializable for this role");
        examined.error("settings", "session_replication_role = replica");
        examined.finding("timeouts", "warning", "statement_timeout = 2s for this role");
        examined.finding("timeouts", "warning", "idle_session_timeout = 5m for this role");
        if args.is_empty() {
            continue;
        }
        // The suggested statement does fix it.
        for finding in examined
            .findings
            .iter()
            .filter(|finding| ["settings", "timeouts"].contains(&finding["check"].as_str().unwrap()))
        {
            if !remedy(finding).starts_with("ALTER SYSTEM") {
                database.execute(remedy(finding)).await;
            }
        }
    }
    let mended = examine(&role.dsn, &[]).await;
    assert_eq!(mended.severities("timeouts"), ["ok"], "{mended:#?}");
    // The tests' server runs without fsync.
    assert!(mended.severities("settings").iter().all(|severity| *severity == "error"), "{mended:#?}");
    examined_unsafe(&mended);
    role.gone(&database).await;
}

fn examined_unsafe(examined: &Examined) {
    assert!(
        remedy(examined.error("settings", "fsync = off for the whole server"))
            .starts_with("ALTER SYSTEM SET fsync = on")
    );
}

#[tokio::test]
async fn tables_that_nobody_vacuums() {
    let database = Database::new().await;
    database.execute("ALTER TABLE pgqueuer SET (autovacuum_enabled = 'False')").await;
    let examined = examine(&database.dsn(), &[]).await;
    examined.finding("autovacuum", "note", "with the server's default settings");
    database.execute(remedy(examined.error("autovacuum", "off for pgqueuer"))).await;
    assert_eq!(examine(&database.dsn(), &[]).await.severities("autovacuum"), ["note"]);
    database.cli_ok(&["autovac"]).await;
    assert_eq!(examine(&database.dsn(), &[]).await.severities("autovacuum"), ["ok"]);

    let home = folder();
    let server = server(home.path(), &[("autovacuum", "off")]).await;
    let database = self::database(&server).await;
    let examined = examine(&database.dsn(), &[]).await;
    assert!(remedy(examined.error("autovacuum", "autovacuum = off")).contains("pg_reload_conf"));
    // The consequence.
    database.enqueue_many("echo", 60_000, "x").await;
    database.execute("DELETE FROM pgqueuer").await;
    eventually("the dead are counted", async || {
        database.execute("SELECT pg_stat_force_next_flush()").await;
        database.count("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'pgqueuer'").await >= 60_000
    })
    .await;
    examine(&database.dsn(), &[]).await.finding("autovacuum", "warning", "pgqueuer has 60000 dead rows");
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_that_holds_dead_rows() {
    let home = folder();
    let server = server(home.path(), &[("max_prepared_transactions", "1")]).await;
    let database = database(&server).await;
    let role = Role::granted(&database, "forgets").await;
    let mut forgotten = PgConnection::connect(&role.dsn).await.unwrap();
    forgotten.execute("SET application_name = 'forgetful'").await.unwrap();
    forgotten.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut forgotten).await.unwrap();
    assert_eq!(examine(&database.dsn(), &[]).await.severities("transactions"), ["ok"], "it is young");
    let examined = examine(&database.dsn(), &["--long-transaction", "0.001"]).await;
    let finding = examined.finding("transactions", "warning", &format!("process {pid} (forgetful)"));
    assert!(remedy(finding).starts_with(&format!("SELECT pg_terminate_backend({pid});")), "{finding}");
    assert!(finding["found"].as_str().unwrap().contains("idle in transaction"), "{finding}");
    forgotten.execute("ROLLBACK").await.unwrap();

    let mut preparing = database.connect().await;
    preparing.execute("BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'left behind'").await.unwrap();
    let examined = examine(&database.dsn(), &["--long-transaction", "0.001"]).await;
    assert!(
        remedy(examined.finding("transactions", "warning", "left behind"))
            .starts_with("ROLLBACK PREPARED 'left behind'")
    );
    server.stop().await;
}

#[tokio::test]
async fn connections_that_are_used_up_or_too_few() {
    let database = Database::new().await;
    let role = Role::granted(&database, "crowded").await;
    examine(&database.dsn(), &["--hosts", "1000"])
        .await
        .error("connections", "1000 host(s) with up to 5 connections each need 5000; the server");
    database.execute(&format!("ALTER ROLE {} CONNECTION LIMIT 7", role.name)).await;
    let examined = examine(&role.dsn, &["--hosts", "2"]).await;
    examined.finding("connections", "warning", "the role allows 7");
    role.idle(&database).await;
    assert_eq!(examine(&role.dsn, &["--hosts", "1"]).await.severities("connections"), ["ok"]);
    database.execute(&format!("ALTER ROLE {} CONNECTION LIMIT 1", role.name)).await;
    role.idle(&database).await;
    let holder = PgConnection::connect(&role.dsn).await.unwrap();
    let examined = examine(&role.dsn, &[]).await;
    assert!(
        remedy(examined.error("connection", "too many connections for role")).contains("CONNECTION LIMIT"),
        "{examined:#?}"
    );
    holder.close().await.unwrap();
    role.gone(&database).await;
}

#[tokio::test]
async fn a_standby_and_a_primary_that_waits_for_one() {
    let home = folder();
    let replicating = [("wal_level", "replica"), ("max_wal_senders", "2"), ("hot_standby", "on")];
    let server = server(home.path(), &replicating).await;
    let database = database(&server).await;
    database.execute("ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'").await;
    database.execute("SELECT pg_reload_conf()").await;
    let dsn = database.dsn();
    eventually("it is in force", async || {
        let mut connection = PgConnection::connect(&dsn).await.unwrap();
        let now: String =
            sqlx::query_scalar("SHOW synchronous_standby_names").fetch_one(&mut connection).await.unwrap();
        now == "elsewhere"
    })
    .await;
    let examined = examine(&dsn, &[]).await;
    examined.error("settings", "synchronous_standby_names = elsewhere, and no such standby is connected");
    // And the check itself does not hang.
    examined.finding("listener", "ok", "comes back");
    let mut calm = database.connect().await;
    calm.execute("SET synchronous_commit = local").await.unwrap();
    calm.execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    drop(calm);
    let data = server.data_dir().to_owned();
    server.stop().await;

    std::fs::write(data.join("data/standby.signal"), "").unwrap();
    let standby = self::server(home.path(), &replicating).await;
    let examined = examine(&standby.dsn("jobs"), &[]).await;
    examined.error("server", "the server is a standby");
    standby.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let database = Database::new().await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
    // A test must not change the machine's clock, but it can change what the server reports.
    database
        .execute("CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '90 s' $$")
        .await;
    database.execute(&format!("ALTER DATABASE {name} SET search_path = public, pg_catalog")).await;
    let examined = examine(&database.dsn(), &[]).await;
    assert!(remedy(examined.finding("clock", "warning", "is 90.0 s ahead of this machine's")).contains("ntp"));
}

#[tokio::test]
async fn plugins_that_a_host_would_refuse_and_grants_that_are_missing() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile", "webhook"]));
    plugins.write("broken.wasm", "no component");
    std::fs::write(plugins.config(), "[plugins.webhok]\nhttp = [\"https://example.com\"]\n").unwrap();
    let config = plugins.config();
    let at = |folder: &Path| folder.to_str().unwrap().to_owned();
    let path = at(plugins.path());
    let examined = examine(&database.dsn(), &["--plugins", &path, "--config", config.to_str().unwrap()]).await;
    assert!(remedy(examined.error("plugins", "broken.wasm is refused")).contains("plugin inspect"));
    examined.finding("plugins", "note", "[plugins.webhok] matches no plugin");
    let missing = examine(&database.dsn(), &["--plugins", "/nowhere/at/all"]).await;
    assert_eq!(remedy(missing.error("plugins", "/nowhere/at/all cannot be read")), "mkdir -p /nowhere/at/all");
    let empty = folder();
    examine(&database.dsn(), &["--plugins", &at(empty.path())]).await.finding("plugins", "warning", "has no *.wasm");
}

#[tokio::test]
async fn hosts_that_serve_different_plugins_and_jobs_that_nobody_serves() {
    let database = Database::new().await;
    let (one, other) = (Plugins::with(&["hostile"]), Plugins::with(&["hello"]));
    let first = Host::start(&database, &one, &[]).await;
    let second = Host::start(&database, &other, &[]).await;
    eventually("both are announced", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 2).await;
    database.enqueue("nobody", "x").await;
    let examined = examine(&database.dsn(), &[]).await;
    examined.finding(
        "hosts",
        "warning",
        &format!("the plugin \"hello\" is not on host {}:{}", hostname(), first.pid()),
    );
    assert!(
        remedy(examined.finding("hosts", "warning", "the plugin \"hostile\" is not on"))
            .contains("plugin list --hosts")
    );
    examined.finding("entrypoints", "note", "1 job(s) wait for \"nobody\"");
    // One host runs another version, and one disappeared without withdrawing its announcement.
    database.execute("UPDATE pgqueuer_host SET version = '0.0.9', plugins = '[]' WHERE pid = (SELECT min(pid) FROM pgqueuer_host)").await;
    database
        .execute(
            "INSERT INTO pgqueuer_host (id, name, pid, version, seen, plugins)
             VALUES (gen_random_uuid(), 'gone', 7, '0.0.9', now() - interval '1 hour', '[]')",
        )
        .await;
    let examined = examine(&database.dsn(), &[]).await;
    examined.finding("hosts", "warning", "hosts run several versions: 0.0.9");
    examined.finding("hosts", "note", "host gone:7 was last heard of");
    second.stop().await;
    first.stop().await;
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_heartbeat_timeout_that_is_shorter_than_a_python_workers() {
    let database = Database::new().await;
    database.execute("CREATE TABLE python_ran (job_id bigint NOT NULL)").await;
    let mut command = pgq(&database.dsn());
    command.args(["run", "worker:main", "--heartbeat-timeout", "600", "--", "nap=5"]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop"));
    let worker = Host::launch(command);
    database.enqueue("nap", "3600000").await;
    let silent = "SELECT count(*) FROM pgqueuer WHERE status = 'picked' AND heartbeat < now() - interval '2 s'";
    eventually("the worker has not beaten for two seconds", async || database.count(silent).await == 1).await;
    let examined = examine(&database.dsn(), &["--heartbeat-timeout", "2"]).await;
    let finding = examined.finding("heartbeats", "warning", "the timeout here is 2s");
    assert!(remedy(finding).contains("heartbeat_timeout"), "{finding}");
    assert_eq!(examine(&database.dsn(), &["--heartbeat-timeout", "600"]).await.severities("heartbeats"), ["ok"]);
    worker.kill().await;
}

#[tokio::test]
async fn a_pooler_that_lends_sessions_per_transaction() {
    let found = Command::new("pgbouncer").arg("--version").output().await;
    if found.is_err() {
        eprintln!("skipped: there is no pgbouncer (apt-get install pgbouncer)");
        return;
    }
    let (database, home) = (Database::new().await, folder());
    let pooler = Pooler::start(&database, home.path()).await;
    let examined = examine(&pooler.dsn, &[]).await;
    assert!(remedy(examined.error("pooling", "in several sessions")).contains("pool_mode = session"));
    let mut next = PgConnection::connect(&pooler.dsn).await.unwrap();
    let left = "SELECT (SELECT count(*) FROM pg_prepared_statements) + (SELECT count(*) FROM pg_listening_channels())";
    let left: i64 = next.fetch_one(sqlx::raw_sql(left)).await.unwrap().get(0);
    assert_eq!(left, 0, "a session that is somebody else's next is left as it was");
}

/// `PgBouncer` in transaction mode in front of a database. Killed when dropped.
struct Pooler {
    dsn: String,
    _process: tokio::process::Child,
}

impl Pooler {
    async fn start(database: &Database, home: &Path) -> Pooler {
        let dsn = database.dsn();
        let rest = dsn.strip_prefix("postgresql://").unwrap();
        let (login, place) = rest.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (address, name) = place.split_once('/').unwrap();
        let (host, server_port) = address.split_once(':').unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[databases]\n{name} = host={host} port={server_port} user={user} password={password}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\nignore_startup_parameters = extra_float_digits\n"
        );
        let file = home.join("pgbouncer.ini");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root.
        if rustix::process::geteuid().is_root() {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(home, PermissionsExt::from_mode(0o755)).unwrap();
            command.args(["--user", "nobody"]);
        }
        let process = command.arg("--quiet").arg(&file).kill_on_drop(true).spawn().unwrap();
        let dsn = format!("postgresql://{user}@127.0.0.1:{port}/{name}");
        eventually("the pooler answers", async || PgConnection::connect(&dsn).await.is_ok()).await;
        Pooler { dsn, _process: process }
    }
}

#[tokio::test]
async fn asking_for_something_that_does_not_exist_is_a_usage_error() {
    let mut command = pgq_host("postgresql://nobody@127.0.0.1:1/nowhere");
    command.args(["doctor", "--no-such-flag"]);
    assert_eq!(run_command(command).await.code, 2);
}

#[tokio::test]
async fn a_long_log_that_nobody_removes_is_mentioned() {
    let database = Database::new().await;
    let config = Plugins::with(&[]);
    let finding = async || {
        let mut command = pgq_host(&database.dsn());
        command.args(["doctor", "--json"]).env("PGQ_HOST_CONFIG", config.config());
        let found = run_command(command).await.json();
        let of = |finding: &&Value| finding["check"] == "retention";
        found.as_array().unwrap().iter().find(of).unwrap().clone()
    };
    assert_eq!(finding().await["severity"], "ok");
    // As the last vacuum of a long one would have left it.
    database.execute("UPDATE pg_class SET reltuples = 2e7 WHERE oid = 'pgqueuer_log'::regclass").await;
    let found = finding().await;
    assert!(found["severity"] == "note" && found["found"].to_string().contains("20 million rows"), "{found}");
    std::fs::write(config.config(), "[retention]\nsuccessful = \"30d\"\n").unwrap();
    let found = finding().await;
    assert!(found["severity"] == "ok" && found["found"].to_string().contains("are removed"), "{found}");
}
