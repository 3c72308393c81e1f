//! `sql upgrade`: one script for any earlier schema, for people who can only hand scripts to
//! somebody else.

use std::path::Path;

use pgq_host_tests::{Database, pgq, run_command};
use sqlx::{AssertSqlSafe, Executor as _};

/// Statement by statement, as psql would run it outside a transaction.
async fn run_script(database: &Database, script: &str) {
    let mut connection = database.connect().await;
    let mut rest = script;
    while !rest.trim().is_empty() {
        // Blank lines separate the statements, except within a function's body.
        let mut end = 0;
        loop {
            end = rest[end..].find("\n\n").map_or(rest.len(), |at| end + at + 2);
            if end == rest.len() || rest[..end].matches("$$").count().is_multiple_of(2) {
                break;
            }
        }
        let (statement, after) = rest.split_at(end);
        connection.execute(AssertSqlSafe(statement)).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
        rest = after;
    }
}

async fn plan(database: &Database) -> String {
    database.cli_ok(&["upgrade", "--plan"]).await.stdout
}

#[tokio::test]
async fn the_script_brings_every_release_up_to_date_and_can_be_run_again() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pgqueuer-schemas"));
    let mut releases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    releases.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    releases.sort();
    assert!(releases.len() > 3);
    for release in releases {
        let database = Database::empty().await;
        database.execute(&std::fs::read_to_string(&release).unwrap()).await;
        let script = database.cli_ok(&["sql", "upgrade"]).await.stdout;
        for _ in 0..2 {
            run_script(&database, &script).await;
        }
        assert_eq!(plan(&database).await, "", "{}", release.display());
        let mut command = pgq(&database.dsn());
        command.args(["upgrade", "--plan"]);
        let theirs = run_command(command).await;
        assert_eq!((theirs.code, theirs.stdout.trim()), (0, ""), "{}: {theirs:?}", release.display());
    }
}

#[tokio::test]
async fn the_script_makes_everything_where_there_is_nothing() {
    let database = Database::empty().await;
    let args = ["--schema", "jobs", "--prefix", "p_"];
    let script = database.cli_ok(&[&["sql", "upgrade"][..], &args].concat()).await.stdout;
    run_script(&database, &script).await;
    run_script(&database, &script).await;
    assert_eq!(database.cli_ok(&[&["upgrade", "--plan"][..], &args].concat()).await.stdout, "");
}
