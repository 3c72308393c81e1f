//! Losing a worker is charged to the job that killed it, and to no other: neither to those that had
//! not started, nor to those that ran beside it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pgq_host_tests::{Database, Host, PATIENCE, Plugins, eventually};
use pgq_job::{Disposition, Job, OnFailure, Suspicion, Terminal};
use pgq_queue::{ConcurrencyLimit, Queue, Record, RescueRule};

const ALONE: fn(u32) -> Option<Suspicion> = |crashes| Some(Suspicion::Alone { crashes });
const FEW: Option<Suspicion> = Some(Suspicion::Few);

/// A worker's death as other workers see it when its leases have expired, and what one of them
/// does.
async fn lost(database: &Database, entrypoint: &str) -> Vec<(i64, String)> {
    database.execute("UPDATE pgqueuer SET heartbeat = now() - interval '1 hour' WHERE status = 'picked'").await;
    let rule =
        RescueRule { entrypoint: entrypoint.into(), max_attempts: 1, max_crashes: 3, on_failure: OnFailure::Hold };
    let rescued = database
        .queue()
        .rescue(&[rule], Duration::from_secs(60), chrono::Utc::now().timestamp_millis(), &[], None)
        .await
        .unwrap();
    rescued.into_iter().map(|job| (job.id, job.status)).collect()
}

/// Claim everything. If a worker's last claim from the front of the queue was slow, it does not
/// claim from there for a while.
async fn claim(queue: &Queue, entrypoint: &str) -> Vec<Job> {
    let mut jobs = Vec::new();
    eventually("there are jobs", async || {
        jobs = queue.claim(&[Arc::from(entrypoint)], 100).await.unwrap().jobs;
        !jobs.is_empty()
    })
    .await;
    jobs
}

fn suspicions(jobs: &[Job]) -> Vec<Option<Suspicion>> {
    jobs.iter().map(|job| job.suspicion).collect()
}

fn done(job: &Job) -> Record {
    let disposition =
        Disposition::Finished { status: Terminal::Successful, traceback: None, output: None, follow_ups: Vec::new() };
    Record { suspect: true, ..Record::new(job.claim, disposition) }
}

#[tokio::test]
async fn only_a_job_that_had_begun_alone_is_charged() {
    let database = Database::new().await;
    let ids = database.enqueue_many("echo", 3, "x").await;
    let worker = database.queue();
    assert_eq!(suspicions(&claim(&worker, "echo").await), [None, None, None]);
    assert_eq!(lost(&database, "echo").await.len(), 3);
    // The first two start together, the third never does.
    let jobs = claim(&worker, "echo").await;
    assert_eq!(suspicions(&jobs), [FEW, FEW, FEW]);
    for job in &jobs[..2] {
        assert!(worker.begin_suspect(job.claim, Suspicion::Few).await.unwrap());
    }
    lost(&database, "echo").await;
    for crashes in 0..3 {
        let jobs = claim(&worker, "echo").await;
        assert_eq!(suspicions(&jobs), [ALONE(crashes), ALONE(0), FEW]);
        assert!(worker.begin_suspect(jobs[0].claim, Suspicion::Alone { crashes }).await.unwrap());
        // A claim that is no longer current starts nothing.
        let old = pgq_job::Claim { at: jobs[1].claim.at - chrono::TimeDelta::seconds(1), ..jobs[1].claim };
        assert!(!worker.begin_suspect(old, Suspicion::Alone { crashes: 0 }).await.unwrap());
        let states: Vec<String> = lost(&database, "echo").await.into_iter().map(|(_, status)| status).collect();
        assert_eq!(states, [if crashes < 2 { "queued" } else { "failed" }, "queued", "queued"]);
    }
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE attempts > 0").await,
        0,
        "no run of theirs is known to have failed"
    );
    let said = database.traceback(ids[0]).await;
    assert!(said["exception_message"].to_string().contains("3 workers"), "{said}");
    assert_eq!(said["additional_context"]["crashes"], 3);
    assert_eq!(said["additional_context"]["began_alone"], true);

    // A requeued job keeps its history: it starts alone. An outcome clears that.
    database.cli_ok(&["requeue", &ids[0].to_string()]).await;
    let jobs = claim(&worker, "echo").await;
    let held = jobs.iter().find(|job| job.id == ids[0]).expect("requeued");
    assert_eq!(held.suspicion, ALONE(0));
    assert!(worker.begin_suspect(held.claim, Suspicion::Alone { crashes: 0 }).await.unwrap());
    assert_eq!(worker.record(&[done(held)]).await.unwrap(), [ids[0]]);
    worker.clear_suspects(&[held.claim]).await.unwrap();
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_suspect").await, 2);
    database.execute("DELETE FROM pgqueuer").await;
    assert_eq!(worker.prune_suspects().await.unwrap(), 2);
}

