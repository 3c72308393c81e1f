//! A host's sessions show that it is alive: its death is noticed at once, and nothing less than its
//! death is mistaken for it. The leases are so long that none expires during a test.

use std::time::{Duration, Instant};

use pgq_embedded::{self as embedded, Server};
use pgq_host_tests::{Database, Host, Plugins, eventually, host_binary};
use rustix::process::{Pid, Signal};
use tokio::process::Command;
use uuid::Uuid;

const LEASE: [&str; 2] = ["--heartbeat-timeout", "120"];
/// The goal is a second on an idle machine. The actual time is printed.
const SOON: Duration = Duration::from_secs(5);
/// Less than the time after which other hosts check a missing session again.
const IN_TIME: Duration = Duration::from_millis(200);

async fn start(name: &str, database: &Database, plugins: &Plugins) -> Host {
    let mut command = Command::new(host_binary());
    command.arg("run").arg("--plugins").arg(plugins.path()).args(LEASE).env("PGQ_HOST_CONFIG", plugins.config());
    command.env("PGDSN", database.dsn()).env("PGQUEUER_APPLICATION_NAME", name);
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    host
}

/// The worker id of this process, by its announcement.
async fn worker(database: &Database, host: &Host) -> Uuid {
    let sql = "SELECT id FROM pgqueuer_host WHERE pid = $1 AND presence IS NOT NULL";
    sqlx::query_scalar(sql)
        .bind(host.pid().cast_signed())
        .fetch_one(database.pool())
        .await
        .expect("announced when it is ready")
}

async fn held_by(database: &Database, worker: Uuid) -> i64 {
    database
        .count(&format!("SELECT count(*) FROM pgqueuer WHERE status = 'picked' AND queue_manager_id = '{worker}'"))
        .await
}

async fn lost(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM pgqueuer_log WHERE traceback->>'exception_type' = 'WorkerLost'").await
}

async fn sessions(database: &Database, name: &str) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()";
    sqlx::query_scalar(sql).bind(name).fetch_all(database.pool()).await.unwrap()
}

#[tokio::test]
async fn jobs_of_a_killed_host_run_elsewhere_at_once() {
    const JOBS: usize = 20;
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    // PgQueuer's workers announce nothing, so only their lease counts.
    let python = "INSERT INTO pgqueuer (priority, entrypoint, status, queue_manager_id, heartbeat)
                  VALUES (0, 'nap', 'picked', gen_random_uuid(), now())";
    database.execute(python).await;
    let mut doomed = start("first", &database, &plugins).await;
    let jobs = database.enqueue_many("nap", JOBS, "3600000").await;
    let mut took = Vec::new();
    for round in 1..=3 {
        let id = worker(&database, &doomed).await;
        eventually("it holds all jobs", async || held_by(&database, id).await == JOBS as i64).await;
        let heir = start("heir", &database, &plugins).await;
        let killed = Instant::now();
        doomed.kill().await;
        let heirs = worker(&database, &heir).await;
        eventually("the other runs them", async || held_by(&database, heirs).await == JOBS as i64).await;
        took.push(killed.elapsed());
        assert_eq!(lost(&database).await, round * JOBS as i64, "each once");
        let suspects = database
            .count("SELECT count(*) FROM pgqueuer_suspect s JOIN pgqueuer q ON q.id = job_id WHERE attempts = 0")
            .await;
        assert_eq!(
            suspects, JOBS as i64,
            "none is charged with the death, and the job of PgQueuer's worker is left alone"
        );
        eventually("its announcement is gone", async || {
            database.count("SELECT count(*) FROM pgqueuer_host WHERE presence IS NOT NULL").await == 1
        })
        .await;
        doomed = heir;
    }
    eprintln!("from SIGKILL to {JOBS} jobs running elsewhere: {took:.0?}");
    assert!(took.iter().all(|took| *took < SOON), "{took:?}");
    let said = database.traceback(jobs[0]).await["exception_message"].to_string();
    assert!(said.contains("its sessions ended"), "{said}");
}

#[tokio::test]
async fn the_slots_of_a_killed_host_are_taken_elsewhere_and_the_limit_holds() {
    const JOBS: i64 = 300;
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let hosts = [start("one", &database, &plugins).await, start("other", &database, &plugins).await];
    let first = worker(&database, &hosts[0]).await;
    database.enqueue_many("nap_limited", JOBS as usize, "10").await;
    let successful = async || database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await;
    eventually("slots are passed on", async || successful().await > 30).await;
    let [one, other] = hosts;
    // A host that has one most likely keeps it until the kill.
    let (doomed, heir) = if held_by(&database, first).await > 0 { (one, other) } else { (other, one) };
    doomed.kill().await;
    let before = successful().await;
    database.wait_until_done().await;
    assert!(before < JOBS, "it died too late to tell");
    assert_eq!(successful().await, JOBS, "none is lost, none is recorded twice");
    assert_eq!(
        database.count("SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE status = 'successful'").await,
        JOBS
    );
    // Counted by claims, ends, and jobs taken from the dead host.
    let most = "SELECT max(running)::bigint FROM (
        SELECT sum(CASE WHEN status = 'picked' THEN 1 WHEN status = 'successful' OR traceback IS NOT NULL THEN -1 ELSE 0 END) OVER (ORDER BY id) AS running
        FROM pgqueuer_log) AS r";
    assert_eq!(database.count(most).await, 2);
    heir.stop().await;
}

