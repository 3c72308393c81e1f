//! The database is down or slow for longer than a lease: workers that could not renew are not taken
//! for dead, and nothing starts on an expired lease.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use pgq_embedded::{self as embedded, Server};
use pgq_host_tests::{Database, Host, Plugins, eventually};
use rustix::process::{Pid, Signal};
use sqlx::{Connection as _, Executor as _};

const LEASE: [&str; 2] = ["--heartbeat-timeout", "3"];

async fn start_server(home: &tempfile::TempDir, port: Option<u16>) -> Server {
    let mut settings = embedded::Settings::new(home.path().join("postgres"));
    settings.port = port;
    embedded::start(settings).await.expect("the server starts")
}

async fn picked(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await
}

/// Each was claimed once, and ended once.
async fn assert_each_ran_once(database: &Database, jobs: &[i64], hosts: &[Host]) {
    let again: i64 = database
        .count("SELECT count(*) FROM (SELECT FROM pgqueuer_log WHERE status = 'picked' GROUP BY job_id HAVING count(*) > 1) AS t")
        .await;
    let logs: Vec<String> = hosts.iter().map(Host::log).collect();
    assert_eq!(again, 0, "{again} of {} jobs ran again:\n{}", jobs.len(), logs.join("\n\n"));
    for id in jobs {
        assert_eq!(database.history(*id).await, ["queued", "picked", "successful"]);
    }
}

/// The server crashes, and is back after three leases.
async fn an_outage_of_three_leases(hosts: usize, presence: bool) {
    let (home, plugins) = (tempfile::tempdir().unwrap(), Plugins::with(&["hostile"]));
    let server = start_server(&home, None).await;
    let port = server.port();
    let database = Database::at(server.dsn("postgres")).await;
    database.install().await;
    if !presence {
        database.execute("ALTER TABLE pgqueuer_host DROP COLUMN presence").await;
    }
    let mut running = Vec::new();
    for _ in 0..hosts {
        let more = [LEASE.as_slice(), &["--max-concurrent-tasks", "5"]].concat();
        running.push(Host::start(&database, &plugins, &more).await);
    }
    // Some end while the database is down, and some after a host could judge leases.
    let jobs =
        [database.enqueue_many("nap", hosts * 2, "25000").await, database.enqueue_many("nap", hosts, "4000").await]
            .concat();
    eventually("all run", async || picked(&database).await == jobs.len() as i64).await;
    rustix::process::kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::KILL).unwrap();
    server.ended().await;
    drop(server);
    tokio::time::sleep(Duration::from_secs(9)).await;
    let server = start_server(&home, Some(port)).await;
    database.wait_until_done().await;
    assert_each_ran_once(&database, &jobs, &running).await;
    for host in running {
        host.stop().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn leases_that_nobody_could_renew_are_not_taken_for_deaths() {
    an_outage_of_three_leases(7, false).await;
}

#[tokio::test]
async fn sessions_that_nobody_could_keep_are_not_taken_for_deaths() {
    an_outage_of_three_leases(7, true).await;
}

/// Nothing that a host sends is answered for longer than a lease, and then everything at once.
#[tokio::test]
async fn a_table_that_is_locked_for_longer_than_a_lease_takes_no_job_from_the_living() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let hosts = [Host::start(&database, &plugins, &LEASE).await, Host::start(&database, &plugins, &LEASE).await];
    let jobs = database.enqueue_many("nap", 10, "20000").await;
    eventually("all run", async || picked(&database).await == 10).await;
    let mut locking = database.connect().await;
    locking.execute("BEGIN; LOCK TABLE pgqueuer IN ACCESS EXCLUSIVE MODE").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    locking.execute("COMMIT").await.unwrap();
    locking.close().await.unwrap();
    database.wait_until_done().await;
    assert_each_ran_once(&database, &jobs, &hosts).await;
    for host in hosts {
        host.stop().await;
    }
}

