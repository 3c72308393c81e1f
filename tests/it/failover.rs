//! A host whose DSN names all servers goes on with the one that was promoted.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pgq_host_tests::{CliOutput, Database, Host, Plugins, Receiver, Replicated, eventually, host_binary, run_command};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::process::Command;

const READ_WRITE: &str = "target_session_attrs=read-write&connect_timeout=3";

async fn verb(dsn: &str, args: &[&str]) -> CliOutput {
    let mut command = Command::new(host_binary());
    command.env_clear().env("PGDSN", dsn).args(args);
    run_command(command).await
}

fn host(dsn: &str, plugins: &Plugins, name: &str) -> Host {
    let mut command = Command::new(host_binary());
    command.env("PGDSN", dsn).env("PGQ_HOST_CONFIG", plugins.config()).env("PGQUEUER_APPLICATION_NAME", name);
    command.args([
        "run",
        "--dequeue-timeout",
        "1",
        "--heartbeat-timeout",
        "10",
        "--max-concurrent-tasks",
        "20",
        "--plugins",
    ]);
    command.arg(plugins.path());
    Host::launch(command)
}

/// Enqueues until it is told to stop, wherever that works, and keeps the ids that were acknowledged.
async fn produce(dsn: String, stop: Arc<AtomicBool>) -> Vec<i64> {
    const INSERT: &str = "INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, 'work', '{\"ms\": 30}', 'queued') RETURNING id::bigint";
    let mut acknowledged = Vec::new();
    let source = pgq_queue::Source::new(Some(&dsn)).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = source.connect().await else { continue };
        while !stop.load(Ordering::Relaxed) {
            match sqlx::query_scalar(INSERT).fetch_one(&mut connection).await {
                Ok(id) => acknowledged.push(id),
                Err(_) => break,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    acknowledged
}

#[tokio::test]
async fn hosts_go_on_with_the_promoted_standby_and_nothing_acknowledged_is_lost_or_run_by_two() {
    let servers = Replicated::start().await;
    let (dsn, plugins) = (servers.dsn(READ_WRITE), Plugins::with(&["chaos"]));
    assert_eq!(verb(&dsn, &["install"]).await.code, 0);
    let receiver = Receiver::start(vec![200; 200_000]).await;
    let at = format!("127.0.0.1:{}", receiver.port());
    let config =
        format!("[plugins.chaos]\nhttp = [\"http://{at}\"]\nenv = {{ RECEIVER = \"{at}\", HOST = \"one\" }}\n");
    std::fs::write(plugins.config(), config).unwrap();
    let hosts = [host(&dsn, &plugins, "one"), host(&dsn, &plugins, "two")];
    for host in &hosts {
        host.wait_for_log("ready").await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let producers: Vec<_> = (0..3).map(|_| tokio::spawn(produce(dsn.clone(), Arc::clone(&stop)))).collect();
    eventually("there is load", async || receiver.requests().len() > 200).await;
    servers.kill_primary().await;
    let killed = Instant::now();
    servers.promote_standby().await;
    let promoted = killed.elapsed();
    let seen = receiver.requests().len();
    eventually("the load goes on", async || receiver.requests().len() > seen + 200).await;
    let after = killed.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged: Vec<i64> = Vec::new();
    for producer in producers {
        acknowledged.extend(producer.await.unwrap());
    }
    let database = Database::at(servers.standby.dsn("postgres")).await;
    eventually("all is done", async || database.count("SELECT count(*) FROM pgqueuer").await == 0).await;
    let done: Vec<i64> = sqlx::query_scalar("SELECT job_id FROM pgqueuer_log WHERE status = 'successful'")
        .fetch_all(database.pool())
        .await
        .unwrap();
    let lost: Vec<&i64> = acknowledged.iter().filter(|id| !done.contains(id)).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
    let twice = "SELECT count(*) FROM (SELECT job_id FROM pgqueuer_log WHERE status = 'successful' GROUP BY 1 HAVING count(*) > 1) AS twice";
    assert_eq!(database.count(twice).await, 0);
    // As the receiver saw them, from outside: a run begins after the one before it has ended.
    let (mut running, mut runs) = (HashMap::<i64, bool>::new(), HashMap::<i64, u32>::new());
    for request in receiver.requests() {
        let mut path = request.split_whitespace().nth(1).unwrap().split('/').skip(1);
        let (what, id) = (path.next().unwrap(), path.next().unwrap().parse().unwrap());
        let was = running.insert(id, what == "begin").unwrap_or(false);
        assert!(!(was && what == "begin"), "job {id} was run by two at a time");
        *runs.entry(id).or_default() += u32::from(what == "begin");
    }
    assert!(acknowledged.iter().all(|id| runs.contains_key(id)), "each was run");
    let again = runs.values().filter(|runs| **runs > 1).count();
    eprintln!(
        "fail-over under load: {} jobs acknowledged, {} run, {again} of them twice; promoted {:.1} s after the kill, 100 more jobs done after {:.1} s",
        acknowledged.len(),
        runs.len(),
        promoted.as_secs_f64(),
        after.as_secs_f64()
    );
    for host in hosts {
        let log = host.stop().await;
        assert!(log.contains("sessions are opened at another server"), "{log}");
    }
    database.pool().close().await;
}

#[tokio::test]
async fn a_primary_that_became_read_only_is_left_by_pool_listener_and_handlers() {
    let servers = Replicated::start().await;
    let (dsn, plugins) = (servers.dsn(READ_WRITE), Plugins::with(&["hostile", "sql"]));
    assert_eq!(verb(&dsn, &["install"]).await.code, 0);
    let mut primary = servers.connect(&servers.primary).await;
    primary.execute("CREATE ROLE handler LOGIN PASSWORD 'pass word'").await.unwrap();
    primary.execute("CREATE SCHEMA own AUTHORIZATION handler; CREATE TABLE own.thing (at text); ALTER TABLE own.thing OWNER TO handler").await.unwrap();
    assert_eq!(verb(&dsn, &["grant", "pgq", "--handler", "handler", "--apply"]).await.code, 0);
    let password = plugins.path().join("password");
    std::fs::write(&password, "pass word\n").unwrap();
    let config = format!(
        "[plugins.hostile]\n[plugins.sql.sql]\nrole = \"handler\"\npassword = {{ file = {:?} }}\n",
        password.to_str().unwrap()
    );
    std::fs::write(plugins.config(), config).unwrap();
    let host = host(&dsn, &plugins, "mover");
    host.wait_for_log("ready").await;
    let insert = json!([{"execute": ["INSERT INTO own.thing VALUES (current_setting('port'))"]}]).to_string();
    let first = Database::at(servers.primary.dsn("postgres")).await;
    let id = first.enqueue("patient", insert.clone()).await;
    first.wait_for(id, "successful").await;
    first.pool().close().await;
    // Somebody demotes it, gently: its sessions stay open.
    for setting in [
        "ALTER SYSTEM RESET synchronous_standby_names",
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    ] {
        primary.execute(setting).await.unwrap();
    }
    servers.promote_standby().await;
    let mut standby = servers.connect(&servers.standby).await;
    for setting in ["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"] {
        standby.execute(setting).await.unwrap();
    }
    let second = Database::at(servers.standby.dsn("postgres")).await;
    for entrypoint in ["echo", "patient"] {
        let id = second.enqueue(entrypoint, insert.clone()).await;
        second.wait_for(id, "successful").await;
    }
    let port = servers.standby.port();
    assert_eq!(second.count(&format!("SELECT count(*) FROM own.thing WHERE at = '{port}'")).await, 1);
    host.wait_for_log("listening again").await;
    eventually("nobody is left behind", async || sessions(&mut primary, "mover").await == 0).await;
    host.stop().await;
    second.pool().close().await;
}

async fn sessions(connection: &mut PgConnection, name: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_standby_is_found_and_told_apart() {
    let servers = Replicated::start().await;
    assert_eq!(verb(&servers.dsn(READ_WRITE), &["install"]).await.code, 0);
    let mut standby = servers.connect(&servers.standby).await;
    eventually("the tables are there", async || {
        let found = "SELECT to_regclass('pgqueuer_host') IS NOT NULL";
        sqlx::query_scalar::<_, bool>(found).fetch_one(&mut standby).await.unwrap()
    })
    .await;
    standby.close().await.unwrap();
    let (first, second) = (servers.primary.port(), servers.standby.port());
    for (attrs, kind, port) in [
        ("any", "a primary", first),
        ("read-write", "a primary", first),
        ("primary", "a primary", first),
        ("read-only", "a standby", second),
        ("standby", "a standby", second),
        ("prefer-standby", "a standby", second),
    ] {
        let said = verb(&servers.dsn(&format!("target_session_attrs={attrs}")), &["doctor", "--json"]).await;
        let found = said.json()[0]["found"].as_str().unwrap().to_owned();
        assert!(found.contains(&format!("{kind} at 127.0.0.1:{port}")), "{attrs}: {found}");
        // Whoever only looks may look there; a host could do nothing.
        assert_eq!(said.json()[0]["severity"] == "error", kind == "a standby", "{attrs}: {said:?}");
        let said = verb(&servers.dsn(&format!("target_session_attrs={attrs}")), &["backlog"]).await;
        assert_eq!(said.code, 0, "{attrs}: {said:?}");
    }
    // With one of them in the list, it is that or nothing.
    let alone = format!("{}?target_session_attrs=read-write", servers.standby.dsn("postgres"));
    let said = verb(&alone, &["backlog"]).await;
    assert!(said.code == 1 && said.stderr.contains("the session is read-only"), "{said:?}");
    let alone = format!("{}?target_session_attrs=prefer-standby", servers.primary.dsn("postgres"));
    assert_eq!(verb(&alone, &["backlog"]).await.code, 0);
}