#[tokio::test]
async fn a_slot_that_is_passed_on_brings_the_suspicion_along() {
    let database = Database::new().await;
    let ids = database.enqueue_many("limited", 4, "x").await;
    let (worker, limited) = (database.queue(), ConcurrencyLimit { entrypoint: Arc::from("limited"), concurrency: 2 });
    assert_eq!(suspicions(&worker.claim_limited(&limited, 2).await.unwrap()), [None, None]);
    lost(&database, "limited").await;
    let first = worker.claim_limited(&limited, 2).await.unwrap();
    assert_eq!(suspicions(&first), [FEW, FEW]);
    // The two that come next were never near a death.
    let handed = worker.hand_over(&limited, &[done(&first[0])]).await.unwrap();
    assert_eq!((handed.next[0].id, handed.next[0].suspicion), (ids[2], None));
    lost(&database, "limited").await;
    let second = worker.claim_limited(&limited, 1).await.unwrap();
    assert_eq!((second[0].id, second[0].suspicion), (ids[1], FEW));
    let handed = worker.hand_over(&limited, &[done(&second[0])]).await.unwrap();
    assert_eq!(
        (handed.next[0].id, handed.next[0].suspicion),
        (ids[2], FEW),
        "it was with the worker that was lost then"
    );
}

#[tokio::test]
async fn no_job_is_charged_for_a_host_that_dies_at_its_claim_again_and_again() {
    const JOBS: i64 = 100;
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let mut doomed = Host::start(&database, &plugins, &[]).await;
    database.enqueue_many("nap", JOBS as usize, "3600000").await;
    let picked = "SELECT count(*) FROM pgqueuer WHERE status = 'picked'";
    for round in 1..=5 {
        eventually("it holds all", async || database.count(picked).await == JOBS).await;
        let heir = Host::start(&database, &plugins, &[]).await;
        if round == 5 {
            database.execute("UPDATE pgqueuer SET payload = '1'").await;
        }
        doomed.kill().await;
        let put_back = "SELECT count(*) FROM pgqueuer_log WHERE traceback->>'exception_type' = 'WorkerLost'";
        eventually("they are put back", async || database.count(put_back).await == round * JOBS).await;
        doomed = heir;
    }
    database.wait_until_done().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, JOBS);
    let first_runs = database.count("SELECT count(*) FROM pgqueuer_output WHERE output = '1'").await;
    assert_eq!(first_runs, JOBS, "all as attempt 1");
    eventually("none is a suspect", async || database.count("SELECT count(*) FROM pgqueuer_suspect").await == 0).await;
    doomed.stop().await;
}

