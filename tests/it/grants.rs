//! A worker with the privileges that `grant` gives: it can do everything a worker does, and nothing
//! else.

use pgq_host_tests::{CliOutput, Database, Host, Pages, Plugins, eventually, pgq, pgq_host, run_command};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::process::Command;

const PASSWORD: &str = "pw";

/// A role that may log in, whose name must be quoted. Roles belong to the server, so it is dropped
/// with the test.
struct Role {
    name: String,
    dsn: String,
}

impl Role {
    async fn new(database: &Database, tag: &str) -> Role {
        let name = format!("pgq_test 100% \"{tag}\" $grant$ o'{}", std::process::id());
        database.execute(&format!("CREATE ROLE {} LOGIN PASSWORD '{PASSWORD}'", quoted(&name))).await;
        let (_, place) = database.dsn().rsplit_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let user: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        Role { dsn: format!("postgresql://{user}:{PASSWORD}@{place}"), name }
    }

    async fn run_cli(&self, args: &[&str]) -> CliOutput {
        let mut command = pgq_host(&self.dsn);
        command.args(args);
        run_command(command).await
    }

    async fn cli_ok(&self, args: &[&str]) -> CliOutput {
        let said = self.run_cli(args).await;
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said
    }

    /// `pgq-host run` as this role.
    fn host(&self, plugins: &Plugins, args: &[&str]) -> Host {
        let mut command: Command = pgq_host(&self.dsn);
        command.arg("run").arg("--plugins").arg(plugins.path()).args(args).env("PGQ_HOST_CONFIG", plugins.config());
        Host::launch(command)
    }

    async fn gone(self, database: &Database) {
        let name = quoted(&self.name);
        database.execute(&format!("DROP OWNED BY {name}")).await;
        database.execute(&format!("DROP ROLE {name}")).await;
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Revoke what everybody may do by default.
async fn harden(database: &Database, schema: &str) {
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
    for what in [
        format!("ALL ON DATABASE {name}"),
        format!("ALL ON SCHEMA {schema}"),
        format!("ALL ON ALL FUNCTIONS IN SCHEMA {schema}"),
        format!("ALL ON TYPE {schema}.{}pgqueuer_status", if schema == "public" { "" } else { "p_" }),
    ] {
        database.execute(&format!("REVOKE {what} FROM PUBLIC")).await;
    }
}

#[tokio::test]
async fn a_host_runs_under_the_granted_privileges_and_can_do_no_more() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let role = Role::new(&database, "full").await;
    let refused = role.run_cli(&["backlog"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("pgq-host grant"), "{refused:?}");
    harden(&database, "public").await;

    // The printed script does the same as `--apply`.
    let script = database.cli_ok(&["grant", &role.name]).await.stdout;
    database.execute(&script).await;
    database.cli_ok(&["grant", &role.name, "--apply"]).await;

    let host = role.host(&plugins, &["--heartbeat-timeout", "2"]);
    host.wait_for_log("ready").await;
    for args in [
        &["queue", "echo", "kept"][..],
        &["queue", "fail", "no luck"],
        &["queue", "fail_deleted", "x"],
        &["queue", "nap_limited", "1", "--dedupe-key", "k"],
        &["queue", "follow_up", "complete"],
        &["queue", "nap", "1", "--dedupe-key", "later", "--delay", "3600", "--on-conflict", "update_priority"],
    ] {
        role.cli_ok(args).await;
    }
    let ids = async |entrypoint: &str| {
        database
            .count(&format!("SELECT job_id FROM pgqueuer_log WHERE entrypoint = '{entrypoint}' ORDER BY id LIMIT 1"))
            .await
    };
    let (echo, fail) = (ids("echo").await, ids("fail").await);
    database.wait_for(echo, "successful").await;
    assert_eq!(database.output(echo).await.as_deref(), Some("kept"));
    database.wait_for(fail, "failed").await;
    assert_eq!(database.history(fail).await, ["queued", "picked", "queued", "picked", "failed"]);
    for entrypoint in ["nap_limited", "follow_up"] {
        database.wait_for(ids(entrypoint).await, "successful").await;
    }
    let followed = "SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'echo' AND status = 'successful'";
    eventually("the follow-up ran", async || database.count(followed).await >= 2).await;
    // A job of a worker that died.
    let lost = database.enqueue("echo", "lost").await;
    database.wait_for(lost, "successful").await;
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status, heartbeat, queue_manager_id)
             VALUES (0, 'echo', 'lost', 'picked', now() - interval '1 hour', gen_random_uuid())",
        )
        .await;
    let lost = database.count("SELECT max(id) FROM pgqueuer").await;
    database.wait_for(lost, "successful").await;
    assert_eq!(database.history(lost).await, ["queued", "picked", "successful"]);

