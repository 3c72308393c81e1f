//! Several hosts on one queue: every job runs once, even if a host or the database dies meanwhile.

use std::time::{Duration, Instant};

use pgq_embedded::{self as embedded, Server};
use pgq_host_tests::{Database, Host, Plugins, eventually, host_binary};
use rustix::process::{Pid, Signal};
use tokio::process::Command;
use uuid::Uuid;

/// Takes some seconds per test, on two cores and with an unoptimized host.
const JOBS: usize = 20_000;

/// Record every claim with its owner, as the database saw it. The log does not say who ran a job.
async fn note_claims(database: &Database) {
    for statement in [
        "CREATE TABLE claims (job_id bigint NOT NULL, owner uuid NOT NULL)",
        "CREATE FUNCTION note_claims() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO claims SELECT n.id, n.queue_manager_id FROM new_rows AS n JOIN old_rows AS o USING (id)
             WHERE n.status = 'picked' AND n.queue_manager_id IS DISTINCT FROM o.queue_manager_id;
             RETURN NULL;
         END $$",
        "CREATE TRIGGER note_claims AFTER UPDATE ON pgqueuer REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
         FOR EACH STATEMENT EXECUTE FUNCTION note_claims()",
    ] {
        database.execute(statement).await;
    }
}

/// A host with this name in the database.
async fn start(name: &str, database: &Database, plugins: &Plugins, args: &[&str]) -> Host {
    let mut command = Command::new(host_binary());
    command.arg("run").arg("--plugins").arg(plugins.path()).args(args).env("PGQ_HOST_CONFIG", plugins.config());
    command.env("PGDSN", database.dsn()).env("PGQUEUER_APPLICATION_NAME", name);
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    host
}

async fn successful(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await
}

async fn wait_until_successful(database: &Database, count: i64) {
    eventually(&format!("{count} jobs are done"), async || successful(database).await >= count).await;
}

/// How many jobs were claimed more than once.
async fn run_again(database: &Database) -> i64 {
    const SQL: &str = "SELECT count(*) FROM (SELECT FROM pgqueuer_log WHERE status = 'picked' GROUP BY job_id HAVING count(*) > 1) AS again";
    database.count(SQL).await
}

/// No job is lost: each has one `successful`, as its last entry. None is recorded twice: it has no
/// other end.
async fn assert_each_done_once(database: &Database, count: usize) {
    let done = database
        .count(
            "SELECT count(*) FROM (
                 SELECT job_id FROM pgqueuer_log GROUP BY job_id
                 HAVING count(*) FILTER (WHERE status NOT IN ('queued', 'picked')) = 1
                    AND (array_agg(status::text ORDER BY id DESC))[1] = 'successful') AS done",
        )
        .await;
    let known = database.count("SELECT count(DISTINCT job_id) FROM pgqueuer_log").await;
    assert_eq!((done, known), (count as i64, count as i64), "done once, of all that were enqueued");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0, "none is left");
}

async fn print_shares(database: &Database, what: &str, begun: Instant) {
    let shares: Vec<i64> = sqlx::query_scalar("SELECT count(*) FROM claims GROUP BY owner ORDER BY 1 DESC")
        .fetch_all(database.pool())
        .await
        .unwrap();
    let (elapsed, jobs) = (begun.elapsed(), successful(database).await);
    eprintln!(
        "{what}: {jobs} jobs in {elapsed:.1?}, {:.0}/s; claims per host {shares:?}",
        jobs as f64 / elapsed.as_secs_f64()
    );
}

#[tokio::test]
async fn three_hosts_run_each_job_once() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    note_claims(&database).await;
    let mut hosts = Vec::new();
    for name in ["one", "two", "three"] {
        hosts.push(start(name, &database, &plugins, &[]).await);
    }
    let begun = Instant::now();
    database.enqueue_many("echo", JOBS, "x").await;
    database.wait_until_done().await;
    print_shares(&database, "three hosts", begun).await;
    assert_each_done_once(&database, JOBS).await;
    assert_eq!(run_again(&database).await, 0);
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_log").await,
        3 * JOBS as i64,
        "queued, picked, successful, and nothing else"
    );
    assert_eq!(database.count("SELECT count(DISTINCT owner) FROM claims").await, 3, "each had a share");
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test]
async fn a_killed_hosts_jobs_run_again_and_no_others_do() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    note_claims(&database).await;
    // What is only locked is free again at once, and nobody can count what a host held: `locked`
    // has tests of that.
    let lease = ["--heartbeat-timeout", "2", "--claim", "marked"];
    // Alone at first, so that its id is known.
    let doomed = start("doomed", &database, &plugins, &lease).await;
    let first = database.enqueue("echo", "x").await;
    database.wait_for(first, "successful").await;
    let owner: Uuid = sqlx::query_scalar("SELECT owner FROM claims").fetch_one(database.pool()).await.unwrap();
    let heirs = [start("heir", &database, &plugins, &lease).await, start("heir", &database, &plugins, &lease).await];

    let begun = Instant::now();
    database.enqueue_many("echo", JOBS - 1, "x").await;
    wait_until_successful(&database, JOBS as i64 / 3).await;
    // A host between two claims holds nothing, and its death would prove nothing. So it is
    // suspended until it is caught with jobs.
    eventually("it holds jobs", async || {
        doomed.signal(Signal::STOP);
        let held = held_by(&database, owner).await > 0;
        if !held {
            doomed.signal(Signal::CONT);
        }
        held
    })
    .await;
    doomed.kill().await;
    let killed = Instant::now();
    // The server finishes what it had already received from the host. After that, no session of the
    // host is left, and other hosts may have started to requeue its jobs.
    let speaks =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'doomed' AND datname = current_database()";
    eventually("its connections are gone", async || database.count(speaks).await == 0).await;
    let held = held_or_put_back(&database, owner).await;

    database.wait_until_done().await;
    let rescued: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM max(created) - now())::float8 FROM pgqueuer_log WHERE traceback->>'exception_type' = 'WorkerLost'",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    print_shares(&database, "one of three killed", begun).await;
    let again = run_again(&database).await;
    eprintln!(
        "one of three killed: it held {held}, {again} ran again, the last was put back {:.1} s after the kill",
        killed.elapsed().as_secs_f64() + rescued
    );
    assert!(held > 0);
    let warnings: Vec<String> = heirs.iter().flat_map(warnings).collect();
    assert!(again <= held, "{again} jobs ran again; it held {held}; the others say:\n{}", warnings.join("\n"));
    assert_each_done_once(&database, JOBS).await;
    for host in heirs {
        host.stop().await;
    }
}

