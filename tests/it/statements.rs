//! Every statement of a worker, as in its file: it is valid as it stands, has the types that its
//! callers bind and read, and has a fixed plan.

use std::fmt::Write as _;

use pgq_host_tests::{Database, run_command};
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::{SchemaFeatures, WORKER_STATEMENTS, session_settings};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Either, Executor as _, PgConnection, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/statements.txt");
/// Plans are those of this release of PostgreSQL. Another may name its nodes differently.
const PLANS_OF: i64 = 15;

/// The names and types of a statement's parameters and columns.
async fn described(connection: &mut PgConnection, sql: &str) -> (Vec<String>, Vec<String>) {
    let statement = connection
        .prepare(AssertSqlSafe(sql.to_owned()).into_sql_str())
        .await
        .unwrap_or_else(|error| panic!("{error}:\n{sql}"));
    let Some(Either::Left(parameters)) = statement.parameters() else { panic!("no types for the parameters of {sql}") };
    let parameters = parameters.iter().map(|parameter| parameter.name().to_lowercase()).collect();
    let columns = statement
        .columns()
        .iter()
        .map(|column| format!("{} {}", column.name(), column.type_info().name().to_lowercase()));
    (parameters, columns.collect())
}

/// The nodes of its plan in a worker's session, indented by their nesting.
async fn plan(connection: &mut PgConnection, sql: &str, parameters: usize) -> Vec<String> {
    let arguments = vec!["NULL"; parameters].join(", ");
    let arguments = if parameters == 0 { String::new() } else { format!("({arguments})") };
    connection.execute(AssertSqlSafe(format!("PREPARE looked_at AS {sql}"))).await.expect("prepared");
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE looked_at{arguments}");
    let lines: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.expect("a plan");
    connection.execute("DEALLOCATE looked_at").await.expect("forgotten");
    let begins = |line: &str| ["CTE ", "InitPlan", "SubPlan"].iter().any(|word| line.starts_with(word));
    let is_node = |line: &&String| line.contains("->") || !line.starts_with(' ') || begins(line.trim_start());
    lines.iter().filter(is_node).map(|line| line.trim_end().to_owned()).collect()
}

#[tokio::test]
async fn every_statement_has_the_types_and_the_plan_that_were_looked_at() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let version = database.count("SELECT current_setting('server_version_num')::bigint / 10000").await;
    connection.execute(AssertSqlSafe(session_settings())).await.expect("a worker's settings");
    let mut found = String::new();
    let names = Names::new(&NameSettings::default(), |_| None).expect("valid names");
    for statement in WORKER_STATEMENTS {
        // Valid as it stands; what is sent of it is without its comments, and of one that is about
        // locked rows without the parts that are about marked ones.
        described(&mut connection, statement.file).await;
        let (name, sql) = (statement.name, statement.render(&names, SchemaFeatures::ALL));
        let (parameters, columns) = described(&mut connection, &sql).await;
        writeln!(found, "{name}\n  takes {}\n  returns {}", parameters.join(", "), columns.join(", ")).unwrap();
        if version == PLANS_OF {
            plan(&mut connection, &sql, parameters.len())
                .await
                .iter()
                .for_each(|node| writeln!(found, "    {node}").unwrap());
        }
        found.push('\n');
    }
    let kept = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    let kept = if version == PLANS_OF { kept } else { without_plans(&kept) };
    if found != kept && std::env::var_os("PGQ_UPDATE_SNAPSHOTS").is_some() && version == PLANS_OF {
        std::fs::write(SNAPSHOT, &found).expect("written");
        return;
    }
    for (found, kept) in found.split("\n\n").zip(kept.split("\n\n")) {
        assert!(
            found == kept,
            "is\n{found}\n\nwas\n{kept}\n\nIf that is meant, run this test with PGQ_UPDATE_SNAPSHOTS=1 and read the diff"
        );
    }
    assert_eq!(found.len(), kept.len(), "a statement came or went: run this test with PGQ_UPDATE_SNAPSHOTS=1");
}

fn without_plans(snapshot: &str) -> String {
    snapshot.split_inclusive('\n').filter(|line| !line.starts_with("    ")).collect()
}

/// Queries for people, or for metrics a few times a minute.
const READS_ALL: [&str; 2] = ["count_left", "depth"];

#[test]
fn no_statement_of_the_loop_reads_the_whole_queue_or_log() {
    let kept = std::fs::read_to_string(SNAPSHOT).expect("the snapshot");
    for statement in kept.split("\n\n").filter(|statement| !READS_ALL.iter().any(|name| statement.starts_with(name))) {
        let is_whole = |line: &str| {
            line.split_once("Seq Scan on ")
                .is_some_and(|(_, table)| ["pgqueuer", "pgqueuer_log"].contains(&table.split(' ').next().unwrap_or("")))
        };
        assert!(!statement.lines().any(is_whole), "{statement}");
    }
}

#[tokio::test]
async fn statements_of_other_names_and_of_a_database_without_additions_are_valid_too() {
    let database = Database::empty().await;
    let settings = NameSettings { prefix: Some("My_".into()), schema: Some("jobs".into()) };
    let names = Names::new(&settings, |_| None).expect("valid names");
    let mut install = pgq_host_tests::pgq_host(&database.dsn());
    install.args(["--prefix", "My_", "--schema", "jobs", "install"]);
    assert_eq!(run_command(install).await.code, 0);
    let mut connection = PgConnection::connect(&database.dsn()).await.expect("it answers");
    for statement in WORKER_STATEMENTS {
        described(&mut connection, &statement.render(&names, SchemaFeatures::ALL)).await;
        let none = SchemaFeatures {
            attempts: false,
            tally: false,
            presence: false,
            suspects: false,
            figures: false,
            lines: false,
            pauses: false,
            follow_ups: false,
            ..SchemaFeatures::ALL
        };
        let (name, sql) = (&statement.name, statement.render(&names, none));
        described(&mut connection, &sql).await;
        let is_about_them = [
            "judge_attempts",
            "prune_attempts",
            "begin_suspect",
            "clear_suspects",
            "prune_suspects",
            "prune_lines",
            "schema_features",
        ]
        .contains(name);
        let used = ["_attempt\"", "_tally\"", "_suspect\"", "_lines\""].iter().find(|table| sql.contains(*table));
        assert!(is_about_them || used.is_none(), "{name} uses {used:?}");
    }
}

#[tokio::test]
async fn sql_worker_prints_what_can_be_prepared() {
    let database = Database::new().await;
    let all = database.cli_ok(&["sql", "worker"]).await.stdout;
    let printed = all.lines().filter(|line| line.ends_with(';') && !line.starts_with("--")).count();
    assert_eq!(printed, WORKER_STATEMENTS.len());
    let one = database.cli_ok(&["sql", "worker", "has_work"]).await.stdout;
    assert!(
        one.starts_with("-- has_work\n--\n")
            && one.contains("-- $1 text[]  entrypoints\n")
            && one.trim_end().ends_with(';'),
        "{one}"
    );
    database.execute(&format!("PREPARE has_work AS {one}")).await;
    let mut unknown = pgq_host_tests::pgq_host(&database.dsn());
    unknown.args(["sql", "worker", "klaim"]);
    let unknown = run_command(unknown).await;
    assert!(unknown.code == 2 && unknown.stderr.contains("no statement \"klaim\"; it has claim, "), "{unknown:?}");
}
