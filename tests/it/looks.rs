//! What looks cost where the log and the queue are long: a bounded number of blocks, by indexes.

use pgq_host_tests::Database;
use pgq_queue::{LOOK_STATEMENTS, WORKER_STATEMENTS, session_settings};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

/// Each statement with what it is asked for most, and the blocks that it may touch. What is asked for
/// with a bound of rows may touch a few blocks for each of these; none depends on how long a table is.
const ASKED: &[(&str, &[&str], i64)] = &[
    ("job", &["150000", "65536"], 20),
    ("job_events", &["150000", "200"], 50),
    ("job_attempts", &["900000", "now() - interval '1 day'", "now()", "200"], 900),
    ("job_parent", &["900001", "(SELECT max(created) FROM pgqueuer_attempt)"], 900),
    ("job_output", &["150000", "65536"], 20),
    ("job_lines", &["150000", "10"], 20),
    ("new_lines", &["0", "1000", "NULL", "'{}'"], 100),
    ("last_lines", &["1000", "NULL", "10"], 100),
    (
        "jobs_by_id",
        &[
            "9223372036854775807",
            "100",
            "'{queued,picked,failed}'",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "50",
        ],
        1_000,
    ),
    ("jobs_by_id_end", &["9223372036854775807", "100"], 200),
    (
        "jobs_running",
        &[
            "9223372036854775807",
            "100",
            "'{picked}'",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "50",
            "'-infinity'",
        ],
        1_000,
    ),
    ("jobs_running_end", &["9223372036854775807", "100", "'-infinity'"], 200),
    (
        "jobs_waiting",
        &[
            "-9223372036854775808",
            "100",
            "'{queued}'",
            "'e3'",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "50",
            "2147483647",
        ],
        1_000,
    ),
    ("jobs_waiting_end", &["-9223372036854775808", "100", "2147483647", "'e3'"], 500),
    (
        "jobs_ended",
        &["9223372036854775807", "100", "'{successful}'", "NULL", "NULL", "NULL", "NULL", "NULL", "50", "'infinity'"],
        500,
    ),
    ("jobs_ended_end", &["9223372036854775807", "100", "'infinity'"], 200),
    (
        "held_jobs",
        &[
            "9223372036854775807",
            "100",
            "'{failed}'",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "NULL",
            "50",
            "true",
        ],
        2_500,
    ),
    ("held_jobs_end", &["9223372036854775807", "100", "NULL"], 500),
    ("depths", &["NULL", "101", "20000", "NULL", "'{e1,gone}'"], 25_000),
    ("depths_running", &["20001"], 2_000),
    ("throughput", &["500000", "floor(extract(epoch FROM now()) / 60)::bigint - 5", "100000"], 15_000),
    ("recent_runs", &["60000", "500"], 5_000),
    (
        "minute_times",
        &["floor(extract(epoch FROM now()) / 60)::bigint - 5", "floor(extract(epoch FROM now()) / 60)::bigint", "100"],
        5_000,
    ),
    ("causes_to", &[], 20),
    ("causes", &["501", "NULL"], 600),
    ("failures", &["'infinity'", "9223372036854775807", "501", "NULL", "NULL", "'-infinity'", "0"], 3_000),
    ("held_failures", &["NULL", "NULL", "501", "NULL"], 5_000),
    ("plugin_versions", &["1000"], 50),
    ("judgements", &["1000"], 50),
    ("audit", &["100", "9223372036854775807"], 50),
    ("browse_queue", &["100", "100", "1000"], 3_000),
    ("newest_log", &["100", "1000"], 200),
    ("newest_exceptions", &["50", "1000", "2000"], 3_000),
    ("statistics_rows", &["50", "3600000", "1000"], 300),
    ("uncounted", &["1000"], 100),
    ("open_transactions", &["60000", "20"], 100),
    ("gone_hosts", &["3600000", "20"], 20),
];