    // The operator's verbs, and PgQueuer's own.
    assert_eq!(role.cli_ok(&["failed", "--json"]).await.json()[0]["id"], json!(fail));
    role.cli_ok(&["requeue", &fail.to_string()]).await;
    for verb in ["stale", "workers", "backlog", "schedules"] {
        role.cli_ok(&[verb, "--json"]).await;
    }
    let waits = database.count("SELECT id FROM pgqueuer WHERE dedupe_key = 'later'").await;
    role.cli_ok(&["cancel", &waits.to_string()]).await;
    role.cli_ok(&["schedules", "--remove", "nobody"]).await;
    role.cli_ok(&["verify", "--expect", "present"]).await;
    for args in [&["queue", "echo", "by pgq"][..], &["failed", "--json"], &["schedules"], &["dashboard"]] {
        let mut command = pgq(&role.dsn);
        command.args(args);
        let said = run_command(command).await;
        assert_eq!(said.code, 0, "pgq {args:?}: {said:?}");
    }
    let log = host.stop().await;
    assert!(!log.contains("permission denied"), "{log}");

    // And nothing else.
    database.execute("CREATE TABLE secrets (s text)").await;
    let mut connection = PgConnection::connect(&role.dsn).await.unwrap();
    for sql in [
        "SELECT * FROM secrets",
        "CREATE TABLE mine (i int)",
        "CREATE SCHEMA mine",
        "CREATE INDEX mine ON pgqueuer (created)",
        "ALTER TABLE pgqueuer ADD COLUMN mine int",
        "ALTER TABLE pgqueuer SET UNLOGGED",
        "DROP TABLE pgqueuer_log",
        "TRUNCATE pgqueuer",
        "DROP TRIGGER tg_pgqueuer_changed ON pgqueuer",
        "DROP FUNCTION fn_pgqueuer_changed()",
        "ALTER TYPE pgqueuer_status ADD VALUE 'mine'",
        "SELECT * FROM pg_authid",
        "SELECT setval('pgqueuer_id_seq', 1)",
    ] {
        let error = connection.execute(AssertSqlSafe(sql)).await.expect_err(sql);
        assert_eq!(
            error.as_database_error().and_then(|error| error.code()).as_deref(),
            Some("42501"),
            "{sql}: {error}"
        );
    }
    for args in [&["durability", "volatile"][..], &["autovac"], &["uninstall", "--yes"]] {
        let said = role.run_cli(args).await;
        assert!(said.code == 1 && said.stderr.contains("as the owner"), "{args:?}: {said:?}");
    }
    connection.close().await.unwrap();
    role.gone(&database).await;
}

#[tokio::test]
async fn a_host_works_without_tables_added_after_its_role_was_granted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let role = Role::new(&database, "before").await;
    database.cli_ok(&["grant", &role.name, "--apply"]).await;
    // As `upgrade` leaves a database if nobody ran `grant` again.
    for table in ["attempt", "tally", "plugin", "host", "suspect"] {
        database.execute(&format!("REVOKE ALL ON pgqueuer_{table} FROM {}", quoted(&role.name))).await;
    }
    let host = role.host(&plugins, &[]);
    host.wait_for_log("`pgq-host grant ROLE --apply`").await;
    let echo = database.enqueue("echo", "kept").await;
    database.wait_for(echo, "successful").await;
    let log = host.stop().await;
    assert!(!log.contains("permission denied"), "{log}");
    database.cli_ok(&["grant", &role.name, "--apply"]).await;
    let host = role.host(&plugins, &[]);
    eventually("it announces itself", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 1).await;
    let log = host.stop().await;
    assert!(!log.contains("was granted nothing"), "{log}");
    role.gone(&database).await;
}

