//! Old rows are removed as `[retention]` says: by entrypoint and outcome, each job's log whole, never
//! before it is counted, never in the way of the queue, and by one host at a time.

use std::collections::BTreeMap;

use pgq_host_tests::{CliOutput, Database, Host, Pages, PgBouncer, Plugins, eventually, pgq_host, python, run_command};
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::{SchemaFeatures, WORKER_STATEMENTS};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::process::Command;

/// A configuration in a folder of its own.
fn config(text: &str) -> Plugins {
    let folder = Plugins::with(&[]);
    std::fs::write(folder.config(), text).unwrap();
    folder
}

async fn prune(database: &Database, config: &Plugins, args: &[&str]) -> CliOutput {
    let mut command = pgq_host(&database.dsn());
    command.arg("prune").args(args).env("PGQ_HOST_CONFIG", config.config());
    run_command(command).await
}

async fn prune_ok(database: &Database, config: &Plugins, args: &[&str]) -> CliOutput {
    let said = prune(database, config, args).await;
    assert_eq!(said.code, 0, "{said:?}");
    said
}

/// The logs of finished jobs: ids from `first` on, ended as `outcome` so many days ago.
async fn finished(database: &Database, first: i64, jobs: i64, entrypoint: &str, outcome: &str, days: i64) {
    database
        .execute(&format!(
            "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated)
             SELECT now() - interval '{days} days' + n * interval '1 ms', id, status, 0, '{entrypoint}', true
             FROM generate_series({first}, {first} + {jobs} - 1) AS id,
                  unnest(ARRAY['queued', 'picked', '{outcome}']::pgqueuer_status[]) WITH ORDINALITY AS s (status, n)
             ORDER BY id, n"
        ))
        .await;
}

/// Jobs with a row in the log, by entrypoint and last status, and how many rows each has.
async fn logged(database: &Database) -> BTreeMap<(String, String), (i64, i64)> {
    let sql = "SELECT entrypoint, last, count(*), sum(rows)::bigint FROM (
                   SELECT entrypoint, count(*) AS rows, (array_agg(status::text ORDER BY created DESC, id DESC))[1] AS last
                   FROM pgqueuer_log GROUP BY entrypoint, job_id) AS jobs GROUP BY 1, 2";
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(sql).fetch_all(database.pool()).await.unwrap();
    rows.into_iter().map(|(entrypoint, last, jobs, rows)| ((entrypoint, last), (jobs, rows))).collect()
}

async fn rows(database: &Database, table: &str) -> i64 {
    database.count(&format!("SELECT count(*) FROM {table}")).await
}

/// Every row of the queue, with the transaction that wrote or locked it.
async fn queue(database: &Database) -> Vec<String> {
    let sql = "SELECT ctid::text || xmin::text || xmax::text || q::text FROM pgqueuer AS q ORDER BY id";
    sqlx::query_scalar(sql).fetch_all(database.pool()).await.unwrap()
}

/// As if the walks had begun long ago, so that they begin anew.
async fn a_round_later(database: &Database) {
    database.execute("UPDATE pgqueuer_retention SET begun = now() - interval '1 year'").await;
}

const RULES: &str = "[retention]\nlog = \"30d\"\nsuccessful = \"7d\"\nexception = \"90d\"\n\
    [retention.entrypoints.kept]\nlog = \"forever\"\n\
    [retention.entrypoints.brief]\nlog = \"2d\"\nsuccessful = \"1d\"\n";