/// 300,000 jobs in the queue, a million log rows, 400,000 attempts, an hour of statistics.
async fn fill(database: &Database) {
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, status, created, updated, queue_manager_id, execute_after)
             SELECT n % 3, 'e' || n % 20,
                    CASE WHEN n % 1000 = 0 THEN 'failed' WHEN n % 1000 = 1 THEN 'picked' ELSE 'queued' END::pgqueuer_status,
                    now(), now() - n * interval '1 ms', CASE WHEN n % 1000 = 1 THEN gen_random_uuid() END,
                    now() + CASE WHEN n % 7 = 0 THEN interval '1 day' ELSE interval '0' END
             FROM generate_series(1, 300000) AS n;
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated, traceback)
             SELECT 300000 + n / 3, (ARRAY['queued', 'picked', 'successful'])[1 + n % 3]::pgqueuer_status, 0, 'e' || n / 3 % 20,
                    now() - (1000000 - n) * interval '10 ms', true,
                    CASE WHEN n % 200 = 0 THEN jsonb_build_object('exception_type', 'Trap', 'exception_message', 'order ' || n,
                        'traceback', repeat('  1: 0x1 - a.wasm!core::panicking::panic' || chr(10), 20),
                        'additional_context', jsonb_build_object('plugin_sha256', repeat('ab', 32))) END
             FROM generate_series(1, 1000000) AS n;
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated, traceback)
             SELECT id, 'failed', 0, entrypoint, now() - interval '2 hours', true, '{\"exception_type\": \"Trap\", \"exception_message\": \"x\"}'
             FROM pgqueuer WHERE status = 'failed';
             INSERT INTO pgqueuer_attempt (created, job_id, plugin, elapsed_us, memory_bytes, attempt)
             SELECT now() - (400000 - n) * interval '20 ms', 600000 + n + n % 2 * 100000, n % 3, n, n, 1 FROM generate_series(1, 400000) AS n;
             INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
             SELECT date_trunc('sec', now()) - s * interval '1 s', 3, 0, status::pgqueuer_status, 'e' || e
             FROM generate_series(0, 3600) AS s, unnest(ARRAY['queued', 'successful']) AS status, generate_series(0, 19) AS e
             ORDER BY s DESC",
        )
        .await;
    database
        .execute(
            "INSERT INTO pgqueuer_cause (key, entrypoint, exception_type, message, last_message, failures, first_seen, last_seen, examples, versions)
             SELECT n::text, 'e' || n % 20, 'Trap', 'cause ' || n, 'cause ' || n, n, now() - interval '1 day', now() - n * interval '1 s', '{}', '[]'
             FROM generate_series(1, 10000) AS n;
             INSERT INTO pgqueuer_retention (walk, walked) VALUES ('causes', now() - interval '1 minute')",
        )
        .await;
    for table in ["pgqueuer_cause", "pgqueuer", "pgqueuer_log", "pgqueuer_attempt", "pgqueuer_statistics"] {
        database.execute(&format!("VACUUM ANALYZE {table}")).await;
    }
}

async fn explained(connection: &mut PgConnection, name: &str, file: &str, arguments: &[&str]) -> Value {
    connection
        .execute(AssertSqlSafe(format!("PREPARE look AS {file}")))
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    // A query may not stand where an argument does.
    let mut values = Vec::new();
    for argument in arguments {
        let value: Option<String> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT quote_literal(({argument})::text)")))
                .fetch_one(&mut *connection)
                .await
                .unwrap_or_else(|error| panic!("{name}: {argument}: {error}"));
        values.push(value.unwrap_or_else(|| "NULL".into()));
    }
    let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE look{values}");
    let plan: sqlx::types::Json<Value> = sqlx::query_scalar(AssertSqlSafe(explain))
        .fetch_one(&mut *connection)
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    connection.execute("DEALLOCATE look").await.unwrap();
    plan.0[0]["Plan"].clone()
}

/// Tables that are read from one end to the other.
fn whole(plan: &Value, found: &mut Vec<String>) {
    if plan["Node Type"] == "Seq Scan" {
        found.push(plan["Relation Name"].as_str().unwrap_or_default().to_owned());
    }
    plan["Plans"].as_array().into_iter().flatten().for_each(|part| whole(part, found));
}

#[tokio::test]
async fn a_look_at_a_long_queue_and_log_touches_few_blocks() {
    let database = Database::new().await;
    fill(&database).await;
    let mut connection = database.connect().await;
    connection.execute(AssertSqlSafe(session_settings())).await.expect("a worker's settings");
    connection.execute("SET enable_bitmapscan = on").await.unwrap();
    let asked: Vec<&str> = ASKED.iter().map(|(name, ..)| *name).collect();
    let known: Vec<&str> = LOOK_STATEMENTS.iter().map(|(name, _)| *name).collect();
    assert!(known.iter().all(|name| asked.contains(name)), "a look came: {known:?}");
    // As small as there were deployments, or verdicts on them.
    let small = ["pgqueuer_plugin", "pgqueuer_verdict", "pgqueuer_host", "pgqueuer_retention"];
    let mut too_many = Vec::new();
    for (name, arguments, most) in ASKED {
        let (_, file) = LOOK_STATEMENTS.iter().find(|(known, _)| known == name).expect("a look");
        let plan = explained(&mut connection, name, file, arguments).await;
        let mut read = Vec::new();
        whole(&plan, &mut read);
        assert!(read.iter().all(|table| small.contains(&table.as_str())), "{name} reads all of {read:?}");
        let blocks = plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap();
        if blocks > *most {
            too_many.push(format!("{name}: {blocks} blocks, and {most} are enough"));
        }
    }
    // Counting causes reads the index of failures as well, however long the log is.
    let file = WORKER_STATEMENTS.iter().find(|statement| statement.name == "new_failures").expect("a statement").file;
    connection.execute("SET enable_bitmapscan = off; SET enable_incremental_sort = off").await.unwrap();
    let arguments = ["now() - interval '2 hours'", "0", "now()", "1000"];
    let plan = explained(&mut connection, "new_failures", file, &arguments).await;
    let blocks = plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap();
    if blocks > 2_000 {
        too_many.push(format!("new_failures: {blocks} blocks: {plan}"));
    }
    assert!(too_many.is_empty(), "{too_many:#?}");
}