#[tokio::test]
async fn a_host_that_may_not_claim_is_not_ready() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let role = Role::new(&database, "mute").await;
    database.cli_ok(&["grant", &role.name, "--apply"]).await;
    database.execute(&format!("REVOKE UPDATE ON pgqueuer FROM {}", quoted(&role.name))).await;
    let pages = Pages::anywhere();
    let host = role.host(&plugins, &["--listen", &pages.address()]);
    host.wait_for_log("cannot reach the queue").await;
    let (status, said) = pages.get("/readyz");
    assert!(
        status == 503 && said.contains("[-] worker: it cannot claim: ") && said.contains("permission denied"),
        "{said}"
    );
    database.cli_ok(&["grant", &role.name, "--apply"]).await;
    eventually("it is ready", async || pages.get("/readyz").0 == 200).await;
    host.stop().await;
    role.gone(&database).await;
}

#[tokio::test]
async fn a_python_worker_runs_under_the_granted_privileges() {
    let database = Database::new().await;
    let role = Role::new(&database, "python").await;
    harden(&database, "public").await;
    database.cli_ok(&["grant", &role.name, "--apply"]).await;
    // The program's own table, which PgQueuer does not know.
    database.execute("CREATE TABLE python_ran (job_id bigint NOT NULL)").await;
    database.execute(&format!("GRANT INSERT ON python_ran TO {}", quoted(&role.name))).await;
    let mut command = pgq(&role.dsn);
    command.args(["run", "worker:main", "--log-level", "WARNING", "--", "plain", "limited=2"]);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/interop"));
    let worker = Host::launch(command);
    for (entrypoint, payload) in [("plain", ""), ("limited", "1")] {
        let job = database.enqueue(entrypoint, payload).await;
        database.wait_for(job, "successful").await;
    }
    let log = worker.stop().await;
    assert!(!log.contains("ermission"), "{log}");
    role.gone(&database).await;
}

#[tokio::test]
async fn prefix_and_schema_are_honoured() {
    let (database, plugins) = (Database::empty().await, Plugins::with(&["hostile"]));
    let place = ["--prefix", "p_", "--schema", "jobs"];
    let with = |args: &[&'static str]| [&place[..], args].concat();
    database.cli_ok(&with(&["install"])).await;
    harden(&database, "jobs").await;
    let role = Role::new(&database, "placed").await;
    let grant = [&place[..], &["grant", "--apply", &role.name]].concat();
    database.cli_ok(&grant).await;
    role.cli_ok(&with(&["queue", "echo", "x"])).await;
    let mut host = role.host(&plugins, &with(&["--mode", "drain"]));
    let status = host.ended().await;
    assert!(status.success(), "{}", host.log());
    assert_eq!(database.count("SELECT count(*) FROM jobs.p_pgqueuer_output").await, 1, "{}", host.log());
    role.gone(&database).await;
}

#[tokio::test]
async fn an_implausible_role_is_refused() {
    let database = Database::new().await;
    for (name, code, why) in
        [("public", 2, "everybody"), ("", 2, "1 to 63"), ("pgq_test_nobody_has_this_name", 1, "does not exist")]
    {
        let said = database.run_cli(&["grant", "--apply", name]).await;
        assert!(said.code == code && said.stderr.contains(why), "{said:?}");
    }
    let empty = Database::empty().await;
    let somebody: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(empty.pool()).await.unwrap();
    let said = empty.run_cli(&["grant", "--apply", &somebody]).await;
    assert!(said.code == 1 && said.stderr.contains("pgq-host install"), "{said:?}");
}
