//! A publication for logical replication that includes our tables does not stop the queue.

use pgq_host_tests::{CliOutput, Database, Host, Plugins, pgq_host, run_command};
use serde_json::Value;

async fn doctor(database: &Database) -> Vec<Value> {
    let mut command = pgq_host(&database.dsn());
    command.args(["doctor", "--json"]).env_remove("PGQ_HOST_PLUGINS").current_dir(std::env::temp_dir());
    let CliOutput { stdout, .. } = run_command(command).await;
    let all: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    all.into_iter().filter(|finding| finding["check"] == "publications").collect()
}

#[tokio::test]
async fn a_publication_for_all_tables_stops_nothing() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.execute("CREATE PUBLICATION everything FOR ALL TABLES").await;
    // The whole life of jobs under it, in every table.
    let host = Host::start(&database, &plugins, &["--log-aggregation-interval", "0.1"]).await;
    let (echo, failing) = (database.enqueue("echo", "kept").await, database.enqueue("fail", "no luck").await);
    database.wait_for(echo, "successful").await;
    database.wait_for(failing, "failed").await;
    pgq_host_tests::eventually("both are counted", async || {
        database.count("SELECT count(*) FROM pgqueuer_tally").await == 0
    })
    .await;
    let log = host.stop().await;
    assert!(!log.contains("replica identity"), "{log}");
    database.cli_ok(&["requeue", "--all"]).await;
    database.cli_ok(&["cancel", &failing.to_string()]).await;

    assert!(database.count("SELECT count(*) FROM pgqueuer_attempt").await > 0);
    database.execute("UPDATE pgqueuer_attempt SET created = now() - interval '1 year'").await;
    database.cli_ok(&["prune", "--apply"]).await;
    assert!(database.count("SELECT count(*) FROM pgqueuer_attempt").await == 0);
    // Rows of all our tables and of PgQueuer's can be changed and deleted.
    let tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relname LIKE 'pgqueuer%' ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(database.pool()).await.unwrap();
    assert!(tables.len() >= 9, "{tables:?}");
    for table in &tables {
        database.execute(&format!("DELETE FROM {table}")).await;
    }
    let found = doctor(&database).await;
    assert!(
        found.len() == 1
            && found[0]["severity"] == "note"
            && found[0]["found"].to_string().contains("pgqueuer_attempt"),
        "{found:?}"
    );
    assert!(found[0]["remedy"].to_string().contains("on the subscriber"), "{found:?}");
}

#[tokio::test]
async fn a_published_table_without_an_identity_is_found_and_fixed() {
    let database = Database::new().await;
    assert_eq!(doctor(&database).await[0]["severity"], "ok");
    // As an earlier release created it.
    database
        .execute("ALTER TABLE pgqueuer_attempt REPLICA IDENTITY DEFAULT; ALTER TABLE pgqueuer REPLICA IDENTITY NOTHING")
        .await;
    database.execute("INSERT INTO pgqueuer_attempt VALUES (now() - interval '1 year', 1, 1, 1, 1, 1)").await;
    assert_eq!(doctor(&database).await[0]["severity"], "ok", "nothing is published");
    database
        .execute("CREATE PUBLICATION deletes FOR TABLE pgqueuer, pgqueuer_attempt WITH (publish = 'insert, delete')")
        .await;
    let refused = database.run_cli(&["prune", "--apply"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("replica identity"), "{refused:?}");

    let found = doctor(&database).await;
    let severities: Vec<_> = found.iter().map(|finding| finding["severity"].as_str().unwrap()).collect();
    assert_eq!(severities, ["error", "error"], "{found:?}");
    assert!(found[1]["found"].to_string().contains("pgqueuer_attempt is in the publication deletes"), "{found:?}");
    database.execute(found[0]["remedy"].as_str().unwrap().split(';').next().unwrap()).await;
    assert_eq!(found[1]["remedy"], "pgq-host upgrade");
    let differs = database.run_cli(&["verify", "--expect", "present"]).await;
    assert!(
        differs.code == 1 && differs.stderr.contains("missing replica identity of pgqueuer_attempt"),
        "{differs:?}"
    );
    let plan = database.cli_ok(&["upgrade", "--plan"]).await.stdout;
    assert_eq!(plan.trim(), "ALTER TABLE \"pgqueuer_attempt\" REPLICA IDENTITY FULL;");
    // The script does it, too.
    database.execute(&database.cli_ok(&["sql", "upgrade"]).await.stdout).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    database.execute("ALTER TABLE pgqueuer_attempt REPLICA IDENTITY DEFAULT").await;
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    let pruned = database.cli_ok(&["prune", "--apply"]).await;
    assert!(pruned.stderr.contains("Removed 1 row(s)."), "{pruned:?}");
}
