//! What the verbs tell programs: exit codes, JSON and errors. And what they ask before something is
//! lost.

use std::process::Stdio;

use pgq_host_tests::{CliOutput, Database, Host, Plugins, eventually, pgq_host, run_command};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// These commands reach no database: the mistake is found before.
async fn alone(args: &[&str], variables: &[(&str, &str)]) -> CliOutput {
    let mut command = pgq_host("postgresql://u@127.0.0.1:1/d");
    command.args(args).envs(variables.iter().copied());
    run_command(command).await
}

/// Arguments, variables, and what the error must name.
type Misuse<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn usage_errors_exit_with_2_and_failures_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("pgq-host.toml");
    std::fs::write(&config, "[run]\nbatchsize = 1\n").unwrap();
    let config = config.to_str().unwrap();
    let usage: &[Misuse] = &[
        (&["backlog", "--prefix", "a-b"], &[], "--prefix"),
        (&["backlog"], &[("PGQUEUER_SCHEMA", "1st")], "PGQUEUER_SCHEMA"),
        (&["backlog"], &[("PGQUEUER_QUEUE_TABLE", "a.b")], "PGQUEUER_QUEUE_TABLE"),
        (&["backlog"], &[("PGSERVICE", "jobs")], "PGSERVICE"),
        (&["backlog"], &[("PGQUEUER_POOL_MAX_SIZE", "many")], "PGQUEUER_POOL_MAX_SIZE"),
        (&["backlog", "--pg-dsn", "db.example.com"], &[], "DSN"),
        (&["backlog", "--listen-dsn", "db.example.com"], &[], "--listen-dsn"),
        (&["verify", "--expect", "present", "--transaction-pooling"], &[], "--listen-dsn"),
        (&["verify", "--expect", "whatever"], &[], "--expect"),
        (&["install"], &[("PGQUEUER_DURABILITY", "rock-solid")], "PGQUEUER_DURABILITY"),
        (&["upgrade"], &[("PGQUEUER_WIDEN_ID", "maybe")], "PGQUEUER_WIDEN_ID"),
        (&["upgrade", "--grant", "public"], &[], "public"),
        (&["grant", "public"], &[], "public"),
        (&["schedules", "--remove", "99999999999999999999"], &[], "99999999999999999999"),
        (&["cancel", "x"], &[], "invalid value 'x' for '[IDS]...': write a whole number"),
        (&["pause", "--all", "--reason", " "], &[], "say why"),
        (&["probe"], &[], "Usage: pgq-host probe [OPTIONS] --listen"),
        (&["requeue"], &[], "--all"),
        (&["stale", "--threshold", "-1"], &[], "-1"),
        (&["queue", "work", "--delay", "soon"], &[], "soon"),
        (&["run"], &[], "--plugins"),
        (&["run", "--plugins", "x", "--batch-size", "0"], &[], "batch-size"),
        (&["run", "--plugins", "x", "--config", config], &[], "batchsize"),
        (&["run", "--plugins", "x", "--transaction-pooling", "--shutdown-on-listener-failure"], &[], "--listen-dsn"),
        (&["dev", "--config", config], &[], "batchsize"),
        (&["doctor", "--config", config], &[], "batchsize"),
        (&["doctor", "--pg-dsn", "db.example.com"], &[], "DSN"),
        (&["plugin", "list"], &[], "--plugins"),
        (&["plugin", "inspect", "x.wasm", "--config", config], &[], "batchsize"),
        (&["plugin", "new", "Not A Name"], &[], "Not A Name"),
        (&["listen", "--channel", ""], &[], "channel"),
        (&["bench", "wide", "--plugins", "x", "--entrypoint", "y"], &[], "wide"),
    ];
    for (args, variables, names) in usage {
        let said = alone(args, variables).await;
        assert_eq!(said.code, 2, "{args:?} {variables:?}: {said:?}");
        assert!(said.stderr.contains(names) && said.stdout.is_empty(), "{args:?} {variables:?}: {said:?}");
    }
    // Nothing listens there.
    for args in [&["backlog"][..], &["install"], &["uninstall"], &["plugin", "list", "--hosts"], &["plugin", "reload"]]
    {
        let said = alone(args, &[]).await;
        assert!(said.code == 1 && said.stderr.contains("cannot connect"), "{args:?}: {said:?}");
    }
}

