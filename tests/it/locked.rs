//! Jobs whose rows are locked first and marked late. What a job leaves is counted in rows that its
//! outcome wrote, not in runs: of a run whose transaction was not committed, nothing is left.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pgq_embedded as embedded;
use pgq_host_tests::{Database, Host, Plugins, Proxy, eventually, host_binary};
use pgq_job::{Claim, Disposition, Terminal};
use pgq_queue::{Record, Settled};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::process::Command;

/// Longer than any test: what is locked stays locked until something happens to it.
const FOR_EVER: &str = "3600000";
/// A job that never ends by itself.
const ENDLESS: &str = "3600000";

/// A host whose transactions may be open for so many milliseconds.
async fn start(dsn: &str, plugins: &Plugins, bound_ms: &str, args: &[&str]) -> Host {
    let mut command = Command::new(host_binary());
    command.arg("run").arg("--plugins").arg(plugins.path()).args(args);
    command.env("PGQ_HOST_CONFIG", plugins.config()).env("PGDSN", dsn).env("PGQ_HOST_TEST_BOUND_MS", bound_ms);
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    host
}

async fn new() -> (Database, Plugins) {
    (Database::new().await, Plugins::with(&["hostile"]))
}

/// Sessions that hold rows locked while their jobs run.
async fn holding(database: &Database) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'";
    sqlx::query_scalar(sql).fetch_all(database.pool()).await.unwrap()
}

/// Queued jobs whose rows are locked.
async fn locked(database: &Database, entrypoint: &str) -> i64 {
    let all = format!("SELECT count(*) FROM pgqueuer WHERE entrypoint = '{entrypoint}' AND status = 'queued'");
    let free = format!(
        "SELECT count(*) FROM (SELECT FROM pgqueuer WHERE entrypoint = '{entrypoint}' AND status = 'queued'
         FOR UPDATE SKIP LOCKED) AS free"
    );
    database.count(&all).await - database.count(&free).await
}

fn done(claim: Claim) -> Record {
    let disposition =
        Disposition::Finished { status: Terminal::Successful, traceback: None, output: None, follow_ups: Vec::new() };
    Record::new(claim, disposition)
}

async fn wait_until_locked(database: &Database, entrypoint: &str, jobs: usize) {
    eventually("they are locked", async || locked(database, entrypoint).await == jobs as i64).await;
}

/// Each of these jobs left exactly one trace, and ended once.
async fn assert_effects_once(database: &Database, jobs: &[i64]) {
    let traces: Vec<String> =
        sqlx::query_scalar("SELECT convert_from(payload, 'UTF8') FROM pgqueuer WHERE entrypoint = 'traced'")
            .fetch_all(database.pool())
            .await
            .unwrap();
    let different: HashSet<&String> = traces.iter().collect();
    assert_eq!((traces.len(), different.len()), (jobs.len(), jobs.len()), "{traces:?} of {jobs:?}");
    for id in jobs {
        let history = database.history(*id).await;
        assert_eq!(history.iter().filter(|status| *status == "successful").count(), 1, "{id}: {history:?}");
    }
}

async fn wait_for_traces(database: &Database, jobs: usize) {
    eventually("all are done", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'traced'").await == jobs as i64
    })
    .await;
}

/// How many transactions wrote the log of this job after it was enqueued.
async fn transactions(database: &Database, id: i64) -> i64 {
    let sql = "SELECT count(DISTINCT xmin::text) FROM pgqueuer_log WHERE status <> 'queued' AND job_id =";
    database.count(&format!("{sql} {id}")).await
}

#[tokio::test]
async fn a_short_job_is_one_transaction_and_a_long_one_is_marked() {
    let (database, plugins) = new().await;
    // Without the time that a busy machine may need for a short job.
    let host = start(&database.dsn(), &plugins, FOR_EVER, &[]).await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    assert_eq!(transactions(&database, id).await, 1);
    let statistics = "SELECT coalesce(sum(count), 0)::bigint FROM pgqueuer_statistics WHERE entrypoint = 'echo' AND status IN ('picked', 'successful')";
    eventually("both are counted", async || database.count(statistics).await == 2).await;
    host.stop().await;

    let host = start(&database.dsn(), &plugins, "50", &[]).await;
    let id = database.enqueue("nap", ENDLESS).await;
    let marked =
        format!("SELECT count(*) FROM pgqueuer WHERE id = {id} AND status = 'picked' AND queue_manager_id IS NOT NULL");
    eventually("it is marked", async || database.count(&marked).await == 1).await;
    // What the host looks for is locked for a moment, too.
    eventually("no transaction is open for it", async || holding(&database).await.is_empty()).await;
    drop(host);
}