#[tokio::test]
async fn the_log_goes_by_entrypoint_and_outcome_and_each_jobs_goes_whole() {
    let (database, config) = (Database::new().await, config(RULES));
    let mut first = 1_000;
    for days in [100, 60, 10, 5, 0] {
        for (entrypoint, outcome) in [
            ("plain", "successful"),
            ("plain", "exception"),
            ("plain", "canceled"),
            ("kept", "successful"),
            ("brief", "successful"),
            ("brief", "exception"),
        ] {
            finished(&database, first, 100, entrypoint, outcome, days).await;
            first += 100;
        }
    }
    let all = rows(&database, "pgqueuer_log").await;
    let plan = prune_ok(&database, &config, &["--plan", "--json"]).await.json();
    let planned: BTreeMap<(String, String), i64> = plan
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            assert_eq!((&line["table"], &line["complete"]), (&"log".into(), &true.into()), "{line}");
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            ((text("entrypoint"), text("outcome")), line["rows"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(rows(&database, "pgqueuer_log").await, all, "a plan changes nothing");
    assert_eq!(rows(&database, "pgqueuer_retention").await, 0);
    let said = prune_ok(&database, &config, &["--apply"]).await;
    let left = logged(&database).await;
    // Batches of 100 jobs that are left, of five.
    let wanted = [
        ("plain", "successful", 2),
        ("plain", "exception", 4),
        ("plain", "canceled", 3),
        ("kept", "successful", 5),
        ("brief", "successful", 1),
        ("brief", "exception", 1),
    ];
    for (entrypoint, outcome, batches) in wanted {
        let kind = (entrypoint.to_owned(), outcome.to_owned());
        assert_eq!(left[&kind], (batches * 100, batches * 300), "{kind:?}");
        let gone = (5 - batches) * 300;
        assert_eq!(planned.get(&kind).copied().unwrap_or_default(), gone, "{kind:?} of {plan}");
    }
    assert_eq!(left.len(), wanted.len());
    let gone = all - rows(&database, "pgqueuer_log").await;
    assert!(said.stderr.contains(&format!("Removed {gone} row(s).")), "{said:?}");
    let again = prune_ok(&database, &config, &["--apply"]).await;
    assert!(again.stderr.contains("Removed 0 row(s)."), "{again:?}");
}

#[tokio::test]
async fn jobs_in_the_queue_keep_their_log_and_their_rows_are_not_touched() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let held = database.enqueue("fail", "no luck").await;
    database.wait_for(held, "failed").await;
    let done = database.enqueue("echo", "x").await;
    database.wait_for(done, "successful").await;
    let waiting = database.enqueue("nobodys", "x").await;
    host.stop().await;
    database.execute("UPDATE pgqueuer_log SET created = created - interval '1 year', aggregated = true").await;
    let before = queue(&database).await;
    let config = config("[retention]\nlog = \"30d\"\n");
    prune_ok(&database, &config, &["--apply"]).await;
    assert!(database.history(done).await.is_empty());
    assert_eq!(database.history(held).await, ["queued", "picked", "queued", "picked", "failed"]);
    assert_eq!(database.history(waiting).await, ["queued"]);
    assert_eq!(queue(&database).await, before, "no row was written or locked");
    // What `failed` shows is still there, and goes once the job is gone.
    assert!(database.cli_ok(&["failed"]).await.stdout.contains("no luck"));
    database.cli_ok(&["cancel", &held.to_string()]).await;
    database.execute("UPDATE pgqueuer_log SET created = created - interval '1 year', aggregated = true").await;
    a_round_later(&database).await;
    prune_ok(&database, &config, &["--apply"]).await;
    assert!(database.history(held).await.is_empty());
    assert_eq!(database.history(waiting).await, ["queued"]);
}

#[tokio::test]
async fn what_is_not_counted_stays_and_the_statistics_are_exact() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    let config = config("[retention]\nlog = \"30d\"\n");
    finished(&database, 1, 500, "counted", "successful", 60).await;
    finished(&database, 501, 500, "half", "successful", 60).await;
    finished(&database, 1_001, 500, "uncounted", "exception", 60).await;
    // One row of a job is enough to keep all of them.
    database.execute("UPDATE pgqueuer_log SET aggregated = false WHERE entrypoint = 'uncounted'").await;
    database
        .execute("UPDATE pgqueuer_log SET aggregated = NULL WHERE entrypoint = 'half' AND status = 'picked' AND job_id <= 600")
        .await;
    let said = prune_ok(&database, &config, &["--apply", "--batch", "70"]).await;
    assert!(said.stderr.contains("not counted into the statistics yet"), "{said:?}");
    let left = logged(&database).await;
    let of = |entrypoint: &str, last: &str| left.get(&(entrypoint.into(), last.into())).copied();
    assert_eq!(of("counted", "successful"), None);
    assert_eq!(of("half", "successful"), Some((100, 300)));
    assert_eq!(of("uncounted", "exception"), Some((500, 1_500)));
    database.execute("UPDATE pgqueuer_log SET aggregated = false WHERE aggregated IS NULL").await;
    // A host counts them, and removes them after that, in one life.
    a_round_later(&database).await;
    std::fs::write(plugins.config(), "[retention]\nlog = \"1m\"\n").unwrap();
    let host = Host::start(&database, &plugins, &["--log-aggregation-interval", "0.1"]).await;
    eventually("they are counted and removed", async || {
        a_round_later(&database).await;
        database.execute("UPDATE pgqueuer_retention SET walked = NULL WHERE walk = 'turn'").await;
        rows(&database, "pgqueuer_log").await == 0
    })
    .await;
    host.stop().await;
    let counted = "SELECT sum(count)::bigint FROM pgqueuer_statistics WHERE entrypoint = ";
    assert_eq!(database.count(&format!("{counted}'uncounted'")).await, 1_500);
    assert_eq!(database.count(&format!("{counted}'half'")).await, 100);
}