#[tokio::test]
async fn without_a_verb_there_is_help_and_no_hidden_verb_in_it() {
    for variables in [&[][..], &[("PGQUEUER_PREFIX", "x_")], &[("PGQ_HOST_TRANSACTION_POOLING", "true")]] {
        let said = alone(&[], variables).await;
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains("Usage: pgq-host") && said.stderr.contains("Enqueue a job"), "{said:?}");
        assert!(!said.stderr.contains("compile-component") && !said.stderr.contains("bench-worker"), "{said:?}");
        for (verb, line) in [("plugin", "Usage: pgq-host plugin"), ("sql", "Usage: pgq-host sql")] {
            let said = alone(&[verb], variables).await;
            assert!(said.code == 2 && said.stderr.contains(line) && said.stderr.contains("Commands:"), "{said:?}");
        }
    }
    let similar = alone(&["compile-componen"], &[]).await;
    assert!(similar.code == 2 && !similar.stderr.contains("'compile-component'"), "{similar:?}");
    let similar = alone(&["backlogs"], &[]).await;
    assert!(similar.code == 2 && similar.stderr.contains("'backlog'"), "{similar:?}");
}

#[tokio::test]
async fn postgresqls_errors_come_with_hint_and_sqlstate_and_without_lines_of_its_source() {
    let database = Database::new().await;
    database.execute("ALTER TABLE pgqueuer ADD CONSTRAINT no_work CHECK (entrypoint <> 'work')").await;
    database.execute("CREATE VIEW mine AS SELECT * FROM pgqueuer_log").await;
    let refused = [
        (&["queue", "work"][..], "no_work", "(SQLSTATE 23514)"),
        (&["uninstall", "--yes"], "view mine depends on table pgqueuer_log", "(SQLSTATE 2BP01)"),
        (&["grant", "nobody_of_this_name", "--apply"], "does not exist", "(SQLSTATE 42704)"),
    ];
    for (args, words, sqlstate) in refused {
        let said = database.run_cli(args).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.stderr.contains(words) && said.stderr.trim_end().ends_with(sqlstate), "{said:?}");
        assert!(!said.stderr.contains(" at line "), "{said:?}");
    }
    // If there is no such database: in the verbs and in doctor.
    let (base, _) = database.dsn().rsplit_once('/').map(|(base, name)| (base.to_owned(), name.to_owned())).unwrap();
    for args in [&["backlog"][..], &["verify", "--expect", "present"], &["doctor"]] {
        let mut command = pgq_host(&format!("{base}/nowhere_to_be_found"));
        command.args(args);
        let said = run_command(command).await;
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(said.code == 1 && all.contains("(SQLSTATE 3D000)") && !all.contains(" at line "), "{said:?}");
    }
}