/// The claim was sent in time, but its lease had already expired when it was answered.
#[tokio::test]
async fn a_claim_that_waited_for_longer_than_a_lease_is_run_once() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let polling = [LEASE.as_slice(), &["--dequeue-timeout", "0.5", "--max-concurrent-tasks", "10"]].concat();
    let hosts = [Host::start(&database, &plugins, &polling).await, Host::start(&database, &plugins, &polling).await];
    // The hosts that judge leases have had access for long enough.
    let warm = database.enqueue("nap", "9000").await;
    database.wait_for(warm, "successful").await;
    let mut locking = database.connect().await;
    locking.execute("BEGIN; LOCK TABLE pgqueuer IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let jobs: Vec<i64> = sqlx::query_scalar(
        "WITH new AS (
             INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, 'nap', '1000', 'queued' FROM generate_series(1, 40)
             RETURNING id, priority, entrypoint
         ), logged AS (
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', priority, entrypoint FROM new
         )
         SELECT id::bigint FROM new",
    )
    .fetch_all(&mut locking)
    .await
    .unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%few AS%' AND datname = current_database()";
    eventually("a claim waits", async || database.count(waits).await >= 1).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    locking.execute("COMMIT").await.unwrap();
    locking.close().await.unwrap();
    // Leases could be judged at any time.
    let over = "SELECT count(*) FROM pgqueuer WHERE status = 'picked' AND heartbeat < now() - interval '3 seconds'";
    while database.count("SELECT count(*) FROM pgqueuer").await > 0 {
        assert_eq!(database.count(over).await, 0, "a lease began when the claim was asked for");
    }
    assert_each_ran_once(&database, &jobs, &hosts).await;
    for host in hosts {
        host.stop().await;
    }
}

/// Suspended with jobs that wait for a slot, and resumed when they belong to another host.
#[tokio::test]
async fn a_resumed_host_starts_nothing_from_an_expired_claim() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    // A suspended host keeps its sessions. The jobs that wait for a slot were prefetched: many,
    // because they are short.
    const PLACES: usize = 4;
    let places = PLACES.to_string();
    let marked = [LEASE.as_slice(), &["--max-concurrent-tasks", &places, "--claim", "marked"]].concat();
    let sleeper = Host::start(&database, &plugins, &marked).await;
    database.enqueue_many("nap", 12_000, "1").await;
    let mut held = 0;
    for _ in 0..600 {
        sleeper.signal(Signal::STOP);
        held = picked(&database).await;
        if held > 10 {
            break;
        }
        sleeper.signal(Signal::CONT);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(held > 10, "it never held more jobs than it has places for");
    database.execute("DELETE FROM pgqueuer WHERE status = 'queued'").await;
    let other = Host::start(&database, &plugins, &LEASE).await;
    database.wait_until_done().await;
    let put_back: Vec<i64> =
        sqlx::query_scalar("SELECT job_id FROM pgqueuer_log WHERE traceback->>'exception_type' = 'WorkerLost'")
            .fetch_all(database.pool())
            .await
            .unwrap();
    // By its own clock: what it logged before may not be read yet.
    let resumed = Utc::now();
    sleeper.signal(Signal::CONT);
    let woken = database.enqueue("nap", "1").await;
    database.wait_for(woken, "successful").await;
    let log = sleeper.stop().await;
    let begun: HashSet<i64> = log
        .lines()
        .filter(|line| line.contains("napping"))
        .filter(|line| {
            line.split(' ').next().and_then(|at| at.parse().ok()).is_none_or(|at: DateTime<Utc>| at >= resumed)
        })
        .filter_map(|line| line.split("job.id=").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    let again: Vec<&i64> = put_back.iter().filter(|id| begun.contains(id)).collect();
    // Runs that had a place may have been suspended just before their first line.
    assert!(
        put_back.len() > PLACES && again.len() <= PLACES,
        "{again:?} of {} were begun after another worker had run them",
        put_back.len()
    );
    other.stop().await;
}