#[tokio::test]
async fn outputs_attempts_and_statistics_go_by_their_own_ages() {
    let database = Database::new().await;
    let config = config(
        "[retention]\noutput = \"30d\"\nattempts = \"5d\"\nstatistics = \"50d\"\n[retention.entrypoints.kept]\noutput = \"forever\"\nstatistics = \"70d\"\n",
    );
    for (entrypoint, first) in [("plain", 0), ("kept", 10_000)] {
        database
            .execute(&format!(
                "INSERT INTO pgqueuer_output (job_id, created, entrypoint, output)
                 SELECT {first} + n, now() - (100 - n) * interval '1 day', '{entrypoint}', 'x' FROM generate_series(1, 100) AS n;
                 INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
                 SELECT date_trunc('sec', now() - (100 - n) * interval '1 day'), 5, 0, 'successful', '{entrypoint}'
                 FROM generate_series(1, 100) AS n"
            ))
            .await;
    }
    // A job that had waited for long ended just now: its output is young, and older ones are behind it.
    database.execute("UPDATE pgqueuer_output SET created = now() WHERE job_id = 3").await;
    let attempts = "INSERT INTO pgqueuer_attempt SELECT now() - interval '10 days' + n * interval '1 minute', n, 1, 1, 1, 1 FROM generate_series(1, 14400) AS n";
    database.execute(attempts).await;
    prune_ok(&database, &config, &["--apply", "--batch", "64"]).await;
    let count = async |table: &str, entrypoint: &str| {
        database.count(&format!("SELECT count(*) FROM {table} WHERE entrypoint = '{entrypoint}'")).await
    };
    assert_eq!(count("pgqueuer_output", "plain").await, 31, "thirty, and the young one");
    assert_eq!(count("pgqueuer_output", "kept").await, 100);
    assert_eq!(count("pgqueuer_statistics", "plain").await, 50);
    assert_eq!(count("pgqueuer_statistics", "kept").await, 70);
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_attempt WHERE created < now() - interval '5 days'").await,
        0
    );
    assert!((7_198..=7_200).contains(&rows(&database, "pgqueuer_attempt").await));
    // Off, they stay.
    let other = Database::new().await;
    finished(&other, 1, 10, "plain", "successful", 3_000).await;
    other.execute(attempts).await;
    prune_ok(&other, &Plugins::with(&[]), &["--apply"]).await;
    assert_eq!((rows(&other, "pgqueuer_log").await, rows(&other, "pgqueuer_attempt").await), (30, 14_400));
}