#[tokio::test]
async fn every_result_is_available_as_json() {
    let database = Database::empty().await;
    let here = json!({ "schema": null, "queue_table": "pgqueuer" });
    let with = |key: &str, value: serde_json::Value| {
        let mut object = here.clone();
        object[key] = value;
        object
    };
    let missing = database.run_cli(&["verify", "--expect", "present", "--json"]).await;
    assert_eq!(missing.code, 1);
    let missing = missing.json();
    let table = json!({ "problem": "missing", "object": "table pgqueuer", "detail": "" });
    assert!(missing.as_array().unwrap().contains(&table), "{missing}");
    assert_eq!(
        database.cli_ok(&["install", "--durability", "balanced", "--json"]).await.json(),
        with("durability", json!("balanced"))
    );
    assert_eq!(
        database.cli_ok(&["durability", "durable", "--json"]).await.json(),
        with("durability", json!("durable"))
    );
    assert_eq!(database.cli_ok(&["autovac", "--json"]).await.json(), with("autovac", json!("recommended")));
    assert_eq!(database.cli_ok(&["autovac", "--rollback", "--json"]).await.json(), with("autovac", json!("server")));
    assert_eq!(database.cli_ok(&["verify", "--expect", "present", "--json"]).await.json(), json!([]));

    database.execute("DROP INDEX pgqueuer_log_status").await;
    let index = "CREATE INDEX pgqueuer_log_status ON \"pgqueuer_log\" USING btree (status);";
    assert_eq!(database.cli_ok(&["upgrade", "--plan", "--json"]).await.json(), with("planned", json!([index])));
    assert_eq!(database.cli_ok(&["upgrade", "--json"]).await.json(), with("applied", json!([index])));
    assert_eq!(database.cli_ok(&["upgrade", "--json"]).await.json(), with("applied", json!([])));
    let granted = database.cli_ok(&["grant", "worker", "--json"]).await.json();
    assert!(granted["planned"][2].as_str().unwrap().starts_with("GRANT SELECT"), "{granted}");

    let queue = async |args: &[&str]| {
        database.run_cli(&[&["queue", "work", "x", "--dedupe-key", "k", "--json"], args].concat()).await
    };
    let first = queue(&[]).await.json();
    assert_eq!(first["result"], "enqueued");
    assert_eq!(queue(&["--on-conflict", "skip"]).await.json(), json!({ "result": "skipped", "dedupe_key": "k" }));
    let raised = json!({ "result": "priority_updated", "id": first["id"], "priority": 3 });
    assert_eq!(queue(&["--on-conflict", "update_priority", "--priority", "3"]).await.json(), raised);
    let taken = queue(&[]).await;
    assert_eq!((taken.code, taken.json()), (1, json!({ "result": "dedupe_key_taken", "dedupe_key": "k" })));
    assert_eq!(database.cli_ok(&["plugin", "reload", "--json"]).await.json(), json!({ "told": 0 }));
    let lost = json!({ "queued": 1, "running": 0, "failed": 0, "hosts": 0 });
    assert_eq!(database.cli_ok(&["uninstall", "--yes", "--json"]).await.json(), with("lost", lost));
    assert_eq!(database.cli_ok(&["verify", "--expect", "absent", "--json"]).await.json(), json!([]));
}

