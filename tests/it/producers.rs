//! docs/producers.md: what the page shows is what the files in docs/examples contain, and those
//! work as described, with a real host and its plugin.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use pgq_host_tests::{Database, Host, Plugins, node, python};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::process::Command;

/// Only a notification can make a job run within the time limit of a test.
const NO_POLLING: [&str; 2] = ["--dequeue-timeout", "3600"];

fn docs() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))
}

fn example(name: &str) -> String {
    fs::read_to_string(docs().join("examples").join(name)).unwrap()
}

/// The reader's own table from the page, and a host that serves `hello`.
async fn hosted() -> (Database, Plugins, Host) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    database
        .execute("CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL)")
        .await;
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    (database, plugins, host)
}

async fn users(database: &Database, name: &str) -> i64 {
    database.count(&format!("SELECT count(*) FROM users WHERE name = '{name}'")).await
}

/// The output of an example.
async fn run_command(database: &Database, mut command: Command) -> String {
    let output = command.env("PGDSN", database.dsn()).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn in_python(database: &Database, name: &str) -> String {
    let mut command = Command::new(python());
    command.arg(docs().join("examples").join(name));
    run_command(database, command).await
}

/// `None` without Node.
async fn in_node(database: &Database, name: &str, args: &[&str]) -> Option<String> {
    // A program finds its packages relative to its own location, so it runs in a folder beside
    // node_modules.
    let folder = node()?;
    let program = folder.join(format!("{}-{name}", std::process::id()));
    fs::copy(docs().join("examples").join(name), &program).unwrap();
    let mut command = Command::new("node");
    command.arg(&program).args(args);
    let said = run_command(database, command).await;
    fs::remove_file(program).unwrap();
    Some(said)
}

async fn greeted(database: &Database, id: i64, name: &str) {
    database.wait_for(id, "successful").await;
    assert_eq!(database.output(id).await, Some(format!("Hello, {name}!")));
}

#[test]
fn the_page_shows_the_files_verbatim_and_nothing_else() {
    let page = fs::read_to_string(docs().join("producers.md")).unwrap();
    let mut shown = BTreeSet::new();
    // Text, block, text, block, ..., text.
    let parts: Vec<&str> = page.split("```").collect();
    assert_eq!(parts.len() % 2, 1, "a block is not closed");
    for pair in parts.windows(2).step_by(2) {
        let (language, code) = pair[1].split_once('\n').unwrap();
        if language == "text" {
            continue;
        }
        let link = pair[0].trim_end().rsplit('\n').next().unwrap();
        let name = link.split_once("(examples/").and_then(|(_, rest)| rest.strip_suffix(')'));
        let name = name.unwrap_or_else(|| panic!("no link to a file before this block, but {link:?}:\n{code}"));
        assert_eq!(code, example(name), "docs/producers.md and docs/examples/{name} differ");
        let suffix = name.rsplit('.').next().unwrap();
        assert_eq!(
            language,
            match suffix {
                "py" => "python",
                "mjs" => "js",
                other => other,
            }
        );
        shown.insert(name.to_owned());
    }
    let files =
        fs::read_dir(docs().join("examples")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.filter(|name| !name.ends_with(".json")).collect();
    assert_eq!(shown, files);
}

#[tokio::test]
async fn the_producers_own_key_is_in_the_headers() {
    let (database, plugins, host) = hosted().await;
    host.stop().await;
    database.execute(&example("idempotent.sql")).await;
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE headers->>'idempotency-key' = '7d0f4c1e-5f0b-4b8e-9a55-0c8a2f3f1b6d'").await,
        1
    );
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    greeted(&database, 1, "Barbara").await;
    host.stop().await;
}

#[tokio::test]
async fn a_row_and_its_job_are_committed_together_or_not_at_all() {
    let (database, _plugins, host) = hosted().await;
    let sql = example("transaction.sql");
    let rolled_back = sql.replace("COMMIT;", "ROLLBACK;");
    assert_ne!(sql, rolled_back);
    database.execute(&rolled_back).await;
    assert_eq!((users(&database, "Ada").await, database.count("SELECT count(*) FROM pgqueuer").await), (0, 0));
    database.execute(&sql).await;
    // The first id was used up by the first job.
    greeted(&database, 2, "Ada").await;
    assert_eq!((users(&database, "Ada").await, database.history(1).await.len()), (1, 0));
    // The producer wrote no log row, because nothing requires one.
    assert_eq!(database.history(2).await, ["picked", "successful"]);
    host.stop().await;
}

#[tokio::test]
async fn one_insert_is_a_job() {
    let (database, _plugins, host) = hosted().await;
    database.execute(&example("minimal.sql")).await;
    greeted(&database, 1, "Grace").await;
    host.stop().await;
}

#[tokio::test]
async fn the_complete_insert_keeps_its_key_waits_its_time_and_needs_no_more_than_the_grants() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    // A role belongs to the server, not to the database.
    let app = format!("app_{}", std::process::id());
    database.execute(&format!("CREATE ROLE {app}")).await;
    database.execute(&example("grants.sql").replace("TO app;", &format!("TO {app};"))).await;
    let mut producer: PgConnection = database.connect().await;
    producer.execute(AssertSqlSafe(format!("SET ROLE {app}"))).await.unwrap();
    for sql in
        [example("transaction.sql").replace("INSERT INTO users (name) VALUES ('Ada');", ""), example("minimal.sql")]
    {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut producer).await.unwrap();
    }
    let complete = example("complete.sql");
    let id: i64 = sqlx::query_scalar(AssertSqlSafe(complete.clone())).fetch_one(&mut producer).await.unwrap();
    let again: Option<i64> =
        sqlx::query_scalar(AssertSqlSafe(complete.clone())).fetch_optional(&mut producer).await.unwrap();
    assert_eq!(again, None, "the key is taken");

    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    greeted(&database, id, "Edsger").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    let early = database
        .count(&format!(
            "SELECT count(*) FROM pgqueuer_log AS picked JOIN pgqueuer_log AS queued USING (job_id)
             WHERE job_id = {id} AND picked.status = 'picked' AND queued.status = 'queued'
               AND picked.created < queued.created + interval '1 second'"
        ))
        .await;
    assert_eq!(early, 0);
    let free: Option<i64> = sqlx::query_scalar(AssertSqlSafe(complete)).fetch_optional(&mut producer).await.unwrap();
    assert!(free.is_some_and(|free| free > id), "the key is free again");
    let row = sqlx::query(AssertSqlSafe(example("wait.sql"))).bind(id).fetch_one(&mut producer).await.unwrap();
    let output: Vec<u8> = row.try_get("output").unwrap();
    let error: Option<String> = row.try_get("error").unwrap();
    assert_eq!((output.as_slice(), error), (b"Hello, Edsger!".as_slice(), None));

    producer.close().await.unwrap();
    host.stop().await;
    database.execute(&format!("DROP OWNED BY {app}; DROP ROLE {app}")).await;
}