#[tokio::test]
async fn two_hosts_remove_each_row_once_and_one_at_a_time() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    std::fs::write(plugins.config(), "[retention]\nlog = \"1d\"\n").unwrap();
    finished(&database, 1, 4_000, "plain", "successful", 60).await;
    // Whoever has the turn is noted by a trigger, batch by batch.
    database
        .execute(
            "CREATE TABLE turns (at bigserial, host uuid);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO turns (host) SELECT host FROM pgqueuer_retention WHERE walk = 'turn'; RETURN NULL; END $$;
             CREATE TRIGGER noted AFTER DELETE ON pgqueuer_log EXECUTE FUNCTION note()",
        )
        .await;
    let pages = [Pages::anywhere(), Pages::anywhere()];
    let mut hosts = Vec::new();
    for pages in &pages {
        hosts.push(Host::start(&database, &plugins, &["--listen", &pages.address()]).await);
    }
    eventually("all of it is gone", async || rows(&database, "pgqueuer_log").await == 0).await;
    let removed = |pages: &Pages| {
        let (_, body) = pages.get("/metrics");
        let line = body.lines().find_map(|line| line.strip_prefix("pgq_host_pruned_rows_total{table=\"log\"} "));
        line.and_then(|number| number.parse::<i64>().ok()).unwrap_or_default()
    };
    eventually("both have said what they removed", async || pages.iter().map(removed).sum::<i64>() == 12_000).await;
    let changes = "SELECT count(*) FROM (SELECT host, lag(host) OVER (ORDER BY at) AS before FROM turns) AS t WHERE host <> before";
    assert!(rows(&database, "turns").await > 2, "in batches");
    assert_eq!(database.count("SELECT count(*) FROM turns WHERE host IS NULL").await, 0);
    assert_eq!(database.count(changes).await, 0, "the turn stayed with one host");
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test]
async fn whoever_has_the_turn_is_not_disturbed_until_it_is_over() {
    let (database, config) = (Database::new().await, config("[retention]\nlog = \"1d\"\n"));
    finished(&database, 1, 10, "plain", "successful", 60).await;
    let turn = "INSERT INTO pgqueuer_retention (walk, host, until) VALUES ('turn', gen_random_uuid(), now() + interval '1 hour')";
    database.execute(turn).await;
    let refused = prune(&database, &config, &["--apply"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("one does at a time"), "{refused:?}");
    assert_eq!(rows(&database, "pgqueuer_log").await, 30);
    // A plan needs no turn.
    let plan = prune_ok(&database, &config, &["--plan", "--json"]).await.json();
    assert_eq!(plan[0]["rows"], 30, "{plan}");
    database.execute("UPDATE pgqueuer_retention SET until = now() - interval '1 s' WHERE walk = 'turn'").await;
    prune_ok(&database, &config, &["--apply"]).await;
    assert_eq!(rows(&database, "pgqueuer_log").await, 0);
}

#[tokio::test]
async fn killed_in_the_midst_it_leaves_whole_logs_and_the_next_goes_on() {
    let (database, config) = (Database::new().await, config("[retention]\nlog = \"1d\"\n"));
    finished(&database, 1, 20_000, "plain", "successful", 60).await;
    let mut command = pgq_host(&database.dsn());
    command.args(["prune", "--apply", "--batch", "30"]).env("PGQ_HOST_CONFIG", config.config());
    command.env("PGQUEUER_APPLICATION_NAME", "to be killed");
    let pruning = Host::launch(command);
    eventually("it is at work", async || rows(&database, "pgqueuer_log").await < 59_000).await;
    pruning.kill().await;
    // What its server process had begun, that ends.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'to be killed'";
    eventually("its sessions are over", async || database.count(sessions).await == 0).await;
    let left = rows(&database, "pgqueuer_log").await;
    assert!(left > 0, "it was killed in the midst");
    assert_eq!(logged(&database).await[&("plain".into(), "successful".into())], (left / 3, left));
    let stood = "SELECT position FROM pgqueuer_retention WHERE walk LIKE 'log %'";
    assert!(database.count(stood).await > 0);
    // Nobody else has its turn for half a minute. As if that had passed:
    database.execute("UPDATE pgqueuer_retention SET until = now() - interval '1 s' WHERE walk = 'turn'").await;
    let said = prune_ok(&database, &config, &["--apply"]).await;
    assert!(said.stderr.contains(&format!("Removed {left} row(s).")), "{said:?}");
    assert_eq!(rows(&database, "pgqueuer_log").await, 0);
}

#[tokio::test]
async fn a_time_limit_ends_it_and_the_next_run_goes_on() {
    let (database, config) = (Database::new().await, config("[retention]\nlog = \"1d\"\n"));
    finished(&database, 1, 20_000, "plain", "successful", 60).await;
    let said = prune_ok(&database, &config, &["--apply", "--batch", "20", "--for", "0.5"]).await;
    let left = rows(&database, "pgqueuer_log").await;
    assert!(said.stderr.contains("and stopped; the next run goes on") && left > 0, "{said:?}");
    let plan = prune_ok(&database, &config, &["--plan", "--batch", "20", "--for", "0.2"]).await;
    assert!(plan.stdout.contains("at least ") && plan.stderr.contains("--for gives it more"), "{plan:?}");
    let said = prune_ok(&database, &config, &["--apply", "--json"]).await;
    assert_eq!(said.json()[0]["rows"], left, "{said:?}");
    assert_eq!(rows(&database, "pgqueuer_log").await, 0);
}

/// What a batch has locked, nobody waits for: jobs of every kind go their whole way while its
/// transaction is open.
#[tokio::test]
async fn no_worker_waits_for_what_a_batch_has_locked() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    finished(&database, 1_000_001, 2_000, "echo", "successful", 60).await;
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM pgqueuer_log").fetch_all(database.pool()).await.unwrap();
    let mut pruner = PgConnection::connect(&database.dsn()).await.unwrap();
    pruner.execute("INSERT INTO pgqueuer_retention (walk) VALUES ('log 1')").await.unwrap();
    pruner.execute("BEGIN").await.unwrap();
    let names = Names::new(&NameSettings::default(), |_| None).unwrap();
    let statement = WORKER_STATEMENTS.iter().find(|statement| statement.name == "prune_log").unwrap();
    let sql = statement.render(&names, SchemaFeatures::ALL);
    let (moved, removed): (bool, i64) = sqlx::query_as(AssertSqlSafe(sql))
        .bind("log 1")
        .bind(0_i64)
        .bind(7_i64)
        .bind(&ids)
        .fetch_one(&mut pruner)
        .await
        .unwrap();
    assert_eq!((moved, removed), (true, 6_000));

    for claim in ["locked", "marked"] {
        let host = Host::start(&database, &plugins, &["--claim", claim, "--log-aggregation-interval", "0.1"]).await;
        let failing = database.enqueue("fail", "no luck").await;
        database.enqueue_many("nap_limited", 3, "0").await;
        database.enqueue_many("echo", 200, "x").await;
        database.enqueue("follow_up", "complete").await;
        database.wait_for(failing, "failed").await;
        database.cli_ok(&["requeue", &failing.to_string()]).await;
        eventually("it is held again", async || {
            database.history(failing).await.iter().filter(|status| *status == "failed").count() == 2
        })
        .await;
        database.cli_ok(&["cancel", &failing.to_string()]).await;
        database.wait_until_done().await;
        eventually("all is counted", async || {
            database.count("SELECT count(*) FROM pgqueuer_log WHERE NOT aggregated").await == 0
                && rows(&database, "pgqueuer_tally").await == 0
        })
        .await;
        host.stop().await;
    }
    pruner.execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn it_waits_for_no_lock_and_says_what_kept_it() {
    let (database, config) = (Database::new().await, config("[retention]\nlog = \"1d\"\n"));
    finished(&database, 1, 10, "plain", "successful", 60).await;
    let mut migration = PgConnection::connect(&database.dsn()).await.unwrap();
    migration.execute("BEGIN; LOCK TABLE pgqueuer_log").await.unwrap();
    let kept = prune(&database, &config, &["--apply"]).await;
    assert!(kept.code == 1 && kept.stderr.contains("lock timeout"), "{kept:?}");
    migration.execute("ROLLBACK").await.unwrap();
    // The turn was given back.
    prune_ok(&database, &config, &["--apply"]).await;
    assert_eq!(rows(&database, "pgqueuer_log").await, 0);
}

#[tokio::test]
async fn odd_rows_and_long_logs_keep_no_other_row() {
    let (database, config) = (Database::new().await, config("[retention]\nlog = \"1d\"\n"));
    finished(&database, 1, 50, "plain", "successful", 60).await;
    // A clock that was ahead, in the midst of old rows, and one that was at its beginning.
    finished(&database, 51, 1, "ahead", "successful", -30_000).await;
    database
        .execute("UPDATE pgqueuer_log SET created = 'infinity' WHERE entrypoint = 'ahead' AND status = 'queued'")
        .await;
    finished(&database, 52, 50, "plain", "successful", 60).await;
    finished(&database, 200, 1, "behind", "successful", 60).await;
    database
        .execute("UPDATE pgqueuer_log SET created = '-infinity' WHERE entrypoint = 'behind' AND status = 'queued'")
        .await;
    // A job that was put off again and again: more rows than one batch may remove.
    database
        .execute(
            "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated)
             SELECT now() - interval '50 days' + n * interval '1 s', 300, CASE WHEN n = 5000 THEN 'successful' ELSE 'queued' END::pgqueuer_status,
                    0, 'snoozed', true FROM generate_series(1, 5000) AS n",
        )
        .await;
    finished(&database, 301, 50, "plain", "successful", 1).await;
    finished(&database, 400, 50, "young", "successful", 0).await;
    let said = prune_ok(&database, &config, &["--apply", "--batch", "50", "--json"]).await;
    let snoozed = said.json().as_array().unwrap().iter().find(|line| line["entrypoint"] == "snoozed").unwrap().clone();
    assert_eq!((&snoozed["outcome"], &snoozed["rows"]), (&"successful".into(), &5_000.into()), "{said:?}");
    let left = logged(&database).await;
    let names: Vec<&str> = left.keys().map(|(entrypoint, _)| entrypoint.as_str()).collect();
    assert_eq!(names, ["ahead", "young"], "{left:?}");
    assert_eq!(left[&("young".into(), "successful".into())], (50, 150));
}

#[tokio::test]
async fn a_watcher_of_the_real_pgqueuer_sees_every_job_end_beside_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let text = "[plugins.hostile]\nenqueue = [\"*\"]\n[retention]\nlog = \"1m\"\noutput = \"1m\"\nattempts = \"1m\"\nstatistics = \"1m\"\n";
    std::fs::write(plugins.config(), text).unwrap();
    finished(&database, 1_000_001, 5_000, "echo", "successful", 60).await;
    let host = Host::start(&database, &plugins, &[]).await;
    let watched = watch(&database, &["echo", "fail_deleted", "discard"]).await;
    assert_eq!(watched, json!({ "echo": "successful", "fail_deleted": "exception", "discard": "canceled" }));
    eventually("what is old is gone", async || {
        database.count("SELECT count(*) FROM pgqueuer_log WHERE job_id > 1000000").await == 0
    })
    .await;
    host.stop().await;
    let mut verify = pgq_host_tests::pgq(&database.dsn());
    verify.args(["verify", "--expect", "present"]);
    let verified = run_command(verify).await;
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// How PgQueuer's `CompletionWatcher` says that a job of each entrypoint ended.
async fn watch(database: &Database, entrypoints: &[&str]) -> Value {
    let mut command = Command::new(python());
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/watch.py"))
        .args(entrypoints)
        .env("PGDSN", database.dsn());
    let said = run_command(command).await;
    assert_eq!(said.code, 0, "{said:?}");
    said.json()
}

#[tokio::test]
async fn behind_a_transaction_pooler_it_works_the_same() {
    let (database, config) = (Database::new().await, config("[retention]\nlog = \"1d\"\n"));
    let Some(bouncer) = PgBouncer::start(&database, "transaction").await else { return };
    finished(&database, 1, 2_000, "plain", "successful", 60).await;
    for args in [["--plan"], ["--apply"]] {
        let mut command = pgq_host(bouncer.dsn());
        command.args(["--transaction-pooling", "prune"]).args(args).env("PGQ_HOST_CONFIG", config.config());
        let said = run_command(command).await;
        assert_eq!(said.code, 0, "{said:?}");
    }
    assert_eq!(rows(&database, "pgqueuer_log").await, 0);
}