#[tokio::test]
async fn a_host_whose_sessions_are_closed_one_after_the_other_keeps_its_jobs() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let hosts = [start("cut", &database, &plugins).await, start("peer", &database, &plugins).await];
    // The session that is closed may be a host's last one. The guarantee is for a host that is back
    // in time, so the test is repeated if the machine is too busy for that.
    for attempt in 1.. {
        let jobs = database.enqueue_many("nap", 10, "6000").await;
        eventually("all run", async || {
            database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 10
        })
        .await;
        let (mut cuts, mut longest) = (0, Duration::ZERO);
        // Including the sessions that replace them.
        for _ in 0..3 {
            for pid in sessions(&database, "cut").await {
                let cut = Instant::now();
                database.execute(&format!("SELECT pg_terminate_backend({pid})")).await;
                cuts += 1;
                eventually("it is back", async || !sessions(&database, "cut").await.is_empty()).await;
                longest = longest.max(cut.elapsed());
            }
        }
        assert!(cuts >= 3, "{cuts}");
        database.wait_until_done().await;
        if longest > IN_TIME && attempt < 5 {
            eprintln!("{longest:?} without a session: tried again");
            continue;
        }
        for id in jobs {
            assert_eq!(database.history(id).await, ["queued", "picked", "successful"], "{longest:?}");
        }
        break;
    }
    for host in hosts {
        host.stop().await;
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_host").await, 0, "who stops takes the announcement back");
}

#[tokio::test]
async fn a_restart_of_the_database_is_not_taken_for_a_death() {
    let (home, plugins) = (tempfile::tempdir().unwrap(), Plugins::with(&["hostile"]));
    let server = start_server(&home, None).await;
    let port = server.port();
    let database = Database::at(server.dsn("postgres")).await;
    database.install().await;
    let hosts = [start("one", &database, &plugins).await, start("two", &database, &plugins).await];
    // Longer than the others wait for a host that does not come back.
    let jobs = database.enqueue_many("nap", 10, "12000").await;
    eventually("all run", async || database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 10)
        .await;
    rustix::process::kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::KILL).unwrap();
    server.ended().await;
    drop(server);
    // Long enough for hosts to retry less often, and at different times.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let server = start_server(&home, Some(port)).await;
    database.wait_until_done().await;
    for id in jobs {
        assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    }
    for host in hosts {
        host.stop().await;
    }
    server.stop().await;
}

async fn start_server(home: &tempfile::TempDir, port: Option<u16>) -> Server {
    let mut settings = embedded::Settings::new(home.path().join("postgres"));
    settings.port = port;
    embedded::start(settings).await.expect("the server starts")
}

#[tokio::test]
async fn jobs_that_the_survivor_does_not_serve_are_requeued_by_the_next_host_that_does() {
    let database = Database::new().await;
    let (hostile, hello) = (Plugins::with(&["hostile"]), Plugins::with(&["hello"]));
    let (doomed, other) = (start("doomed", &database, &hostile).await, start("other", &database, &hello).await);
    let dead = worker(&database, &doomed).await;
    let job = database.enqueue("nap", "3600000").await;
    eventually("it runs", async || held_by(&database, dead).await == 1).await;
    doomed.kill().await;
    // It starts after the death, and has never seen the dead host alive.
    let heir = start("heir", &database, &hostile).await;
    let id = worker(&database, &heir).await;
    eventually("it runs there", async || held_by(&database, id).await == 1).await;
    assert_eq!(database.history(job).await, ["queued", "picked", "queued", "picked"]);
    eventually("the announcement is gone", async || {
        database.count("SELECT count(*) FROM pgqueuer_host WHERE presence IS NOT NULL").await == 2
    })
    .await;
    drop(heir);
    other.stop().await;
}

#[tokio::test]
async fn without_presence_in_the_database_leases_decide() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.execute("ALTER TABLE pgqueuer_host DROP COLUMN presence").await;
    let lease = ["--heartbeat-timeout", "1"];
    let doomed = Host::start(&database, &plugins, &lease).await;
    let job = database.enqueue("nap", "2000").await;
    eventually("it runs", async || database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 1)
        .await;
    doomed.kill().await;
    let heir = Host::start(&database, &plugins, &lease).await;
    database.wait_for(job, "successful").await;
    assert!(database.traceback(job).await["exception_message"].to_string().contains("sent no heartbeat"));
    heir.stop().await;
    let plan = database.cli_ok(&["upgrade", "--plan"]).await;
    assert!(plan.stdout.contains("presence"), "{plan:?}");
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
}

#[tokio::test]
async fn a_fleet_that_rests_is_awake_once_a_deferred_job_is_due() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let hosts = [start("one", &database, &plugins).await, start("two", &database, &plugins).await];
    let ids = [worker(&database, &hosts[0]).await, worker(&database, &hosts[1]).await];
    // The only notification comes now. By the time the job is due, both look once a minute.
    let deferred = "INSERT INTO pgqueuer (priority, entrypoint, status, payload, execute_after)
                    VALUES (0, 'nap', 'queued', '3600000', now() + interval '25 seconds')";
    database.execute(deferred).await;
    let mut holder = None;
    eventually("one of them has it", async || {
        for (place, id) in ids.iter().enumerate() {
            if held_by(&database, *id).await == 1 {
                holder = Some(place);
            }
        }
        holder.is_some()
    })
    .await;
    let [one, two] = hosts;
    let (doomed, heir, heirs) = if holder == Some(0) { (one, two, ids[1]) } else { (two, one, ids[0]) };
    let killed = Instant::now();
    doomed.kill().await;
    eventually("the other has it", async || held_by(&database, heirs).await == 1).await;
    let took = killed.elapsed();
    eprintln!("a job of a host that was killed in a fleet that rested ran elsewhere after {took:?}");
    // A look a minute would take half of that, in the mean.
    assert!(took < SOON, "{took:?}");
    heir.stop().await;
}