#[tokio::test]
async fn a_job_that_kills_its_hosts_affects_no_other_job() {
    const HARMLESS: usize = 400;
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.enqueue_many("nap", HARMLESS / 2, "5").await;
    let killer = database.enqueue("nap", "3600000").await;
    database.enqueue_many("nap", HARMLESS / 2, "5").await;
    let mut hosts = [Host::start(&database, &plugins, &[]).await, Host::start(&database, &plugins, &[]).await];
    let mut deaths = 0;
    let began = std::time::Instant::now();
    let failed = "SELECT count(*) FROM pgqueuer WHERE status = 'failed'";
    while database.count(failed).await == 0 {
        assert!(began.elapsed() < 3 * PATIENCE, "never held after {deaths} deaths");
        for host in &mut hosts {
            let log = host.log();
            if log.lines().any(|line| line.contains("napping") && line.contains(&format!("job.id={killer} "))) {
                let heir = Host::start(&database, &plugins, &[]).await;
                std::mem::replace(host, heir).kill().await;
                deaths += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(deaths, 5, "once in the crowd, once among a few, and three times alone");
    assert_eq!(database.count(&format!("{failed} AND id = {killer} AND attempts = 0")).await, 1);
    let successful = "SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE status = 'successful'";
    eventually("the others are done", async || database.count(successful).await == HARMLESS as i64).await;
    assert_eq!(database.count(failed).await, 1);
    let first_runs = database.count("SELECT count(*) FROM pgqueuer_output WHERE output = '1'").await;
    assert_eq!(first_runs, HARMLESS as i64, "all as attempt 1");
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test]
async fn no_job_is_charged_for_a_host_that_crashes_in_a_loop_beside_a_healthy_one() {
    const JOBS: i64 = 4_000;
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let args = ["--max-concurrent-tasks", "20"];
    let healthy = Host::start(&database, &plugins, &args).await;
    database.enqueue_many("nap", JOBS as usize, "30").await;
    let successful = async || database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await;
    let mut deaths = 0;
    while successful().await < JOBS * 3 / 4 && deaths < 15 {
        let looping = Host::spawn(&database, &plugins, &args);
        looping.wait_for_log("napping").await;
        looping.kill().await;
        deaths += 1;
    }
    let began = std::time::Instant::now();
    while successful().await < JOBS {
        assert!(began.elapsed() < 4 * PATIENCE, "{} after {deaths} deaths", successful().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let log = healthy.stop().await;
    let lost =
        database.count("SELECT count(*) FROM pgqueuer_log WHERE traceback->>'exception_type' = 'WorkerLost'").await;
    eprintln!("{deaths} deaths put {lost} jobs back");
    assert!(deaths >= 3 && lost > 0, "{log}");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0, "none is held");
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_output WHERE output = '1'").await,
        JOBS,
        "none is charged"
    );
    let twice = "SELECT count(*) FROM (SELECT FROM pgqueuer_log WHERE status = 'successful' GROUP BY job_id HAVING count(*) > 1) AS t";
    assert_eq!(database.count(twice).await, 0);
}

#[tokio::test]
async fn nothing_else_starts_beside_a_job_that_must_run_alone() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let alone = database.enqueue("nap", "2000").await;
    let beside = database.enqueue_many("nap", 20, "1").await;
    database.execute(&format!("INSERT INTO pgqueuer_suspect (job_id, alone) VALUES ({alone}, true)")).await;
    let host = Host::start(&database, &plugins, &[]).await;
    database.wait_until_done().await;
    let log = host.stop().await;
    let naps: Vec<&str> = log.lines().filter(|line| line.contains("napping")).collect();
    assert_eq!(naps.len(), 21, "{log}");
    assert!(naps[0].contains(&format!("job.id={alone} ")), "{log}");
    let ended = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND id < (
        SELECT id FROM pgqueuer_log WHERE status = 'successful' AND job_id = ";
    assert_eq!(database.count(&format!("{ended}{alone})")).await, 0, "the others waited");
    let ids: HashSet<i64> = beside.into_iter().collect();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn a_job_released_at_a_stop_is_not_a_suspect() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--drain-timeout", "0.2"]).await;
    database.enqueue_many("nap", 30, "3600000").await;
    eventually("they run", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 30
    })
    .await;
    host.stop().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'queued' AND attempts = 0").await, 30);
    let heir = Host::start(&database, &plugins, &["--drain-timeout", "0.2"]).await;
    eventually("they run", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 30
    })
    .await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_suspect").await, 0);
    heir.stop().await;
}