#[tokio::test]
async fn operators_choose_by_plugin_entrypoint_and_flag() {
    let (database, plugins) = new().await;
    let grants = "[plugins.hostile]\nenqueue = [\"*\"]\n";
    let one = async |config: &str, args: &[&str]| {
        std::fs::write(plugins.config(), config).unwrap();
        let host = start(&database.dsn(), &plugins, FOR_EVER, args).await;
        let id = database.enqueue("echo", "x").await;
        database.wait_for(id, "successful").await;
        host.stop().await;
        transactions(&database, id).await
    };
    assert_eq!(one(grants, &[]).await, 1);
    assert_eq!(one(grants, &["--claim", "marked"]).await, 2);
    assert_eq!(one(&format!("[run]\nclaim = \"marked\"\n{grants}"), &["--claim", "auto"]).await, 1);
    let http = format!("{grants}http = [\"https://example.com\"]\n");
    assert_eq!(one(&http, &[]).await, 2, "it has a way out");
    assert_eq!(one(&format!("{http}claim = \"locked\"\n"), &[]).await, 1);
    assert_eq!(
        one(&format!("{http}claim = \"locked\"\n[plugins.hostile.entrypoints.echo]\nclaim = \"marked\"\n"), &[]).await,
        2
    );
}

#[tokio::test]
async fn jobs_of_a_killed_host_run_elsewhere_at_once() {
    let (database, plugins) = new().await;
    // One claim has all of them. The last three have ended, and are as lost as the others.
    let mut jobs = database.enqueue_many("trace", 3, ENDLESS).await;
    jobs.extend(database.enqueue_many("trace", 3, "0").await);
    let doomed = start(&database.dsn(), &plugins, FOR_EVER, &["--log-level", "debug"]).await;
    wait_until_locked(&database, "trace", jobs.len()).await;
    eventually("those have ended", async || doomed.log().matches("run ended").count() == 3).await;
    let heir = start(&database.dsn(), &plugins, "50", &["--dequeue-timeout", "3600"]).await;
    doomed.kill().await;
    // Nothing but the death tells it that they are free.
    eventually("the heir has them", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'trace' AND status = 'picked'").await == 3
    })
    .await;
    wait_for_traces(&database, 3).await;
    assert_effects_once(&database, &jobs[3..]).await;
    drop(heir);
}

#[tokio::test]
async fn a_session_that_is_cut_costs_nothing_that_nobody_took() {
    let (database, plugins) = new().await;
    let (jobs, still) = (database.enqueue_many("trace", 3, "0").await, database.enqueue("nap", ENDLESS).await);
    let host = start(&database.dsn(), &plugins, FOR_EVER, &["--log-level", "debug"]).await;
    wait_until_locked(&database, "trace", 3).await;
    eventually("three have ended", async || host.log().matches("run ended").count() == 3).await;
    for pid in holding(&database).await {
        database.execute(&format!("SELECT pg_terminate_backend({pid})")).await;
    }
    // The batch is settled when its next statement finds out, which the end of the last job brings.
    database.cli_ok(&["cancel", &still.to_string()]).await;
    wait_for_traces(&database, 3).await;
    assert_effects_once(&database, &jobs).await;
    host.stop().await;
}