/// The warnings of a host, except for those about each single lost job.
fn warnings(host: &Host) -> Vec<String> {
    let log = host.log();
    let worth_it =
        |line: &&str| (line.contains("WARN") || line.contains("ERROR")) && !line.contains("its worker was lost");
    log.lines().filter(worth_it).map(|line| line.chars().take(300).collect()).collect()
}

async fn held_by(database: &Database, owner: Uuid) -> i64 {
    database
        .count(&format!("SELECT count(*) FROM pgqueuer WHERE status = 'picked' AND queue_manager_id = '{owner}'"))
        .await
}

/// In one query: what it holds, and what was taken from it.
async fn held_or_put_back(database: &Database, owner: Uuid) -> i64 {
    let held =
        format!("SELECT count(*) AS jobs FROM pgqueuer WHERE status = 'picked' AND queue_manager_id = '{owner}'");
    let put_back = "SELECT count(*) FROM pgqueuer_log WHERE traceback->>'exception_type' = 'WorkerLost'";
    database.count(&format!("SELECT sum(jobs)::bigint FROM ({held} UNION ALL {put_back}) AS parts")).await
}

#[tokio::test]
async fn connections_reset_again_and_again_neither_lose_nor_repeat_a_job() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    note_claims(&database).await;
    let lease = ["--heartbeat-timeout", "2"];
    // A single host, so that no other can requeue what it claims before it learns of the claim.
    let host = start("cut", &database, &plugins, &lease).await;
    let begun = Instant::now();
    database.enqueue_many("echo", JOBS, "x").await;
    let mut cuts = 0;
    for step in 1..40 {
        wait_until_successful(&database, (JOBS * step / 40) as i64).await;
        cuts += database
            .count(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE application_name = 'cut' AND datname = current_database()",
            )
            .await;
    }
    database.wait_until_done().await;
    print_shares(&database, "connections cut", begun).await;
    eprintln!("connections cut: {cuts}, {} jobs ran again", run_again(&database).await);
    assert_each_done_once(&database, JOBS).await;
    host.stop().await;
}

/// A real crash: no shutdown, and with fsync on, because everything committed must survive.
#[tokio::test]
async fn a_database_that_crashes_twice_neither_loses_nor_repeats_a_job() {
    let (home, plugins) = (tempfile::tempdir().unwrap(), Plugins::with(&["hostile"]));
    let mut server = start_server(&home, None).await;
    let port = server.port();
    let database = Database::at(server.dsn("postgres")).await;
    database.install().await;
    note_claims(&database).await;
    let lease = ["--heartbeat-timeout", "3"];
    let hosts = [start("one", &database, &plugins, &lease).await, start("two", &database, &plugins, &lease).await];

    let begun = Instant::now();
    database.enqueue_many("echo", JOBS, "x").await;
    let mut away = Duration::ZERO;
    for third in 1..3 {
        wait_until_successful(&database, (JOBS * third / 3) as i64).await;
        let killed = Instant::now();
        rustix::process::kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::KILL).unwrap();
        server.ended().await;
        drop(server);
        server = start_server(&home, Some(port)).await;
        away += killed.elapsed();
    }
    database.wait_until_done().await;
    print_shares(&database, "database crashed twice", begun).await;
    eprintln!("database crashed twice: away for {away:.1?}, {} jobs ran again", run_again(&database).await);
    assert_each_done_once(&database, JOBS).await;
    for host in hosts {
        assert!(host.log().contains("listening again"), "it noticed:\n{}", host.log());
        host.stop().await;
    }
    server.stop().await;
}

async fn start_server(home: &tempfile::TempDir, port: Option<u16>) -> Server {
    let mut settings = embedded::Settings::new(home.path().join("postgres"));
    settings.port = port;
    embedded::start(settings).await.expect("the server starts")
}