#[tokio::test]
async fn python_enqueues_in_a_transaction_and_waits_for_the_output() {
    let (database, _plugins, host) = hosted().await;
    let id: i64 = in_python(&database, "enqueue.py").await.parse().unwrap();
    greeted(&database, id, "Guido").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    assert_eq!(users(&database, "Guido").await, 1);
    assert_eq!(in_python(&database, "wait.py").await, "successful: Hello, Barbara!");
    host.stop().await;
}

#[tokio::test]
async fn node_enqueues_in_a_transaction_and_waits_for_the_output() {
    let (database, _plugins, host) = hosted().await;
    let Some(id) = in_node(&database, "enqueue.mjs", &[]).await else {
        return;
    };
    let successful = in_node(&database, "wait.mjs", &[&id]).await;
    assert_eq!(successful.as_deref(), Some("successful: Hello, Brendan!"));
    let id: i64 = id.parse().unwrap();
    greeted(&database, id, "Brendan").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    assert_eq!(users(&database, "Brendan").await, 1);
    // How a job ends that its handler rejects.
    let refused = database.enqueue("hello", "no JSON").await.to_string();
    let failed = in_node(&database, "wait.mjs", &[&refused]).await.unwrap();
    assert!(failed.starts_with("failed: ") && failed.contains("JSON"), "{failed}");
    host.stop().await;
}