#[tokio::test]
async fn a_lost_transaction_is_made_up_for_as_far_as_nobody_was_there() {
    let database = Database::new().await;
    let jobs = database.enqueue_many("echo", 4, "x").await;
    let (queue, echo) = (database.queue(), [Arc::from("echo")]);
    let locked = queue.lock(&echo, 10, i32::MIN).await.unwrap();
    let claim = locked.claim.expect("locked");
    let (rows, claims): (Vec<_>, Vec<_>) = claim.rows.iter().map(|row| (*row, row.claim)).unzip();
    assert_eq!(claims.iter().map(|claim| claim.id).collect::<Vec<_>>(), jobs);
    for pid in holding(&database).await {
        database.execute(&format!("SELECT pg_terminate_backend({pid})")).await;
    }
    queue.settle(claim, &[done(claims[0])], &claims[1..]).await.expect_err("its session is gone");
    // The second was put back by somebody, the third is locked by somebody.
    database.execute(&format!("UPDATE pgqueuer SET updated = clock_timestamp() WHERE id = {}", jobs[1])).await;
    let mut other = database.connect().await;
    let mut transaction = other.begin().await.unwrap();
    let lock = format!("SELECT FROM pgqueuer WHERE id = {} FOR UPDATE", jobs[2]);
    transaction.execute(AssertSqlSafe(lock)).await.unwrap();
    let again = queue.relock(&rows).await.unwrap();
    let ours: Vec<i64> = again.rows.iter().map(|row| row.claim.id).collect();
    assert_eq!(ours, [jobs[0], jobs[3]]);
    let settled = queue.settle(again, &[done(claims[0])], &claims[3..]).await.unwrap();
    assert_eq!(settled, Settled { recorded: vec![jobs[0]], marked: vec![jobs[3]] });
    // From here on it is a claim like any other, under the time of its lock.
    assert_eq!(queue.record(&[done(claims[3])]).await.unwrap(), [jobs[3]]);
    assert_eq!(database.history(jobs[3]).await, ["queued", "picked", "successful"]);
}

#[tokio::test]
async fn no_job_is_in_a_claim_twice() {
    let database = Database::new().await;
    let jobs = database.enqueue_many("echo", 10, "x").await;
    let (queue, echo) = (database.queue(), [Arc::from("echo")]);
    let mut got = Vec::new();
    // The first claim is full, so that the second begins behind it and then looks at the front.
    for most in [5, 8, 8] {
        let locked = queue.lock(&echo, most, i32::MIN).await.unwrap();
        got.extend(locked.claimed.iter().map(|job| job.id));
        if let Some(claim) = locked.claim {
            let records: Vec<Record> = claim.rows.iter().map(|row| done(row.claim)).collect();
            queue.settle(claim, &records, &[]).await.unwrap();
        }
    }
    assert_eq!(got, jobs);
}

/// Claims from the cursor pass over rows that were ever locked without a write. Here these are all
/// rows but a few.
#[tokio::test]
async fn rows_with_the_mark_of_a_lock_that_is_gone_are_claimed_like_others() {
    let (database, plugins) = new().await;
    let jobs = database.enqueue_many("echo", 3_000, "x").await.len() as i64;
    let mut transaction = database.pool().begin().await.unwrap();
    let lock = "SELECT id FROM pgqueuer ORDER BY id OFFSET 100 FOR UPDATE";
    assert_eq!(transaction.fetch_all(lock).await.unwrap().len() as i64, jobs - 100);
    transaction.rollback().await.unwrap();
    let mut host = Host::spawn(&database, &plugins, &["--mode", "drain", "--max-concurrent-tasks", "50"]);
    assert_eq!(host.ended().await.code(), Some(0));
    let log = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'";
    assert_eq!((database.count(log).await, database.count("SELECT count(*) FROM pgqueuer").await), (jobs, 0));
}