#[tokio::test]
async fn an_upgrade_grants_what_it_added_when_it_is_told_to_whom() {
    let database = Database::empty().await;
    let role = format!("upgraded_{}", std::process::id());
    database.execute(&format!("CREATE ROLE {role}")).await;
    let plan = database.cli_ok(&["upgrade", "--plan", "--grant", &role]).await.stdout;
    assert!(plan.contains("CREATE TABLE") && plan.contains(&format!("TO \"{role}\"")), "{plan}");
    let mut command = pgq_host(&database.dsn());
    command.arg("upgrade").env("PGQ_HOST_GRANT", &role);
    let said = run_command(command).await;
    assert!(said.code == 0 && said.stderr.contains(&format!("The role {role:?} can now run workers")), "{said:?}");
    let may = format!("SELECT has_table_privilege('{role}', 'pgqueuer_host', 'UPDATE')::int::bigint");
    assert_eq!(database.count(&may).await, 1);
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn uninstall_asks_before_it_removes_what_is_in_use() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    database.enqueue_many("nobodys", 3, "x").await;
    database.execute("UPDATE pgqueuer SET status = 'failed' WHERE id = (SELECT max(id) FROM pgqueuer)").await;
    let host = Host::start(&database, &plugins, &[]).await;
    eventually("it is announced", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 1).await;
    let refused = database.run_cli(&["uninstall"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    for word in ["2 queued, 0 running and 1 failed job(s)", "1 host(s)", "--yes"] {
        assert!(refused.stderr.contains(word), "{word}: {refused:?}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 3);
    host.stop().await;

    // At a terminal it asks, and only accepts yes.
    for (answer, code, left) in [("", 1, true), ("n", 1, true), ("y", 0, false)] {
        let Some((said, ended)) = at_a_terminal(&database, answer).await else { return };
        assert!(said.contains("2 queued") && said.contains("[y/N]"), "{said}");
        assert_eq!(ended, code, "{answer:?}: {said}");
        assert_eq!(
            database.count("SELECT count(*) FROM pg_class WHERE relname = 'pgqueuer'").await == 1,
            left,
            "{answer:?}: {said}"
        );
    }
    // As in PgQueuer, for whose runbooks this matters: nothing is lost here.
    database.cli_ok(&["install"]).await;
    database.cli_ok(&["uninstall"]).await;
    database.cli_ok(&["uninstall"]).await;
}

/// `uninstall` in its own terminal, as `script` creates one. `None`, with a message, on a machine
/// without it.
async fn at_a_terminal(database: &Database, answer: &str) -> Option<(String, i32)> {
    let dsn = database.dsn();
    let command = format!("'{}' uninstall", pgq_host_tests::host_binary().display());
    let mut script = tokio::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).env("PGDSN", dsn);
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let Ok(mut child) = script.spawn() else {
        eprintln!("SKIPPED: there is no `script` (of util-linux), so the question of `uninstall` was not asked");
        return None;
    };
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = String::new();
    let mut buffer = [0; 1024];
    let asking = async {
        while !said.contains("[y/N]") {
            let count = stdout.read(&mut buffer).await.unwrap();
            assert!(count > 0, "it ended without a question: {said}");
            said += &String::from_utf8_lossy(&buffer[..count]);
        }
        stdin.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        while let Ok(count @ 1..) = stdout.read(&mut buffer).await {
            said += &String::from_utf8_lossy(&buffer[..count]);
        }
        child.wait().await.unwrap().code().unwrap()
    };
    let ended = tokio::time::timeout(pgq_host_tests::PATIENCE, asking).await.expect("it asks and ends");
    Some((said, ended))
}

/// A server that lets everybody in and reports its version: as much of one as a client needs to
/// learn that it is too old.
async fn old_server(version: &'static str) -> String {
    async fn serve(mut client: TcpStream, version: &str) -> std::io::Result<()> {
        loop {
            let length = client.read_u32().await? as usize;
            let mut message = vec![0; length - 4];
            client.read_exact(&mut message).await?;
            // 1234.5679 asks for TLS.
            if message[..4] == [0x04, 0xd2, 0x16, 0x2f] {
                client.write_all(b"N").await?;
                continue;
            }
            break;
        }
        let mut answer = vec![b'R', 0, 0, 0, 8, 0, 0, 0, 0];
        for (name, value) in [("server_version", version), ("server_encoding", "UTF8"), ("client_encoding", "UTF8")] {
            answer.push(b'S');
            answer.extend(u32::try_from(name.len() + value.len() + 6).unwrap().to_be_bytes());
            answer.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        answer.extend([b'K', 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2, b'Z', 0, 0, 0, 5, b'I']);
        client.write_all(&answer).await?;
        // It understands nothing that it receives, because it is not needed.
        while client.read(&mut [0; 1024]).await? > 0 {}
        Ok(())
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dsn = format!("postgresql://u@{}/d", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, version));
        }
    });
    dsn
}

#[tokio::test]
async fn a_server_before_14_is_refused_by_every_verb() {
    let dsn = old_server("13.23 (Debian 13.23-1)").await;
    for args in [
        &["install"][..],
        &["verify", "--expect", "present"],
        &["upgrade"],
        &["uninstall"],
        &["durability", "durable"],
        &["autovac"],
        &["grant", "worker", "--apply"],
        &["queue", "work"],
        &["backlog"],
        &["schedules"],
        &["listen"],
        &["plugin", "reload"],
    ] {
        let mut command = pgq_host(&dsn);
        command.args(args);
        let said = run_command(command).await;
        assert!(
            said.code == 1
                && said.stderr.contains("the server is PostgreSQL 13, and pgq-host needs PostgreSQL 14 or later"),
            "{args:?}: {said:?}"
        );
    }
}