#[tokio::test]
async fn what_another_has_taken_since_is_recorded_by_the_other() {
    let (database, plugins) = new().await;
    let (jobs, still) = (database.enqueue_many("trace", 3, "0").await, database.enqueue("nap", ENDLESS).await);
    let host = start(&database.dsn(), &plugins, FOR_EVER, &["--log-level", "debug"]).await;
    eventually("three have ended", async || host.log().matches("run ended").count() == 3).await;
    // Whoever waits for a lock has it before the host can ask again.
    let taking = tokio::spawn({
        let mut other = database.connect().await;
        async move {
            let take = "UPDATE pgqueuer SET status = 'picked', updated = clock_timestamp(), heartbeat = now(),
                        queue_manager_id = gen_random_uuid() WHERE entrypoint = 'trace'";
            other.execute(take).await.expect("taken");
        }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the other waits", async || database.count(waits).await == 1).await;
    for pid in holding(&database).await {
        database.execute(&format!("SELECT pg_terminate_backend({pid})")).await;
    }
    taking.await.unwrap();
    database.cli_ok(&["cancel", &still.to_string()]).await;
    host.wait_for_log("the locks on these jobs were lost").await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'traced'").await, 0);
    let give_back = "UPDATE pgqueuer SET status = 'queued', updated = clock_timestamp(), queue_manager_id = NULL
                     WHERE entrypoint = 'trace'";
    database.execute(give_back).await;
    wait_for_traces(&database, 3).await;
    assert_effects_once(&database, &jobs).await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_that_stands_still_or_is_cut_off_keeps_no_row() {
    for silent in [false, true] {
        let (database, plugins) = new().await;
        let proxy = Proxy::before(&database.dsn()).await;
        let jobs = database.enqueue_many("trace", 3, "0").await;
        database.enqueue("nap", ENDLESS).await;
        let frozen = start(&proxy.dsn(), &plugins, FOR_EVER, &["--log-level", "debug"]).await;
        eventually("three have ended", async || frozen.log().matches("run ended").count() == 3).await;
        if silent {
            proxy.fall_silent();
        } else {
            frozen.signal(Signal::STOP);
        }
        // Its poll is an hour away: it looks again because others have what is due.
        let other = start(&database.dsn(), &plugins, "50", &["--dequeue-timeout", "3600"]).await;
        wait_for_traces(&database, 3).await;
        assert_effects_once(&database, &jobs).await;
        if silent {
            proxy.recover();
        } else {
            frozen.signal(Signal::CONT);
        }
        // Whoever wakes finds out at the next statement of its transaction, which the end of its
        // last job brings.
        frozen.signal(Signal::TERM);
        frozen.signal(Signal::TERM);
        frozen.wait_for_log("the locks on these jobs were lost").await;
        assert_effects_once(&database, &jobs).await;
        drop((other, frozen));
    }
}

#[tokio::test]
async fn a_restart_of_the_server_loses_and_doubles_nothing() {
    let (home, plugins) = (tempfile::tempdir().unwrap(), Plugins::with(&["hostile"]));
    let start_server = async |port| {
        let mut settings = embedded::Settings::new(home.path().join("postgres"));
        settings.port = port;
        embedded::start(settings).await.expect("the server starts")
    };
    let server = start_server(None).await;
    let port = server.port();
    let database = Database::at(server.dsn("postgres")).await;
    database.install().await;
    let (jobs, long) = (database.enqueue_many("trace", 5, "0").await, database.enqueue("nap", "10000").await);
    let host = start(&database.dsn(), &plugins, "3000", &["--log-level", "debug"]).await;
    eventually("five have ended", async || host.log().matches("run ended").count() == 5).await;
    let pid = rustix::process::Pid::from_raw(server.pid()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    server.ended().await;
    drop(server);
    let _server = start_server(Some(port)).await;
    wait_for_traces(&database, 5).await;
    database.wait_for(long, "successful").await;
    assert_effects_once(&database, &jobs).await;
    host.stop().await;
}

#[tokio::test]
async fn after_a_death_claims_are_marked_so_that_a_job_that_ends_its_hosts_is_found() {
    let (database, plugins) = new().await;
    let first = start(&database.dsn(), &plugins, FOR_EVER, &[]).await;
    let id = database.enqueue("nap", ENDLESS).await;
    wait_until_locked(&database, "nap", 1).await;
    first.kill().await;
    // Nobody else was there to notice. The next host does, before it claims.
    let next = start(&database.dsn(), &plugins, FOR_EVER, &[]).await;
    let marked = format!("SELECT count(*) FROM pgqueuer WHERE id = {id} AND status = 'picked'");
    eventually("it is marked", async || database.count(&marked).await == 1).await;
    eventually("the death is noted", async || {
        database.count("SELECT count(*) FROM pgqueuer_host WHERE died IS NOT NULL").await == 1
    })
    .await;
    // And all others read of it.
    let other = database.enqueue("echo_elsewhere", "x").await;
    let locked = database.queue().lock(&[Arc::from("echo_elsewhere")], 10, i32::MIN).await.unwrap();
    assert!(locked.claim.is_none() && locked.claimed[0].id == other);
    assert_eq!(database.history(other).await, ["queued", "picked"]);
    drop(next);
}

#[tokio::test]
async fn rows_that_others_have_locked_are_taken_when_they_are_free_and_nobody_spins_for_them() {
    let (database, plugins) = new().await;
    let id = database.enqueue("echo", "x").await;
    let mut other = database.connect().await;
    let mut transaction = other.begin().await.unwrap();
    transaction.execute("SELECT FROM pgqueuer FOR UPDATE").await.unwrap();
    // Long due, so that no look for new jobs finds it.
    let host = start(&database.dsn(), &plugins, "50", &["--dequeue-timeout", "3600", "--log-level", "debug"]).await;
    let statements =
        "SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database WHERE datname = current_database()";
    let before = database.count(statements).await;
    let looks = tokio::time::timeout(Duration::from_secs(3), std::future::pending::<()>()).await;
    assert!(looks.is_err());
    let after = database.count(statements).await;
    // Whoever spins makes thousands. The server may count those of the start late, and vacuum's as well.
    assert!(after - before < 300, "{} transactions in three seconds", after - before);
    transaction.rollback().await.unwrap();
    database.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn an_outcome_that_has_to_wait_for_a_producer_keeps_no_other() {
    let (database, plugins) = new().await;
    let mut producer = database.connect().await;
    let mut transaction = producer.begin().await.unwrap();
    let key = "INSERT INTO pgqueuer (priority, entrypoint, status, dedupe_key) VALUES (0, 'traced', 'queued', 'trace')";
    transaction.execute(key).await.unwrap();
    // Both are due before the host is there, so that one claim has both.
    let (waits, others) = (database.enqueue("trace_once", "").await, database.enqueue_many("echo", 5, "x").await);
    let host = start(&database.dsn(), &plugins, FOR_EVER, &[]).await;
    for id in others {
        database.wait_for(id, "successful").await;
    }
    assert_eq!(database.history(waits).await, ["queued", "picked"]);
    transaction.commit().await.unwrap();
    database.wait_for(waits, "successful").await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'traced'").await, 1);
    host.stop().await;
}

#[tokio::test]
async fn an_outcome_that_is_refused_costs_its_own_job() {
    let (database, plugins) = new().await;
    database
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF convert_from(new.output, 'UTF8') = 'bad' THEN RAISE EXCEPTION 'no such output'; END IF; RETURN new;
             END $$",
        )
        .await;
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON pgqueuer_output FOR EACH ROW EXECUTE FUNCTION refuse()";
    database.execute(trigger).await;
    let good = database.enqueue_many("echo", 5, "good").await;
    let bad = database.enqueue("echo", "bad").await;
    let host = start(&database.dsn(), &plugins, FOR_EVER, &["--log-level", "debug"]).await;
    for id in good {
        database.wait_for(id, "successful").await;
    }
    database.wait_for(bad, "failed").await;
    assert_eq!(database.traceback(bad).await["exception_type"], "OutcomeRefused");
    assert_eq!(host.log().matches("run ended").count(), 6, "none ran twice");
    host.stop().await;
}

#[tokio::test]
async fn a_higher_priority_goes_first_whether_it_is_locked_or_marked() {
    let (database, plugins) = new().await;
    let config = "[plugins.hostile]\nenqueue = [\"*\"]\n[plugins.hostile.entrypoints.show]\nclaim = \"marked\"\n";
    std::fs::write(plugins.config(), config).unwrap();
    let fill = "INSERT INTO pgqueuer (priority, entrypoint, payload, status)
                SELECT p, e, 'x', 'queued' FROM generate_series(0, 4) p, unnest(ARRAY['echo', 'show']) e, generate_series(1, 20)";
    database.execute(fill).await;
    let few = ["--batch-size", "10", "--max-concurrent-tasks", "1", "--mode", "drain"];
    // On a busy machine, runs would be too long to be locked.
    let mut host = start(&database.dsn(), &plugins, FOR_EVER, &few).await;
    host.ended().await;
    // Each claim took ten at most. Of a priority, both kinds are done before any of the next but one.
    let early = "SELECT count(*) FROM pgqueuer_log a JOIN pgqueuer_log b ON a.priority < b.priority - 1
                 WHERE a.status = 'picked' AND b.status = 'picked' AND a.created < b.created";
    assert_eq!(database.count(early).await, 0);
}
